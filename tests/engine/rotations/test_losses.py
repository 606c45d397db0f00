from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from dfrot_engine.quantizers.activations import activation_quantizer, clip_ratio_of
from dfrot_engine.quantizers.formats import FORMATS
from dfrot_engine.quantizers.grid import choose_grid, quantize
from dfrot_engine.recipe import ActivationScheme
from dfrot_engine.rotations.losses import rounding_loss, whip_loss

SCHEMES = [
    ActivationScheme.model_validate({"format": fmt, "symmetric": symmetric, "clip_ratio": clip})
    for fmt, symmetric, clip in itertools.product(("int2", "int4", "int8"), (True, False), (1.0, 0.8))
]
SCHEMES.append(ActivationScheme(format="fp8"))
GROUPED = [ActivationScheme(format="nvfp4"), ActivationScheme(format="mxfp4", clip_ratio=0.9)]


def values() -> Tensor:
    generator = torch.Generator().manual_seed(3)
    tokens = torch.randn(12, 24, dtype=torch.float64, generator=generator)
    tokens[0, 3] = 20.0
    tokens[1, 4] = -20.0
    tokens[2] = tokens[2].abs() + 0.5  # zero lies outside the tokens' own range
    tokens[3] = -tokens[3].abs() - 0.5
    return tokens


def with_codes_held(tokens: Tensor, scheme: ActivationScheme) -> Tensor:
    """Each token's loss with the scale differentiable and the codes and zero-points held fixed."""
    fmt = FORMATS[scheme.format]
    grid = choose_grid(tokens, fmt, symmetric=scheme.symmetric, clip_ratio=clip_ratio_of(scheme))
    codes = quantize(tokens, grid, fmt).detach()
    if grid.zero_point is not None:
        codes = codes - grid.zero_point.detach()
    return (codes * grid.scale - tokens).square().sum(-1)


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_rounding_loss_is_the_deployed_quantizers_and_its_gradient_autograds(scheme: ActivationScheme) -> None:
    tokens = values().requires_grad_()
    expected = with_codes_held(tokens, scheme)
    expected.sum().backward()
    loss, gradient = rounding_loss(tokens.detach(), scheme)
    left = activation_quantizer(scheme)(tokens.detach())
    assert torch.allclose(loss, (left - tokens.detach()).square().sum(-1), atol=1e-12)
    assert tokens.grad is not None
    assert torch.allclose(gradient, tokens.grad, atol=1e-10)


@pytest.mark.parametrize("scheme", GROUPED, ids=str)
def test_rounding_loss_of_groups(scheme: ActivationScheme) -> None:
    """A rounded scale passes the slope of the unrounded one."""
    tokens = torch.randn(12, 96, generator=torch.Generator().manual_seed(3))
    tokens[0, 3] = 20.0
    tokens.requires_grad_()
    groups = tokens.unflatten(1, (-1, FORMATS[scheme.format].group_size or 0))
    with_codes_held(groups, scheme).sum().backward()
    loss, gradient = rounding_loss(tokens.detach(), scheme)
    left = activation_quantizer(scheme)(tokens.detach())
    assert torch.allclose(loss, (left - tokens.detach()).square().sum(-1), rtol=1e-5)
    assert tokens.grad is not None
    assert torch.allclose(gradient, tokens.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_rounding_loss_follows_finite_differences(scheme: ActivationScheme) -> None:
    tokens = values()
    _, gradient = rounding_loss(tokens, scheme)
    generator = torch.Generator().manual_seed(4)
    hits = 0
    for _ in range(20):
        step = 1e-7 * torch.randn(tokens.shape, dtype=torch.float64, generator=generator)
        after, before = (rounding_loss(tokens + sign * step, scheme)[0] for sign in (1, -1))
        expected = 2 * (gradient * step).sum(-1)
        hits += int(((after - before) - expected).abs().lt(1e-3 * expected.abs() + 1e-10).sum())
    # A code on the edge of changing has no slope; there is hardly ever one.
    assert hits >= 0.98 * 20 * len(tokens)


def test_whip_loss_has_its_autograd_gradient() -> None:
    tokens = values().requires_grad_()
    (-tokens.abs()).exp().sum().backward()
    loss, gradient = whip_loss(tokens.detach())
    assert loss.shape == (len(tokens),)
    assert tokens.grad is not None
    assert torch.allclose(gradient, tokens.grad)


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_tokens_of_zeros_lose_nothing(scheme: ActivationScheme) -> None:
    loss, gradient = rounding_loss(torch.zeros(3, 8), scheme)
    assert not loss.any()
    assert not gradient.any()
