"""Random rotations: orthogonal ones, and Hadamard matrices with random signs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from dfrot_engine.hadamard_orders import HadamardOrder, hadamard_order
from dfrot_engine.rotations.hadamard import hadamard_matrix, hadamard_transform


@dataclass(frozen=True)
class HadamardRotation:
    """R = diag(signs) · H/√n, applied without ever building it.

    Args:
        order: how H is made.
        signs: [n] ±1.
    """

    order: HadamardOrder
    signs: Tensor

    def apply(self, values: Tensor) -> Tensor:
        """values @ R over the last dimension."""
        return hadamard_transform(values * self.signs.to(values), self.order)

    def matrix(self) -> Tensor:
        """R as [n, n] float64."""
        return self.signs.double()[:, None] * hadamard_matrix(self.order).to(self.signs.device)

    def split(self) -> tuple[HadamardRotation, Tensor]:
        """The same without signs, and the signs that stand in front of it."""
        return HadamardRotation(self.order, torch.ones_like(self.signs)), self.signs

    def to(self, device: torch.device) -> HadamardRotation:
        return HadamardRotation(self.order, self.signs.to(device))


def random_signs(width: int, seed: int) -> Tensor:
    """[width] float64 of ±1; the same for the same seed on every device."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 2, (width,), generator=generator).double() * 2 - 1


def random_hadamard(width: int, seed: int) -> HadamardRotation:
    return HadamardRotation(hadamard_order(width), random_signs(width, seed))


def random_orthogonal(width: int, seed: int) -> Tensor:
    """[width, width] float64, uniform over the orthogonal group.

    Source: Mezzadri, "How to generate random matrices from the classical compact groups" (2007).
    """
    generator = torch.Generator().manual_seed(seed)
    gaussian = torch.randn(width, width, generator=generator, dtype=torch.float64)
    q, r = torch.linalg.qr(gaussian)
    return q * torch.sign(torch.diagonal(r))


def random_start(kind: Literal["hadamard", "random-orthogonal"], width: int, seed: int) -> Tensor:
    """[width, width] float64, the rotation a refinement starts from."""
    return random_hadamard(width, seed).matrix() if kind == "hadamard" else random_orthogonal(width, seed)
