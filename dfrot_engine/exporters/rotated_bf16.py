"""The folded, unquantized model: any tool that takes the original takes this."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from dfrot_engine.checkpoint.reader import CheckpointReader
from dfrot_engine.checkpoint.writer import ShardWriter
from dfrot_engine.exporters.base import as_checkpoint, copy_side_files, tensors_beside, write_config, write_marker
from dfrot_engine.exporters.folded import folded_parts
from dfrot_engine.job import Job
from dfrot_engine.rotations.rotation_set import RotationSet
from dfrot_engine.work_dir import WorkDir


def write_rotated_bf16(job: Job, work: WorkDir, folder: Path) -> Iterator[int]:
    """Fold the original again, block by block, in bfloat16; yields the number of blocks written so far."""
    job = replace(job, checkpoint_dtype=torch.bfloat16)
    rotations = RotationSet.load(work.rotations).to(job.device)
    writer = ShardWriter(folder)
    with CheckpointReader(job.model_dir) as reader:
        for done, tensors in enumerate(folded_parts(job, reader, rotations)):
            for name, tensor in tensors.items():
                writer.add(name, as_checkpoint(tensor, job.checkpoint_dtype))
            if done:  # the first part holds no block
                yield done
        for name, tensor in tensors_beside(job, reader, rotations):
            writer.add(name, tensor)
    writer.finish({"format": "pt"})
    copy_side_files(job, folder)
    write_config(job, folder)
    write_marker(job, folder)
