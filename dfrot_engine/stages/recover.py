"""Train what is free in a rounded block so that it gives what the original block gives: short, block after block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from dfrot_engine.distributed import Ranks
from dfrot_engine.forward.attention import KVQuantizer
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.hidden_states import Hidden
from dfrot_engine.forward.quantized_block import fill_quantized_block, kv_quantizer
from dfrot_engine.forward.stream import Streams, batches
from dfrot_engine.forward.trainable_block import TrainableBlock, fill_trainable_block
from dfrot_engine.job import Job
from dfrot_engine.recipe import MEASURED_EVERY, Recovery, held_out_sequences
from dfrot_engine.rotations.rotation_set import RotationSet

T = TypeVar("T")


@dataclass(frozen=True)
class Recovered:
    """A block after recovery.

    Args:
        stored: as `round_block` leaves it, codes unchanged, perhaps with factors; the very same if nothing was better.
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
    wanted: Hidden,
    rotations: RotationSet,
    say: Callable[[str], None],
) -> Recovered:
    """Lower the rounded block's error on the quantized stream by gradients; what is kept lowered it on held-out text.

    Args:
        stored: not modified.
        streams: in front of the block, every calibration sequence of this rank in both.
        wanted: the exact stream behind the block.
        say: called before each step and each batch that is measured; what it raises ends the work.
    """
    section = job.recipe.recovery
    assert section is not None
    targets, ranks = _Targets(factory, index, streams, wanted), job.ranks
    num_trained, held_out = _split(job.recipe.calibration.num_samples)
    kv = kv_quantizer(job, rotations, stored)

    @torch.no_grad()
    def measure(candidate: dict[str, Tensor]) -> float:
        block = fill_quantized_block(factory, job, index, candidate, rotations)
        total = 0.0
        for loss in targets.in_chunks(held_out, lambda chunk: float(targets.loss(block, chunk, kv)) * len(chunk)):
            say("recovery, measuring")
            total += loss
        return ranks.sums_across_ranks(total)[0] / len(held_out)

    best, before = stored, measure(stored)
    lowest = before
    trainable = fill_trainable_block(factory, job, index, stored, rotations)
    if not trainable.parameters:  # scales that are no free floats and no norm in front of a linear; experts alone
        return Recovered(stored, before**0.5, before**0.5)
    draws = _draws(section, num_trained, job.recipe.calibration.seed + index)
    for _ in _train(trainable, section, partial(_set_gradients, trainable, targets, ranks), draws, say):
        candidate = trainable.trained(stored)
        loss = measure(candidate)
        if loss < lowest:  # never true of NaN
            best, lowest = candidate, loss
    # Steps of equal gradients may differ on unlike GPUs.
    kept = best if ranks.is_alone else ranks.told_tensors(best, device=job.device)
    return Recovered(kept, before**0.5, lowest**0.5)


def _split(num_sequences: int) -> tuple[int, Tensor]:
    """How many sequences are trained on, from the first, and the numbers of those that are measured."""
    num_held_out = held_out_sequences(num_sequences)
    num_trained = num_sequences - num_held_out
    # Too few sequences to hold any out, which the plan has warned of: measured on what is trained on.
    return num_trained, torch.arange(num_trained, num_sequences) if num_held_out else torch.arange(num_trained)


def _train(
    trainable: TrainableBlock,
    section: Recovery,
    set_gradients: Callable[[Tensor], None],
    draws: Iterator[Tensor],
    say: Callable[[str], None],
) -> Iterator[None]:
    """Take the steps, and stop wherever the block is to be measured."""
    optimizer = torch.optim.Adam(trainable.parameters, lr=section.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, section.steps)
    for step in range(1, section.steps + 1):
        say(f"recovery, step {step} of {section.steps}")
        set_gradients(next(draws))
        optimizer.step()
        schedule.step()
        if step % MEASURED_EVERY == 0 or step == section.steps:
            yield


def _set_gradients(trainable: TrainableBlock, targets: _Targets, ranks: Ranks, which_B: Tensor) -> None:
    """Of the mean loss over these sequences, summed over all ranks."""
    parameters = trainable.parameters
    for parameter in parameters:
        parameter.grad = None if ranks.is_alone else torch.zeros_like(parameter)
    for slopes in targets.in_chunks(which_B, partial(targets.slopes, trainable, len(which_B))):
        for parameter, slope in zip(parameters, slopes, strict=True):
            parameter.grad = slope if parameter.grad is None else parameter.grad + slope
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad = ranks.sum_across_ranks(parameter.grad.contiguous())


class _Targets:
    """What each token's hidden state behind the block should be, and how much its error counts.

    A token's squared error is taken relative to what the block has to do for it: ‖Δ‖² + ‖e‖², Δ what the original
    block adds and e the error the token arrives with. Relative to ‖Δ‖² alone, massive tokens would drown the others in
    the middle of the model, where blocks add little to them and their inherited error is large.
    """

    def __init__(self, factory: BlockFactory, index: int, streams: Streams, wanted: Hidden) -> None:
        self._factory, self._index = factory, index
        self._entering, self._wanted, self._first = streams.quantized, wanted, streams.first
        together = zip(*map(batches, (wanted, streams.exact, streams.quantized)), strict=True)
        self._size_BT = torch.cat([_size(*three) for three in together])

    def loss(self, block: nn.Module, which_B: Tensor, kv: KVQuantizer | None) -> Tensor:
        """Mean over tokens, with gradient."""
        left = self._factory.run_with_gradient(block, self._index, self._entering[which_B], kv)
        wanted, size = self._wanted[which_B].to(left), self._size_BT[which_B].to(left)
        return ((left - wanted).square().sum(-1) / size).mean()

    def slopes(self, trainable: TrainableBlock, num_sequences: int, which_B: Tensor) -> tuple[Tensor, ...]:
        """Of these sequences' part of the mean over so many, by each parameter."""
        part = self.loss(trainable.module, which_B, trainable.kv) * len(which_B) / num_sequences
        return torch.autograd.grad(part, trainable.parameters, allow_unused=True, materialize_grads=True)

    def in_chunks(self, which_B: Tensor, work: Callable[[Tensor], T]) -> Iterator[T]:
        """`work` on a few of these sequences at a time, as many as go through a block at once; only on what is here."""
        which_B = which_B[(which_B >= self._first) & (which_B < self._first + len(self._wanted))] - self._first
        seq_len = self._wanted.shape[1]
        yield from self._factory.batch.in_batches(range(len(which_B)), seq_len, lambda part: work(which_B[part]))


def _size(wanted_BTD: Tensor, exact_BTD: Tensor, quantized_BTD: Tensor) -> Tensor:
    """[B, T] what each token's squared error is relative to."""
    added = (wanted_BTD - exact_BTD).square().sum(-1)
    inherited = (quantized_BTD - exact_BTD).square().sum(-1)
    return (added + inherited).clamp(min=torch.finfo(torch.float32).tiny)


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
