"""Which tokens are massive: found from the data, no per-model constant."""

from __future__ import annotations

import torch
from torch import Tensor

from dfrot_engine.quantizers.formats import FORMATS
from dfrot_engine.quantizers.grid import fake_quantize

_ERROR_LIMIT = 8.5 / 4096**0.5  # the paper's threshold for hidden size 4096, as a relative error
_PARTICIPATION_LIMIT = 0.01  # of the width
_LEAST_PARTICIPATION_LIMIT = 2.0  # coordinates; a share of a very narrow model would be less than one
_NORM_LIMIT = 10.0


def find_massive(rows_ND: Tensor, residual_norm_N: Tensor) -> Tensor:
    """Tokens whose energy sits in very few coordinates.

    Unrotated 4-bit rounding keeps such a token almost whole (its few coordinates lie on the grid, the rest is nothing),
    its participation ratio (Σx²)²/Σx⁴ is a small part of the width, and the residual stream in front of the norm is
    far larger than usual.

    Args:
        rows_ND: tokens behind the norm, its gain left out.
        residual_norm_N: ‖h‖ of the same tokens in front of the norm, all tokens of one site.
    Returns:
        [N] bool.
    Source: DFRot (arXiv:2412.00648), section 3.2, its threshold made scale-free.
    """
    return is_concentrated(rows_ND) & is_large(residual_norm_N)


def is_concentrated(rows_ND: Tensor) -> Tensor:
    """[N] bool: energy in very few coordinates; each token by itself."""
    if rows_ND.shape[0] == 0:
        return torch.zeros(0, dtype=torch.bool, device=rows_ND.device)
    error = relative_error(rows_ND, fake_quantize(rows_ND, FORMATS["int4"], symmetric=True))
    square = rows_ND.square()
    participation = square.sum(1).square() / square.square().sum(1).clamp(min=1e-30)
    limit = max(_LEAST_PARTICIPATION_LIMIT, _PARTICIPATION_LIMIT * rows_ND.shape[1])
    return (error < _ERROR_LIMIT) & (participation < limit)


def is_large(residual_norm_N: Tensor) -> Tensor:
    """[N] bool: far larger than usual; `residual_norm_N` of all tokens of one site."""
    if len(residual_norm_N) == 0:
        return torch.zeros_like(residual_norm_N, dtype=torch.bool)
    return residual_norm_N > _NORM_LIMIT * residual_norm_N.median()


def relative_error(rows_ND: Tensor, quantized_ND: Tensor) -> Tensor:
    """[N] ‖x − Q(x)‖/‖x‖; 0 for a token of zeros."""
    return (rows_ND - quantized_ND).norm(dim=1) / rows_ND.norm(dim=1).clamp(min=1e-12)
