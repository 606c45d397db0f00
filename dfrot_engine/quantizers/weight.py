"""A quantized weight as it is stored: codes, scales, zero-points."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dfrot_engine.quantizers.clipping import search_clip_ratio
from dfrot_engine.quantizers.formats import FORMATS, Format
from dfrot_engine.quantizers.grid import Grid, choose_grid, dequantize, quantize
from dfrot_engine.recipe import WeightScheme


@dataclass(frozen=True)
class QuantizedWeight:
    """The parts of one weight.

    Args:
        codes_OI: int8.
        scale_OG: in the checkpoint's dtype; the codes were computed with exactly these numbers.
        zero_point_OG: int8 codes that stand for zero, or None when symmetric.
        format: key of FORMATS.
    """

    codes_OI: Tensor
    scale_OG: Tensor
    zero_point_OG: Tensor | None
    format: str

    @property
    def group_size(self) -> int:
        return self.codes_OI.shape[1] // self.scale_OG.shape[1]

    def dequantize(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """[O, I] in `dtype`."""
        codes = grouped(self.codes_OI.to(dtype), self.group_size)
        zero_point = None if self.zero_point_OG is None else self.zero_point_OG.to(dtype)[..., None]
        return dequantize(codes, Grid(self.scale_OG.to(dtype)[..., None], zero_point)).flatten(1)

    def split_rows(self, sizes: list[int]) -> list[QuantizedWeight]:
        """The weights that were stacked along O."""
        codes, scales = self.codes_OI.split(sizes), self.scale_OG.split(sizes)
        zeros = [None] * len(sizes) if self.zero_point_OG is None else self.zero_point_OG.split(sizes)
        return [
            replace(self, codes_OI=c, scale_OG=s, zero_point_OG=z) for c, s, z in zip(codes, scales, zeros, strict=True)
        ]

    def tensors(self) -> dict[str, Tensor]:
        parts = {"codes": self.codes_OI, "scale": self.scale_OG}
        return parts if self.zero_point_OG is None else parts | {"zero_point": self.zero_point_OG}


def grouped(weight_OI: Tensor, group_size: int) -> Tensor:
    """[O, I] → [O, G, group_size]."""
    return weight_OI.unflatten(1, (-1, group_size))


def group_columns(scheme: WeightScheme, width: int) -> int:
    """Columns that share a scale."""
    return scheme.group_size if scheme.granularity == "per-group" else width


def choose_weight_grid(weight_OI: Tensor, scheme: WeightScheme, scale_dtype: torch.dtype) -> tuple[Grid, Format, int]:
    """Scales [O, G, 1], already rounded to the checkpoint's dtype; the format; the group size in columns."""
    fmt = FORMATS[scheme.format]
    group_size = group_columns(scheme, weight_OI.shape[1])
    groups = grouped(weight_OI.float(), group_size)
    if scheme.clip_ratio == "search":
        ratio = search_clip_ratio(groups.flatten(0, 1), fmt, symmetric=scheme.symmetric).unflatten(0, groups.shape[:2])
    else:
        ratio = scheme.clip_ratio
    grid = choose_grid(groups, fmt, symmetric=scheme.symmetric, clip_ratio=ratio)
    # A scale below the dtype's smallest number would round to zero and take the whole group with it.
    tiny = torch.finfo(scale_dtype).tiny
    return Grid(grid.scale.clamp(min=tiny).to(scale_dtype).float(), grid.zero_point), fmt, group_size


def to_quantized_weight(codes_OI: Tensor, grid: Grid, fmt: Format, scale_dtype: torch.dtype) -> QuantizedWeight:
    zero_point = None if grid.zero_point is None else grid.zero_point[..., 0].to(torch.int8)
    return QuantizedWeight(codes_OI.to(torch.int8), grid.scale[..., 0].to(scale_dtype), zero_point, fmt.name)


def round_to_nearest(weight_OI: Tensor, grid: Grid, fmt: Format, group_size: int) -> Tensor:
    """Codes [O, I] as float whole numbers."""
    return quantize(grouped(weight_OI.float(), group_size), grid, fmt).flatten(1)
