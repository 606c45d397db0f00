from __future__ import annotations

from math import log

import pytest
import torch

from dfrot_engine.evaluation.metrics import Metrics

TOKENS = torch.tensor([0, 1, 2, 3] * 150)


def test_uniform_logits_have_the_vocabularys_perplexity() -> None:
    metrics = Metrics()
    metrics.add(torch.zeros(600, 8), TOKENS)
    assert metrics.perplexity == pytest.approx(8.0)
    assert metrics.tokens == 599


def test_divergence_and_agreement_against_a_reference() -> None:
    reference = torch.zeros(600, 4)
    reference[:, 1] = log(3.0)  # probabilities 1/6, 1/2, 1/6, 1/6
    other = torch.zeros(600, 4)
    other[:300, 1] = log(3.0)
    other[300:, 2] = log(3.0)
    metrics = Metrics()
    metrics.add(other, TOKENS, reference)
    # In the second half KL = 1/2·log(3) + 1/6·log(1/3) = log(3)/3; of 599 predictions 299 lie there.
    assert metrics.kl_divergence == pytest.approx(299 / 599 * log(3.0) / 3, rel=1e-5)
    assert metrics.top1_agreement == pytest.approx(300 / 599)


def test_a_broken_model_gives_a_number() -> None:
    metrics = Metrics()
    logits = torch.full((600, 4), -1e9)
    logits[:, 0] = 0.0
    metrics.add(logits, TOKENS)
    assert metrics.perplexity < float("inf")
