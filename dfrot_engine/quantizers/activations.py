"""Quantizers of activations and of the KV cache, from their recipe sections."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from dfrot_engine.quantizers.formats import FORMATS
from dfrot_engine.quantizers.grid import fake_quantize
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
) -> Callable[[Tensor], Tensor]:
    """Values → what is left of them, on the last dimension: one scale for each token (activations), for each token and
    head (KV cache), or for each group of a token where the format prescribes groups.

    Args:
        searched: the clip ratio of this input, if the scheme has it searched; see `clip_ratio_of`.
        global_scale: NVFP4's scale of the whole tensor, a number from calibration, so that a token does not depend on
            what else is in the batch; None takes it from the values at hand. It decides how small scales round.
    """
    fmt = FORMATS[scheme.format]
    ratio = clip_ratio_of(scheme, searched)
    quantize = partial(fake_quantize, fmt=fmt, symmetric=scheme.symmetric, clip_ratio=ratio, rounding=rounding)
    quantize = quantize if global_scale is None else partial(quantize, global_scale=global_scale)
    return quantize if fmt.group_size is None else partial(_by_group, quantize, fmt.group_size)


def _by_group(quantize: Callable[[Tensor], Tensor], group_size: int, values: Tensor) -> Tensor:
    return quantize(values.unflatten(-1, (-1, group_size))).flatten(-2)
