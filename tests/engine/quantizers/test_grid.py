from __future__ import annotations

import pytest
import torch
from compressed_tensors.quantization import QuantizationArgs, QuantizationStatus, QuantizationStrategy
from compressed_tensors.quantization.lifecycle.forward import forward_quantize
from torch import nn

from dfrot_engine.quantizers.formats import FORMATS
from dfrot_engine.quantizers.grid import choose_grid, dequantize, fake_quantize, quantize, round_straight_through


def values(rows: int = 16, width: int = 64) -> torch.Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(0)) * torch.arange(1, rows + 1)[:, None]


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("name", FORMATS)
def test_codes_stay_in_range_and_error_within_half_a_step(name: str, symmetric: bool) -> None:
    fmt, x = FORMATS[name], values()
    grid = choose_grid(x, fmt, symmetric=symmetric)
    codes = quantize(x, grid, fmt)
    assert codes.min() >= fmt.lowest
    assert codes.max() <= fmt.highest
    assert torch.equal(codes, codes.round())
    # Symmetric grids lose half a step more at the positive end, where the highest code is one short; asymmetric grids
    # round the zero-point.
    assert ((dequantize(codes, grid) - x).abs() <= 1.01 * grid.scale).all()


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
