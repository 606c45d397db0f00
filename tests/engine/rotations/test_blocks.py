from __future__ import annotations

import torch

from dfrot_engine.rotations.blocks import slope_of_segments, turn_segments
from dfrot_engine.rotations.random import random_orthogonal

OWNER = torch.tensor([0, 0, 1, 1, 2, 2])


def rotations(num: int, size: int = 4) -> torch.Tensor:
    return torch.stack([random_orthogonal(size, seed) for seed in range(num)])


def rows(width: int) -> torch.Tensor:
    return torch.randn(5, 7, width, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def test_turning_segments_is_a_block_diagonal_product() -> None:
    turns = rotations(3)
    values = rows(12)
    assert torch.allclose(turn_segments(values, turns), values @ torch.block_diag(*turns), atol=1e-12)


def test_segments_that_share_a_rotation() -> None:
    turns = rotations(3)
    values = rows(24)
    expected = values @ torch.block_diag(*turns[OWNER])
    assert torch.allclose(turn_segments(values, turns, OWNER), expected, atol=1e-12)


def test_a_single_segment_is_a_plain_product() -> None:
    turns = rotations(1, 12)
    values = rows(12)
    assert torch.allclose(turn_segments(values, turns), values @ turns[0], atol=1e-12)


def test_the_slope_is_the_derivative_along_the_group() -> None:
    """d/dε f(X·R·exp(εΩ)) = Σ slope·Ω for f = Σ y³ and any skew Ω."""
    turns, values = rotations(3), rows(24).flatten(0, 1)
    rotated = turn_segments(values, turns, OWNER)
    slope = slope_of_segments(rotated, 3 * rotated.square(), 3, OWNER)
    raw = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    omega = raw - raw.mT
    step = 1e-6

    def loss(epsilon: float) -> float:
        return float(turn_segments(values, turns @ torch.linalg.matrix_exp(epsilon * omega), OWNER).pow(3).sum())

    derivative = (loss(step) - loss(-step)) / (2 * step)
    assert abs(derivative - float((slope * omega).sum())) < 1e-5 * abs(derivative)
