from __future__ import annotations

import torch

from dfrot_engine.rotations.orthogonal import cayley, even_out, orthogonalize
from dfrot_engine.rotations.random import random_orthogonal
from tests.engine.rotations.planted import EYE, WIDTH, deviation


def skew(seed: int) -> torch.Tensor:
    matrix = torch.randn(WIDTH, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return matrix - matrix.T


def test_orthogonalize_mends_round_off() -> None:
    rotation = random_orthogonal(WIDTH, 2)
    mended = orthogonalize(rotation + 1e-5 * torch.randn(WIDTH, WIDTH, dtype=torch.float64))
    assert (mended.T @ mended - torch.eye(WIDTH, dtype=torch.float64)).abs().max() < 1e-12
    assert (mended - rotation).abs().max() < 1e-4


def test_even_out_keeps_skewness_and_directions() -> None:
    matrix = skew(0)
    evened = even_out(matrix)
    assert torch.allclose(evened, -evened.T, atol=1e-12)
    singular = torch.linalg.svdvals(evened)
    assert 0.5 < float(singular[-3]) <= float(singular[0]) < 1.3
    assert float((matrix * evened).sum()) > 0
    assert not even_out(torch.zeros(4, 4)).any()


def test_cayley_is_orthogonal_and_near_the_exponential() -> None:
    omega = 1e-3 * skew(1)
    assert deviation(cayley(omega)) < 1e-12
    assert torch.allclose(cayley(omega), torch.linalg.matrix_exp(omega), atol=1e-6)
    assert torch.equal(cayley(torch.zeros(WIDTH, WIDTH, dtype=torch.float64)), EYE)
