"""Axes whose ticks read like numbers: 1, 10, 1,000 and 0.05, 0.1, 0.2 instead of powers and SI prefixes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import pyqtgraph as pg

Number = Callable[[float], str]


class Axis(pg.AxisItem):
    """An axis that labels 1-2-5 steps when logarithmic, and may be given its own words for a value."""

    def __init__(self, side: Literal["left", "bottom"], text: Number | None = None) -> None:
        super().__init__(side)
        self.text = text
        # pyqtgraph's SI prefixes turn "0.02" into "20 m" and resize the axis as one zooms.
        self.enableAutoSIPrefix(False)
        self.setStyle(tickLength=-4, tickTextOffset=6, autoExpandTextSpace=True, hideOverlappingLabels=True)

    def tickValues(self, minVal: float, maxVal: float, size: float) -> list[Any]:  # noqa: N802
        if not self.logMode:
            return super().tickValues(minVal, maxVal, size)
        # "20,000" is wider than it is high.
        room = 70 if self.orientation == "left" else 190
        return log_ticks(min(minVal, maxVal), max(minVal, maxVal), size, room)

    def tickStrings(self, values: Sequence[float], scale: float, spacing: float | None) -> list[str]:  # noqa: N802
        if self.logMode:
            return [number_text(10.0**value) if spacing else "" for value in values]
        if self.text:
            return [self.text(value) for value in values]
        return super().tickStrings(list(values), scale, spacing or 1.0)


def log_ticks(low: float, high: float, size: float, room: float) -> list[tuple[float | None, list[float]]]:
    """Tick levels of a logarithmic axis.

    Args:
        low, high: the ends, as powers of ten.
        size: pixels.
        room: pixels a decade needs for three labels.
    Returns:
        Levels as pyqtgraph takes them; those with a spacing carry text, the last one is for the eye alone.
    """
    decades = range(math.floor(low), math.ceil(high) + 1)
    pixels_per_decade = size / max(high - low, 1e-9)
    labelled = (1, 2, 5) if pixels_per_decade > room else (1,)
    minor = tuple(range(1, 10)) if pixels_per_decade > 40 else ()

    def at(factors: Sequence[int]) -> list[float]:
        values = (decade + math.log10(factor) for decade in decades for factor in factors)
        return [value for value in values if low <= value <= high]

    return [(1.0, at(labelled)), (None, at([factor for factor in minor if factor not in labelled]))]


def number_text(value: float) -> str:
    """A tick's number, without trailing zeros: "1,000", "0.05"."""
    if value >= 1:
        return f"{value:,.0f}"
    return f"{value:.6f}".rstrip("0").rstrip(".")


def whole_text(value: float) -> str:
    """A tick of an axis that counts; ticks between two whole numbers stay empty."""
    return f"{value:,.0f}" if abs(value - round(value)) < 1e-6 and value > -0.5 else ""
