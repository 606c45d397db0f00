"""What lies outside the blocks: embedding, final norm and head, folded, and what becomes of the head's output."""

from __future__ import annotations

from torch import Tensor

from dfrot_engine.architectures.base import Architecture
from dfrot_engine.checkpoint.reader import CheckpointReader
from dfrot_engine.job import Job
from dfrot_engine.rotations.fold import NORM_PARTS, fold_embedding, fold_head
from dfrot_engine.rotations.rotation_set import RotationSet

#: What the final norm's tensors are called beside "embedding" and "head".
_FINAL_NORM = {"weight": "final_norm", "bias": "final_norm.bias"}


def head_weight(job: Job, reader: CheckpointReader) -> Tensor:
    """[V, D] of the original's head, which is the embedding when they are tied."""
    names = job.architecture
    head_name = f"{names.head_tensor}.weight"
    is_tied = names.tied or head_name not in reader.headers
    return reader.tensor(f"{names.embedding}.weight" if is_tied else head_name)


def fold_outer(job: Job, reader: CheckpointReader, rotations: RotationSet) -> dict[str, Tensor]:
    """ "embedding" and "head" in float64 and the final norm, on the job's device; a tied head is untied by this."""
    names = job.architecture
    embedding = reader.tensor(f"{names.embedding}.weight").to(job.device)
    parts = {part: tensor.to(job.device) for part, tensor in final_norm_parts(names, reader).items()}
    head, neutral = fold_head(head_weight(job, reader).to(job.device), parts, names.final_norm, rotations)
    norm = {_FINAL_NORM[part]: tensor for part, tensor in neutral.items()}
    return {"embedding": fold_embedding(embedding, rotations), "head": head} | norm


def final_norm_parts(names: Architecture, reader: CheckpointReader) -> dict[str, Tensor]:
    """The original's final norm, by `NORM_PARTS`."""
    norm = names.final_norm.name
    return {part: reader.tensor(f"{norm}.{part}") for part in NORM_PARTS if f"{norm}.{part}" in reader.headers}


def folded_norm_parts(outer: dict[str, Tensor]) -> dict[str, Tensor]:
    """The final norm out of what `fold_outer` made or a run has stored, by `NORM_PARTS`."""
    return {part: outer[name] for part, name in _FINAL_NORM.items() if name in outer}


def finish_logits(logits: Tensor, architecture: Architecture) -> Tensor:
    """The head's output, scaled and capped as the model does it."""
    logits = logits * architecture.logits_scale
    cap = architecture.logits_softcap
    return logits if cap is None else cap * (logits / cap).tanh()
