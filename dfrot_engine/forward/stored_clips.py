"""Clip ratios that were searched, as a block or the head stores them, and the quantizers that use them.

Stored names: `<linear>.input_clip` of what a linear reads, `kv.key_clip` and `kv.value_clip` of the KV cache; float32
scalars, there where the scheme says "search".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from dfrot_engine.quantizers.activations import activation_quantizer
from dfrot_engine.recipe import ActivationScheme, KVCacheScheme, LinearSchemes

INPUT_CLIP = ".input_clip"
KEY_CLIP, VALUE_CLIP = "kv.key_clip", "kv.value_clip"
#: How their names end.
CLIP_PARTS = (INPUT_CLIP, ".key_clip", ".value_clip")


def stored_quantizer(
    scheme: ActivationScheme | KVCacheScheme | None,
    stored: Mapping[str, Tensor],
    name: str,
    rounding: Callable[[Tensor], Tensor] = torch.round,
) -> Callable[[Tensor], Tensor] | None:
    """The quantizer of a scheme with the ratio that is stored under this name, if the scheme has it searched."""
    if scheme is None:
        return None
    ratio = float(stored[name]) if scheme.clip_ratio == "search" else None
    return activation_quantizer(scheme, rounding, searched=ratio)


def unsearched_clips(schemes: Mapping[str, LinearSchemes], kv_cache: KVCacheScheme | None) -> dict[str, Tensor]:
    """Every ratio of a block that is to be searched, by its stored name, at 1.0.

    Args:
        schemes: by linear, as stored names begin.
    """
    searching = [linear + INPUT_CLIP for linear, one in schemes.items() if searches(one.activations)]
    if searches(kv_cache):
        searching += [KEY_CLIP, VALUE_CLIP]
    return {name: torch.tensor(1.0) for name in searching}


def searches(scheme: ActivationScheme | KVCacheScheme | None) -> bool:
    """Whether a scheme's clip ratio is found on calibration tokens."""
    return scheme is not None and scheme.clip_ratio == "search"
