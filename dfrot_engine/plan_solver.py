"""What a solver that looks at calibration tokens takes, and when it sees too few."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from dfrot_engine.architectures.base import Architecture, Block, Space
from dfrot_engine.plan_hidden import room_beside
from dfrot_engine.plan_linears import PlannedLinear
from dfrot_engine.plan_types import Problem
from dfrot_engine.recipe import CALIBRATED, GPTQ, Qronos, Recipe

if TYPE_CHECKING:
    from dfrot_engine.plan_estimates import Workload

_NAMES = {GPTQ: "GPTQ", Qronos: "Qronos"}
# The second moments in float32; in float64 damped, factored and inverted; measured. Qronos has those of both streams.
_MATRIX_BYTES, _CROSS_BYTES = 36, 4
# Two factorizations and an inverse in float64, which run at a third of the speed of a product in float32.
_FACTOR_FLOPS = 3.6
# One column after the other, each in a dozen passes over numbers that do not stay in the cache.
_COLUMN_FLOPS = 4_500


def solver_words(recipe: Recipe) -> str:
    return _NAMES.get(type(recipe.solver), "round to nearest")


def share_of_expert(architecture: Architecture, block: Block) -> float:
    """Of the tokens, those that go to each of a block's experts on average; 1 where there are none."""
    experts = len({linear.expert for linear in block.linears if linear.expert is not None})
    return architecture.experts_per_token / experts if experts else 1.0


def solver_problems(recipe: Recipe, architecture: Architecture, linears: Sequence[PlannedLinear]) -> list[Problem]:
    """A solver that has nothing to do, or not enough to see."""
    rounded = [linear for linear in linears if linear.weights is not None]
    if not isinstance(recipe.solver, CALIBRATED):
        return []
    if not rounded:
        message = f"{solver_words(recipe)} has nothing to do: this recipe rounds no weights."
        return [Problem.warning("solver.kind", message, "Choose a weight format, or rtn.")]
    tokens = recipe.calibration.num_samples * recipe.calibration.seq_len
    widest = max(rounded, key=lambda linear: linear.shape[1])
    if tokens < 2 * widest.shape[1]:
        message = (
            f"{tokens:,} calibration tokens say little about the {widest.shape[1]:,} inputs of {widest.short_name}."
        )
        return [Problem.warning("calibration.num_samples", message, "Choose more samples; twice the inputs at least.")]
    return _expert_problems(recipe, architecture, rounded)


def _expert_problems(recipe: Recipe, architecture: Architecture, rounded: Sequence[PlannedLinear]) -> list[Problem]:
    """Experts see a part of the tokens, and are rounded to nearest where those are fewer than their inputs."""
    widest = max((linear.shape[1] for linear in rounded if linear.expert is not None), default=0)
    share = share_of_expert(architecture, architecture.block)
    tokens = int(recipe.calibration.num_samples * recipe.calibration.seq_len * share)
    if tokens >= widest:
        return []
    message = (
        f"An expert sees about {tokens:,} calibration tokens, fewer than its {widest:,} inputs; such experts are "
        "rounded to nearest."
    )
    needed = -(-widest // (share * recipe.calibration.seq_len))
    remedy = f"Choose {int(needed):,} samples or more; some experts see fewer tokens than others."
    return [Problem.warning("calibration.num_samples", message, remedy)]


def stream_count(recipe: Recipe) -> int:
    """How many streams of hidden states go through the model with every calibration sequence."""
    if recipe.recovery is not None or isinstance(recipe.solver, Qronos):
        return 2
    return 1 if isinstance(recipe.solver, CALIBRATED) else 0


def stream_bytes(work: Workload) -> int:
    """Both streams in front of a block and behind it."""
    whole = stream_count(work.recipe)
    return 2 * (work.hidden_bytes * whole + (2 - whole) * work.probe_bytes)


def attended_bytes(work: Workload) -> int:
    """What attention gives in the streams that a solver looks at, which is kept where there is room."""
    if not isinstance(work.recipe.solver, CALIBRATED):
        return 0
    streams = 2 if isinstance(work.recipe.solver, Qronos) else 1
    return streams * 4 * work.calibration_tokens * work.architecture.num_heads * work.architecture.head_size


def solver_seconds(work: Workload) -> float:
    """The block as far as each input and behind it, the inputs' second moments, and rounding itself."""
    if not isinstance(work.recipe.solver, CALIBRATED):
        return 0.0
    sizes, tokens = work.architecture, work.calibration_tokens
    streams = stream_count(work.recipe)
    scores = work.scores_flops(work.recipe.calibration.seq_len)
    kept = min(1.0, room_beside(work, stream_bytes(work)) / attended_bytes(work))
    flops = work.pass_flops(tokens, work.recipe.calibration.seq_len) * streams  # behind the blocks
    for block, numbers in sizes.blocks_of_kind:
        attention = 0.0  # of a token, from when its inputs are known
        for one in _inputs(sizes, block):
            reach = 2 * one.passed + scores * (one.reads is Space.VALUE)
            reach += (1 - kept) * attention if one.passed else 0.0
            own = streams * tokens * (reach + 2 * one.share * one.width**2)
            # Every error reaches half of what is left of the weight.
            own += _FACTOR_FLOPS * one.width**3 + (_COLUMN_FLOPS + one.width) * one.rows * one.width
            flops += len(numbers) * own
            attention = reach if one.reads is Space.VALUE else attention
        flops -= len(numbers) * streams * tokens * kept * attention
    return work.seconds(flops)


def solver_bytes(work: Workload) -> int:
    """The block in both versions, and the matrices of the widest input, those of one expert at a time."""
    solver = work.recipe.solver
    if not isinstance(solver, CALIBRATED):
        return 0
    sizes = work.architecture
    widest = max(one.width for block, _ in sizes.blocks_of_kind for one in _inputs(sizes, block))
    matrix = _MATRIX_BYTES + (_CROSS_BYTES if isinstance(solver, Qronos) else 0)
    # As read, folded in float64, as codes, and as it runs; Qronos runs the exact one beside it.
    blocks = (21 if isinstance(solver, Qronos) else 17) * work.block_parameters
    # All that a block's experts read is gathered once.
    gathered = stream_count(work.recipe) * work.hidden_bytes if sizes.experts_per_token else 0
    return blocks + max(matrix * widest**2, work.batch_bytes) + gathered


class _Input(NamedTuple):
    """What linears read together.

    Args:
        reads: its space.
        passed: weights that a token runs through to reach it; behind attention, from there on.
        width, rows: of the linears that read it, one above the other.
        share: of the tokens that reach it.
    """

    reads: Space
    passed: float
    width: int
    rows: int
    share: float


def _inputs(sizes: Architecture, block: Block) -> Iterator[_Input]:
    """In the order of running."""
    passed = 0
    for names in block.shared_inputs():
        shapes = [sizes.linear_shape(block.named(name)) for name in names]
        width, rows = shapes[0][1], sum(rows for rows, _ in shapes)
        first = block.named(names[0])
        if first.expert is None:
            yield _Input(first.reads, passed, width, rows, 1.0)
            passed = rows * width + (0 if first.reads is Space.VALUE else passed)
        else:
            # The way to the experts is gone once for all of them; behind it each runs on its own tokens.
            is_first = first.expert == 0 and first.reads is Space.RESIDUAL
            yield _Input(first.reads, passed if is_first else 0, width, rows, share_of_expert(sizes, block))
