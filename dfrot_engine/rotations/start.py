"""The rotation that a refinement starts from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from dfrot_engine.recipe import Cayley, Descent, DFRot, Whip
from dfrot_engine.rotation_file import START_FIELD
from dfrot_engine.rotations.data import RotationData
from dfrot_engine.rotations.from_file import load_rotation
from dfrot_engine.rotations.householder import householder_rotation
from dfrot_engine.rotations.orthogonal import keep_mean
from dfrot_engine.rotations.random import random_start


def start_rotation(section: DFRot | Descent | Whip | Cayley, width: int, data: RotationData) -> Tensor:
    """[width, width] float64, orthogonal.

    Raises:
        RecipeError: the saved rotation that is named is not there, or does not fit.
    """
    start = _STARTS[section.start](section, width, data)
    return keep_mean(start) if data.keeps_mean else start


def _hadamard(section: Any, width: int, _data: RotationData) -> Tensor:
    return random_start("hadamard", width, section.seed)


def _random_orthogonal(section: Any, width: int, _data: RotationData) -> Tensor:
    return random_start("random-orthogonal", width, section.seed)


def _householder(section: Any, width: int, data: RotationData) -> Tensor:
    return householder_rotation(data, width, section.seed)


def _from_file(section: Any, width: int, _data: RotationData) -> Tensor:
    return load_rotation(section.start_path, width, START_FIELD)


_STARTS: dict[str, Callable[[Any, int, RotationData], Tensor]] = {
    "hadamard": _hadamard,
    "random-orthogonal": _random_orthogonal,
    "householder": _householder,
    "from-file": _from_file,
    "dfrot": _hadamard,  # DFRot itself begins there, and is the first part of the refinement
}
