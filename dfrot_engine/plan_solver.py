"""What a solver that looks at calibration tokens takes, and when it sees too few."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from dfrot_engine.plan_linears import PlannedLinear
from dfrot_engine.plan_types import Problem
from dfrot_engine.recipe import CALIBRATED, GPTQ, Qronos, Recipe

if TYPE_CHECKING:
    from dfrot_engine.plan_estimates import Workload

_NAMES = {GPTQ: "GPTQ", Qronos: "Qronos"}
# The second moments in float32; in float64 damped, factored and inverted; measured. Qronos has those of both streams.
_MATRIX_BYTES, _CROSS_BYTES = 36, 4
# Weights that are rounded together, in float32: in another order, their codes and errors.
_WEIGHT_BYTES = 20
# Two factorizations and an inverse in float64, which run at a third of the speed of a product in float32.
_FACTOR_FLOPS = 3.6
# One column after the other, each in a dozen passes over numbers that do not stay in the cache.
_COLUMN_FLOPS = 4_500


def solver_words(recipe: Recipe) -> str:
    return _NAMES.get(type(recipe.solver), "round to nearest")


def solver_problems(recipe: Recipe, linears: Sequence[PlannedLinear]) -> list[Problem]:
    """A solver that has nothing to do, or not enough to see."""
    rounded = [linear for linear in linears if linear.weights is not None]
    if not isinstance(recipe.solver, CALIBRATED):
        return []
    if not rounded:
        message = f"{solver_words(recipe)} has nothing to do: this recipe rounds no weights."
        return [Problem.warning("solver.kind", message, "Choose a weight format, or rtn.")]
    tokens = recipe.calibration.num_samples * recipe.calibration.seq_len
    widest = max(rounded, key=lambda linear: linear.shape[1])
    if tokens >= 2 * widest.shape[1]:
        return []
    message = f"{tokens:,} calibration tokens say little about the {widest.shape[1]:,} inputs of {widest.short_name}."
    return [Problem.warning("calibration.num_samples", message, "Choose more samples; twice the inputs at least.")]


def stream_count(recipe: Recipe) -> int:
    """How many streams of hidden states go through the model with every calibration sequence."""
    if recipe.recovery is not None or isinstance(recipe.solver, Qronos):
        return 2
    return 1 if isinstance(recipe.solver, CALIBRATED) else 0


def solver_seconds(work: Workload) -> float:
    """The block as far as each input, the inputs' second moments, and rounding itself."""
    if not isinstance(work.recipe.solver, CALIBRATED):
        return 0.0
    sizes, tokens = work.architecture, work.calibration_tokens
    streams = stream_count(work.recipe)
    flops = work.pass_flops(tokens, work.recipe.calibration.seq_len) * streams  # behind the block
    for passed, width, rows in _inputs(work):
        moments = 2 * tokens * width**2
        flops += streams * (2 * tokens * passed + moments)
        # Every error reaches half of what is left of the weight.
        flops += _FACTOR_FLOPS * width**3 + _COLUMN_FLOPS * rows * width + rows * width**2
    return work.seconds(flops * sizes.num_blocks)


def solver_bytes(work: Workload) -> int:
    """The folded block, the one that runs, in both versions for Qronos, and an input's matrices and weights."""
    solver = work.recipe.solver
    if not isinstance(solver, CALIBRATED):
        return 0
    with_exact = isinstance(solver, Qronos)
    matrix = _MATRIX_BYTES + (_CROSS_BYTES if with_exact else 0)
    largest = max(matrix * width**2 + _WEIGHT_BYTES * rows * width for _, width, rows in _inputs(work))
    return (17 if with_exact else 13) * work.block_parameters + max(largest, work.batch_bytes)


def _inputs(work: Workload) -> Iterator[tuple[int, int, int]]:
    """(weights run to reach it, width, rows that read it) of each input shared by linears, in the order of running."""
    sizes = work.architecture
    shapes = {linear.name: sizes.linear_shape(linear) for linear in sizes.block.linears}
    passed = 0
    for names in sizes.block.shared_inputs():
        width = shapes[names[0]][1]
        rows = sum(shapes[name][0] for name in names)
        yield passed, width, rows
        passed += rows * width
