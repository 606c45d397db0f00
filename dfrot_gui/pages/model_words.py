"""The facts of a model in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dfrot_engine import ModelSummary
from dfrot_gui.quantities import format_bytes, format_parameters
from dfrot_gui.translation import mark, num, tr

if TYPE_CHECKING:
    from dfrot_engine.checkpoint.source import ModelFacts

NAMES = (
    mark("Parameters"),
    mark("Size"),
    mark("Architecture"),
    mark("Layers × hidden"),
    mark("Attention"),
    mark("Weights"),
    mark("Hadamard"),
    mark("License"),
    mark("Revision"),
)


def size_text(facts: ModelFacts) -> str:
    if facts.download_bytes:
        return tr("{size} to download · %n files", len(facts.files), size=format_bytes(facts.download_bytes))
    return tr("{size} · %n files", len(facts.files), size=format_bytes(sum(file.bytes for file in facts.files)))


def revision_text(facts: ModelFacts) -> str:
    revision = facts.revision or ""
    return revision[:10] if len(revision) == 40 else revision


def summary_values(model: ModelSummary) -> dict[str, str]:
    return {
        "Parameters": format_parameters(model.num_parameters),
        "Architecture": model.architecture,
        "Layers × hidden": num(f"{model.num_blocks} × {model.hidden_size:,}"),
        "Attention": tr(
            "{num_heads} heads · {num_kv_heads} KV · size {head_size}",
            num_heads=model.num_heads,
            num_kv_heads=model.num_kv_heads,
            head_size=model.head_size,
        ),
        "Weights": tr("{dtype} · tied head", dtype=model.dtype) if model.tied else model.dtype,
        "Hadamard": model.hadamard_order,
    }
