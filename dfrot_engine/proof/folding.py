"""Whether the folded model computes what the original does: both, block by block, on one short sequence."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dfrot_engine.checkpoint.reader import CheckpointReader, read_block
from dfrot_engine.exporters.base import outer_tensors
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.quantized_block import fill_exact_block, rotate_only_of
from dfrot_engine.forward.stream import embed, look_up
from dfrot_engine.job import Job
from dfrot_engine.outer import final_norm_parts, finish_logits, fold_outer, folded_norm_parts, head_weight
from dfrot_engine.proof.types import ProofRow
from dfrot_engine.rotations.fold import fold_block
from dfrot_engine.rotations.rotation_set import RotationSet

#: Of the worst token, relative, in float32. Folds that are right stay a hundred times below; wrong ones come near 1.
LIMIT = 1e-2
#: Tensors of the folded model by their full names in files, one part of the model after the other.
Watcher = Callable[[dict[str, Tensor]], None]


@dataclass
class _Streams:
    """The original's hidden states and the folded model's, [1, T, D] float32."""

    exact: Tensor
    folded: Tensor


def prove_folding(
    job: Job,
    rotations: RotationSet,
    tokens_T: Tensor | None,
    watchers: Sequence[Watcher],
    say: Callable[[int], None],
) -> ProofRow | None:
    """Fold the original again, part by part, and compare it with the original behind every block and at the logits.

    Args:
        rotations: those that the run has saved, on the job's device.
        tokens_T: None only shows the parts to the watchers.
        watchers: shown every folded part, for what else is to be compared with it.
        say: called with the number of finished blocks; what it raises ends the work.
    """
    names = job.architecture
    factory = BlockFactory(job.model_dir, job.device)
    with CheckpointReader(job.model_dir) as reader:
        outer = fold_outer(job, reader, rotations)
        _show(watchers, dict(outer_tensors(job, outer)))
        streams = None if tokens_T is None else _begin(job, reader, outer["embedding"].cpu(), tokens_T[None])
        errors: list[float] = []
        for index in range(names.num_blocks):
            prefix = names.block_prefix(index)
            tensors = {name: one.to(job.device) for name, one in read_block(reader, names, index).items()}
            folded = fold_block(tensors, names, rotations, index)
            _show(watchers, {names.stored_name(prefix + name): one for name, one in folded.items()})
            if streams is not None:
                _pass(job, factory, index, tensors, folded, rotations, streams)
                errors.append(_hidden_error(streams, rotations))
            del tensors, folded  # before the next one is read
            say(index + 1)
        if streams is None:
            return None
        return _row(errors, _logits_error(job, factory, reader, outer, streams))


def _begin(job: Job, reader: CheckpointReader, embedding_VD: Tensor, tokens_BT: Tensor) -> _Streams:
    names = job.architecture
    return _Streams(embed(reader, names, tokens_BT), look_up(embedding_VD, names, tokens_BT))


def _show(watchers: Sequence[Watcher], part: dict[str, Tensor]) -> None:
    for watch in watchers:
        watch(part)


def _pass(
    job: Job,
    factory: BlockFactory,
    index: int,
    tensors: dict[str, Tensor],
    folded: dict[str, Tensor],
    rotations: RotationSet,
    streams: _Streams,
) -> None:
    streams.exact = factory.run(factory.fill(index, tensors), index, streams.exact)
    block = fill_exact_block(factory, job, index, folded, rotations)
    streams.folded = factory.run(block, index, streams.folded, rotate_only_of(rotations))


def _hidden_error(streams: _Streams, rotations: RotationSet) -> float:
    exact = streams.exact.double()
    return _worst(exact if rotations.r1_DD is None else exact @ rotations.r1_DD.to(exact), streams.folded)


@torch.no_grad()
def _logits_error(
    job: Job, factory: BlockFactory, reader: CheckpointReader, outer: dict[str, Tensor], streams: _Streams
) -> float:
    names = job.architecture

    def logits(hidden: Tensor, norm: dict[str, Tensor], head_VD: Tensor) -> Tensor:
        normed = factory.fill_final_norm(norm)(hidden.to(job.device))
        return finish_logits(torch.nn.functional.linear(normed, head_VD.to(normed)), names)

    exact = logits(streams.exact, final_norm_parts(names, reader), head_weight(job, reader))
    return _worst(exact, logits(streams.folded, folded_norm_parts(outer), outer["head"]))


def _worst(exact: Tensor, other: Tensor) -> float:
    """The largest ‖x' − x‖/‖x‖ of the tokens; numbers that are none count as wholly wrong."""
    difference = (other.double() - exact.double()).norm(dim=-1)
    worst = float((difference / exact.double().norm(dim=-1).clamp(min=1e-12)).max())
    return float("inf") if math.isnan(worst) else worst


def _row(errors: list[float], at_logits: float) -> ProofRow:
    worst = max([*errors, at_logits])
    first = next((number for number, error in enumerate(errors) if not error <= LIMIT), None)
    where = "at the logits" if first is None else f"behind block {first + 1} of {len(errors)}"
    passed = worst <= LIMIT
    return ProofRow(
        check="folding",
        what="The rotated model without rounding against the original: error of the worst token behind every block "
        "and at the logits",
        figure=min(worst, 1e9),
        limit=LIMIT,
        passed=passed,
        note=f"{at_logits:.1e} at the logits"
        if passed
        else f"the rotated model is another one than the original {where}: the worst token is off by {worst:.1e}",
    )
