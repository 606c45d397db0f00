"""Weights in GGUF's blocks of 32 columns: our codes as they are, or values rounded by the gguf package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from gguf import GGMLQuantizationType, quants
from numpy.typing import NDArray
from torch import Tensor

from dfrot_engine.errors import RunError
from dfrot_engine.exporters.gguf_table import BLOCK_COLUMNS
from dfrot_engine.quantizers.weight import QuantizedWeight, grouped

_LOWEST = -8  # of 4-bit codes, which GGUF counts from 0
_HALF = BLOCK_COLUMNS // 2


def pack_codes(weight: QuantizedWeight, kind: str) -> NDArray[np.uint8]:
    """[O, bytes of a row]: scales and codes bit for bit.

    Q4_1 has no zero-points but minima, −scale · (zero-point + 8) in float16: these are rounded, by up to a 136th of a
    step.

    Args:
        weight: scales in float16, one for 32 columns.
        kind: the type, a value of CODE_TYPES.
    """
    assert weight.scale_OG.dtype == torch.float16
    assert weight.group_size == BLOCK_COLUMNS
    return _PACKERS[kind](weight).flatten(1).cpu().numpy()


def as_type(tensor: Tensor, kind: str, name: str) -> NDArray[np.generic]:
    """A tensor of floats as the file holds it.

    Args:
        kind: "F32", "F16" or "Q8_0".
        name: of the tensor, for people.
    Raises:
        RunError: it holds numbers that float16 does not.
    """
    if kind == "F32":
        return tensor.float().cpu().numpy()
    if kind == "F16":
        half = tensor.half()
        if not bool(torch.isfinite(half).all()):
            raise RunError(
                f"'{name}' holds numbers beyond ±65,504, which a GGUF file in float16 cannot.",
                "Leave GGUF out of the exports.",
                "exports",
            )
        return half.cpu().numpy()
    return quants.quantize(tensor.float().cpu().numpy(), GGMLQuantizationType[kind])


def interleaved_rows(num_rows: int, num_heads: int) -> Tensor:
    """Which row of q or k stands where when RoPE turns neighbours, instead of the two halves of a head."""
    return torch.arange(num_rows).view(num_heads, 2, -1).transpose(1, 2).flatten()


def take_rows(weight: Tensor | QuantizedWeight, rows: Tensor) -> Tensor | QuantizedWeight:
    """The rows of a weight or of a bias in another order."""
    if isinstance(weight, Tensor):
        return weight[rows]
    zero_point = None if weight.zero_point_OG is None else weight.zero_point_OG[rows]
    return replace(weight, codes_OI=weight.codes_OI[rows], scale_OG=weight.scale_OG[rows], zero_point_OG=zero_point)


def _pack_q4_0(weight: QuantizedWeight) -> Tensor:
    return torch.cat([_as_bytes(weight.scale_OG), _nibbles(weight)], dim=-1)


def _pack_q4_1(weight: QuantizedWeight) -> Tensor:
    assert weight.zero_point_OG is not None
    minimum_OG = -(weight.zero_point_OG.float() - _LOWEST) * weight.scale_OG.float()
    return torch.cat([_as_bytes(weight.scale_OG), _as_bytes(minimum_OG.half()), _nibbles(weight)], dim=-1)


def _pack_q8_0(weight: QuantizedWeight) -> Tensor:
    return torch.cat([_as_bytes(weight.scale_OG), grouped(weight.codes_OI, BLOCK_COLUMNS).view(torch.uint8)], dim=-1)


def _nibbles(weight: QuantizedWeight) -> Tensor:
    """[O, G, 16]: the first half of a group in the low halves of the bytes, the second in the high ones."""
    codes = (grouped(weight.codes_OI, BLOCK_COLUMNS) - _LOWEST).view(torch.uint8)
    return codes[..., :_HALF] | (codes[..., _HALF:] << 4)


def _as_bytes(number_OG: Tensor) -> Tensor:
    return number_OG.contiguous()[..., None].view(torch.uint8)


_PACKERS: dict[str, Callable[[QuantizedWeight], Tensor]] = {"Q4_0": _pack_q4_0, "Q4_1": _pack_q4_1, "Q8_0": _pack_q8_0}
