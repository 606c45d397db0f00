"""What is compared: the paper's loop written down plainly, and the two refinements of this program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from dfrot_engine.recipe import Descent
from dfrot_engine.rotations.data import RotationStep
from dfrot_engine.rotations.descent import descend
from dfrot_engine.rotations.dfrot import Quantizer, refine
from tests.benchmarks.grids import BenchmarkGrid


@dataclass(frozen=True)
class Problem:
    """One weighted loss to lower, the same for every method.

    Args:
        rows_ND, weight_N: float32.
        start_DD: orthogonal, float64.
        iterations: of the paper's loop, and the most of `dfrot`.
        descent_steps: of the descent, which are far cheaper.
        plain_dtype: precision of the paper's loop.
    """

    rows_ND: Tensor
    weight_N: Tensor
    start_DD: Tensor
    grid: BenchmarkGrid
    iterations: int
    descent_steps: int = 300
    plain_dtype: torch.dtype = torch.float64


@dataclass(frozen=True)
class Outcome:
    """Args:
    losses: as the method itself saw them, on the rows it looked at, one for each state.
    """

    rotation_DD: Tensor
    iterations: int
    losses: list[float]
    rows_used: int


def alternate(
    rows_ND: Tensor, weight_N: Tensor, start_DD: Tensor, quantize: Quantizer, *, iterations: int
) -> tuple[Tensor, list[float]]:
    """Quantize all rotated tokens, solve the weighted orthogonal Procrustes problem by an SVD, again and again.

    Every step is taken, whether the loss falls or rises; all tensors are as large as the tokens.

    Args:
        rows_ND: its dtype is the precision of everything.
    Returns:
        the last rotation, and the loss before every step.
    Source: DFRot (arXiv:2412.00648), section 3.
    """
    rotation, weight = start_DD.to(rows_ND), weight_N.to(rows_ND)
    losses: list[float] = []
    for _ in range(iterations):
        rotated = rows_ND @ rotation
        target = quantize(rotated)
        losses.append(float((weight * (target - rotated).square().sum(1)).sum()))
        left, _, right = torch.linalg.svd(rows_ND.T @ (weight[:, None] * target))
        rotation = left @ right
    return rotation.double(), losses


def run_plain(problem: Problem) -> Outcome:
    rows = problem.rows_ND.to(problem.plain_dtype)
    rotation, losses = alternate(
        rows, problem.weight_N, problem.start_DD, problem.grid.quantize, iterations=problem.iterations
    )
    return Outcome(rotation, len(losses), losses, len(rows))


def run_dfrot(problem: Problem) -> Outcome:
    """On all rows, a part of them in each step."""
    steps = refine(problem.rows_ND, problem.weight_N, problem.start_DD, problem.grid.quantize, steps=problem.iterations)
    return _follow(steps, len(problem.rows_ND))


def run_descent(problem: Problem) -> Outcome:
    """With the recipe's settings but for the steps, on all rows in batches."""
    section = Descent()
    steps = descend(
        problem.rows_ND,
        problem.weight_N,
        problem.start_DD,
        problem.grid.loss,
        steps=problem.descent_steps,
        batch_rows=section.batch_rows,
        learning_rate=section.learning_rate,
        seed=section.seed,
    )
    return _follow(steps, len(problem.rows_ND))


def _follow(steps: Iterator[RotationStep], rows_used: int) -> Outcome:
    """To the last step; no other rotation is kept."""
    losses: list[float] = []
    last = None
    for last in steps:
        losses.append(last.loss)
    assert last is not None, "the start is always yielded"
    return Outcome(last.rotation_DD, last.index, losses, rows_used)


# In the order they run: the plain loop last, so that no memory it left behind makes another look smaller.
METHODS: dict[str, Callable[[Problem], Outcome]] = {"dfrot": run_dfrot, "descent": run_descent, "plain": run_plain}
