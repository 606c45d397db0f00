"""One clip ratio for an input: what it lowers, and that linears decide it, not values."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dfrot_engine.plan_estimates import CLIP_RATIOS
from dfrot_engine.quantizers.activations import activation_quantizer
from dfrot_engine.quantizers.static_clipping import (
    RATIOS,
    head_clip_errors,
    input_clip_errors,
    search_head_clip,
    search_input_clip,
)
from dfrot_engine.recipe import ActivationScheme, KVCacheScheme

SCHEMES = [
    ActivationScheme.model_validate({"format": fmt, "symmetric": symmetric, "clip_ratio": "search"})
    for fmt in ("int2", "int3", "int4", "int8")
    for symmetric in (True, False)
] + [ActivationScheme.model_validate({"format": fmt, "clip_ratio": "search"}) for fmt in ("fp8", "nvfp4", "mxfp4")]


def rows(seed: int = 0, *, tokens: int = 96, width: int = 64) -> Tensor:
    return torch.randn(tokens, width, generator=torch.Generator().manual_seed(seed))


def by_hand(rows_NI: Tensor, weight_OI: Tensor, scheme: ActivationScheme, ratio: float) -> float:
    quantized = activation_quantizer(scheme, searched=ratio)(rows_NI)
    exact, wrong = rows_NI.double() @ weight_OI.double().T, (quantized - rows_NI).double() @ weight_OI.double().T
    return float((wrong.norm(dim=1) / exact.norm(dim=1)).square().mean())


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda one: f"{one.format}-{one.symmetric}")
@pytest.mark.parametrize("height", [8, 400])
def test_the_least_error_of_what_linears_compute(scheme: ActivationScheme, height: int) -> None:
    """Few outputs are computed, many come from WᵀW."""
    x, weight = rows(), rows(1, tokens=height)
    errors = [by_hand(x, weight, scheme, ratio) for ratio in RATIOS]
    assert list(input_clip_errors(x, weight, scheme)) == pytest.approx(errors, rel=1e-3)
    found = search_input_clip(x, weight, scheme)
    assert by_hand(x, weight, scheme, found) <= min(errors) * (1 + 1e-3)
    assert errors[RATIOS.index(found)] <= errors[0]


def test_ratios_are_float32_and_begin_with_the_whole_range() -> None:
    assert RATIOS[0] == 1.0
    assert len(RATIOS) == CLIP_RATIOS, "what the plan reckons with"
    assert all(float(torch.tensor(ratio)) == ratio for ratio in RATIOS)
    assert list(RATIOS) == sorted(RATIOS, reverse=True)


def test_a_channel_of_outliers_that_no_linear_reads_is_clipped() -> None:
    """The plain error of the values would keep it."""
    x, weight = rows(), rows(1)
    x[:, 5], weight[:, 5] = 12.0, 0.0
    scheme = ActivationScheme(clip_ratio="search")
    assert search_input_clip(x, weight, scheme) < 0.5
    assert search_input_clip(x, torch.eye(64), scheme) > 0.8


def test_massive_tokens_do_not_decide_alone() -> None:
    """One token is a thousand times larger and wants its whole range; the others do not."""
    x, weight, scheme = rows(tokens=200), rows(1), ActivationScheme(clip_ratio="search")
    alone = search_input_clip(x, weight, scheme)
    assert alone < 0.95
    x[0] = 1000 * x[0].sign()
    assert search_input_clip(x[:1], weight, scheme) == 1.0
    assert abs(search_input_clip(x, weight, scheme) - alone) < 0.06


def test_a_tie_keeps_the_whole_range() -> None:
    scheme = ActivationScheme(format="mxfp4", clip_ratio="search")
    assert search_input_clip(torch.zeros(4, 32), torch.eye(32), scheme) == 1.0
    assert search_head_clip(torch.zeros(4, 32), KVCacheScheme(clip_ratio="search")) == 1.0


@pytest.mark.parametrize("symmetric", [True, False])
def test_heads_lose_least(symmetric: bool) -> None:
    scheme = KVCacheScheme(symmetric=symmetric, clip_ratio="search")
    heads = rows(width=16) * torch.logspace(-3, 3, 96)[:, None]
    errors = [
        float(
            ((activation_quantizer(scheme, searched=ratio)(heads) - heads).norm(dim=1) / heads.norm(dim=1))
            .square()
            .mean()
        )
        for ratio in RATIOS
    ]
    assert list(head_clip_errors(heads, scheme)) == pytest.approx(errors, rel=1e-4)
    assert errors[RATIOS.index(search_head_clip(heads, scheme))] <= min(errors) * (1 + 1e-4)


def test_nothing_searched_is_the_whole_range() -> None:
    x = rows()
    expected = activation_quantizer(ActivationScheme(clip_ratio=1.0))(x)
    assert torch.equal(activation_quantizer(ActivationScheme(clip_ratio="search"))(x), expected)
    own = ActivationScheme(clip_ratio=0.9)
    assert torch.equal(activation_quantizer(own, searched=0.5)(x), activation_quantizer(own)(x))
