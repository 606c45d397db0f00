"""What calibration found for the rounding of activations, as a block or the head stores it, and the quantizers of it.

Stored names, of float32 scalars: `<linear>.input_clip` of what a linear reads, `kv.key_clip` and `kv.value_clip` of the
KV cache where the scheme says "search"; `<linear>.input_global_scale` where the format has a scale of the whole tensor;
`kv.key_scale` and `kv.value_scale` of a static KV cache.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from dfrot_engine.quantizers.activations import activation_quantizer
from dfrot_engine.quantizers.formats import FORMATS
from dfrot_engine.quantizers.grid import choose_global_scale
from dfrot_engine.recipe import ActivationScheme, KVCacheScheme, LinearSchemes

INPUT_CLIP = ".input_clip"
KEY_CLIP, VALUE_CLIP = "kv.key_clip", "kv.value_clip"
#: How their names end.
CLIP_PARTS = (INPUT_CLIP, ".key_clip", ".value_clip")
INPUT_GLOBAL_SCALE = ".input_global_scale"
#: Of a static KV cache, by the name of the clip ratio in whose place they stand.
KV_SCALES = {KEY_CLIP: "kv.key_scale", VALUE_CLIP: "kv.value_scale"}


def stored_quantizer(
    scheme: ActivationScheme | KVCacheScheme | None,
    stored: Mapping[str, Tensor],
    name: str,
    rounding: Callable[[Tensor], Tensor] = torch.round,
) -> Callable[[Tensor], Tensor] | None:
    """The quantizer of a scheme with the ratio that is stored under this name, if the scheme has it searched.

    A global or a static scale that is not stored yet is taken from the values at hand.
    """
    if scheme is None:
        return None
    ratio = float(stored[name]) if scheme.clip_ratio == "search" else None
    global_scale = stored.get(name.removesuffix(INPUT_CLIP) + INPUT_GLOBAL_SCALE)
    static_scale = stored.get(KV_SCALES.get(name, ""))
    return activation_quantizer(scheme, rounding, searched=ratio, global_scale=global_scale, static_scale=static_scale)


def unsearched_clips(schemes: Mapping[str, LinearSchemes], kv_cache: KVCacheScheme | None) -> dict[str, Tensor]:
    """Every ratio of a block that is to be searched, by its stored name, at 1.0.

    Args:
        schemes: by linear, as stored names begin.
    """
    searching = [linear + INPUT_CLIP for linear, one in schemes.items() if searches(one.activations)]
    if searches(kv_cache):
        searching += [KEY_CLIP, VALUE_CLIP]
    return {name: torch.tensor(1.0) for name in searching}


def has_global_scale(scheme: ActivationScheme | None) -> bool:
    """Whether a number for the whole input is measured on calibration tokens."""
    return scheme is not None and FORMATS[scheme.format].scales == "e4m3"


def input_global_scale(largest: Tensor, scheme: ActivationScheme) -> Tensor:
    """The global scale of an input whose largest value this is."""
    found = choose_global_scale(largest, FORMATS[scheme.format])
    assert found is not None
    return found.cpu()


def measures_kv(scheme: KVCacheScheme | None) -> bool:
    """Whether calibration tokens say something about the rounding of keys and values."""
    return scheme is not None and (scheme.is_static or searches(scheme))


def searches(scheme: ActivationScheme | KVCacheScheme | None) -> bool:
    """Whether a scheme's clip ratio is found on calibration tokens."""
    return scheme is not None and scheme.clip_ratio == "search"
