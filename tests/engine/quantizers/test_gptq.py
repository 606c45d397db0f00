"""GPTQ against the same idea written down plainly: one column at a time, a fresh inverse for every column."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dfrot_engine.calibration.statistics import InputMoments
from dfrot_engine.formats import FORMATS
from dfrot_engine.quantizers.gptq import NotPositiveDefinite, round_columns, solve_gptq
from dfrot_engine.quantizers.grid import Grid, dequantize, quantize
from dfrot_engine.quantizers.rtn import solve_rtn
from dfrot_engine.quantizers.weight import QuantizedWeight, choose_weight_grid
from dfrot_engine.recipe import GPTQ, WeightScheme

WIDTH = 96
CHANNEL = WeightScheme(granularity="per-channel", clip_ratio=1.0)
GROUPS = WeightScheme(group_size=32, clip_ratio=1.0)


def problem(rows: int = 24, width: int = WIDTH, tokens: int = 400, seed: int = 0) -> tuple[Tensor, InputMoments]:
    """A float64 weight, and the moments of inputs that go together and differ in size."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(rows, width, generator=generator, dtype=torch.float64)
    mixing = torch.randn(width, width, generator=generator, dtype=torch.float64) / width**0.5
    inputs = torch.randn(tokens, width, generator=generator, dtype=torch.float64) @ mixing
    inputs *= torch.logspace(-1, 1, width, dtype=torch.float64)[torch.randperm(width, generator=generator)]
    moments = InputMoments(width, torch.device("cpu"))
    moments.hessian_II = inputs.T @ inputs / tokens
    moments.tokens = tokens
    return weight, moments


def textbook(weight: Tensor, hessian: Tensor, scheme: WeightScheme, *, damping: float, act_order: bool) -> Tensor:
    """[O, I] what is left of the weight; unblocked, the inverse of what is open recomputed for every column."""
    weight, width = weight.clone(), weight.shape[1]
    hessian = hessian + damping * torch.eye(width, dtype=torch.float64)
    size = width if scheme.granularity == "per-channel" else scheme.group_size
    order = hessian.diagonal().argsort(descending=True).tolist() if act_order else list(range(width))
    fmt = FORMATS[scheme.format]
    static, _, _ = choose_weight_grid(weight, scheme, torch.float32)
    grids: dict[int, Grid] = {}
    left = torch.zeros_like(weight)
    for step, column in enumerate(order):
        group = column // size
        if act_order or size == width:
            zero = None if static.zero_point is None else static.zero_point[:, group].double()
            grids[group] = Grid(static.scale[:, group].double(), zero)
        elif column % size == 0:
            own, _, _ = choose_weight_grid(weight[:, column : column + size], scheme, torch.float32)
            zero = None if own.zero_point is None else own.zero_point[:, 0].double()
            grids[group] = Grid(own.scale[:, 0].double(), zero)
        open_columns = order[step:]
        inverse = torch.linalg.inv(hessian[open_columns][:, open_columns])
        value = weight[:, column : column + 1]
        left[:, column : column + 1] = dequantize(quantize(value, grids[group], fmt), grids[group])
        error = (value - left[:, column : column + 1]) / inverse[0, 0]
        weight[:, open_columns] -= error * inverse[0]
    return left


def output_error(weight: Tensor, rounded: QuantizedWeight, hessian: Tensor) -> float:
    difference = weight - rounded.dequantize(torch.float64)
    return float(torch.einsum("oi,ij,oj->", difference, hessian.double(), difference))


@pytest.mark.parametrize("act_order", [False, True])
@pytest.mark.parametrize("scheme", [CHANNEL, GROUPS, GROUPS.model_copy(update={"symmetric": False, "format": "int3"})])
def test_equals_the_textbook(scheme: WeightScheme, act_order: bool) -> None:
    weight, moments = problem()
    solver = GPTQ(act_order=act_order)
    damping = solver.damping * float(moments.hessian_II.diagonal().mean())
    wanted = textbook(weight, moments.hessian_II, scheme, damping=damping, act_order=act_order)
    found = solve_gptq(weight, scheme, solver, scale_dtype=torch.float32, moments=moments)
    assert torch.allclose(found.dequantize(torch.float64), wanted, atol=1e-9)


