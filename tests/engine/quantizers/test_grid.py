from __future__ import annotations

import pytest
import torch
from compressed_tensors.quantization import (
    QuantizationArgs,
    QuantizationScheme,
    QuantizationStatus,
    QuantizationStrategy,
    preset_name_to_scheme,
)
from compressed_tensors.quantization.lifecycle.forward import forward_quantize
from compressed_tensors.quantization.lifecycle.forward import quantize as their_quantize
from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam
from torch import Tensor, nn

from dfrot_engine.quantizers.activations import activation_quantizer
from dfrot_engine.quantizers.formats import FORMATS
from dfrot_engine.quantizers.grid import choose_grid, dequantize, fake_quantize, quantize, round_straight_through
from dfrot_engine.recipe import ActivationScheme

SYMMETRIES = [(name, symmetric) for name, fmt in FORMATS.items() for symmetric in (True, False)[: 2 - fmt.is_float]]
FLOATS = [name for name, fmt in FORMATS.items() if fmt.is_float]
PRESETS = {"fp8": "FP8_DYNAMIC", "nvfp4": "NVFP4", "mxfp4": "MXFP4"}


def values(rows: int = 16, width: int = 64) -> torch.Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(0)) * torch.arange(1, rows + 1)[:, None]


def outlier() -> Tensor:
    x = values()
    x[3, 5] = 1e5
    return x


EDGES = {
    "random": values(),
    "zeros": torch.zeros(4, 64),
    "some zeros": values() * (torch.arange(16)[:, None] % 3 > 0),
    "outlier": outlier(),
    "tiny": values() * 1e-39,
    "small": values() * 1e-20,
    "huge": values() * 1e34,
    "wide": values() * 10.0 ** torch.linspace(-30, 30, 16)[:, None],
    "ties": torch.arange(-32, 32).expand(4, 64) / 4 * torch.tensor([0.75, 1.0, 2.0, 3.5])[:, None],
}


def theirs_of(name: str) -> QuantizationScheme:
    return preset_name_to_scheme(PRESETS[name], ["Linear"])


def their_input(x: Tensor, name: str) -> Tensor:
    """compressed-tensors' own dynamic quantizer of activations; the global scale is what it calibrates."""
    module = nn.Linear(64, 4)
    module.quantization_status = QuantizationStatus.FROZEN  # type: ignore[assignment]
    if name == "nvfp4":
        module.register_buffer("input_global_scale", generate_gparam(x.amin(), x.amax()))
    args = theirs_of(name).input_activations
    assert args is not None
    return forward_quantize(module, x, "input", args)


@pytest.mark.parametrize(("name", "symmetric"), SYMMETRIES)
def test_codes_stay_in_range_and_error_within_half_a_step(name: str, symmetric: bool) -> None:
    fmt, x = FORMATS[name], values()
    grid = choose_grid(x, fmt, symmetric=symmetric)
    codes = quantize(x, grid, fmt)
    assert codes.min() >= fmt.lowest
    assert codes.max() <= fmt.highest
    assert torch.equal(codes, codes.to(torch.float8_e4m3fn).float() if fmt.is_float else codes.round())
    # Symmetric grids lose half a step more at the positive end, where the highest code is one short; asymmetric grids
    # round the zero-point. Floating-point codes lie two apart at most in 4 bits, 32 apart in 8.
    widest = {"fp8": 16.0}.get(name, 1.01)
    assert ((dequantize(codes, grid) - x).abs() <= widest * grid.scale).all()


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("name", FLOATS)
def test_floating_point_activations_are_what_the_runtime_computes(name: str, edge: str) -> None:
    x = EDGES[edge][None]  # the format's "token" keeps the first two dimensions
    ours = activation_quantizer(ActivationScheme(format=name))(x)  # type: ignore[arg-type]
    assert torch.equal(ours, their_input(x, name))


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("name", FLOATS)
def test_scales_and_codes_are_those_of_compressed_tensors(name: str, edge: str) -> None:
    fmt, args = FORMATS[name], theirs_of(name).weights
    assert args is not None
    x = EDGES[edge]
    groups = x.unflatten(1, (-1, fmt.group_size or 64))
    grid = choose_grid(groups, fmt, symmetric=True)
    whole = generate_gparam(x.amin(), x.amax()) if name == "nvfp4" else None
    scale, zero_point = calculate_qparams(groups.amin(-1), groups.amax(-1), args, global_scale=whole)
    effective = scale if whole is None else scale / whole
    is_dead = groups.abs().amax(-1) / 448 == 0  # of fp8 any scale will do, and ours differs
    assert torch.equal(grid.scale[..., 0][~is_dead | (name != "fp8")], effective[~is_dead | (name != "fp8")])
    codes = quantize(groups, grid, fmt).flatten(1)
    their_codes = their_quantize(x, scale, zero_point, args, global_scale=whole)
    assert torch.equal(codes, their_codes)


