from __future__ import annotations

import pytest
import torch

from dfrot_engine.quantizers import SOLVERS, solver_of
from dfrot_engine.quantizers.clipping import search_clip_ratio
from dfrot_engine.quantizers.formats import FORMATS
from dfrot_engine.quantizers.grid import choose_grid, dequantize, quantize
from dfrot_engine.quantizers.rtn import solve_rtn
from dfrot_engine.recipe import RTN, WeightScheme


def weight(rows: int = 24, columns: int = 128) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("granularity", ["per-group", "per-channel"])
@pytest.mark.parametrize("name", ["int2", "int3", "int4", "int8"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_stored_parts_fit_every_scheme(solver, name, granularity, symmetric) -> None:
    scheme = WeightScheme(format=name, granularity=granularity, group_size=32, symmetric=symmetric)
    quantized = solver_of(solver())(weight(), scheme, solver(), scale_dtype=torch.bfloat16)
    groups = 4 if granularity == "per-group" else 1
    assert quantized.codes_OI.dtype is torch.int8
    assert quantized.codes_OI.amin() >= FORMATS[name].lowest
    assert quantized.codes_OI.amax() <= FORMATS[name].highest
    assert quantized.scale_OG.shape == (24, groups)
    assert quantized.scale_OG.dtype is torch.bfloat16
    assert (quantized.zero_point_OG is None) == symmetric
    error = (quantized.dequantize() - weight()).norm() / weight().norm()
    assert error < {"int2": 0.6, "int3": 0.3, "int4": 0.15, "int8": 0.01}[name]


def test_codes_are_nearest_for_the_stored_scale() -> None:
    """The scale is rounded to the checkpoint's dtype before codes are computed, not after."""
    quantized = solve_rtn(weight(), WeightScheme(group_size=32), RTN(), scale_dtype=torch.bfloat16)
    scale = quantized.scale_OG.float().repeat_interleave(32, dim=1)
    nearest = (weight() / scale).round().clamp(-8, 7)
    assert torch.equal(quantized.codes_OI.float(), nearest)


@pytest.mark.parametrize("symmetric", [True, False])
def test_searched_clip_is_no_worse_than_any_fixed_one(symmetric: bool) -> None:
    rows, fmt = weight(), FORMATS["int3"]

    def error(ratio: torch.Tensor | float) -> torch.Tensor:
        grid = choose_grid(rows, fmt, symmetric=symmetric, clip_ratio=ratio)
        return (dequantize(quantize(rows, grid, fmt), grid) - rows).abs().pow(2.4).sum(1)

    found = search_clip_ratio(rows, fmt, symmetric=symmetric)
    fixed = torch.linspace(1.0, 0.21, 100).tolist()
    best = torch.stack([error(ratio) for ratio in fixed]).amin(0)
    assert torch.allclose(error(found), best, rtol=1e-5)
    assert (error(found) < error(1.0)).any()


def test_dead_rows_do_not_divide_by_zero() -> None:
    quantized = solve_rtn(torch.zeros(4, 64), WeightScheme(), RTN(), scale_dtype=torch.float16)
    assert torch.equal(quantized.dequantize(), torch.zeros(4, 64))
