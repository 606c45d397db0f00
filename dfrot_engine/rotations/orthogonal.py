"""Staying on the orthogonal group: polar factors and the Cayley map. One matrix or a stack of them."""

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
