"""Train what is free in a rounded block so that it gives what the original block gives: short, block after block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dfrot_engine.forward.attention import KVQuantizer
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.quantized_block import fill_quantized_block, kv_quantizer
from dfrot_engine.forward.stream import BATCH_TOKENS, Streams
from dfrot_engine.forward.trainable_block import fill_trainable_block
from dfrot_engine.job import Job
from dfrot_engine.recipe import MEASURED_EVERY, Recovery, held_out_sequences
from dfrot_engine.rotations.rotation_set import RotationSet


@dataclass(frozen=True)
class Recovered:
    """A block after recovery.

    Args:
        stored: as `round_block` leaves it, codes unchanged; the very same if nothing was better.
        before, after: error of what the block adds on the sequences held out, relative, root of the mean square.
    """

    stored: dict[str, Tensor]
    before: float
    after: float


def recover_block(
    job: Job,
    factory: BlockFactory,
    index: int,
    stored: dict[str, Tensor],
    streams: Streams,
    wanted_BTD: Tensor,
    rotations: RotationSet,
    say: Callable[[str], None],
) -> Recovered:
    """Lower the rounded block's error on the quantized stream by gradients; what is kept lowered it on held-out text.

    Args:
        stored: not modified.
        streams: in front of the block, every calibration sequence in both.
        wanted_BTD: the exact stream behind the block.
        say: called before each step and each batch that is measured; what it raises ends the work.
    """
    section = job.recipe.recovery
    assert section is not None
    targets = _Targets(factory, index, streams, wanted_BTD)
    num_held_out = held_out_sequences(len(wanted_BTD))
    num_trained = len(wanted_BTD) - num_held_out
    # Too few sequences to hold any out, which the plan has warned of: measured on what is trained on.
    held_out = torch.arange(num_trained, len(wanted_BTD)) if num_held_out else torch.arange(num_trained)
    kv = kv_quantizer(job, rotations, stored)

    @torch.no_grad()
    def measure(candidate: dict[str, Tensor]) -> float:
        block = fill_quantized_block(factory, job, index, candidate, rotations)
        total = 0.0
        for chunk in targets.chunks(held_out):
            say("recovery, measuring")
            total += float(targets.loss(block, chunk, kv)) * len(chunk)
        return total / len(held_out)

    best, lowest = stored, measure(stored)
    before = lowest
    trainable = fill_trainable_block(factory, job, index, stored, rotations)
    if not trainable.parameters():  # scales that are no free floats, and no norm in front of a linear
        return Recovered(stored, before**0.5, before**0.5)
    optimizer = torch.optim.Adam(trainable.parameters(), lr=section.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, section.steps)
    draws = _draws(section, num_trained, job.recipe.calibration.seed + index)
    for step in range(1, section.steps + 1):
        say(f"recovery, step {step} of {section.steps}")
        which = next(draws)
        optimizer.zero_grad()
        for chunk in targets.chunks(which):
            (targets.loss(trainable.module, chunk, trainable.kv) * len(chunk) / len(which)).backward()
        optimizer.step()
        schedule.step()
        if step % MEASURED_EVERY == 0 or step == section.steps:
            candidate = trainable.trained(stored)
            loss = measure(candidate)
            if loss < lowest:  # never true of NaN
                best, lowest = candidate, loss
    return Recovered(best, before**0.5, lowest**0.5)


class _Targets:
    """What each token's hidden state behind the block should be, and how much its error counts.

    A token's squared error is taken relative to what the block has to do for it: ‖Δ‖² + ‖e‖², Δ what the original
    block adds and e the error the token arrives with. Relative to ‖Δ‖² alone, massive tokens would drown the others in
    the middle of the model, where blocks add little to them and their inherited error is large.
    """

    def __init__(self, factory: BlockFactory, index: int, streams: Streams, wanted_BTD: Tensor) -> None:
        self._factory, self._index = factory, index
        self._entering_BTD, self._wanted_BTD = streams.quantized, wanted_BTD
        added = (wanted_BTD - streams.exact).square().sum(-1)
        inherited = (streams.quantized - streams.exact).square().sum(-1)
        self._size_BT = (added + inherited).clamp(min=torch.finfo(torch.float32).tiny)

    def loss(self, block: nn.Module, which_B: Tensor, kv: KVQuantizer | None) -> Tensor:
        """Mean over tokens, with gradient."""
        left = self._factory.run_with_gradient(block, self._index, self._entering_BTD[which_B], kv)
        wanted, size = self._wanted_BTD[which_B].to(left), self._size_BT[which_B].to(left)
        return ((left - wanted).square().sum(-1) / size).mean()

    def chunks(self, which_B: Tensor) -> Iterator[Tensor]:
        """A few sequences at a time, as many as go through a block at once."""
        yield from which_B.split(max(1, BATCH_TOKENS // self._wanted_BTD.shape[1]))


def _draws(section: Recovery, num_sequences: int, seed: int) -> Iterator[Tensor]:
    """Numbers of the sequences of each step; every sequence comes once before any comes again."""
    generator = torch.Generator().manual_seed(seed)
    waiting = torch.empty(0, dtype=torch.long)
    size = min(section.batch_size, num_sequences)
    while True:
        if len(waiting) < size:
            waiting = torch.randperm(num_sequences, generator=generator)
        yield waiting[:size]
        waiting = waiting[size:]
