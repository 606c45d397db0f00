"""One clip ratio for all tokens of an input, of keys or of values: the one that loses least on calibration tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from dfrot_engine.quantizers.activations import activation_quantizer
from dfrot_engine.recipe import ActivationScheme, KVCacheScheme

# Exact in float32, in which the chosen one is stored. Two bits want less than half of the range.
RATIOS: tuple[float, ...] = tuple((torch.arange(40, 11, -1) / 40).tolist())
_HOPELESS = 4.0  # this many times worse than the best, smaller ratios cannot win


def search_input_clip(rows_NI: Tensor, weight_OI: Tensor, scheme: ActivationScheme) -> float:
    """The ratio of `RATIOS` under which linears compute most nearly what they compute from exact inputs.

    Lowers the mean over the tokens of ‖(Q(x) − x)·Wᵀ‖² / ‖x·Wᵀ‖²: each token counts alike, so that massive ones do not
    decide alone. The greatest ratio wins a tie.

    Args:
        rows_NI: float32, as they are rounded: rotations applied.
        weight_OI: float32; of all linears that read this input, one above the other.
    """
    return _least(input_clip_errors(rows_NI, weight_OI, scheme))


def search_head_clip(heads_NS: Tensor, scheme: KVCacheScheme) -> float:
    """The ratio of `RATIOS` with the least mean of ‖Q(x) − x‖² / ‖x‖² over tokens and heads.

    Args:
        heads_NS: float32 keys after R3, or values; one row for each token and head.
    """
    return _least(head_clip_errors(heads_NS, scheme))


def input_clip_errors(rows_NI: Tensor, weight_OI: Tensor, scheme: ActivationScheme) -> Iterator[float]:
    """What `search_input_clip` lowers, for each of `RATIOS`."""
    rows, columns = weight_OI.shape
    # Multiplying with WᵀW pays off once it costs less, the product itself included, than the outputs of every ratio.
    is_tall = rows * columns + len(RATIOS) * len(rows_NI) * columns < len(RATIOS) * len(rows_NI) * rows
    gram_II = weight_OI.T @ weight_OI if is_tall else None

    def energy(values_NI: Tensor) -> Tensor:
        if gram_II is None:
            return (values_NI @ weight_OI.T).square().sum(1)
        return ((values_NI @ gram_II) * values_NI).sum(1).clamp(min=0)

    return _errors(rows_NI, scheme, energy)


def head_clip_errors(heads_NS: Tensor, scheme: KVCacheScheme) -> Iterator[float]:
    """What `search_head_clip` lowers, for each of `RATIOS`."""
    return _errors(heads_NS, scheme, lambda values: values.square().sum(1))


def _errors(
    rows: Tensor, scheme: ActivationScheme | KVCacheScheme, energy: Callable[[Tensor], Tensor]
) -> Iterator[float]:
    exact_N = energy(rows)
    # A token that the linears do not see has no relative error.
    rows, exact_N = rows[exact_N > 0], exact_N[exact_N > 0]
    for ratio in RATIOS:
        quantize = activation_quantizer(scheme, searched=ratio)
        wrong_N = energy(quantize(rows) - rows)
        yield float((wrong_N / exact_N).double().sum()) / max(1, len(rows))


def _least(errors: Iterator[float]) -> float:
    best, least = 1.0, float("inf")
    for ratio, error in zip(RATIOS, errors, strict=True):
        if error < least:
            best, least = ratio, error
        elif error > _HOPELESS * least:
            break
    return best
