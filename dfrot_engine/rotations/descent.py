"""Descend any loss of the rotated tokens on the orthogonal group, batch by batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from dfrot_engine.recipe import Descent, Whip
from dfrot_engine.rotations.blocks import slope_of_segments, turn_segments
from dfrot_engine.rotations.data import RotationData, RotationStep
from dfrot_engine.rotations.dfrot import refine
from dfrot_engine.rotations.losses import Loss, rounding_loss, whip_loss
from dfrot_engine.rotations.orthogonal import cayley, even_out, orthogonalize, without_mean
from dfrot_engine.rotations.start import start_rotation

_CHUNK_ROWS = 8_192
_HELD_OUT = 8  # every eighth row, or fewer
_MOST_HELD_OUT = 8_192
_FEWEST_ROWS = 512  # below, the same rows serve both ends
_MOMENTUM = 0.9
_REPORT_EVERY = 10
_MOST_START_STEPS = 100


def build_descent(section: Descent, width: int, data: RotationData | None) -> Iterator[RotationStep]:
    assert data is not None, "descent learns from activations"
    start = _start(section, width, data)
    weight = data.weight(section.massive_weight, start)
    loss = partial(rounding_loss, scheme=data.scheme)
    taken = 0
    if section.start == "dfrot":
        most = min(_MOST_START_STEPS, section.steps // 2)
        # Told by the same rows as the descent, so that both are one curve.
        measure = held_out_loss(data.rows_ND, weight, loss)
        best = math.inf
        for step in refine(data.rows_ND, weight, start, data.quantize, steps=most, keeps_mean=data.keeps_mean):
            now = RotationStep(step.index, measure(step.rotation_DD), step.rotation_DD)
            yield now
            taken = step.index
            if now.loss < best:
                best, start = now.loss, now.rotation_DD
    for step in _descend(section, data, weight, start, loss, steps=section.steps - taken):
        yield replace(step, index=step.index + taken)


def build_whip(section: Whip, width: int, data: RotationData | None) -> Iterator[RotationStep]:
    assert data is not None, "whip learns from activations"
    start = start_rotation(section, width, data)
    return _descend(section, data, data.share_N, start, whip_loss, steps=section.steps)


def _start(section: Descent, width: int, data: RotationData) -> Tensor:
    return start_rotation(section, width, data)


def _descend(
    section: Descent | Whip, data: RotationData, weight_N: Tensor, start_DD: Tensor, loss: Loss, *, steps: int
) -> Iterator[RotationStep]:
    return descend(
        data.rows_ND,
        weight_N,
        start_DD,
        loss,
        steps=steps,
        batch_rows=section.batch_rows,
        learning_rate=section.learning_rate,
        seed=section.seed,
        keeps_mean=data.keeps_mean,
    )


def descend(
    rows_ND: Tensor,
    weight_N: Tensor,
    start: Tensor,
    loss: Loss,
    *,
    steps: int,
    batch_rows: int,
    learning_rate: float,
    seed: int,
    owner_M: Tensor | None = None,
    keeps_mean: bool = False,
) -> Iterator[RotationStep]:
    """Riemannian descent with evened-out momentum.

    With Y = XR and g the loss's gradient by Y, the slope along R·exp(Ω) is skew(RᵀXᵀdiag(w)g) = skew(Yᵀdiag(w)g).
    Its momentum is brought to singular values of about one, so that every plane turns by about the learning rate,
    which falls to zero along a cosine; the loss's size plays no part.

    Args:
        rows_ND: float32 or bfloat16 tokens before rotation.
        weight_N: float32 weight of each token in the loss.
        start: orthogonal, float64: [D, D], or [G, S, S] for rotations that turn segments of D by themselves.
        loss: rotated tokens → loss of each and its gradient.
        batch_rows: rows in each step, drawn without replacement until all have had their turn.
        learning_rate: angle of the first step, in radians.
        owner_M: which of the G rotations turns each segment, see `turn_segments`.
        keeps_mean: whether the start leaves the mean of what it turns alone, and every step has to.
    Yields:
        The start and every tenth step, with the loss on rows held out of the batches, scaled to all rows; the last one
        is the best of them.
    """
    _, rest_N = _split(weight_N)
    measure = held_out_loss(rows_ND, weight_N, loss, owner_M)
    rotation = start.to(rows_ND.device, torch.float64)
    best = RotationStep(0, measure(rotation), rotation)
    yield best
    turn = rotation.float().reshape(-1, *rotation.shape[-2:])
    momentum = torch.zeros_like(turn)
    for index, batch in enumerate(_batches(rest_N, batch_rows, steps, seed), start=1):
        if best.loss == 0.0:
            return
        rotated = turn_segments(rows_ND[batch].float(), turn, owner_M)
        gradient = loss(rotated)[1] * weight_N[batch, None]
        slope = slope_of_segments(rotated, gradient, len(turn), owner_M)
        momentum = _MOMENTUM * momentum + (without_mean(slope) if keeps_mean else slope)
        rate = learning_rate * (1 + math.cos(math.pi * (index - 1) / steps)) / 2
        turn = turn @ cayley(-rate * even_out(momentum))
        if index % _REPORT_EVERY and index < steps:
            continue
        rotation = orthogonalize(turn).reshape(start.shape)
        turn = rotation.float().reshape(turn.shape)
        now = RotationStep(index, measure(rotation), rotation)
        best = now if now.loss < best.loss else best
        yield now if index < steps else replace(best, index=index)


def held_out_loss(
    rows_ND: Tensor, weight_N: Tensor, loss: Loss, owner_M: Tensor | None = None
) -> Callable[[Tensor], float]:
    """Rotation → weighted loss of the rows that batches leave out, scaled to all rows."""
    held_N, _ = _split(weight_N)
    rows, weight = rows_ND[held_N], weight_N[held_N]
    scale = float(weight_N.double().sum() / weight.double().sum().clamp(min=1e-300))
    return lambda rotation: scale * _loss(rows, weight, rotation, loss, owner_M)


def _split(weight_N: Tensor) -> tuple[Tensor, Tensor]:
    """Rows that are held out, and the rest; light and heavy ones are split alike."""
    order = weight_N.argsort(descending=True, stable=True)
    if len(order) < _FEWEST_ROWS:
        return order, order
    every = max(_HELD_OUT, -(-len(order) // _MOST_HELD_OUT))
    is_held = torch.arange(len(order), device=order.device) % every == every // 2
    return order[is_held], order[~is_held]


def _batches(rows_N: Tensor, batch_rows: int, steps: int, seed: int) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    size = min(batch_rows, len(rows_N))
    pool = torch.empty(0, dtype=torch.long)
    for _ in range(steps):
        if len(pool) < size:
            pool = torch.randperm(len(rows_N), generator=generator)
        yield rows_N[pool[:size].to(rows_N.device)]
        pool = pool[size:]


def _loss(rows: Tensor, weight: Tensor, rotation: Tensor, loss: Loss, owner_M: Tensor | None) -> float:
    turn = rotation.float().reshape(-1, *rotation.shape[-2:])
    total = torch.zeros((), dtype=torch.float64, device=rows.device)
    for chunk, chunk_weight in zip(rows.split(_CHUNK_ROWS), weight.split(_CHUNK_ROWS), strict=True):
        total += (chunk_weight * loss(turn_segments(chunk.float(), turn, owner_M))[0]).double().sum()
    return float(total)
