"""Running means of second moments."""

from __future__ import annotations

import torch

from dfrot_engine.calibration.statistics import InputMoments


def test_batches_of_any_size_add_up_to_the_mean() -> None:
    generator = torch.Generator().manual_seed(0)
    rounded, exact = (torch.randn(100, 8, generator=generator) for _ in range(2))
    moments = InputMoments(8, torch.device("cpu"), with_exact=True)
    for first, second in ((0, 7), (7, 60), (60, 100)):
        moments.add(rounded[first:second], exact[first:second])
    assert moments.tokens == 100
    assert moments.cross_II is not None
    assert torch.allclose(moments.hessian_II, rounded.T @ rounded / 100, atol=1e-6)
    assert torch.allclose(moments.cross_II, exact.T @ rounded / 100, atol=1e-6)
