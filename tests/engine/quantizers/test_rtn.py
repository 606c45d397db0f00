from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from dfrot_engine.calibration.statistics import InputMoments
from dfrot_engine.quantizers import SOLVERS, clipping, solver_of
from dfrot_engine.quantizers.clipping import search_clip_ratio
from dfrot_engine.quantizers.formats import FORMATS
from dfrot_engine.quantizers.grid import choose_global_scale, choose_grid, dequantize, quantize
from dfrot_engine.quantizers.rtn import solve_rtn
from dfrot_engine.quantizers.weight import (
    QuantizedWeight,
    choose_weight_grid,
    grouped,
    round_to_nearest,
    to_quantized_weight,
)
from dfrot_engine.recipe import RTN, WeightScheme


def weight(rows: int = 24, columns: int = 128) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(0))


SCHEMES = [
    {"format": name, "granularity": granularity, "group_size": 32, "symmetric": symmetric}
    for name in ("int2", "int3", "int4", "int8")
    for granularity in ("per-group", "per-channel")
    for symmetric in (True, False)
]
SCHEMES += [{"format": "fp8"}, {"format": "fp8", "granularity": "per-group", "group_size": 32}]
SCHEMES += [{"format": "nvfp4"}, {"format": "mxfp4"}, {"format": "nvfp4", "clip_ratio": 0.9}]
ERRORS = {"int2": 0.6, "int3": 0.3, "int4": 0.15, "int8": 0.01, "fp8": 0.03, "nvfp4": 0.11, "mxfp4": 0.13}
SCALES = {"nvfp4": torch.float8_e4m3fn, "mxfp4": torch.float8_e8m0fnu}


@pytest.mark.parametrize("fields", SCHEMES, ids=lambda fields: " ".join(map(str, fields.values())))
@pytest.mark.parametrize("solver", SOLVERS)
def test_stored_parts_fit_every_scheme(solver, fields: dict[str, Any]) -> None:
    scheme = WeightScheme(**fields)
    name, fmt = scheme.format, FORMATS[scheme.format]
    moments = InputMoments(128, torch.device("cpu"), with_exact=True)
    moments.add(weight(), weight())
    quantized = solver_of(solver())(weight(), scheme, solver(), scale_dtype=torch.bfloat16, moments=moments)
    groups = 128 // scheme.group_size if scheme.granularity == "per-group" else 1
    assert quantized.codes_OI.dtype is (torch.float8_e4m3fn if fmt.is_float else torch.int8)
    assert quantized.codes_OI.float().amin() >= fmt.lowest
    assert quantized.codes_OI.float().amax() <= fmt.highest
    assert quantized.scale_OG.shape == (24, groups)
    assert quantized.scale_OG.dtype is SCALES.get(name, torch.bfloat16)
    assert (quantized.zero_point_OG is None) == scheme.symmetric
    assert (quantized.global_scale is None) == (name != "nvfp4")
    if solver is RTN:  # the others trade the weight's error for the output's
        error = (quantized.dequantize() - weight()).norm() / weight().norm()
        assert error < ERRORS[name]


@pytest.mark.parametrize("name", ["fp8", "nvfp4", "mxfp4"])
@pytest.mark.parametrize("scale_dtype", [torch.bfloat16, torch.float16])
def test_storage_gives_back_what_was_rounded(name, scale_dtype: torch.dtype, tmp_path: Path) -> None:
    rows = weight() * 10.0 ** torch.linspace(-3, 3, 24)[:, None]
    scheme = WeightScheme(format=name, clip_ratio=1.0)
    grid, fmt, group_size = choose_weight_grid(rows, scheme, scale_dtype)
    codes = round_to_nearest(rows, grid, fmt, group_size)
    quantized = to_quantized_weight(codes, grid, fmt, scale_dtype)
    save_file(quantized.tensors(), tmp_path / "parts.safetensors")
    parts = load_file(tmp_path / "parts.safetensors")
    again = QuantizedWeight(parts["codes"], parts["scale"], None, name, parts.get("global_scale"))
    assert torch.equal(again.codes_OI.float(), codes)
    assert torch.equal(again.dequantize(), dequantize(grouped(codes, group_size), grid).flatten(1))


def test_codes_are_nearest_for_the_stored_scale() -> None:
    """The scale is rounded to the checkpoint's dtype before codes are computed, not after."""
    quantized = solve_rtn(weight(), WeightScheme(group_size=32), RTN(), scale_dtype=torch.bfloat16)
    scale = quantized.scale_OG.float().repeat_interleave(32, dim=1)
    nearest = (weight() / scale).round().clamp(-8, 7)
    assert torch.equal(quantized.codes_OI.float(), nearest)


@pytest.mark.parametrize(
    ("name", "symmetric"), [("int3", True), ("int3", False), ("fp8", True), ("nvfp4", True), ("mxfp4", True)]
)
def test_searched_clip_is_no_worse_than_any_fixed_one(name: str, symmetric: bool) -> None:
    fmt = FORMATS[name]
    rows = weight().unflatten(1, (-1, fmt.group_size or 128)).flatten(0, 1)

    def error(ratio: torch.Tensor | float) -> torch.Tensor:
        grid = choose_grid(rows, fmt, symmetric=symmetric, clip_ratio=ratio)
        return (dequantize(quantize(rows, grid, fmt), grid) - rows).abs().pow(2.4).sum(1)

    found = search_clip_ratio(rows, fmt, symmetric=symmetric)
    fixed = torch.linspace(1.0, 0.21, 100).tolist()
    best = torch.stack([error(ratio) for ratio in fixed]).amin(0)
    assert (error(found) <= best * (1 + 1e-5)).all()
    assert (error(found) <= error(1.0)).all()
    assert (error(found) < error(1.0)).any() or name == "mxfp4"


@pytest.mark.parametrize("name", ["int4", "nvfp4", "mxfp4", "fp8"])
@pytest.mark.parametrize("elements_and_ratios", [(256, 1), (1 << 20, 20)])
def test_a_search_in_chunks_is_one_search(
    name: str, elements_and_ratios: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scale of the whole tensor is chosen before the rows are split, and ratios may be tried several at once."""
    rows = weight() * torch.arange(1, 25)[:, None]
    whole = search_clip_ratio(rows, FORMATS[name], symmetric=True)
    monkeypatch.setitem(clipping._PASS, "cpu", elements_and_ratios)
    assert torch.equal(search_clip_ratio(rows, FORMATS[name], symmetric=True), whole)


def test_columns_of_a_weight_take_its_global_scale() -> None:
    rows, scheme = weight() * torch.linspace(0.1, 3.0, 128), WeightScheme(format="nvfp4")
    whole, fmt, _ = choose_weight_grid(rows, scheme, torch.bfloat16)
    shared = choose_global_scale(rows, fmt)
    part, _, _ = choose_weight_grid(rows[:, 32:64], scheme, torch.bfloat16, global_scale=shared)
    assert torch.equal(part.scale, whole.scale[:, 2:4])


@pytest.mark.parametrize("name", FORMATS)
def test_dead_rows_do_not_divide_by_zero(name) -> None:
    quantized = solve_rtn(torch.zeros(4, 64), WeightScheme(format=name), RTN(), scale_dtype=torch.float16)
    assert torch.equal(quantized.dequantize(), torch.zeros(4, 64))
