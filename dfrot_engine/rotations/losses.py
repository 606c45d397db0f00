"""What a rotation can lower, each with its exact gradient by the rotated tokens."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from dfrot_engine.quantizers.activations import clip_ratio_of
from dfrot_engine.quantizers.formats import FORMATS
from dfrot_engine.quantizers.grid import choose_grid, quantize
from dfrot_engine.recipe import ActivationScheme, KVCacheScheme

# Rotated tokens [N, D] → ([N] loss of each, [N, D] its gradient).
Loss = Callable[[Tensor], tuple[Tensor, Tensor]]


def rounding_loss(values_ND: Tensor, scheme: ActivationScheme | KVCacheScheme) -> tuple[Tensor, Tensor]:
    """‖y − Q(y)‖² of each token, with the gradient through the scale.

    Codes and zero-points are steps of y and have no slope; the scale s follows the largest |y| (both ends if
    asymmetric), also where it is rounded itself. With codes c, e = s·c − y: ∂/∂y = −2e + 2·(Σ e·c)·∂s/∂y, where
    ∂s/∂y is nonzero at the ends alone.

    Args:
        values_ND: rotated tokens, or heads of tokens, [..., D]; not modified.
    Returns:
        [N] loss, [N, D] gradient.
    """
    fmt = FORMATS[scheme.format]
    if fmt.group_size is not None and values_ND.shape[-1] != fmt.group_size:
        loss, slope = rounding_loss(values_ND.unflatten(-1, (-1, fmt.group_size)), scheme)
        return loss.sum(-1), slope.flatten(-2)
    clip_ratio = clip_ratio_of(scheme)
    grid = choose_grid(values_ND, fmt, symmetric=scheme.symmetric, clip_ratio=clip_ratio)
    codes = quantize(values_ND, grid, fmt)
    if grid.zero_point is not None:
        codes = codes - grid.zero_point
    error = codes * grid.scale - values_ND
    by_end = 2 * (error * codes).sum(-1, keepdim=True) * clip_ratio / fmt.steps
    gradient = -2 * error
    if scheme.symmetric:
        end = values_ND.abs().argmax(-1, keepdim=True)
        gradient.scatter_add_(-1, end, 2 * by_end * values_ND.gather(-1, end).sign())
        return error.square().sum(-1), gradient
    # Zero is always on the grid: an end on the wrong side of it does not move the scale.
    highest, top = values_ND.max(-1, keepdim=True)
    lowest, bottom = values_ND.min(-1, keepdim=True)
    gradient.scatter_add_(-1, top, by_end * (highest > 0))
    gradient.scatter_add_(-1, bottom, -by_end * (lowest < 0))
    return error.square().sum(-1), gradient


def whip_loss(values_ND: Tensor) -> tuple[Tensor, Tensor]:
    """Σ exp(−|y|) of each token: pushes small values up, and since norms stay, large ones down.

    Source: DartQuant (arXiv:2511.04063), section 4.
    """
    whipped = (-values_ND.abs()).exp()
    return whipped.sum(-1), -values_ND.sign() * whipped
