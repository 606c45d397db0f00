"""A rotation of the user's own, checked and brought to full precision."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dfrot_engine.errors import RecipeError
from dfrot_engine.recipe import FromFile
from dfrot_engine.rotation_file import FIELD, find_rotation
from dfrot_engine.rotations.data import RotationData, RotationStep
from dfrot_engine.rotations.orthogonal import orthogonalize

_TOLERANCE = 1e-3
_POLISHED = 1e-10


def build_from_file(section: FromFile, width: int, _data: RotationData | None) -> Iterator[RotationStep]:
    yield RotationStep(0, 0.0, load_rotation(section.path, width))


def load_rotation(path: str, width: int) -> Tensor:
    """[width, width] float64, orthogonal to round-off.

    Raises:
        RecipeError: no such file, not readable, of another width, or not orthogonal.
    """
    file, name = find_rotation(path, width)
    try:
        if name:
            with safe_open(file, "pt") as tensors:
                matrix = tensors.get_tensor(name).double()
        else:
            matrix = torch.from_numpy(np.array(np.lib.format.open_memmap(file, mode="r"), dtype=np.float64))
    except (OSError, ValueError, SafetensorError) as error:
        raise RecipeError(f"{file.name} cannot be read: {error}.", "Save the rotation again.", FIELD) from None
    rotation, deviation = orthogonalize(matrix), _deviation(matrix)
    # Written so that NaN fails.
    if not (deviation <= _TOLERANCE and _deviation(rotation) <= _POLISHED):
        raise RecipeError(
            f"The matrix in {file.name} is not orthogonal: RᵀR differs from the identity by {deviation:.2g}, "
            f"more than {_TOLERANCE:g}.",
            "Save R itself, unscaled, in 32 or 64 bits.",
            FIELD,
        )
    return rotation


def _deviation(matrix_DD: Tensor) -> float:
    return float((matrix_DD.T @ matrix_DD - torch.eye(len(matrix_DD), dtype=matrix_DD.dtype)).abs().max())
