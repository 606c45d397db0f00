"""Axes whose ticks read like numbers: 1, 10, 1,000 and 0.05, 0.1, 0.2 instead of powers and SI prefixes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import pyqtgraph as pg

from dfrot_gui.translation import num

Number = Callable[[float], str]

# From tenths to decades; sets between them keep labels apart where whole steps would touch before the next power.
MIN_LABELS = 2
# Between these, numbers are written out with separators.
GROUPED_FROM, MOST_DIGITS = 10_000, 1e10
LABELLED_FACTORS: tuple[tuple[float, ...], ...] = (
    tuple(tenth / 10 for tenth in range(10, 100)),
    (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8),
    tuple(range(1, 10)),
    (1, 1.5, 2, 3, 5, 7),
    (1, 2, 5),
    (1,),
)


class Axis(pg.AxisItem):
    """An axis that labels round numbers when logarithmic, and may be given its own words for a value."""

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
        room = 21 if self.orientation == "left" else 48
        return log_ticks(min(minVal, maxVal), max(minVal, maxVal), size, room)

    def tickStrings(self, values: Sequence[float], scale: float, spacing: float | None) -> list[str]:  # noqa: N802
        if self.logMode:
            return [number_text(10.0**value) if spacing else "" for value in values]
        if self.text:
            return [self.text(value) for value in values]
        spacing = spacing or 1.0
        if spacing * scale >= 1 and MOST_DIGITS > max(map(abs, values), default=0.0) * scale >= GROUPED_FROM:
            return [num(f"{value * scale:,.0f}") for value in values]  # pyqtgraph would write 5.7e+06
        return [num(text) for text in super().tickStrings(list(values), scale, spacing)]


def log_ticks(low: float, high: float, size: float, room: float) -> list[tuple[float | None, list[float]]]:
    """Tick levels of a logarithmic axis: as many labels as have room.

    Args:
        low, high: the ends, as powers of ten.
        size: pixels.
        room: pixels a label needs.
    Returns:
        Levels as pyqtgraph takes them; those with a spacing carry text, the last one is for the eye alone.
    """
    pixels_per_decade = size / max(high - low, 1e-9)
    least_gap = room / pixels_per_decade
    candidates = [_at(factors, low, high) for factors in LABELLED_FACTORS]
    fitting = [ticks for ticks in candidates if _thinned(ticks, least_gap) == ticks]
    labelled = max(fitting, key=len, default=[])
    if len(labelled) < MIN_LABELS:
        thinned = [_thinned(ticks, least_gap) for ticks in reversed(candidates)]
        labelled = next((ticks for ticks in thinned if len(ticks) >= MIN_LABELS), max(thinned, key=len))
    minor = _at(range(1, 10), low, high) if pixels_per_decade > 40 else []
    return [(1.0, labelled), (None, [value for value in minor if value not in labelled])]


def _thinned(ticks: list[float], least_gap: float) -> list[float]:
    """The ticks that have room beside the one before."""
    kept: list[float] = []
    for tick in ticks:
        if not kept or tick - kept[-1] >= least_gap:
            kept.append(tick)
    return kept


def _at(factors: Iterable[float], low: float, high: float) -> list[float]:
    """Logarithms of all factor · 10ⁿ between the ends, rising."""
    values = list(factors)
    decades = range(math.floor(low), math.ceil(high) + 1)
    return [tick for decade in decades for factor in values if low <= (tick := decade + math.log10(factor)) <= high]


def number_text(value: float) -> str:
    """A tick's number, without trailing zeros: "1,000", "0.05"."""
    if value >= 1:
        return num(f"{value:,.0f}")
    return num(f"{value:.6f}".rstrip("0").rstrip("."))


def whole_text(value: float) -> str:
    """A tick of an axis that counts; ticks between two whole numbers stay empty."""
    return num(f"{value:,.0f}") if abs(value - round(value)) < 1e-6 and value > -0.5 else ""
