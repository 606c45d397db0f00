"""Reading report.json, and how large what stands beside it is. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dfrot_engine.outside_files import read_json

REPORT = "report.json"
#: What `protocol.measured` says where nothing that was written was measured.
ENGINE = "the engine's quantized forward"


def read_report(folder: Path) -> dict[str, Any] | None:
    """The report of an output folder or a work folder; None if there is none."""
    try:
        content = read_json(folder / REPORT)
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def weight_bytes(folder: Path) -> int:
    """Bytes of the weights in an output folder."""
    return sum(path.stat().st_size for name in ("*.safetensors", "*.gguf") for path in folder.glob(name))
