"""Choose a scale, round to codes, come back: for any format, symmetric or not, over the last dimension."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from dfrot_engine.quantizers.formats import Format


class Grid(NamedTuple):
    """One scale (and zero-point) for each row of the last dimension, kept with size 1 there."""

    scale: Tensor
    zero_point: Tensor | None


def choose_grid(values: Tensor, fmt: Format, *, symmetric: bool, clip_ratio: float | Tensor = 1.0) -> Grid:
    """The scale of each row of the last dimension.

    Symmetric: scale = clip·max|x| / (steps/2), that is max|x|/7.5 for int4, so the most negative code is used.
    Asymmetric: scale = clip·(max − min)/steps, with zero always on the grid.

    Args:
        values: [..., I]; not modified.
        clip_ratio: share of the range that is kept; a number, or a tensor that broadcasts to [..., 1].
    Source: the formulas of compressed-tensors 0.20, which runtimes compute for dynamic activations.
    """
    if symmetric:
        largest = values.abs().amax(-1, keepdim=True) * clip_ratio
        return Grid(_no_zero(largest / (fmt.steps / 2)), None)
    low = values.amin(-1, keepdim=True).clamp(max=0) * clip_ratio
    high = values.amax(-1, keepdim=True).clamp(min=0) * clip_ratio
    scale = _no_zero((high - low) / fmt.steps)
    return Grid(scale, zero_point_of(low, scale, fmt))


def zero_point_of(low: Tensor, scale: Tensor, fmt: Format) -> Tensor:
    """The code that stands for zero when `low` stands on the lowest code."""
    return (fmt.lowest - low / scale).clamp(fmt.lowest, fmt.highest).round()


def quantize(values: Tensor, grid: Grid, fmt: Format, *, rounding: Callable[[Tensor], Tensor] = torch.round) -> Tensor:
    """Codes as whole numbers in the dtype of the values; `rounding` decides what slope they have."""
    codes = values / grid.scale
    if grid.zero_point is not None:
        codes = codes + grid.zero_point
    return rounding(codes).clamp(fmt.lowest, fmt.highest)


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
) -> Tensor:
    """What is left of the values after rounding, each row of the last dimension with a scale of its own."""
    grid = choose_grid(values, fmt, symmetric=symmetric, clip_ratio=clip_ratio)
    return dequantize(quantize(values, grid, fmt, rounding=rounding), grid)


def round_straight_through(values: Tensor) -> Tensor:
    """Round, with the slope of the identity instead of none: a gradient passes as if nothing had been rounded.

    Source: the straight-through estimator (arXiv:1308.3432).
    """
    # A whole number plus an exact zero: the sum is the code to the last bit, which clamping relies on.
    return values.detach().round() + (values - values.detach())


def _no_zero(scale: Tensor) -> Tensor:
    return torch.where(scale > 0, scale, torch.ones_like(scale))
