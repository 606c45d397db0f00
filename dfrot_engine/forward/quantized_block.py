"""A block as the quantize stage stores it, and the module that runs it.

Stored names: `<linear>.codes`, `.scale`, and where there are any `.zero_point` and `.global_scale` for a quantized
weight, `<linear>.weight` for one left alone, the numbers of `stored_clips`, the factors of `low_rank`, everything else
under its own name.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dfrot_engine.architectures.base import Linear, Space
from dfrot_engine.forward.attention import KVQuantizer
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.fake_quant import QuantizedLinear, linear_parts, replace_linear
from dfrot_engine.forward.low_rank import FACTOR_PARTS, adapt_linears
from dfrot_engine.forward.stored_clips import (
    CLIP_PARTS,
    INPUT_CLIP,
    INPUT_GLOBAL_SCALE,
    KEY_CLIP,
    KV_SCALES,
    VALUE_CLIP,
    stored_quantizer,
)
from dfrot_engine.job import Job
from dfrot_engine.quantizers.weight import QuantizedWeight
from dfrot_engine.recipe import LinearSchemes
from dfrot_engine.rotations.rotation_set import RotationSet

CODE_PARTS = (".codes", ".scale", ".zero_point", ".global_scale")
#: How names end that no block of the model has.
OWN_PARTS = (*CODE_PARTS, *CLIP_PARTS, *FACTOR_PARTS, INPUT_GLOBAL_SCALE, *KV_SCALES.values())


def block_schemes(job: Job, index: int) -> dict[str, LinearSchemes]:
    """Schemes by linear, names relative to the block."""
    prefix = job.architecture.block_prefix(index)
    return {
        linear.name: job.recipe.schemes(prefix + linear.name) for linear in job.architecture.block_at(index).linears
    }


def as_stored(job: Job, name: str, tensor: Tensor) -> Tensor:
    """In the checkpoint's precision, but for numbers that have their own."""
    is_own = name.endswith(OWN_PARTS) or not tensor.is_floating_point()
    return tensor if is_own else tensor.to(job.checkpoint_dtype)


def stored_weight(stored: dict[str, Tensor], name: str, schemes: LinearSchemes) -> QuantizedWeight | Tensor:
    """The weight of one linear out of a stored block, or out of one that is not rounded yet."""
    if schemes.weights is None or f"{name}.weight" in stored:
        return stored[f"{name}.weight"]
    return QuantizedWeight(
        stored[f"{name}.codes"],
        stored[f"{name}.scale"],
        stored.get(f"{name}.zero_point"),
        schemes.weights.format,
        stored.get(f"{name}.global_scale"),
    )


def fill_quantized_block(
    factory: BlockFactory,
    job: Job,
    index: int,
    stored: dict[str, Tensor],
    rotations: RotationSet,
    *,
    rounding: Callable[[Tensor], Tensor] = torch.round,
) -> nn.Module:
    """The block as the quantized model runs it, on the factory's device; weights without codes as they are.

    Args:
        rounding: of activations, to whole numbers; decides what slope they have.
    """
    schemes = block_schemes(job, index)
    weights: dict[str, Tensor] = {}
    for linear in job.architecture.block_at(index).linears:
        weight = stored_weight(stored, linear.name, schemes[linear.name])
        dense = weight.dequantize() if isinstance(weight, QuantizedWeight) else weight
        weights[f"{linear.name}.weight"] = dense.to(factory.device, factory.dtype)
    others = {name: tensor for name, tensor in stored.items() if not name.endswith(OWN_PARTS)}
    block = factory.fill(index, others | weights)
    for linear in job.architecture.block_at(index).linears:
        activations = schemes[linear.name].activations
        reads = stored_quantizer(activations, stored, linear.name + INPUT_CLIP, rounding)
        _replace(block, index, linear, rotations, reads)
    adapt_linears(block, stored)
    return block


def fill_exact_block(
    factory: BlockFactory, job: Job, index: int, folded: dict[str, Tensor], rotations: RotationSet
) -> nn.Module:
    """The folded block without any rounding, R4 applied online."""
    block = factory.fill(index, folded)
    for linear in job.architecture.block_at(index).linears:
        _replace(block, index, linear, rotations, None)
    return block


def kv_quantizer(
    job: Job,
    rotations: RotationSet,
    stored: dict[str, Tensor],
    *,
    rounding: Callable[[Tensor], Tensor] = torch.round,
) -> KVQuantizer | None:
    """What attention does to query, key and value in this block; None when neither R3 nor a KV scheme is on."""
    scheme = job.recipe.kv_cache
    if rotations.r3 is None and scheme is None:
        return None
    key, value = (stored_quantizer(scheme, stored, name, rounding) for name in (KEY_CLIP, VALUE_CLIP))
    return KVQuantizer(rotations.r3, key, value)


def rotate_only_of(rotations: RotationSet) -> KVQuantizer | None:
    """What attention does in the exact model: R3, and no rounding."""
    return None if rotations.r3 is None else KVQuantizer(rotations.r3)


def _replace(
    block: nn.Module,
    index: int,
    linear: Linear,
    rotations: RotationSet,
    quantize_input: Callable[[Tensor], Tensor] | None,
) -> None:
    weight, bias = linear_parts(block, linear.name)
    online = rotations.online(index, weight.shape[1]) if linear.reads is Space.MLP_HIDDEN else None
    replace_linear(block, linear.name, QuantizedLinear(weight, bias, quantize_input, online))
