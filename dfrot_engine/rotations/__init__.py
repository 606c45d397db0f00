"""Rotation recipe → rotation. One builder for each section of the recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from dfrot_engine.recipe import (
    Cayley,
    Descent,
    DFRot,
    FromFile,
    Hadamard,
    Householder,
    NoRotation,
    RandomOrthogonal,
    Whip,
)
from dfrot_engine.rotations.cayley import build_cayley
from dfrot_engine.rotations.data import RotationData, RotationStep
from dfrot_engine.rotations.descent import build_descent, build_whip
from dfrot_engine.rotations.dfrot import build_dfrot
from dfrot_engine.rotations.from_file import build_from_file
from dfrot_engine.rotations.householder import build_householder
from dfrot_engine.rotations.random import random_hadamard, random_orthogonal

__all__ = ["BUILDERS", "Builder", "RotationData", "RotationStep"]


def build_none(_section: NoRotation, width: int, _data: RotationData | None) -> Iterator[RotationStep]:
    yield RotationStep(0, 0.0, torch.eye(width, dtype=torch.float64))


def build_random_orthogonal(
    section: RandomOrthogonal, width: int, _data: RotationData | None
) -> Iterator[RotationStep]:
    yield RotationStep(0, 0.0, random_orthogonal(width, section.seed))


def build_hadamard(section: Hadamard, width: int, _data: RotationData | None) -> Iterator[RotationStep]:
    yield RotationStep(0, 0.0, random_hadamard(width, section.seed).matrix())


Builder = Callable[[Any, int, RotationData | None], Iterator[RotationStep]]

BUILDERS: dict[type, Builder] = {
    NoRotation: build_none,
    RandomOrthogonal: build_random_orthogonal,
    Hadamard: build_hadamard,
    Householder: build_householder,
    DFRot: build_dfrot,
    Descent: build_descent,
    Whip: build_whip,
    Cayley: build_cayley,
    FromFile: build_from_file,
}
