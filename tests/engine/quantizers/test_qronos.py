"""Qronos against its own definition: after every column, the rest of the weight is fitted anew to the exact output."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dfrot_engine.calibration.statistics import InputMoments
from dfrot_engine.formats import FORMATS
from dfrot_engine.quantizers.gptq import solve_gptq
from dfrot_engine.quantizers.grid import Grid, dequantize, quantize
from dfrot_engine.quantizers.qronos import correct, largest_eigenvalue, solve_qronos
from dfrot_engine.quantizers.weight import choose_weight_grid
from dfrot_engine.recipe import GPTQ, Qronos, WeightScheme

CHANNEL = WeightScheme(granularity="per-channel", clip_ratio=1.0)


def problem(rows: int = 12, width: int = 48, tokens: int = 300) -> tuple[Tensor, Tensor, Tensor, InputMoments]:
    """(weight, exact inputs, rounded inputs, their moments), all float64."""
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(rows, width, generator=generator, dtype=torch.float64)
    mixing = torch.randn(width, width, generator=generator, dtype=torch.float64) / width**0.5
    exact = torch.randn(tokens, width, generator=generator, dtype=torch.float64) @ mixing
    rounded = (exact * 2).round() / 2 + 0.05 * exact.roll(1, dims=1)
    moments = InputMoments(width, torch.device("cpu"), with_exact=True)
    moments.hessian_II, moments.cross_II = rounded.T @ rounded / tokens, exact.T @ rounded / tokens
    moments.tokens = tokens
    return weight, exact, rounded, moments


def textbook(weight: Tensor, exact: Tensor, rounded: Tensor, damping: float, grid: Grid) -> Tensor:
    """Round column t of argmin ‖X·w − X̃·v‖² over the columns from t on, those before being rounded already."""
    tokens, width = exact.shape
    ridge = (damping * tokens) ** 0.5 * torch.eye(width, dtype=torch.float64)
    target = torch.cat([exact, ridge]) @ weight.T
    inputs = torch.cat([rounded, ridge])
    left = torch.zeros_like(weight)
    for column in range(width):
        missing = target - inputs[:, :column] @ left[:, :column].T
        best = torch.linalg.lstsq(inputs[:, column:], missing, driver="gelsd").solution[0][:, None]
        left[:, column : column + 1] = dequantize(quantize(best, grid, FORMATS["int4"]), grid)
    return left


def test_equals_the_textbook() -> None:
    weight, exact, rounded, moments = problem()
    assert moments.cross_II is not None
    solver = Qronos(act_order=False)
    damping = solver.damping * largest_eigenvalue(moments.hessian_II)
    corrected = correct(weight, moments.hessian_II, moments.cross_II, damping)
    grid, _, _ = choose_weight_grid(corrected, CHANNEL, torch.float32)
    wanted = textbook(weight, exact, rounded, damping, Grid(grid.scale[:, 0].double(), None))
    found = solve_qronos(weight, CHANNEL, solver, scale_dtype=torch.float32, moments=moments)
    assert torch.allclose(found.dequantize(torch.float64), wanted, atol=1e-9)


@pytest.mark.parametrize("act_order", [False, True])
def test_comes_closer_to_the_exact_output_than_gptq(act_order: bool) -> None:
    weight, exact, rounded, moments = problem()
    wanted = exact @ weight.T

    def error(found: Tensor) -> float:
        return float((wanted - rounded @ found.T).norm())

    qronos = solve_qronos(weight, CHANNEL, Qronos(act_order=act_order), scale_dtype=torch.float32, moments=moments)
    gptq = solve_gptq(weight, CHANNEL, GPTQ(act_order=act_order), scale_dtype=torch.float32, moments=moments)
    assert error(qronos.dequantize(torch.float64)) < 0.95 * error(gptq.dequantize(torch.float64))


def test_equal_inputs_leave_the_weight_as_it_is() -> None:
    weight, _, _, moments = problem()
    same = correct(weight, moments.hessian_II, moments.hessian_II, 1e-3)
    assert torch.allclose(same, weight, atol=1e-9)


def test_the_largest_eigenvalue_is_found() -> None:
    _, _, _, moments = problem()
    assert largest_eigenvalue(moments.hessian_II) == pytest.approx(
        float(torch.linalg.eigvalsh(moments.hessian_II)[-1]), rel=0.02
    )


def test_an_input_that_rounding_killed_gets_zeros() -> None:
    weight, exact, rounded, moments = problem()
    rounded = rounded.clone()
    rounded[:, 5] = 0.0
    moments.hessian_II, moments.cross_II = rounded.T @ rounded / len(exact), exact.T @ rounded / len(exact)
    found = solve_qronos(weight, CHANNEL, Qronos(), scale_dtype=torch.float32, moments=moments).dequantize()
    assert bool((found[:, 5] == 0).all())
    assert bool(torch.isfinite(found).all())
