"""Quantizers of activations and of the KV cache, from their recipe sections."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from dfrot_engine.quantizers.formats import FORMATS
from dfrot_engine.quantizers.grid import fake_quantize
from dfrot_engine.recipe import ActivationScheme, KVCacheScheme


def activation_quantizer(
    scheme: ActivationScheme | KVCacheScheme, rounding: Callable[[Tensor], Tensor] = torch.round
) -> Callable[[Tensor], Tensor]:
    """Values → what is left of them: one scale for each token (activations) or token and head (KV cache), on the last
    dimension."""
    return partial(
        fake_quantize,
        fmt=FORMATS[scheme.format],
        symmetric=scheme.symmetric,
        clip_ratio=scheme.clip_ratio,
        rounding=rounding,
    )
