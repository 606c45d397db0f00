"""Rotation recipe → rotation. One builder for each section of the recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dfrot_engine.recipe import DFRot, Hadamard, NoRotation, RandomOrthogonal
from dfrot_engine.rotations.dfrot import Quantizer, RotationStep, refine
from dfrot_engine.rotations.random import random_hadamard, random_orthogonal


@dataclass(frozen=True)
class RotationData:
    """What a learned rotation learns from.

    Args:
        rows_ND: float32 tokens, norms' gains left out.
        share_N: how many tokens of the calibration text each row stands for.
        is_massive_N: bool.
        quantize: the activation quantizer that is deployed.
    """

    rows_ND: Tensor
    share_N: Tensor
    is_massive_N: Tensor
    quantize: Quantizer


def build_none(_section: NoRotation, width: int, _data: RotationData | None) -> Iterator[RotationStep]:
    yield RotationStep(0, 0.0, torch.eye(width, dtype=torch.float64))


def build_random_orthogonal(
    section: RandomOrthogonal, width: int, _data: RotationData | None
) -> Iterator[RotationStep]:
    yield RotationStep(0, 0.0, random_orthogonal(width, section.seed))


def build_hadamard(section: Hadamard, width: int, _data: RotationData | None) -> Iterator[RotationStep]:
    yield RotationStep(0, 0.0, random_hadamard(width, section.seed).matrix())


def build_dfrot(section: DFRot, width: int, data: RotationData | None) -> Iterator[RotationStep]:
    assert data is not None, "dfrot learns from activations"
    if section.start == "hadamard":
        start = random_hadamard(width, section.seed).matrix()
    else:
        start = random_orthogonal(width, section.seed)
    weight = data.share_N * torch.where(data.is_massive_N, section.massive_weight**2, 1.0).to(data.share_N)
    return refine(data.rows_ND, weight, start, data.quantize, steps=section.steps)


Builder = Callable[[Any, int, RotationData | None], Iterator[RotationStep]]

BUILDERS: dict[type, Builder] = {
    NoRotation: build_none,
    RandomOrthogonal: build_random_orthogonal,
    Hadamard: build_hadamard,
    DFRot: build_dfrot,
}

LEARNED = (DFRot,)  # sections whose builder needs RotationData
