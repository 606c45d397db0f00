"""Staying on the orthogonal group, or where it keeps the mean: polar factors, the Cayley map. One matrix or a stack."""

from __future__ import annotations

import torch
from torch import Tensor

# Muon's quintic: steep at zero, so that six iterations bring all but the smallest singular values to about one.
_QUINTIC = (3.4445, -4.7750, 2.0315)
_QUINTIC_ITERATIONS = 6


def orthogonalize(matrix: Tensor) -> Tensor:
    """The nearest orthogonal matrix of one that is almost orthogonal, float64, to round-off.

    Args:
        matrix: [..., D, D]; not modified.
    Source: Newton–Schulz iteration for the polar factor; converges for ‖RᵀR − I‖ < 1.
    """
    matrix = matrix.double()
    for _ in range(3):
        matrix = 1.5 * matrix - 0.5 * matrix @ (matrix.mT @ matrix)
    return matrix


def even_out(matrix: Tensor) -> Tensor:
    """A matrix with the same singular vectors and singular values of about one (0.7 to 1.2); skew stays skew.

    Directions that carry almost nothing stay small; a matrix of zeros stays zero.

    Args:
        matrix: [..., D, D]; not modified.
    Source: Muon (Jordan et al., 2024), quintic Newton–Schulz iteration.
    """
    linear, cubic, quintic = _QUINTIC
    norm = torch.linalg.matrix_norm(matrix, keepdim=True)
    matrix = matrix / norm.clamp(min=torch.finfo(matrix.dtype).tiny)
    for _ in range(_QUINTIC_ITERATIONS):
        gram = matrix @ matrix.mT
        matrix = linear * matrix + (cubic * gram + quintic * gram @ gram) @ matrix
    return matrix


def cayley(omega: Tensor) -> Tensor:
    """(I − Ω/2)⁻¹(I + Ω/2): orthogonal for skew-symmetric Ω, [..., D, D]."""
    eye = torch.eye(omega.shape[-1], dtype=omega.dtype, device=omega.device)
    return torch.linalg.solve(eye - omega / 2, eye + omega / 2)


def without_mean(omega: Tensor) -> Tensor:
    """The part of a skew-symmetric Ω that leaves the mean of what it turns alone: PΩP with P = I − 11ᵀ/D."""
    omega = omega - omega.mean(-1, keepdim=True)
    return omega - omega.mean(-2, keepdim=True)


def keep_mean(rotation_DD: Tensor) -> Tensor:
    """A rotation near this one that LayerNorm commutes with: it leaves the mean of every vector as it is.

    With v = 1/√D, R has to fix v. R' = R·P, where P turns Rᵀv to v in the plane of both: a change of rank two, small
    for R that spread every vector, none for R that fix v.

    Args:
        rotation_DD: orthogonal, float64; not modified.
    """
    width = rotation_DD.shape[0]
    mean_D = torch.full((width,), width**-0.5, dtype=rotation_DD.dtype, device=rotation_DD.device)
    moved_D = rotation_DD.T @ mean_D
    if moved_D @ mean_D < 0:  # near the opposite vector the plane is not known
        rotation_DD, moved_D = -rotation_DD, -moved_D
    plane = torch.outer(moved_D, mean_D) - torch.outer(mean_D, moved_D)
    turned = rotation_DD @ plane
    return rotation_DD + turned + turned @ plane / (1 + moved_D @ mean_D)
