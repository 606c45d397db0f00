"""What lies outside the blocks: embedding, final norm and head, folded, and what becomes of the head's output."""

from __future__ import annotations

from torch import Tensor

from dfrot_engine.architectures.base import Architecture
from dfrot_engine.checkpoint.reader import CheckpointReader
from dfrot_engine.job import Job
from dfrot_engine.rotations.fold import fold_embedding, fold_head
from dfrot_engine.rotations.rotation_set import RotationSet


def head_weight(job: Job, reader: CheckpointReader) -> Tensor:
    """[V, D] of the original's head, which is the embedding when they are tied."""
    names = job.architecture
    head_name = f"{names.head}.weight"
    is_tied = names.tied or head_name not in reader.headers
    return reader.tensor(f"{names.embedding}.weight" if is_tied else head_name)


def fold_outer(job: Job, reader: CheckpointReader, rotations: RotationSet) -> dict[str, Tensor]:
    """ "embedding" and "head" in float64 and "final_norm", on the job's device; a tied head is untied by this."""
    names = job.architecture
    embedding = reader.tensor(f"{names.embedding}.weight").to(job.device)
    final_norm = reader.tensor(f"{names.final_norm.name}.weight").to(job.device)
    head, neutral = fold_head(head_weight(job, reader).to(job.device), final_norm, names.final_norm, rotations)
    return {"embedding": fold_embedding(embedding, rotations), "head": head, "final_norm": neutral}


def finish_logits(logits: Tensor, architecture: Architecture) -> Tensor:
    """The head's output, scaled and capped as the model does it."""
    logits = logits * architecture.logits_scale
    cap = architecture.logits_softcap
    return logits if cap is None else cap * (logits / cap).tanh()