@pytest.mark.parametrize("name", FLOATS)
def test_columns_are_rounded_alike_by_themselves(name: str) -> None:
    """What a solver does that goes column by column."""
    fmt, x = FORMATS[name], values()
    grid = choose_grid(x, fmt, symmetric=True)
    one_by_one = [quantize(column, grid, fmt) for column in x.split(1, dim=1)]
    assert torch.equal(torch.cat(one_by_one, dim=1), quantize(x, grid, fmt))


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("name", FLOATS)
def test_codes_come_back_as_the_same_codes(name: str, edge: str) -> None:
    fmt, x = FORMATS[name], EDGES[edge]
    grid = choose_grid(x, fmt, symmetric=True)
    codes = quantize(x, grid, fmt)
    again = dequantize(codes, grid)
    assert torch.equal(quantize(again, grid, fmt)[again != 0], codes[again != 0])


@pytest.mark.parametrize("name", FLOATS)
def test_other_precisions_keep_their_dtype(name: str) -> None:
    quantizer = activation_quantizer(ActivationScheme(format=name))  # type: ignore[arg-type]
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        rounded = quantizer(values().to(dtype))
        assert rounded.dtype is dtype
        assert (rounded.double() - values().double()).norm() < 0.15 * values().double().norm()


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("name", ["int4", "int8"])
def test_dynamic_activations_are_what_the_runtime_computes(name: str, symmetric: bool) -> None:
    """compressed-tensors' own quantizer, per token and dynamic, gives our numbers."""
    x = values()[None]  # the format's "token" keeps the first two dimensions
    args = QuantizationArgs(
        num_bits=FORMATS[name].bits, symmetric=symmetric, strategy=QuantizationStrategy.TOKEN, dynamic=True
    )
    module = nn.Linear(64, 4)
    module.quantization_status = QuantizationStatus.FROZEN  # type: ignore[assignment]
    theirs = forward_quantize(module, x, "input", args)
    ours = fake_quantize(x, FORMATS[name], symmetric=symmetric)
    assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_zeros_stay_zeros() -> None:
    for symmetric in (True, False):
        assert torch.equal(fake_quantize(torch.zeros(2, 8), FORMATS["int4"], symmetric=symmetric), torch.zeros(2, 8))


def test_asymmetric_grid_holds_zero() -> None:
    x = values().abs() + 3.0
    grid = choose_grid(x, FORMATS["int4"], symmetric=False)
    assert torch.equal(dequantize(quantize(torch.zeros_like(x), grid, FORMATS["int4"]), grid), torch.zeros_like(x))


@pytest.mark.parametrize("symmetric", [True, False])
def test_straight_through_rounds_alike_and_has_a_slope(symmetric: bool) -> None:
    fmt, x = FORMATS["int4"], values().requires_grad_()
    soft = fake_quantize(x, fmt, symmetric=symmetric, clip_ratio=0.9, rounding=round_straight_through)
    assert torch.equal(soft, fake_quantize(x.detach(), fmt, symmetric=symmetric, clip_ratio=0.9))
    way = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad((soft * way).sum(), x)
    # Inside the range and away from the ends, which move the scale, it is the identity's.
    size = x.detach().abs()
    is_largest, is_small = size == size.amax(1, keepdim=True), size < 0.5 * size.amax(1, keepdim=True)
    is_end = (x == x.amax(1, keepdim=True)) | (x == x.amin(1, keepdim=True))
    assert torch.allclose(gradient[is_small & ~is_end], way[is_small & ~is_end])
    assert not torch.isclose(gradient[is_largest], way[is_largest]).any()


@pytest.mark.parametrize("name", FLOATS)
def test_straight_through_floats_round_alike_and_have_a_slope(name: str) -> None:
    x = values().requires_grad_()
    scheme = ActivationScheme(format=name)  # type: ignore[arg-type]
    soft = activation_quantizer(scheme, round_straight_through)(x)
    assert torch.equal(soft, activation_quantizer(scheme)(x.detach()))
    way = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad((soft * way).sum(), x)
    assert torch.isfinite(gradient).all()
    size = x.detach().abs().unflatten(1, (-1, FORMATS[name].group_size or 64))
    is_small = (size < 0.5 * size.amax(-1, keepdim=True)).flatten(1)
    assert torch.allclose(gradient[is_small], way[is_small])
