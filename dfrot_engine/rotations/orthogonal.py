"""Staying on the orthogonal group: polar factors and the Cayley map."""

from __future__ import annotations

import torch
from torch import Tensor

# Muon's quintic: steep at zero, so that six iterations bring all but the smallest singular values to about one.
_QUINTIC = (3.4445, -4.7750, 2.0315)
_QUINTIC_ITERATIONS = 6


def orthogonalize(matrix_DD: Tensor) -> Tensor:
    """The nearest orthogonal matrix of one that is almost orthogonal, float64, to round-off.

    Source: Newton–Schulz iteration for the polar factor; converges for ‖RᵀR − I‖ < 1.
    """
    matrix = matrix_DD.double()
    for _ in range(3):
        matrix = 1.5 * matrix - 0.5 * matrix @ (matrix.T @ matrix)
    return matrix


def even_out(matrix_DD: Tensor) -> Tensor:
    """A matrix with the same singular vectors and singular values of about one (0.7 to 1.2); skew stays skew.

    Directions that carry almost nothing stay small; a matrix of zeros stays zero.

    Source: Muon (Jordan et al., 2024), quintic Newton–Schulz iteration.
    """
    linear, cubic, quintic = _QUINTIC
    matrix = matrix_DD / matrix_DD.norm().clamp(min=torch.finfo(matrix_DD.dtype).tiny)
    for _ in range(_QUINTIC_ITERATIONS):
        gram = matrix @ matrix.T
        matrix = linear * matrix + (cubic * gram + quintic * gram @ gram) @ matrix
    return matrix


def cayley(omega_DD: Tensor) -> Tensor:
    """(I − Ω/2)⁻¹(I + Ω/2): orthogonal for skew-symmetric Ω."""
    eye = torch.eye(omega_DD.shape[0], dtype=omega_DD.dtype, device=omega_DD.device)
    return torch.linalg.solve(eye - omega_DD / 2, eye + omega_DD / 2)
