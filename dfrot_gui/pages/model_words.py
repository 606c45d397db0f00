"""The facts of a model in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dfrot_engine import ModelSummary
from dfrot_engine.units import format_bytes, format_parameters

if TYPE_CHECKING:
    from dfrot_engine.checkpoint.source import ModelFacts

NAMES = (
    "Parameters",
    "Size",
    "Architecture",
    "Layers × hidden",
    "Attention",
    "Weights",
    "Hadamard",
    "License",
    "Revision",
)


def size_text(facts: ModelFacts) -> str:
    count = f"{len(facts.files)} file{'s' if len(facts.files) != 1 else ''}"
    if facts.download_bytes:
        return f"{format_bytes(facts.download_bytes)} to download · {count}"
    return f"{format_bytes(sum(file.bytes for file in facts.files))} · {count}"


def revision_text(facts: ModelFacts) -> str:
    revision = facts.revision or ""
    return revision[:10] if len(revision) == 40 else revision


def summary_values(model: ModelSummary) -> dict[str, str]:
    return {
        "Parameters": format_parameters(model.num_parameters),
        "Architecture": model.architecture,
        "Layers × hidden": f"{model.num_blocks} × {model.hidden_size:,}",
        "Attention": f"{model.num_heads} heads · {model.num_kv_heads} KV · size {model.head_size}",
        "Weights": f"{model.dtype}{' · tied head' if model.tied else ''}",
        "Hadamard": model.hadamard_order,
    }
