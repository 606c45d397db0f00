"""The head as the quantize stage stores it, and the module that runs it.

Stored names: `head.codes`, `.scale`, `.zero_point` when the recipe quantizes its weight, else `head`.
"""

from __future__ import annotations

from itertools import repeat

import torch
from torch import Tensor

from dfrot_engine.calibration.statistics import InputMoments
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.fake_quant import QuantizedLinear
from dfrot_engine.forward.quantized_block import stored_weight
from dfrot_engine.forward.stream import Streams, batches
from dfrot_engine.job import Job
from dfrot_engine.quantizers import solver_of
from dfrot_engine.quantizers.activations import activation_quantizer
from dfrot_engine.quantizers.weight import QuantizedWeight
from dfrot_engine.recipe import CALIBRATED, LinearSchemes, Qronos

_HEAD = "head"


def head_schemes(job: Job) -> LinearSchemes:
    return job.recipe.schemes(job.architecture.head)


def waits_for_moments(job: Job) -> bool:
    """Whether the head is rounded by a solver that wants to see what the last block hands to it."""
    return head_schemes(job).weights is not None and isinstance(job.recipe.solver, CALIBRATED)


def round_outer(job: Job, folded: dict[str, Tensor], moments: InputMoments | None = None) -> dict[str, Tensor]:
    """Embedding, final norm and head as they are stored: in the checkpoint's dtype, but for a head that is rounded.

    Args:
        folded: from `fold_outer`; not modified.
        moments: of the head's inputs; a head that waits for them stays unrounded without.
    """
    stored = {name: tensor.to(job.checkpoint_dtype) for name, tensor in folded.items()}
    scheme, solver = head_schemes(job).weights, job.recipe.solver
    if scheme is None or (moments is None and waits_for_moments(job)):
        return stored
    head = stored.pop(_HEAD)
    quantized = solver_of(solver)(
        folded[_HEAD].to(head.device).float(), scheme, solver, scale_dtype=job.checkpoint_dtype, moments=moments
    )
    return stored | {f"{_HEAD}.{part}": tensor for part, tensor in quantized.tensors().items()}


@torch.no_grad()
def head_moments(job: Job, factory: BlockFactory, outer: dict[str, Tensor], streams: Streams) -> InputMoments:
    """Of what the head reads, behind the last block."""
    norm = factory.fill_final_norm(outer["final_norm"])
    with_exact = isinstance(job.recipe.solver, Qronos)
    activations = head_schemes(job).activations
    read = activation_quantizer(activations) if activations else _as_it_is
    moments = InputMoments(job.architecture.hidden_size, factory.device, with_exact=with_exact)
    exact_batches = batches(streams.exact) if with_exact else repeat(None)
    for seen, wanted in zip(batches(streams.quantized), exact_batches, strict=False):
        exact = None if wanted is None else norm(wanted.to(factory.device)).flatten(0, 1)
        moments.add(read(norm(seen.to(factory.device))).flatten(0, 1), exact)
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
    return QuantizedLinear(
        dense.to(job.device), None, activation_quantizer(activations) if activations else None, online=None
    )
