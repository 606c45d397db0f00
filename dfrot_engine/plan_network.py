"""What learning R1 through the whole model takes, and when it is no good idea."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dfrot_engine.memory import BATCH_TOKENS
from dfrot_engine.plan_types import Problem, StageEstimate
from dfrot_engine.recipe import THROUGH_MODEL, Cayley
from dfrot_engine.units import about_text

if TYPE_CHECKING:
    from dfrot_engine.plan_estimates import Workload

KIND_FIELD = "rotation.r1.kind"
SLOW_S = 1_800
# Blocks are read, folded in float64 and placed; a page cache and a bus leave about this much.
LOAD_BYTES_PER_S = 2e9
CHUNK_TOKENS = 256
MEASURED_EVERY = 5
HELD_OUT = 4


def network_seconds(work: Workload, r1: Cayley) -> float:
    """Three passes a step, forward, forward again and backward, a forward one every fifth step, the original once."""
    sizes, width = work.architecture, work.architecture.hidden_size
    # Each site turns its tokens there and back, for every linear of its own where a router beside them does not.
    turns = len(sizes.block.norms) + 2 * sizes.experts_per_token
    # Weights have no gradient, so that backward costs as much as forward.
    per_token = 2 * (work.passed_parameters + 2 * sizes.num_blocks * turns * width**2)
    head = 2 * sizes.vocab_size * width
    # The rounded model's head forward and backward, and the original's.
    step = _step_tokens(work, r1) * (3 * per_token + 3 * head) + 45 * width**3
    measure = _held_out(work) * work.recipe.calibration.seq_len * (per_token + 2 * head)
    num_measures = 2 + r1.steps // MEASURED_EVERY
    loads = (2 * r1.steps + num_measures) * 2 * work.parameters / LOAD_BYTES_PER_S
    original = work.calibration_tokens * per_token
    return work.seconds(original + r1.steps * step + num_measures * measure) + loads


def network_bytes(work: Workload, r1: Cayley) -> int:
    """Hidden states in front of every block, one block with what its backward pass needs, and the head."""
    sizes = work.architecture
    hidden = (sizes.num_blocks + 3) * _step_tokens(work, r1) * sizes.hidden_size
    in_batch = min(_step_tokens(work, r1), max(BATCH_TOKENS, work.recipe.calibration.seq_len))
    graph = in_batch * (6 * sizes.intermediate_size + 24 * sizes.hidden_size)
    head = sizes.vocab_size * (sizes.hidden_size + 4 * CHUNK_TOKENS)
    # A block lies in the checkpoint's precision, in float64 and in float32 while it is folded.
    return 3 * work.hidden_bytes + 4 * (hidden + graph + head) + 14 * work.block_parameters


def network_problems(work: Workload, stages: Sequence[StageEstimate]) -> list[Problem]:
    """Nothing to learn from, or hours to go."""
    r1 = work.recipe.rotation.r1
    if not isinstance(r1, THROUGH_MODEL):
        return []
    blocks = work.architecture.blocks_of_kind
    reached = {linear.kind for block, _ in blocks for linear in block.linears if block.norm_before(linear.name)}
    if not any(linear.activations and linear.short_name in reached for linear in work.linears):
        message = f"'{r1.kind}' learns from the rounding of activations, and this recipe rounds none that R1 reaches."
        return [Problem.error(KIND_FIELD, message, "Choose an activation format, or another R1 such as 'hadamard'.")]
    seconds = sum(stage.seconds or 0.0 for stage in stages if stage.stage == "rotate")
    if seconds < SLOW_S:
        return []
    message = (
        f"R1 learns through the whole model: {r1.steps:,} iterations of {_step_tokens(work, r1):,} tokens take "
        f"{about_text(seconds)} here, and start again if the run is stopped."
    )
    remedy = "Lower the iterations or calibration.seq_len, or choose 'descent', which takes minutes."
    return [Problem.warning(KIND_FIELD, message, remedy)]


def _step_tokens(work: Workload, r1: Cayley) -> int:
    wanted = work.recipe.calibration
    return min(r1.batch_size, max(1, wanted.num_samples - _held_out(work))) * wanted.seq_len


def _held_out(work: Workload) -> int:
    return max(1, work.recipe.calibration.num_samples // HELD_OUT)
