"""The head as the quantize stage stores it, and the module that runs it.

Stored names: `head.codes`, `.scale`, `.zero_point` when the recipe quantizes its weight, else `head`; `head.input_clip`
where the clip ratio of its input is searched, `head.input_global_scale` where its format has one.
"""

from __future__ import annotations

from itertools import repeat

import torch
from torch import Tensor, nn

from dfrot_engine.calibration.statistics import InputMoments
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.fake_quant import QuantizedLinear
from dfrot_engine.forward.quantized_block import stored_weight
from dfrot_engine.forward.stored_clips import (
    INPUT_CLIP,
    INPUT_GLOBAL_SCALE,
    has_global_scale,
    input_global_scale,
    searches,
    stored_quantizer,
)
from dfrot_engine.forward.stream import Streams, batches, first_tokens
from dfrot_engine.job import Job
from dfrot_engine.outer import folded_norm_parts
from dfrot_engine.quantizers import solver_of
from dfrot_engine.quantizers.static_clipping import search_input_clip
from dfrot_engine.quantizers.weight import QuantizedWeight
from dfrot_engine.recipe import CALIBRATED, LinearSchemes, Qronos

_HEAD = "head"


def head_schemes(job: Job) -> LinearSchemes:
    return job.recipe.schemes(job.architecture.head)


def waits_for_last_block(job: Job) -> bool:
    """Whether something about the head is decided by what the last block hands to it."""
    activations = head_schemes(job).activations
    return _waits_for_moments(job) or searches(activations) or has_global_scale(activations)


def finish_outer(job: Job, factory: BlockFactory, folded: dict[str, Tensor], streams: Streams) -> dict[str, Tensor]:
    """`round_outer` behind the last block, where the head's inputs are known.

    Args:
        folded: from `fold_outer`; not modified.
    """
    parts = {part: tensor.to(job.checkpoint_dtype) for part, tensor in folded_norm_parts(folded).items()}
    norm = factory.fill_final_norm(parts)
    clip = _search_clip(job, norm, folded[_HEAD], streams) | _measure_global_scale(job, factory, norm, streams)
    moments = _moments(job, factory, norm, clip, streams) if _waits_for_moments(job) else None
    return round_outer(job, folded, moments) | clip


def round_outer(job: Job, folded: dict[str, Tensor], moments: InputMoments | None = None) -> dict[str, Tensor]:
    """Embedding, final norm and head as they are stored: in the checkpoint's dtype, but for a head that is rounded.

    Args:
        folded: from `fold_outer`; not modified.
        moments: of the head's inputs; a head that waits for them stays unrounded without.
    """
    stored = {name: tensor.to(job.checkpoint_dtype) for name, tensor in folded.items()}
    scheme, solver = head_schemes(job).weights, job.recipe.solver
    if scheme is None or (moments is None and _waits_for_moments(job)):
        return stored
    head = stored.pop(_HEAD)
    quantized = solver_of(solver)(
        folded[_HEAD].to(head.device).float(), scheme, solver, scale_dtype=job.checkpoint_dtype, moments=moments
    )
    return stored | {f"{_HEAD}.{part}": tensor for part, tensor in quantized.tensors().items()}


def _waits_for_moments(job: Job) -> bool:
    return head_schemes(job).weights is not None and isinstance(job.recipe.solver, CALIBRATED)


@torch.no_grad()
def _search_clip(job: Job, norm: nn.Module, head_VD: Tensor, streams: Streams) -> dict[str, Tensor]:
    scheme = head_schemes(job).activations
    if scheme is None or not searches(scheme):
        return {}
    seen = job.ranks.gather_rows(norm(first_tokens(streams).to(job.device)).flatten(0, 1))
    ratio = job.ranks.told(search_input_clip(seen, head_VD.to(seen), scheme))
    return {_HEAD + INPUT_CLIP: torch.tensor(ratio)}


@torch.no_grad()
def _measure_global_scale(job: Job, factory: BlockFactory, norm: nn.Module, streams: Streams) -> dict[str, Tensor]:
    scheme = head_schemes(job).activations
    if scheme is None or not has_global_scale(scheme):
        return {}
    nothing = torch.zeros((), device=factory.device)  # of a process that has no sequences
    seen = [norm(one.to(factory.device)).abs().amax() for one in batches(streams.quantized)]
    largest = job.ranks.largest(torch.stack(seen or [nothing]).amax())
    return {_HEAD + INPUT_GLOBAL_SCALE: input_global_scale(largest, scheme)}


@torch.no_grad()
def _moments(
    job: Job, factory: BlockFactory, norm: nn.Module, clip: dict[str, Tensor], streams: Streams
) -> InputMoments:
    """Of what the head reads."""
    with_exact = isinstance(job.recipe.solver, Qronos)
    read = stored_quantizer(head_schemes(job).activations, clip, _HEAD + INPUT_CLIP) or _as_it_is
    moments = InputMoments(job.architecture.hidden_size, factory.device, with_exact=with_exact)
    exact_batches = batches(streams.exact) if with_exact else repeat(None)
    for seen, wanted in zip(batches(streams.quantized), exact_batches, strict=False):
        exact = None if wanted is None else norm(wanted.to(factory.device)).flatten(0, 1)
        moments.add(read(norm(seen.to(factory.device))).flatten(0, 1), exact)
    job.ranks.combine(moments)
    return moments


def _as_it_is(values: Tensor) -> Tensor:
    return values


def stored_head(job: Job, outer: dict[str, Tensor]) -> QuantizedWeight | Tensor:
    """The head's weight out of the stored outer tensors."""
    schemes = head_schemes(job)
    return outer[_HEAD] if schemes.weights is None else stored_weight(outer, _HEAD, schemes)


def fill_quantized_head(job: Job, outer: dict[str, Tensor]) -> QuantizedLinear:
    """The head as the quantized model runs it, float32 on the job's device."""
    weight, activations = stored_head(job, outer), head_schemes(job).activations
    dense = weight.dequantize() if isinstance(weight, QuantizedWeight) else weight.float()
    quantize_input = stored_quantizer(activations, outer, _HEAD + INPUT_CLIP)
    return QuantizedLinear(dense.to(job.device), None, quantize_input, online=None)
