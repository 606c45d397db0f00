"""The rotated model without rounding, part by part, for the exporters that write it."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from dfrot_engine.checkpoint.reader import CheckpointReader
from dfrot_engine.exporters.base import outer_tensors
from dfrot_engine.job import Job
from dfrot_engine.outer import fold_outer
from dfrot_engine.rotations.fold import fold_block
from dfrot_engine.rotations.rotation_set import RotationSet
from dfrot_engine.work_dir import WorkDir


def folded_parts(job: Job, work: WorkDir) -> Iterator[dict[str, Tensor]]:
    """Embedding, final norm and head, then block after block, folded again from the original.

    Returns:
        Tensors by the model's own full names, on the job's device; float64 where something was folded in.
    """
    rotations = RotationSet.load(work.rotations).to(job.device)
    with CheckpointReader(job.model_dir) as reader:
        yield dict(outer_tensors(job, fold_outer(job, reader, rotations)))
        for index in range(job.architecture.num_blocks):
            prefix = job.architecture.block_prefix(index)
            tensors = {name: tensor.to(job.device) for name, tensor in reader.block(prefix).items()}
            folded = fold_block(tensors, job.architecture, rotations, index)
            yield {prefix + name: tensor for name, tensor in folded.items()}
