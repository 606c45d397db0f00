"""Quantizers of activations and of the KV cache, from their recipe sections."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from dfrot_engine.quantizers.formats import FORMATS
from dfrot_engine.quantizers.grid import Grid, choose_grid, dequantize, fake_quantize, quantize
from dfrot_engine.recipe import ActivationScheme, KVCacheScheme


def clip_ratio_of(scheme: ActivationScheme | KVCacheScheme, searched: float | None = None) -> float:
    """The scheme's own ratio, or the one that was searched for this input.

    Nothing has been searched yet while rotations are learned, since the search sees rotated values: they are learned
    for the whole range, 1.0.
    """
    if scheme.clip_ratio != "search":
        return scheme.clip_ratio
    return 1.0 if searched is None else searched


def activation_quantizer(
    scheme: ActivationScheme | KVCacheScheme,
    rounding: Callable[[Tensor], Tensor] = torch.round,
    *,
    searched: float | None = None,
    global_scale: Tensor | None = None,
    static_scale: Tensor | None = None,
) -> Callable[[Tensor], Tensor]:
    """Values → what is left of them, on the last dimension: one scale for each token (activations), for each token and
    head (KV cache), for each group of a token where the format prescribes groups, or one for all where it is static.

    Args:
        searched: the clip ratio of this input, if the scheme has it searched; see `clip_ratio_of`.
        global_scale: NVFP4's scale of the whole tensor, a number from calibration, so that a token does not depend on
            what else is in the batch; None takes it from the values at hand. It decides how small scales round.
        static_scale: that of a static scheme, a number from calibration; None takes it from the values at hand.
    """
    if isinstance(scheme, KVCacheScheme) and scheme.is_static:
        return partial(_by_static_scale, scheme, static_scale, rounding)
    fmt = FORMATS[scheme.format]
    ratio = clip_ratio_of(scheme, searched)
    by_row = partial(fake_quantize, fmt=fmt, symmetric=scheme.symmetric, clip_ratio=ratio, rounding=rounding)
    by_row = by_row if global_scale is None else partial(by_row, global_scale=global_scale)
    return by_row if fmt.group_size is None else partial(_by_group, by_row, fmt.group_size)


def static_scale_of(largest: Tensor, scheme: KVCacheScheme, dtype: torch.dtype) -> Tensor:
    """The one scale of keys or values whose largest value this is, a float32 scalar.

    Args:
        dtype: that the scale is written in, and therefore rounded to.
    """
    clip_ratio = clip_ratio_of(scheme)
    scale = choose_grid(largest.reshape(1), FORMATS[scheme.format], symmetric=True, clip_ratio=clip_ratio).scale
    return scale.to(dtype).clamp(min=torch.finfo(dtype).tiny).float().reshape(())


def _by_static_scale(
    scheme: KVCacheScheme, scale: Tensor | None, rounding: Callable[[Tensor], Tensor], values: Tensor
) -> Tensor:
    fmt = FORMATS[scheme.format]
    if scale is None:
        scale = static_scale_of(values.detach().abs().amax(), scheme, torch.float32)
    grid = Grid(scale.to(values), None)
    return dequantize(quantize(values, grid, fmt, rounding=rounding), grid).to(values.dtype)


def _by_group(by_row: Callable[[Tensor], Tensor], group_size: int, values: Tensor) -> Tensor:
    return by_row(values.unflatten(-1, (-1, group_size))).flatten(-2)
