"""The rotated model without rounding, part by part, for the exporters that write it."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from dfrot_engine.checkpoint.reader import CheckpointReader, read_block
from dfrot_engine.exporters.base import outer_tensors
from dfrot_engine.job import Job
from dfrot_engine.outer import fold_outer
from dfrot_engine.rotations.fold import fold_block
from dfrot_engine.rotations.rotation_set import RotationSet


def folded_parts(job: Job, reader: CheckpointReader, rotations: RotationSet) -> Iterator[dict[str, Tensor]]:
    """Embedding, final norm and head, then block after block, folded again from the original.

    Args:
        reader: of the original.
        rotations: on the job's device.
    Returns:
        Tensors by their full names in files, on the job's device; float64 where something was folded in.
    """
    names = job.architecture
    yield dict(outer_tensors(job, fold_outer(job, reader, rotations)))
    for index in range(names.num_blocks):
        prefix = names.block_prefix(index)
        tensors = {name: tensor.to(job.device) for name, tensor in read_block(reader, names, index).items()}
        folded = fold_block(tensors, names, rotations, index)
        yield {names.stored_name(prefix + name): tensor for name, tensor in folded.items()}
