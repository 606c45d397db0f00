"""What a run writes, and how large it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dfrot_engine.formats import FORMATS
from dfrot_engine.plan_types import Output

if TYPE_CHECKING:
    from dfrot_engine.plan_estimates import Workload


def outputs_of(work: Workload) -> tuple[Output, ...]:
    """What the run writes."""
    return tuple(
        Output(
            exporter=export.kind,
            folder=str(work.options.output_dir / export.subfolder),
            bytes=_output_bytes(work, is_quantized=export.kind == "compressed-tensors"),
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


def _output_bytes(work: Workload, *, is_quantized: bool) -> int:
    """Weights at their bits with their scales, everything else at two bytes; a tied head is written as well."""
    linears = {f"{linear.name}.weight" for linear in work.linears}
    size = sum(2 * header.num_elements for name, header in work.facts.headers.items() if name not in linears)
    for linear in work.linears:
        rows, columns = linear.shape
        scheme = linear.weights
        if scheme is None or not is_quantized:
            size += 2 * rows * columns
            continue
        group_size = scheme.group_size if scheme.granularity == "per-group" else columns
        stored = FORMATS[scheme.format].stored_bits(rows, columns, group_size=group_size, symmetric=scheme.symmetric)
        size += stored // 8
    return size
