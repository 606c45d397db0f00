"""Number formats as rows of one table. Imports no torch: recipes, plans and the window read it too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Format:
    """What a code can be, and what a scale can be.

    Args:
        bits: of one code.
        lowest, highest: the codes' range.
        mantissa_bits: of a floating-point code; None for integers.
        least_exponent: of a floating-point code; below it codes lie evenly.
        scales: "free" scales are floats of the checkpoint's precision; "e4m3" ones are 8-bit floats, divided by one
            float32 scale of the whole tensor; "e8m0" ones are powers of two.
        scale_bits: of one scale.
        group_size: columns that share a scale, where the format leaves no choice.
        granularity: of weights, where nothing else is said and it is not the recipe's default.
    """

    name: str
    bits: int
    lowest: int
    highest: int
    mantissa_bits: int | None = None
    least_exponent: int = 0
    scales: Literal["free", "e4m3", "e8m0"] = "free"
    scale_bits: int = 16
    group_size: int | None = None
    granularity: Literal["per-channel", "per-group"] | None = None

    @property
    def steps(self) -> int:
        return self.highest - self.lowest

    @property
    def is_float(self) -> bool:
        return self.mantissa_bits is not None

    def stored_bits(self, rows: int, columns: int, *, group_size: int, symmetric: bool) -> int:
        """Bits of a whole weight in a checkpoint: codes, scales, zero-points and the tensor's own scale."""
        per_scale = self.scale_bits + (0 if symmetric else self.bits)
        whole = 32 if self.scales == "e4m3" else 0
        return rows * columns * self.bits + rows * (columns // group_size) * per_scale + whole


def _integer(bits: int) -> Format:
    return Format(f"int{bits}", bits, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)


_ROWS = (
    *(_integer(bits) for bits in range(2, 9)),
    Format("fp8", 8, -448, 448, mantissa_bits=3, least_exponent=-6, granularity="per-channel"),
    Format("nvfp4", 4, -6, 6, mantissa_bits=1, scales="e4m3", scale_bits=8, group_size=16, granularity="per-group"),
    Format("mxfp4", 4, -6, 6, mantissa_bits=1, scales="e8m0", scale_bits=8, group_size=32, granularity="per-group"),
)
FORMATS = {row.name: row for row in _ROWS}


def fixed_fields(name: object) -> dict[str, Any]:
    """Fields of a scheme that a format leaves no choice about, with their values; none for unknown names."""
    fmt = FORMATS.get(name) if isinstance(name, str) else None
    if fmt is None or not fmt.is_float:
        return {}
    grouped = {} if fmt.group_size is None else {"granularity": "per-group", "group_size": fmt.group_size}
    return {"symmetric": True} | grouped


def usual_fields(name: object) -> dict[str, Any]:
    """Fields of a weight scheme that a format brings along where nothing is said about them."""
    fmt = FORMATS.get(name) if isinstance(name, str) else None
    usual = {} if fmt is None or fmt.granularity is None else {"granularity": fmt.granularity}
    return usual | fixed_fields(name)


def fields_of_granularity(name: object) -> dict[str, Any]:
    """Fields of a scheme that a granularity brings along where nothing is said about them."""
    # A number that was measured keeps the largest value; clipping it would save nothing of a floating-point code.
    return {"clip_ratio": 1.0} if name == "per-tensor" else {}


def with_granularity(scheme: Mapping[str, Any], name: object) -> dict[str, Any]:
    """A scheme's fields with another granularity: what the old or the new one brings along is left for the new one."""
    brought = {**fields_of_granularity(scheme.get("granularity")), **fields_of_granularity(name)}
    if scheme.get("granularity") == name:
        return dict(scheme)
    return {field: value for field, value in scheme.items() if field not in brought} | {"granularity": name}


def with_format(scheme: Mapping[str, Any], name: object) -> dict[str, Any]:
    """A scheme's fields in another format: what the old or the new one brings along is left for the new one to say."""
    if scheme.get("format") == name:
        return dict(scheme)
    brought = usual_fields(scheme.get("format")) | usual_fields(name)
    brought |= fields_of_granularity(scheme.get("granularity"))
    return {field: value for field, value in scheme.items() if field not in brought} | {"format": name}
