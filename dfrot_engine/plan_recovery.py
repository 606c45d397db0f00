"""What recovery after rounding takes, and when it is no good idea."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dfrot_engine.architectures.base import Architecture
from dfrot_engine.memory import BATCH_TOKENS
from dfrot_engine.plan_linears import PlannedLinear
from dfrot_engine.plan_types import Problem
from dfrot_engine.recipe import LEAST_FOR_HOLD_OUT, MEASURED_EVERY, LoRARecovery, Recipe, held_out_sequences
from dfrot_engine.recipe_sections import FLOAT16_CODES

if TYPE_CHECKING:
    from dfrot_engine.plan_estimates import Workload

# For each number of a block while it is trained, and for each token what its backward pass keeps; both measured.
BLOCK_BYTES, TOKEN_HIDDENS, TOKEN_INTERMEDIATES = 28, 60, 12


def recovery_problems(recipe: Recipe, architecture: Architecture, linears: Sequence[PlannedLinear]) -> list[Problem]:
    """Nothing to recover, or too little text to tell what helps."""
    if recipe.recovery is None:
        return []
    if recipe.kv_cache is None and not any(linear.weights or linear.activations for linear in linears):
        message = "There is nothing to recover: this recipe rounds neither weights nor activations."
        return [Problem.error("recovery", message, "Choose a format, or leave the recovery out.")]
    wants_factors = isinstance(recipe.recovery, LoRARecovery)
    problems = _factor_problems(recipe, architecture, linears) if wants_factors else []
    num_samples = recipe.calibration.num_samples
    if num_samples >= LEAST_FOR_HOLD_OUT:
        return problems
    message = (
        f"With {num_samples:,} calibration sequences none is held out, and recovery may fit them rather than the model."
    )
    remedy = f"Choose {LEAST_FOR_HOLD_OUT} or more; 32 serve better."
    return [*problems, Problem.warning("calibration.num_samples", message, remedy)]


def _factor_problems(recipe: Recipe, architecture: Architecture, linears: Sequence[PlannedLinear]) -> list[Problem]:
    """Where an adapter has no file to lie beside, or no name for a linear."""
    field, remedy = "recovery", "Choose scales instead, or write compressed-tensors."
    refused = next((export.kind for export in recipe.exports if export.kind in FLOAT16_CODES), None)
    if refused is not None:
        message = f"What reads {refused} files takes no adapter of PEFT."
        return [Problem.error(field, message, remedy)]
    if architecture.tower:
        message = "An adapter names the modules of a model that sees otherwise than its files do."
        return [Problem.error(field, message, "Choose scales instead.")]
    rounded = [linear for linear in linears if linear.weights or linear.activations]
    if all(linear.expert is not None or linear.is_head for linear in rounded):
        message = "Only experts are rounded, and PEFT has no name for the linears of one."
        return [Problem.error(field, message, "Choose scales instead.")]
    if any(linear.expert is not None for linear in rounded):
        message = "Experts get no low-rank factors: PEFT has no name for the linears of one."
        return [Problem.warning(field, message, "Choose scales to train theirs.")]
    return []


def recovery_seconds(work: Workload) -> float:
    """Both streams through every block, and three passes a step: forward, and backward to inputs and to weights."""
    recovery = work.recipe.recovery
    if recovery is None:
        return 0.0
    seq_len = work.recipe.calibration.seq_len
    measures = 1 + -(-recovery.steps // MEASURED_EVERY)
    tokens = 3 * recovery.steps * _batch(work) + measures * _held_out(work)
    passes = 2 * work.calibration_tokens + tokens * seq_len
    return work.seconds(2 * work.passed_parameters * passes)


def recovery_bytes(work: Workload) -> int:
    """The block with its slopes, and one batch's backward pass."""
    if work.recipe.recovery is None:
        return 0
    sizes, seq_len = work.architecture, work.recipe.calibration.seq_len
    in_batch = min(_batch(work) * seq_len, max(BATCH_TOKENS, seq_len))
    per_token = TOKEN_HIDDENS * sizes.hidden_size + TOKEN_INTERMEDIATES * sizes.intermediate_size
    return BLOCK_BYTES * work.block_parameters + 4 * in_batch * per_token


def _batch(work: Workload) -> int:
    assert work.recipe.recovery is not None
    num_samples = work.recipe.calibration.num_samples
    return min(work.recipe.recovery.batch_size, num_samples - held_out_sequences(num_samples))


def _held_out(work: Workload) -> int:
    num_samples = work.recipe.calibration.num_samples
    return held_out_sequences(num_samples) or num_samples
