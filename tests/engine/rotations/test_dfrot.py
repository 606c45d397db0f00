from __future__ import annotations

import itertools
from functools import partial

import pytest
import torch
from torch import Tensor

from dfrot_engine.quantizers.formats import FORMATS
from dfrot_engine.quantizers.grid import fake_quantize
from dfrot_engine.rotations.dfrot import refine
from dfrot_engine.rotations.random import random_hadamard, random_orthogonal
from tests.engine.rotations.planted import WIDTH, planted_rows

GAMMA = 10.0


def paper_quantizer(values: Tensor) -> Tensor:
    """Symmetric 4-bit, max|x| on code 7: what the paper refines with."""
    scale = values.abs().amax(-1, keepdim=True).clamp(min=1e-9) / 7
    return (values / scale).round() * scale


deployed = partial(fake_quantize, fmt=FORMATS["int4"], symmetric=True)


def procrustes_loop(rows: Tensor, weight: Tensor, start: Tensor, steps: int) -> float:
    """The alternation written down plainly, with a full SVD in every step; returns its last loss."""
    rotation = start
    for _ in range(steps):
        target = paper_quantizer(rows.double() @ rotation)
        left, _, right = torch.linalg.svd(rows.double().T @ (weight.double()[:, None] * target))
        rotation = left @ right
    error = paper_quantizer(rows.double() @ rotation) - rows.double() @ rotation
    return float((weight.double() * error.square().sum(1)).sum())


def test_reaches_what_the_plain_loop_reaches() -> None:
    rows, is_massive = planted_rows()
    weight = torch.where(is_massive, GAMMA**2, 1.0)
    start = random_hadamard(WIDTH, 0).matrix()
    last = list(refine(rows, weight, start, paper_quantizer, steps=200))[-1]
    assert last.loss <= 1.03 * procrustes_loop(rows, weight, start, 200)


@pytest.mark.parametrize("quantize", [paper_quantizer, deployed])
@pytest.mark.parametrize("start", [random_hadamard(WIDTH, 0).matrix(), random_orthogonal(WIDTH, 0)])
def test_loss_falls_and_rotation_stays_orthogonal(quantize, start: Tensor) -> None:
    rows, is_massive = planted_rows()
    steps = list(refine(rows, torch.where(is_massive, GAMMA**2, 1.0), start, quantize, steps=60))
    losses = [step.loss for step in steps]
    assert losses[-1] < losses[0]
    assert all(after <= 1.0005 * before for before, after in itertools.pairwise(losses))
    final = steps[-1].rotation_DD
    assert (final.T @ final - torch.eye(WIDTH, dtype=torch.float64)).abs().max() < 1e-10


def test_same_input_same_rotation() -> None:
    rows, is_massive = planted_rows(500)
    weight = torch.where(is_massive, 100.0, 1.0)
    runs = [list(refine(rows, weight, random_hadamard(WIDTH, 1).matrix(), deployed, steps=10))[-1] for _ in range(2)]
    assert torch.equal(runs[0].rotation_DD, runs[1].rotation_DD)


@pytest.mark.parametrize(
    "rows",
    [torch.zeros(10, WIDTH), torch.ones(10, WIDTH), torch.randn(1, WIDTH), torch.randn(WIDTH // 2, WIDTH)],
    ids=["zeros", "constant", "one token", "fewer tokens than dimensions"],
)
def test_degenerate_rows_leave_a_rotation(rows: Tensor) -> None:
    last = list(refine(rows, torch.ones(len(rows)), random_hadamard(WIDTH, 0).matrix(), deployed, steps=20))[-1]
    assert torch.isfinite(last.rotation_DD).all()
    assert (last.rotation_DD.T @ last.rotation_DD - torch.eye(WIDTH, dtype=torch.float64)).abs().max() < 1e-10
