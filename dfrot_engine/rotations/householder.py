"""A rotation for asymmetric grids: what all tokens have in common becomes a constant, which costs nothing there."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from dfrot_engine.recipe import Householder
from dfrot_engine.rotations.data import RotationData, RotationStep
from dfrot_engine.rotations.random import random_hadamard

_CHUNK_ROWS = 8_192


def build_householder(section: Householder, width: int, data: RotationData | None) -> Iterator[RotationStep]:
    assert data is not None, "householder learns from activations"
    yield RotationStep(0, 0.0, householder_rotation(data, width, section.seed))


def householder_rotation(data: RotationData, width: int, seed: int) -> Tensor:
    """[width, width] float64: tokens' principal component to the constant vector, the rest as with Hadamard."""
    hadamard = random_hadamard(width, seed).matrix().to(data.rows_ND.device)
    common_D = principal_component(data.rows_ND, data.share_N)
    # Hadamard takes this vector to the constant one, so the reflection has to meet it.
    target_D = hadamard.sum(1) / width**0.5
    return reflect(hadamard, common_D, target_D)


def principal_component(rows_ND: Tensor, weight_N: Tensor) -> Tensor:
    """[D] float64 unit vector with the most weighted energy, not centred; its largest entry is positive."""
    width = rows_ND.shape[1]
    gram = torch.zeros(width, width, dtype=torch.float64, device=rows_ND.device)
    for chunk, weight in zip(rows_ND.split(_CHUNK_ROWS), weight_N.split(_CHUNK_ROWS), strict=True):
        gram += (chunk.T @ (chunk * weight[:, None])).double()
    vector = torch.linalg.eigh(gram).eigenvectors[:, -1]
    return vector * vector[vector.abs().argmax()].sign()


def reflect(matrix_DD: Tensor, from_D: Tensor, to_D: Tensor) -> Tensor:
    """P·M with the Householder reflection P that swaps two unit vectors.

    Source: Householder (1958); the use for a common offset follows OffQ (arXiv:2606.07116).
    """
    normal = from_D - to_D
    square = normal.square().sum()
    if float(square) < 1e-24:
        return matrix_DD.clone()
    return matrix_DD - torch.outer(normal, normal @ matrix_DD) * (2 / square)
