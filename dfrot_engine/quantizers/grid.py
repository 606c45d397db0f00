"""Choose a scale, round to codes, come back: for any format, symmetric or not, over the last dimension."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from dfrot_engine.quantizers.formats import FORMATS, Format, round_to_format

_E4M3 = FORMATS["fp8"]
_LEAST_E4M3 = 0.125  # in the place of a scale that rounds to zero, as compressed-tensors has it
_E8M0_BIAS = 127


class Grid(NamedTuple):
    """One scale (and zero-point) for each row of the last dimension, kept with size 1 there.

    Args:
        scale: what a code is multiplied by; for formats with a scale of the whole tensor, already divided by it.
        global_scale: of the whole tensor, a scalar; None for formats without.
    """

    scale: Tensor
    zero_point: Tensor | None
    global_scale: Tensor | None = None


def choose_grid(
    values: Tensor,
    fmt: Format,
    *,
    symmetric: bool,
    clip_ratio: float | Tensor = 1.0,
    global_scale: Tensor | None = None,
) -> Grid:
    """The scale of each row of the last dimension.

    Symmetric: scale = clip·max|x| / (steps/2), that is max|x|/7.5 for int4, so the most negative code is used, and
    max|x|/6 for 4-bit floats; rounded to what the format's scales can be.
    Asymmetric, integers only: scale = clip·(max − min)/steps, with zero always on the grid.

    Args:
        values: [..., I]; not modified.
        clip_ratio: share of the range that is kept; a number, or a tensor that broadcasts to [..., 1].
        global_scale: of the whole tensor, where `values` are a part of it; see `choose_global_scale`.
    Source: the formulas of compressed-tensors 0.20, which runtimes compute for dynamic activations.
    """
    if symmetric:
        largest = values.abs().amax(-1, keepdim=True) * clip_ratio
        if global_scale is None:
            global_scale = choose_global_scale(values, fmt)
        return Grid(_SCALES[fmt.scales](largest, fmt, global_scale), None, global_scale)
    assert not fmt.is_float, "floating-point codes have no zero-point"
    low = values.amin(-1, keepdim=True).clamp(max=0) * clip_ratio
    high = values.amax(-1, keepdim=True).clamp(min=0) * clip_ratio
    scale = _no_zero((high - low) / fmt.steps)
    return Grid(scale, zero_point_of(low, scale, fmt))


def choose_global_scale(values: Tensor, fmt: Format) -> Tensor | None:
    """The number all scales of a tensor are multiplied by before they are rounded to e4m3, so that the largest becomes
    448; a float32 scalar without slope, or None for formats without.

    Source: compressed-tensors 0.20, `generate_gparam`.
    """
    if fmt.scales != "e4m3":
        return None
    largest = values.detach().abs().amax().float().clamp(min=torch.finfo(torch.float32).tiny)
    return torch.nan_to_num(_E4M3.highest * fmt.highest / largest, nan=1.0, posinf=1.0)


def zero_point_of(low: Tensor, scale: Tensor, fmt: Format) -> Tensor:
    """The code that stands for zero when `low` stands on the lowest code."""
    return (fmt.lowest - low / scale).clamp(fmt.lowest, fmt.highest).round()


def quantize(values: Tensor, grid: Grid, fmt: Format, *, rounding: Callable[[Tensor], Tensor] = torch.round) -> Tensor:
    """Codes in the dtype of the values, each element by itself; `rounding` decides what slope they have."""
    codes = values / grid.scale
    if grid.zero_point is not None:
        codes = codes + grid.zero_point
    return round_to_format(codes, fmt, rounding)


def dequantize(codes: Tensor, grid: Grid) -> Tensor:
    if grid.zero_point is not None:
        codes = codes - grid.zero_point
    return codes * grid.scale


def fake_quantize(
    values: Tensor,
    fmt: Format,
    *,
    symmetric: bool,
    clip_ratio: float = 1.0,
    rounding: Callable[[Tensor], Tensor] = torch.round,
    global_scale: Tensor | None = None,
) -> Tensor:
    """What is left of the values after rounding, each row of the last dimension with a scale of its own."""
    grid = choose_grid(values, fmt, symmetric=symmetric, clip_ratio=clip_ratio, global_scale=global_scale)
    return dequantize(quantize(values, grid, fmt, rounding=rounding), grid).to(values.dtype)


def round_straight_through(values: Tensor) -> Tensor:
    """Round, with the slope of the identity instead of none: a gradient passes as if nothing had been rounded.

    Source: the straight-through estimator (arXiv:1308.3432).
    """
    # A whole number plus an exact zero: the sum is the code to the last bit, which clamping relies on.
    return values.detach().round() + (values - values.detach())


def _no_zero(scale: Tensor) -> Tensor:
    return torch.where(scale > 0, scale, torch.ones_like(scale))


def _free_scale(largest: Tensor, fmt: Format, _global_scale: Tensor | None) -> Tensor:
    return _no_zero(largest / (fmt.steps / 2))


def _e4m3_scale(largest: Tensor, fmt: Format, global_scale: Tensor | None) -> Tensor:
    assert global_scale is not None
    wanted = global_scale * (largest.float() / (fmt.steps / 2))
    scale = round_to_format(wanted, _E4M3, round_straight_through)
    return torch.where(scale > 0, scale, _LEAST_E4M3) / global_scale


def _e8m0_scale(largest: Tensor, fmt: Format, _global_scale: Tensor | None) -> Tensor:
    """The power of two under which the largest value lands in 3.5 … 7 for 4-bit floats.

    Source: compressed-tensors 0.20, `generate_mx_scales`; the largest values saturate, as its scales let them.
    """
    fraction, exponent = torch.frexp(largest.detach().float())
    # frexp's fractions lie in [0.5, 1): seven eighths are 1.75, from where on the next power is the closer one.
    power = exponent - 1 + (fraction >= 0.875).int() - math.frexp(fmt.highest)[1] + 1
    power = torch.where(largest > 0, power, -_E8M0_BIAS).clamp(-_E8M0_BIAS, _E8M0_BIAS)
    scale = (power + _E8M0_BIAS).to(torch.uint8).view(torch.float8_e8m0fnu).float()
    # The slope of max|x|/6, though the scale itself moves in steps.
    smooth = largest.float() / (fmt.steps / 2)
    return scale + (smooth - smooth.detach())


_SCALES: dict[str, Callable[[Tensor, Format, Tensor | None], Tensor]] = {
    "free": _free_scale,
    "e4m3": _e4m3_scale,
    "e8m0": _e8m0_scale,
}
