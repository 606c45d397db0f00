"""The head as the quantize stage stores it, and the module that runs it.

Stored names: `head.codes`, `.scale`, `.zero_point` when the recipe quantizes its weight, else `head`.
"""

from __future__ import annotations

from torch import Tensor

from dfrot_engine.forward.fake_quant import QuantizedLinear
from dfrot_engine.forward.quantized_block import stored_weight
from dfrot_engine.job import Job
from dfrot_engine.quantizers import solver_of
from dfrot_engine.quantizers.activations import activation_quantizer
from dfrot_engine.quantizers.weight import QuantizedWeight
from dfrot_engine.recipe import LinearSchemes

_HEAD = "head"


def head_schemes(job: Job) -> LinearSchemes:
    return job.recipe.schemes(job.architecture.head)


def round_outer(job: Job, folded: dict[str, Tensor]) -> dict[str, Tensor]:
    """Embedding, final norm and head as they are stored: in the checkpoint's dtype, but for a head that is rounded.

    Args:
        folded: from `fold_outer`; not modified.
    """
    others = {name: tensor.to(job.checkpoint_dtype) for name, tensor in folded.items() if name != _HEAD}
    return others | round_head(job, folded[_HEAD])


def round_head(job: Job, head_VD: Tensor) -> dict[str, Tensor]:
    """The folded head under its stored names."""
    scheme = head_schemes(job).weights
    if scheme is None:
        return {_HEAD: head_VD.to(job.checkpoint_dtype)}
    solve = solver_of(job.recipe.solver)
    quantized = solve(head_VD.float(), scheme, job.recipe.solver, scale_dtype=job.checkpoint_dtype)
    return {f"{_HEAD}.{part}": tensor for part, tensor in quantized.tensors().items()}


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
