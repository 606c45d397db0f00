from __future__ import annotations

import itertools
from functools import partial

import pytest
import torch
from torch import Tensor

from dfrot_engine.quantizers.formats import FORMATS
from dfrot_engine.quantizers.grid import fake_quantize
from dfrot_engine.rotations.dfrot import Quantizer, coreset, refine
from dfrot_engine.rotations.random import random_hadamard, random_orthogonal
from tests.engine.rotations.planted import WIDTH, deviation, planted_rows

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


def loss_of(rows: Tensor, is_massive: Tensor, rotation: Tensor, quantize: Quantizer = paper_quantizer) -> float:
    rotated = rows.double() @ rotation
    error_N = (quantize(rotated) - rotated).square().sum(1)
    return float((torch.where(is_massive, GAMMA**2, 1.0) * error_N).sum())


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
    assert all(after <= before for before, after in itertools.pairwise(losses))
    assert max(deviation(step.rotation_DD) for step in steps) < 1e-10
    assert losses[-1] == pytest.approx(loss_of(rows, is_massive, steps[-1].rotation_DD, quantize), rel=1e-5)


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
    assert deviation(last.rotation_DD) < 1e-10


def test_bfloat16_products_reach_the_float32_loss() -> None:
    rows, is_massive = planted_rows()
    weight, start = torch.where(is_massive, GAMMA**2, 1.0), random_hadamard(WIDTH, 0).matrix()
    coarse, fine = (
        list(refine(rows, weight, start, paper_quantizer, steps=100, compute_dtype=dtype))[-1].rotation_DD
        for dtype in (torch.bfloat16, torch.float32)
    )
    assert loss_of(rows, is_massive, coarse) <= 1.01 * loss_of(rows, is_massive, fine)
    assert deviation(coarse) < 1e-10


@pytest.mark.cuda
def test_cuda_reaches_the_loss_of_the_cpu() -> None:
    rows, is_massive = planted_rows()
    weight, start = torch.where(is_massive, GAMMA**2, 1.0), random_hadamard(WIDTH, 0).matrix()
    here, there = (
        list(refine(rows.to(device), weight.to(device), start, paper_quantizer, steps=100))[-1].rotation_DD.cpu()
        for device in ("cpu", "cuda")
    )
    assert loss_of(rows, is_massive, there) <= 1.01 * loss_of(rows, is_massive, here)
    assert deviation(there) < 1e-10


def test_a_part_of_many_tokens_is_enough() -> None:
    rows, is_massive = planted_rows(30_000, 300)
    weight, start = torch.where(is_massive, GAMMA**2, 1.0), random_hadamard(WIDTH, 0).matrix()
    steps = list(refine(rows, weight, start, paper_quantizer, steps=100))
    assert loss_of(rows, is_massive, steps[-1].rotation_DD) <= 1.005 * procrustes_loop(rows, weight, start, 100)
    assert steps[-1].loss == pytest.approx(loss_of(rows, is_massive, steps[-1].rotation_DD), rel=0.05)


def test_coreset_keeps_the_heavy_rows_and_the_sums() -> None:
    is_heavy = torch.arange(1_000) % 50 == 3
    weight = torch.where(is_heavy, 100.0, 1.0) * torch.linspace(1, 2, 1_000)
    index, kept = coreset(weight, 300, seed=0)
    heavy = is_heavy[index]
    assert heavy.sum() == is_heavy.sum()
    assert (~heavy).sum() == 300
    assert torch.equal(kept[heavy], weight[is_heavy])
    assert kept[~heavy].sum() == pytest.approx(float(weight[~is_heavy].sum()), rel=1e-5)


def test_draws_share_no_row_until_all_had_their_turn() -> None:
    weight = torch.ones(1_000)
    draws = [coreset(weight, 250, seed=0, draw=draw)[0] for draw in range(5)]
    assert torch.equal(torch.cat(draws[:4]).sort().values, torch.arange(1_000))
    assert not torch.equal(draws[4], draws[0])
    assert torch.equal(coreset(weight, 1_000, seed=0)[0], torch.arange(1_000))
