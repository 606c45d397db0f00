"""The folded, unquantized model: any tool that takes the original takes this."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from dfrot_engine.checkpoint.reader import CheckpointReader, read_block
from dfrot_engine.checkpoint.writer import ShardWriter
from dfrot_engine.exporters.base import (
    as_checkpoint,
    copy_side_files,
    outer_tensors,
    tensors_beside,
    write_config,
    write_marker,
)
from dfrot_engine.job import Job
from dfrot_engine.outer import fold_outer
from dfrot_engine.rotations.fold import fold_block
from dfrot_engine.rotations.rotation_set import RotationSet
from dfrot_engine.work_dir import WorkDir


def write_rotated_bf16(job: Job, work: WorkDir, folder: Path) -> Iterator[int]:
    """Fold the original again, block by block, in bfloat16; yields the number of blocks written so far."""
    job = replace(job, checkpoint_dtype=torch.bfloat16)
    rotations = RotationSet.load(work.rotations).to(job.device)
    writer = ShardWriter(folder)
    with CheckpointReader(job.model_dir) as reader:
        for name, tensor in outer_tensors(job, fold_outer(job, reader, rotations)):
            writer.add(name, as_checkpoint(tensor, job.checkpoint_dtype))
        for index in range(job.architecture.num_blocks):
            prefix = job.architecture.block_prefix(index)
            tensors = {
                name: tensor.to(job.device) for name, tensor in read_block(reader, job.architecture, index).items()
            }
            for name, tensor in fold_block(tensors, job.architecture, rotations, index).items():
                writer.add(job.architecture.stored_name(prefix + name), as_checkpoint(tensor, job.checkpoint_dtype))
            yield index + 1
        for name, tensor in tensors_beside(job, reader, rotations):
            writer.add(name, tensor)
    writer.finish({"format": "pt"})
    copy_side_files(job, folder)
    write_config(job, folder)
    write_marker(job, folder)
