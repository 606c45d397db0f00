"""What a run writes, and how large it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dfrot_engine.exporters.gguf_table import FOLDED_TYPES
from dfrot_engine.formats import FORMATS
from dfrot_engine.plan_types import Output

if TYPE_CHECKING:
    from dfrot_engine.plan_estimates import Workload

#: Exports that hold the recipe's codes.
HOLD_CODES = ("compressed-tensors", "gguf")


def outputs_of(work: Workload) -> tuple[Output, ...]:
    """What the run writes."""
    return tuple(
        Output(
            exporter=export.kind,
            folder=str(work.options.output_dir / export.subfolder),
            bytes=_output_bytes(work, export.kind),
            label=work.recipe.label(export),
        )
        for export in work.recipe.exports
    )


def scale_bytes(work: Workload) -> int:
    """Of all scales, in two bytes each."""
    count = 0
    for linear in work.linears:
        if linear.weights is not None:
            rows, columns = linear.shape
            count += rows * (columns // linear.weights.group_size if linear.weights.granularity == "per-group" else 1)
    return 2 * count


def _output_bytes(work: Workload, kind: str) -> int:
    """Weights at their bits with their scales, everything else at two bytes; a tied head is written as well."""
    linears = {f"{linear.name}.weight" for linear in work.linears}
    others = sum(header.num_elements for name, header in work.facts.headers.items() if name not in linears)
    if FOLDED_TYPES.get(kind) == "Q8_0":
        return (others + sum(rows * columns for rows, columns in (one.shape for one in work.linears))) * 17 // 16
    size = 2 * others
    for linear in work.linears:
        rows, columns = linear.shape
        scheme = linear.weights
        if scheme is None or kind not in HOLD_CODES:
            size += 2 * rows * columns
            continue
        group_size = scheme.group_size if scheme.granularity == "per-group" else columns
        stored = FORMATS[scheme.format].stored_bits(rows, columns, group_size=group_size, symmetric=scheme.symmetric)
        size += stored // 8
    return size
