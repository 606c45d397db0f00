"""A factor for each of the MLP's channels, so that what enters down_proj rounds well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dfrot_engine.errors import RunError

Values = Callable[[Tensor], Tensor]
# (power of the input's size, power of the weight's): nothing, AWQ's on inputs alone, SmoothQuant's on both.
_POWERS = ((0.0, 0.0), (0.25, 0.0), (0.5, 0.0), (0.75, 0.0), (1.0, 0.0), (0.25, 0.75), (0.5, 0.5), (0.75, 0.25))
# Dead channels must not become infinite ones.
_LEAST_SHARE = 1e-4


@dataclass(frozen=True)
class Scaled:
    """What the channels are divided by, and the error of down_proj's output without and with it.

    Args:
        scale_I: float64, positive, of geometric mean 1.
        loss: (before, after), in shares of the output's energy.
    """

    scale_I: Tensor
    loss: tuple[float, float]


def search_scales(
    rows_NI: Tensor,
    weight_N: Tensor,
    weight_OI: Tensor,
    *,
    rotate: Values,
    round_rows: Values,
    round_weight: Values,
) -> Scaled:
    """Of a few scalings by powers of the channels' sizes the one under which the rounded linear errs least.

    Channel j is divided by rms(x_j)^a / max|w_j|^b, w_j multiplied by it, for eight pairs (a, b); (0, 0) is among them,
    so that the error on these rows never rises.

    Args:
        rows_NI: inputs of the linear, before any online rotation.
        weight_N: how much each row's error counts.
        weight_OI: of the linear, float32; its online rotation not folded in.
        rotate: the online rotation, of rows and of the weight alike.
        round_rows, round_weight: what is left of either after rounding.
    Raises:
        RunError: NaN or infinity in the rows.
    Source: AWQ's search (arXiv:2306.00978) over SmoothQuant's family (arXiv:2211.10438).
    """
    rows_NI = rows_NI.float()
    if not bool(torch.isfinite(rows_NI).all()):
        raise RunError(
            "The inputs of down_proj contain NaN or infinity.",
            "The weights are damaged, or the model needs another precision; download it again.",
        )
    share_N = (weight_N / weight_N.sum()).float()
    size_I = (rows_NI.square() * share_N[:, None]).sum(0).sqrt()
    peak_I = weight_OI.abs().amax(0)
    exact_NO = rows_NI @ weight_OI.T
    energy = float((exact_NO.square().sum(1) * share_N).sum())
    best, first = None, 0.0
    for of_input, of_weight in _POWERS:
        scale_I = _bounded(size_I) ** of_input / _bounded(peak_I) ** of_weight
        scale_I = scale_I / scale_I.log().mean().exp()
        rounded_NO = round_rows(rotate(rows_NI / scale_I)) @ round_weight(rotate(weight_OI * scale_I)).T
        loss = float(((rounded_NO - exact_NO).square().sum(1) * share_N).sum()) / max(energy, 1e-30)
        if best is None:
            first = loss
        if best is None or loss < best.loss[1]:
            best = Scaled(scale_I.double(), (first, loss))
    assert best is not None
    return best


def _bounded(size_I: Tensor) -> Tensor:
    """The sizes, none less than a small share of the largest."""
    return size_I.clamp(min=max(float(size_I.max()) * _LEAST_SHARE, 1e-30))
