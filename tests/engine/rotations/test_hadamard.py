from __future__ import annotations

import pytest
import torch

from dfrot_engine.hadamard_orders import hadamard_order
from dfrot_engine.rotations.hadamard import hadamard_matrix, hadamard_transform
from dfrot_engine.rotations.random import random_hadamard, random_orthogonal

# Powers of two; Paley 1 (12, 20, 44, 60, 84); Paley 2 (28, 36, 52 and 100 over GF(p²), 76, 148); products; blocks.
WIDTHS = (1, 2, 64, 512, 12, 20, 28, 36, 40, 44, 52, 60, 76, 84, 100, 148, 576, 896, 1536, 86, 172)


@pytest.mark.parametrize("width", WIDTHS)
def test_matrix_is_orthogonal_with_entries_of_one_size(width: int) -> None:
    order = hadamard_order(width)
    matrix = hadamard_matrix(order)
    assert order.width == width
    assert torch.allclose(matrix.T @ matrix, torch.eye(width, dtype=torch.float64), atol=1e-12)
    entries = matrix[matrix != 0].abs()
    assert torch.allclose(entries, torch.full_like(entries, (order.base * order.power) ** -0.5), atol=1e-14)


@pytest.mark.parametrize("width", WIDTHS)
def test_transform_is_the_matrix(width: int) -> None:
    order = hadamard_order(width)
    values = torch.randn(3, 2, width, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    matrix = hadamard_matrix(order)
    assert torch.allclose(hadamard_transform(values, order), values @ matrix, atol=1e-12)
    assert torch.allclose(hadamard_transform(values, order, inverse=True), values @ matrix.T, atol=1e-12)


@pytest.mark.parametrize(
    ("width", "text"),
    [
        (576, "576 = 36 · 16"),
        (896, "896 = 28 · 32"),
        (3584, "3584 = 28 · 128"),
        (18_944, "18944 = 148 · 128"),
        (29_568, "29568 = 924 · 32"),
        (4096, "4096"),
        (86, "86 = 43 blocks of 2"),
    ],
)
def test_order_says_how_it_is_made(width: int, text: str) -> None:
    assert str(hadamard_order(width)) == text


@pytest.mark.parametrize(
    "make", [lambda seed: random_hadamard(48, seed).matrix(), lambda seed: random_orthogonal(48, seed)]
)
def test_random_rotations_follow_their_seed(make) -> None:
    assert torch.equal(make(7), make(7))
    assert not torch.equal(make(7), make(8))
    assert torch.allclose(make(7).T @ make(7), torch.eye(48, dtype=torch.float64), atol=1e-12)


def test_random_hadamard_applies_its_matrix() -> None:
    rotation = random_hadamard(576, 3)
    values = torch.randn(4, 576, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(rotation.apply(values), values @ rotation.matrix(), atol=1e-12)


@pytest.mark.cuda
def test_cuda_kernel_gives_the_butterflys_numbers() -> None:
    pytest.importorskip("fast_hadamard_transform", reason="the extra 'cuda' is not installed")
    values = torch.randn(8, 1536, generator=torch.Generator().manual_seed(0))
    order = hadamard_order(1536)
    assert torch.allclose(hadamard_transform(values.cuda(), order).cpu(), hadamard_transform(values, order), atol=1e-4)
