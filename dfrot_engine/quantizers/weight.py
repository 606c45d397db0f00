"""A quantized weight as it is stored: codes, scales, zero-points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dfrot_engine.quantizers.clipping import search_clip_ratio
from dfrot_engine.quantizers.formats import FORMATS, Format
from dfrot_engine.quantizers.grid import Grid, choose_grid, dequantize, quantize
from dfrot_engine.recipe import WeightScheme

# Of scales that are no free floats.
_SCALE_DTYPES = {"e4m3": torch.float8_e4m3fn, "e8m0": torch.float8_e8m0fnu}


@dataclass(frozen=True)
class QuantizedWeight:
    """The parts of one weight.

    Args:
        codes_OI: int8; float8_e4m3fn for floating-point formats, whose values it holds exactly.
        scale_OG: in the checkpoint's dtype, or the one the format prescribes; the codes were computed with exactly
            these numbers.
        zero_point_OG: int8 codes that stand for zero, or None when symmetric.
        format: key of FORMATS.
        global_scale: float32 scalar that all scales are divided by, or None for formats without.
    """

    codes_OI: Tensor
    scale_OG: Tensor
    zero_point_OG: Tensor | None
    format: str
    global_scale: Tensor | None = None

    @property
    def group_size(self) -> int:
        return self.codes_OI.shape[1] // self.scale_OG.shape[1]

    def dequantize(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """[O, I] in `dtype`."""
        codes = grouped(self.codes_OI.to(dtype), self.group_size)
        zero_point = None if self.zero_point_OG is None else self.zero_point_OG.to(dtype)[..., None]
        # Divided in float32, as it was when the codes were computed.
        scale = self.scale_OG if self.global_scale is None else self.scale_OG.float() / self.global_scale
        return dequantize(codes, Grid(scale.to(dtype)[..., None], zero_point)).flatten(1)

    def split_rows(self, sizes: list[int]) -> list[QuantizedWeight]:
        """The weights that were stacked along O."""
        zeros = [None] * len(sizes) if self.zero_point_OG is None else self.zero_point_OG.split(sizes)
        # A copy of the global scale each: safetensors refuses to write one tensor under several names.
        return [
            replace(self, codes_OI=codes, scale_OG=scale, zero_point_OG=zero, global_scale=_copy(self.global_scale))
            for codes, scale, zero in zip(self.codes_OI.split(sizes), self.scale_OG.split(sizes), zeros, strict=True)
        ]

    @staticmethod
    def stacked(parts: list[QuantizedWeight]) -> QuantizedWeight:
        """Parts that were rounded by themselves, one above the other; they have no global scale unless there is one."""
        if len(parts) == 1:
            return parts[0]
        assert all(part.global_scale is None for part in parts)
        zeros = [part.zero_point_OG for part in parts if part.zero_point_OG is not None]
        return replace(
            parts[0],
            codes_OI=torch.cat([part.codes_OI for part in parts]),
            scale_OG=torch.cat([part.scale_OG for part in parts]),
            zero_point_OG=torch.cat(zeros) if zeros else None,
        )

    @staticmethod
    def of_parts(tensors: Mapping[str, Tensor], format_name: str) -> QuantizedWeight:
        """The inverse of `tensors`."""
        return QuantizedWeight(
            tensors["codes"], tensors["scale"], tensors.get("zero_point"), format_name, tensors.get("global_scale")
        )

    def tensors(self) -> dict[str, Tensor]:
        """The parts that are there, by the names they are stored under."""
        parts = {
            "codes": self.codes_OI,
            "scale": self.scale_OG,
            "zero_point": self.zero_point_OG,
            "global_scale": self.global_scale,
        }
        return {name: part for name, part in parts.items() if part is not None}


def _copy(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.clone()


def grouped(weight_OI: Tensor, group_size: int) -> Tensor:
    """[O, I] → [O, G, group_size]."""
    return weight_OI.unflatten(1, (-1, group_size))


def group_columns(scheme: WeightScheme, width: int) -> int:
    """Columns that share a scale."""
    return scheme.group_size if scheme.granularity == "per-group" else width


def choose_weight_grid(
    weight_OI: Tensor, scheme: WeightScheme, scale_dtype: torch.dtype, *, global_scale: Tensor | None = None
) -> tuple[Grid, Format, int]:
    """Scales [O, G, 1], already rounded to the dtype they are stored in; the format; the group size in columns.

    Args:
        global_scale: of the whole weight, where these columns are a part of it; see `choose_global_scale`.
    """
    fmt = FORMATS[scheme.format]
    group_size = group_columns(scheme, weight_OI.shape[1])
    groups = grouped(weight_OI.float(), group_size)
    ratio = scheme.clip_ratio
    if ratio == "search":
        ratio = search_clip_ratio(
            groups.flatten(0, 1), fmt, symmetric=scheme.symmetric, global_scale=global_scale
        ).unflatten(0, groups.shape[:2])
    grid = choose_grid(groups, fmt, symmetric=scheme.symmetric, clip_ratio=ratio, global_scale=global_scale)
    if fmt.scales in _SCALE_DTYPES:
        return grid, fmt, group_size
    return Grid(round_scale(grid.scale, scale_dtype).float(), grid.zero_point), fmt, group_size


def round_scale(scale: Tensor, dtype: torch.dtype) -> Tensor:
    """In the dtype it is stored in, and not zero.

    A scale below the dtype's smallest number would round to zero and take the whole group with it. float16 counts down
    to its subnormal numbers, which groups of small weights need at 8 bits.
    """
    info = torch.finfo(dtype)
    return scale.clamp(min=max(info.tiny * info.eps, torch.finfo(torch.float32).tiny)).to(dtype)


def to_quantized_weight(codes_OI: Tensor, grid: Grid, fmt: Format, scale_dtype: torch.dtype) -> QuantizedWeight:
    """Parts in the dtypes they are stored in.

    Args:
        codes_OI: what `quantize` made of the weight under `grid`.
        grid: [O, G, 1], from `choose_weight_grid`; with its `global_scale`, where the format has one.
        scale_dtype: of scales whose dtype the format does not prescribe.
    """
    codes = codes_OI.to(torch.float8_e4m3fn if fmt.is_float else torch.int8)
    zero_point = None if grid.zero_point is None else grid.zero_point[..., 0].to(torch.int8)
    assert (grid.global_scale is not None) == (fmt.scales == "e4m3")
    scale = grid.scale if grid.global_scale is None else grid.scale * grid.global_scale
    stored = scale[..., 0].to(_SCALE_DTYPES.get(fmt.scales, scale_dtype))
    return QuantizedWeight(codes, stored, zero_point, fmt.name, grid.global_scale)


def round_to_nearest(weight_OI: Tensor, grid: Grid, fmt: Format, group_size: int) -> Tensor:
    """Codes [O, I] in float32."""
    return quantize(grouped(weight_OI.float(), group_size), grid, fmt).flatten(1)
