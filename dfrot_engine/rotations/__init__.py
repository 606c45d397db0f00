"""Rotation recipe → rotation. One builder for each section of the recipe; `r1_steps` fits them to a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch

from dfrot_engine.architectures.base import Architecture
from dfrot_engine.errors import RecipeError
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
from dfrot_engine.rotation_file import FIELD
from dfrot_engine.rotations.cayley import build_cayley
from dfrot_engine.rotations.data import RotationData, RotationStep
from dfrot_engine.rotations.descent import build_descent, build_whip
from dfrot_engine.rotations.dfrot import build_dfrot
from dfrot_engine.rotations.from_file import build_from_file
from dfrot_engine.rotations.householder import build_householder
from dfrot_engine.rotations.orthogonal import keep_mean
from dfrot_engine.rotations.random import random_hadamard, random_orthogonal

__all__ = ["BUILDERS", "Builder", "RotationData", "RotationStep", "r1_steps"]

_MOST_MOVED = 1e-6  # of the mean, by a rotation that is used as it was saved


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


def r1_steps(section: Any, sizes: Architecture, data: RotationData | None) -> Iterator[RotationStep]:
    """R1 as its builder makes it; where the model's norms subtract the mean, such that it leaves the mean alone.

    Raises:
        RecipeError: a saved rotation does not fit the model.
    """
    build = BUILDERS[type(section)]
    if not sizes.norms_subtract_mean:
        yield from build(section, sizes.hidden_size, data)
        return
    for step in build(section, sizes.hidden_size, data and replace(data, keeps_mean=True)):
        kept_DD = keep_mean(step.rotation_DD)
        if isinstance(section, FromFile) and float((kept_DD - step.rotation_DD).abs().max()) > _MOST_MOVED:
            raise RecipeError(
                f"{section.path} moves the mean of the hidden states, which this model's norms subtract.",
                "Choose a rotation that a run of such a model saved, or start a refinement from this one.",
                FIELD,
            )
        yield replace(step, rotation_DD=kept_DD)
