"""Saved rotations, checked and brought to full precision."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dfrot_engine.errors import DFRotError, RecipeError
from dfrot_engine.recipe import FromFile
from dfrot_engine.rotation_file import FIELD, find_rotation, rotation_path
from dfrot_engine.rotations.data import RotationData, RotationStep
from dfrot_engine.rotations.orthogonal import orthogonalize
from dfrot_engine.rotations.rotation_set import RotationSet

_TOLERANCE = 1e-3
_POLISHED = 1e-10


def build_from_file(section: FromFile, width: int, _data: RotationData | None) -> Iterator[RotationStep]:
    yield RotationStep(0, 0.0, load_rotation(section.path, width))


def load_rotation(path: str, width: int, field: str = FIELD) -> Tensor:
    """[width, width] float64, orthogonal to round-off.

    Args:
        path: a file, or a name in the rotation library behind "library:".
        field: of the recipe, for messages.
    Raises:
        RecipeError: no such file, not readable, of another width, or not orthogonal.
    """
    file, name = find_rotation(path, width, field)
    try:
        if name:
            with safe_open(file, "pt") as tensors:
                matrix = tensors.get_tensor(name).double()
        else:
            matrix = torch.from_numpy(np.array(np.lib.format.open_memmap(file, mode="r"), dtype=np.float64))
    except (OSError, ValueError, SafetensorError) as error:
        raise RecipeError(f"{file.name} cannot be read: {error}.", "Save the rotation again.", field) from None
    rotation, deviation = orthogonalize(matrix), _deviation(matrix)
    # Written so that NaN fails.
    if not (deviation <= _TOLERANCE and _deviation(rotation) <= _POLISHED):
        raise RecipeError(
            f"The matrix in {file.name} is not orthogonal: RᵀR differs from the identity by {deviation:.2g}, "
            f"more than {_TOLERANCE:g}.",
            "Save R itself, unscaled, in 32 or 64 bits.",
            field,
        )
    return rotation


def load_rotation_set(path: str, field: str = FIELD) -> RotationSet:
    """Everything a run saved in one file, R1 to R4, as it was saved; R2 and R4 are checked, for nothing polishes them.

    Args:
        path: a .safetensors file that a run left, or a name in the rotation library behind "library:".
        field: of the recipe, for messages.
    Raises:
        RecipeError: no such file, not readable, not written by a run, or changed since.
    """
    try:
        rotations = RotationSet.load(rotation_path(path))
    except DFRotError as error:
        raise RecipeError(error.message, "Choose a file that a run saved, or a name from the library.", field) from None
    except (KeyError, TypeError, ValueError):
        message = f"{path} does not describe its rotations as a run does."
        raise RecipeError(message, "Choose a file that a run saved, or a name from the library.", field) from None
    stacks = (*(rotations.r2 or ()), *(rotations.r4_segments or ()))
    are_rotations = all(_deviation(stack) <= _POLISHED for stack in stacks)
    are_orders = all(one.sort().values.equal(torch.arange(len(one))) for one in rotations.channels or ())
    signs = rotations.channel_signs
    are_signs = signs is None or (rotations.r4 is not None and bool(signs.abs().eq(1).all()))
    if not (are_rotations and are_orders and are_signs):
        message = f"{path} does not hold rotations any more: a part of R2 or R4 is not orthogonal."
        raise RecipeError(message, "Choose another file, or run the recipe again that made it.", field)
    return rotations


def _deviation(matrix: Tensor) -> float:
    """Largest entry of |RᵀR − I|, of one matrix or a stack."""
    return float((matrix.mT @ matrix - torch.eye(matrix.shape[-1], dtype=matrix.dtype)).abs().max())
