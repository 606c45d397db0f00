"""A static KV cache in a checkpoint: its scales as tensors, its scheme for config.json."""

from __future__ import annotations

from collections.abc import Mapping

from compressed_tensors.quantization import QuantizationArgs, QuantizationStrategy, QuantizationType
from torch import Tensor

from dfrot_engine.architectures.base import Space
from dfrot_engine.formats import FORMATS
from dfrot_engine.forward.stored_clips import KEY_CLIP, KV_SCALES, VALUE_CLIP
from dfrot_engine.job import Job

_WRITTEN = {KV_SCALES[KEY_CLIP]: "k_scale", KV_SCALES[VALUE_CLIP]: "v_scale"}


def kv_scale_tensors(job: Job, index: int, stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The scales of a stored block under the names that runtimes read; nothing where they are not static."""
    names = job.architecture
    reader = next(linear for linear in names.block_at(index).linears if linear.reads is Space.VALUE)
    attention = names.block_prefix(index) + reader.name.rpartition(".")[0]
    return {
        names.stored_name(f"{attention}.{written}"): stored[own].to(job.checkpoint_dtype).reshape(1)
        for own, written in _WRITTEN.items()
        if own in stored
    }


def kv_cache_args(job: Job) -> QuantizationArgs | None:
    """The scheme that runtimes take from a checkpoint; None where they compute scales themselves, or none."""
    scheme = job.recipe.kv_cache
    if scheme is None or not scheme.is_static:
        return None
    return QuantizationArgs(
        num_bits=FORMATS[scheme.format].bits,
        type=QuantizationType.FLOAT,
        symmetric=scheme.symmetric,
        strategy=QuantizationStrategy.TENSOR,
        dynamic=False,
    )
