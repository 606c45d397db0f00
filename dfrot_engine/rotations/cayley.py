"""Learn R1 through the whole model by descent on the orthogonal group, as SpinQuant does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from dfrot_engine.recipe import Cayley
from dfrot_engine.rotations.data import NetworkLoss, RotationData, RotationStep
from dfrot_engine.rotations.orthogonal import cayley, even_out, orthogonalize, without_mean
from dfrot_engine.rotations.start import start_rotation

_MOMENTUM = 0.9
_REPORT_EVERY = 5
_HELD_OUT = 4  # one sequence of so many


def build_cayley(section: Cayley, width: int, data: RotationData | None) -> Iterator[RotationStep]:
    assert data is not None, "cayley learns on the data's device"
    assert data.network is not None, "cayley learns through the model"
    start = start_rotation(section, width, data).to(data.rows_ND.device)
    return descend_network(
        data.network,
        start,
        steps=section.steps,
        batch_size=section.batch_size,
        learning_rate=section.learning_rate,
        seed=section.seed,
        keeps_mean=data.keeps_mean,
    )


def descend_network(
    network: NetworkLoss,
    start_DD: Tensor,
    *,
    steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    keeps_mean: bool = False,
) -> Iterator[RotationStep]:
    """Riemannian descent on the network's loss, a few calibration sequences a step.

    With G the loss's gradient by R, the slope along R·exp(Ω) is skew(RᵀG). Its momentum is brought to singular values
    of about one, so that every plane turns by about the learning rate, which falls to zero along a line.

    Args:
        start_DD: orthogonal, float64.
        batch_size: sequences in each step, drawn without replacement until all have had their turn.
        learning_rate: angle of the first step, in radians.
        keeps_mean: whether the start leaves the mean of every token alone, and every step has to.
    Yields:
        The start and every fifth step, with the loss on the quarter of the sequences that no step learns from; the
        last one is the best of them.
    Source: SpinQuant (arXiv:2405.16406), with the Cayley retraction of Li et al. (arXiv:2002.01113) solved exactly
        and the momentum evened out as in Muon.
    """
    held, rest = _split(network.num_sequences)
    best = RotationStep(0, network.loss(start_DD, held), start_DD)
    yield best
    turn = start_DD.float()
    momentum = torch.zeros_like(turn)
    for index, batch in enumerate(_batches(rest, batch_size, steps, seed), start=1):
        _, gradient = network.loss_and_gradient(turn, batch)
        slope = turn.T @ gradient
        slope = (slope - slope.T) / 2
        momentum = _MOMENTUM * momentum + (without_mean(slope) if keeps_mean else slope)
        rate = learning_rate * (1 - (index - 1) / steps)
        turn = turn @ cayley(-rate * even_out(momentum))
        if index % _REPORT_EVERY and index < steps:
            continue
        rotation = orthogonalize(turn)
        turn = rotation.float()
        now = RotationStep(index, network.loss(rotation, held), rotation)
        best = now if now.loss < best.loss else best
        yield now if index < steps else replace(best, index=index)


def _split(num_sequences: int) -> tuple[Tensor, Tensor]:
    """The sequences held out, at least one, and the rest; a single one serves both ends."""
    numbers = torch.arange(num_sequences)
    num_held = max(1, num_sequences // _HELD_OUT)
    return numbers[-num_held:], numbers[:-num_held] if num_sequences > 1 else numbers


def _batches(numbers: Tensor, size: int, steps: int, seed: int) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    pool = torch.empty(0, dtype=torch.long)
    for _ in range(steps):
        if len(pool) < min(size, len(numbers)):
            pool = numbers[torch.randperm(len(numbers), generator=generator)]
        yield pool[:size]
        pool = pool[size:]
