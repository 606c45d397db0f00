"""The quantizers a rotation is benchmarked on, each with its rounding loss for the descent."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from dfrot_engine.quantizers.activations import activation_quantizer
from dfrot_engine.recipe import ActivationScheme
from dfrot_engine.rotations.dfrot import Quantizer
from dfrot_engine.rotations.losses import Loss, rounding_loss

_HIGHEST = 7


@dataclass(frozen=True)
class BenchmarkGrid:
    quantize: Quantizer
    loss: Loss


def paper_quantizer(values_ND: Tensor) -> Tensor:
    """Symmetric 4-bit for each token, max|x| on code 7: nothing is ever clamped.

    Source: DFRot (arXiv:2412.00648).
    """
    codes, scale = _paper_codes(values_ND)
    return codes * scale


def paper_loss(values_ND: Tensor) -> tuple[Tensor, Tensor]:
    """‖y − Q(y)‖² of each token on the paper's grid and its gradient, the slope of the scale included."""
    codes, scale = _paper_codes(values_ND)
    error = codes * scale - values_ND
    end = values_ND.abs().argmax(-1, keepdim=True)
    by_end = 2 / _HIGHEST * (error * codes).sum(-1, keepdim=True) * values_ND.gather(-1, end).sign()
    return error.square().sum(-1), (-2 * error).scatter_add_(-1, end, by_end)


def _paper_codes(values: Tensor) -> tuple[Tensor, Tensor]:
    largest = values.abs().amax(-1, keepdim=True)
    scale = torch.where(largest > 0, largest / _HIGHEST, torch.ones_like(largest))
    return (values / scale).round(), scale


# The runtimes' grid: max|x|/7.5, the largest value clamped to code 7.
GRIDS = {
    "paper": BenchmarkGrid(paper_quantizer, paper_loss),
    "deployed": BenchmarkGrid(
        activation_quantizer(ActivationScheme()), partial(rounding_loss, scheme=ActivationScheme())
    ),
}
