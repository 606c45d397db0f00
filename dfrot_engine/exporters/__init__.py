"""Export kind of the recipe → function that writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dfrot_engine.exporters.base import Exporter

# Imported where used: the tables beside this file are read by the plan, which must not load torch.


def exporter_of(kind: str) -> Exporter:
    """The exporter of an export kind."""
    from dfrot_engine.exporters.compressed_tensors import write_compressed_tensors
    from dfrot_engine.exporters.gguf import WRITERS
    from dfrot_engine.exporters.rotated_bf16 import write_rotated_bf16

    exporters: dict[str, Exporter] = {
        "compressed-tensors": write_compressed_tensors,
        "rotated-bf16": write_rotated_bf16,
        **WRITERS,
    }
    return exporters[kind]
