from __future__ import annotations

import pytest
import torch

from dfrot_engine.calibration.massive import find_massive, relative_error


@pytest.mark.parametrize("width", [48, 576, 2048])
def test_finds_the_planted_tokens_and_no_other(width: int) -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(200, width, generator=generator)
    hidden[7, 3] = 40 * width**0.5
    hidden[150, 5] = -60 * width**0.5
    rows = hidden * torch.rsqrt(hidden.square().mean(1, keepdim=True))
    assert find_massive(rows, hidden.norm(dim=1)).nonzero()[:, 0].tolist() == [7, 150]


def test_an_outlier_channel_is_not_a_massive_token() -> None:
    """Every token is large in the same coordinate; none stands out of the others."""
    hidden = torch.randn(200, 576, generator=torch.Generator().manual_seed(0))
    hidden[:, 3] += 500.0
    rows = hidden * torch.rsqrt(hidden.square().mean(1, keepdim=True))
    assert not find_massive(rows, hidden.norm(dim=1)).any()


def test_no_tokens_and_zero_tokens_are_harmless() -> None:
    assert find_massive(torch.zeros(0, 8), torch.zeros(0)).shape == (0,)
    assert not find_massive(torch.zeros(5, 8), torch.zeros(5)).any()


def test_relative_error_is_per_token() -> None:
    rows = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    assert relative_error(rows, torch.tensor([[3.0, 0.0], [0.0, 0.0]])).tolist() == pytest.approx([0.8, 0.0])
