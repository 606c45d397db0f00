"""How values become codes of a format; the table of formats itself imports no torch and lies one folder up."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dfrot_engine.formats import FORMATS, Format

__all__ = ["FORMATS", "Format", "round_to_format"]

_EXPONENT_BITS = 0x7F800000  # of a float32


def round_to_format(values: Tensor, fmt: Format, rounding: Callable[[Tensor], Tensor] = torch.round) -> Tensor:
    """The nearest codes, ties to even, saturating; in the dtype of the values.

    Args:
        rounding: rounds to whole numbers; decides what slope the codes have.
    """
    if fmt.mantissa_bits is None:
        return rounding(values).clamp(fmt.lowest, fmt.highest)
    step = _step(values, fmt.mantissa_bits, fmt)
    return (rounding(values / step) * step).clamp(fmt.lowest, fmt.highest)


def _step(values: Tensor, mantissa_bits: int, fmt: Format) -> Tensor:
    """The distance of codes around each value: 2 to the power of its exponent, less the mantissa's bits."""
    size = values.detach().float().clamp(fmt.lowest, fmt.highest)
    power = (size.view(torch.int32) & _EXPONENT_BITS).view(torch.float32)
    return (power.clamp(min=2.0**fmt.least_exponent) * 2.0**-mantissa_bits).to(values.dtype)
