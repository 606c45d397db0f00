"""Tokens with a known structure, for tests of rotations."""

from __future__ import annotations

import torch
from torch import Tensor

from dfrot_engine.recipe import ActivationScheme
from dfrot_engine.rotations.data import RotationData
from dfrot_engine.rotations.losses import rounding_loss
from dfrot_engine.rotations.random import random_orthogonal

WIDTH = 48
EYE = torch.eye(WIDTH, dtype=torch.float64)


def planted_rows(num_rows: int = 4_000, num_massive: int = 40) -> tuple[Tensor, Tensor]:
    """Gaussian tokens, louder in some directions, a few with all energy in two coordinates; and which ones."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(num_rows, WIDTH, generator=generator) * torch.logspace(-1, 0.5, WIDTH)
    rows = rows @ random_orthogonal(WIDTH, 9).float()
    rows[:num_massive] *= 0.05
    rows[:num_massive, 5] += 6.0
    rows[:num_massive, 11] -= 3.0
    return rows, torch.arange(num_rows) < num_massive


def data_of(rows_ND: Tensor, is_massive_N: Tensor | None = None, *, symmetric: bool = True) -> RotationData:
    if is_massive_N is None:
        is_massive_N = torch.zeros(len(rows_ND), dtype=torch.bool)
    scheme = ActivationScheme(symmetric=symmetric)
    return RotationData(rows_ND, torch.ones(len(rows_ND)), is_massive_N, scheme, RowsNetwork(rows_ND, scheme))


class RowsNetwork:
    """Stands for a model: its sequences are groups of rows, its loss the mean rounding error of theirs."""

    def __init__(self, rows_ND: Tensor, scheme: ActivationScheme) -> None:
        self._rows_ND, self._scheme = rows_ND, scheme
        self.num_sequences = 8 if len(rows_ND) >= 64 else 1
        self.asked: list[tuple[int, ...]] = []

    def loss(self, rotation_DD: Tensor, which_B: Tensor) -> float:
        rows = self._rows(which_B)
        return float(rounding_loss(rows @ rotation_DD.float(), self._scheme)[0].mean())

    def loss_and_gradient(self, rotation_DD: Tensor, which_B: Tensor) -> tuple[float, Tensor]:
        self.asked.append(tuple(which_B.tolist()))
        rows = self._rows(which_B)
        loss, gradient = rounding_loss(rows @ rotation_DD.float(), self._scheme)
        return float(loss.mean()), rows.T @ gradient / len(rows)

    def _rows(self, which_B: Tensor) -> Tensor:
        return torch.cat([self._rows_ND.tensor_split(self.num_sequences)[number] for number in which_B.tolist()])


def planted(*, symmetric: bool = True) -> RotationData:
    return data_of(*planted_rows(), symmetric=symmetric)


def deviation(rotation_DD: Tensor) -> float:
    return float((rotation_DD.T @ rotation_DD - torch.eye(len(rotation_DD), dtype=torch.float64)).abs().max())