def test_more_columns_than_are_gathered_equal_the_textbook() -> None:
    """Wider than one batch of columns, and groups that do not divide it."""
    weight, moments = problem(8, 288, 900)
    scheme = WeightScheme(group_size=96, clip_ratio=1.0)
    wanted = textbook(weight, moments.hessian_II, scheme, damping=0.02, act_order=False)
    diagonal = moments.hessian_II.diagonal()
    found = round_columns(
        weight, moments.hessian_II, diagonal, 0.02, scheme, act_order=False, scale_dtype=torch.float32
    )
    assert torch.allclose(found.dequantize(torch.float64), wanted, atol=1e-9)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("act_order", [False, True])
def test_loses_less_than_rounding_to_nearest_in_every_format(name: str, act_order: bool) -> None:
    weight, moments = problem()
    scheme = WeightScheme.model_validate({"format": name})
    if scheme.granularity == "per-group" and FORMATS[name].group_size is None:
        scheme = scheme.model_copy(update={"group_size": 32})
    solver = GPTQ(act_order=act_order)
    found = solve_gptq(weight.float(), scheme, solver, scale_dtype=torch.bfloat16, moments=moments)
    nearest = solve_rtn(weight.float(), scheme, scale_dtype=torch.bfloat16)
    assert output_error(weight, found, moments.hessian_II) < output_error(weight, nearest, moments.hessian_II)


def test_stacked_weights_are_rounded_as_if_alone() -> None:
    weight, moments = problem()
    whole = solve_gptq(weight, GROUPS, GPTQ(), scale_dtype=torch.float32, moments=moments)
    first, second = whole.split_rows([10, 14])
    alone = solve_gptq(weight[10:], GROUPS, GPTQ(), scale_dtype=torch.float32, moments=moments)
    assert torch.equal(second.codes_OI, alone.codes_OI)
    assert torch.equal(second.scale_OG, alone.scale_OG)
    assert torch.equal(torch.cat([first.codes_OI, second.codes_OI]), whole.codes_OI)


def test_dead_inputs_get_zeros_and_harm_nobody() -> None:
    weight, moments = problem()
    moments.hessian_II[7], moments.hessian_II[:, 7] = 0.0, 0.0
    found = solve_gptq(weight, GROUPS, GPTQ(), scale_dtype=torch.float32, moments=moments).dequantize()
    assert bool((found[:, 7] == 0).all())
    assert bool(torch.isfinite(found).all())


def test_fewer_tokens_than_columns_are_damped() -> None:
    weight, moments = problem(tokens=10)
    found = solve_gptq(weight, GROUPS, GPTQ(), scale_dtype=torch.float32, moments=moments)
    assert bool(torch.isfinite(found.dequantize()).all())


def test_moments_of_no_inputs_are_refused() -> None:
    weight, moments = problem()
    moments.hessian_II.fill_(-1.0)
    with pytest.raises(NotPositiveDefinite, match="not positive definite"):
        solve_gptq(weight, GROUPS, GPTQ(), scale_dtype=torch.float32, moments=moments)


def test_inputs_are_not_modified() -> None:
    weight, moments = problem()
    before, hessian = weight.clone(), moments.hessian_II.clone()
    solve_gptq(weight, GROUPS, GPTQ(), scale_dtype=torch.float32, moments=moments)
    assert torch.equal(weight, before)
    assert torch.equal(moments.hessian_II, hessian)


@pytest.mark.cuda
@pytest.mark.parametrize("scheme", [CHANNEL, GROUPS, GROUPS.model_copy(update={"symmetric": False, "format": "int3"})])
@pytest.mark.parametrize("act_order", [False, True])
def test_a_gpu_gives_the_cpus_codes(scheme: WeightScheme, act_order: bool) -> None:
    """Through recorded kernels, in float64, where the order of sums does not reach a code."""
    weight, moments = problem(16, 288, 900)
    scheme = scheme.model_copy(update={"clip_ratio": 0.95})  # at 1.0 the largest value lies between two codes
    here = solve_gptq(weight, scheme, GPTQ(act_order=act_order), scale_dtype=torch.float32, moments=moments)
    moments.hessian_II = moments.hessian_II.cuda()
    for _ in range(2):  # recorded, then replayed
        there = solve_gptq(weight.cuda(), scheme, GPTQ(act_order=act_order), scale_dtype=torch.float32, moments=moments)
        assert torch.allclose(there.dequantize().cpu(), here.dequantize(), atol=1e-6)
