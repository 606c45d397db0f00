"""What refining R2, R4 and the MLP's scales takes, for the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dfrot_engine.recipe import BlockDescent, HeadDescent, ScaleSearch

if TYPE_CHECKING:
    from dfrot_engine.plan_estimates import Workload

# Rounding a value and finding its gradient, in the time of so many multiplications; measured on a CPU.
_ROUNDING_FLOPS = 400
_SCALINGS = 8  # that a search tries
_ROW_BYTES = 2
_COPIES_BYTES = 14  # the stored row, its float32 copies and the rounded ones


def inner_seconds(work: Workload) -> float:
    """Seconds of all blocks together; 0 when neither is refined."""
    return work.seconds(sum(_flops(work))) if any(_flops(work)) else 0.0


def inner_memory_bytes(work: Workload) -> int:
    """Rows of one block at a time."""
    value, hidden = _row_elements(work)
    return _COPIES_BYTES * max(value, hidden)


def inner_disk_bytes(work: Workload) -> int:
    """Rows of all blocks, which calibration leaves in the work folder."""
    return _ROW_BYTES * sum(_row_elements(work)) * work.architecture.num_blocks


def inner_words(work: Workload) -> str:
    """What is refined besides R1, for people; "" for nothing."""
    rotation = work.recipe.rotation
    names = [
        name
        for name, section, kind in (
            ("R2", rotation.r2, HeadDescent),
            ("R4", rotation.r4, BlockDescent),
            ("scales", rotation.mlp_scaling, ScaleSearch),
        )
        if isinstance(section, kind)
    ]
    return (
        f"{', '.join(names[:-1])}{' and ' if names[:-1] else ''}{names[-1]} in {work.architecture.num_blocks} blocks"
        if names
        else ""
    )


def _row_elements(work: Workload) -> tuple[int, int]:
    """Numbers kept of one block for R2 and for R4."""
    sizes, rotation = work.architecture, work.recipe.rotation
    tokens = work.calibration_tokens
    value = min(rotation.value_rows, tokens) * (sizes.num_heads + sizes.num_kv_heads) * sizes.head_size
    return value, min(rotation.hidden_rows, tokens) * sizes.intermediate_size


def _flops(work: Workload) -> tuple[float, float, float]:
    sizes, rotation = work.architecture, work.recipe.rotation
    heads = blocks = scales = 0.0
    if isinstance(rotation.r2, HeadDescent):
        width = (sizes.num_heads + sizes.num_kv_heads) * sizes.head_size
        batch = min(rotation.r2.batch_rows, rotation.r2.sample_rows)
        heads = rotation.r2.steps * batch * width * (4 * sizes.head_size + _ROUNDING_FLOPS)
    if isinstance(rotation.r4, BlockDescent):
        batch = min(rotation.r4.batch_rows, rotation.r4.sample_rows)
        width = sizes.intermediate_size
        blocks = rotation.r4.steps * batch * width * (4 * rotation.r4.block_size + _ROUNDING_FLOPS)
    if isinstance(rotation.mlp_scaling, ScaleSearch):
        rows = min(rotation.mlp_scaling.sample_rows, work.calibration_tokens)
        numbers = (rows + sizes.hidden_size) * sizes.intermediate_size
        product = 2 * rows * sizes.hidden_size * sizes.intermediate_size
        scales = _SCALINGS * (product + _ROUNDING_FLOPS * numbers)
    return heads * sizes.num_blocks, blocks * sizes.num_blocks, scales * sizes.num_blocks
