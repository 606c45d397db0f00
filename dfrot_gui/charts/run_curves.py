"""The same curve of several runs over each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import Qt

from dfrot_gui.charts.axis import Number
from dfrot_gui.charts.base import Plot, tip_html
from dfrot_gui.run_tables import Table
from dfrot_gui.theme import RUN_TOKENS, Theme
from dfrot_gui.translation import num

# Beside the colours, so that the curves can be told apart without them.
LINES = (
    Qt.PenStyle.SolidLine,
    Qt.PenStyle.DashLine,
    Qt.PenStyle.DotLine,
    Qt.PenStyle.DashDotLine,
    Qt.PenStyle.DashDotDotLine,
    Qt.PenStyle.SolidLine,
)
# Dashes are laid along the path, which takes seconds a frame on long ones.
MOST_POINTS = 600


@dataclass(frozen=True)
class Curve:
    """One run's curve; `number` is the run's place among those compared, which decides its colour."""

    name: str
    number: int
    x: NDArray[np.float64]
    y: NDArray[np.float64]


class RunCurvesChart(Plot):
    """Curves by run; those without a point are left out."""

    def __init__(
        self,
        title: str,
        x_label: str,
        y_label: str,
        *,
        empty: str,
        x_text: Number | None = None,
        is_log: bool = False,
    ) -> None:
        super().__init__(title, x_label, y_label, empty=empty, x_text=x_text)
        self._is_log = is_log
        self._curves: tuple[Curve, ...] = ()
        self._drawn: list[pg.PlotDataItem] = []
        self.plot_item.setLogMode(x=is_log, y=is_log)
        self.set_has_data(False)

    def set_curves(self, curves: Sequence[Curve]) -> None:
        self.remove_drawn(self._drawn)
        self._curves = tuple(filter(None, (_sound(curve, is_log=self._is_log) for curve in curves)))
        self._drawn = [self._draw(curve) for curve in self._curves]
        self.set_has_data(bool(self._curves))
        self.reset_view()

    @property
    def curves(self) -> tuple[Curve, ...]:
        return self._curves

    def _draw(self, curve: Curve) -> pg.PlotDataItem:
        token = RUN_TOKENS[curve.number]
        if len(curve.x) == 1:  # a line does not show it
            drawn = self.add_symbols(token, size=8)
        else:
            drawn = self.add_curve(token, 2.0, LINES[curve.number])
        drawn.setData(curve.x, curve.y)
        return drawn

    def readout(self, x: float, y: float) -> str:
        at = 10.0**x if self._is_log else round(x)
        rows = [
            (self._color(curve), curve.name, num(f"{float(np.interp(at, curve.x, curve.y)):.5g}"))
            for curve in self._curves
            if curve.x[0] <= at <= curve.x[-1]
        ]
        return tip_html(f"{self._labels['bottom']} {num(f'{at:,.0f}')}", rows) if rows else ""

    def legend(self) -> list[tuple[str, str]]:
        return [(curve.name, self._color(curve)) for curve in self._curves]

    def table(self) -> Table:
        rows = tuple(
            (curve.name, float(x), float(y)) for curve in self._curves for x, y in zip(curve.x, curve.y, strict=True)
        )
        return Table(("run", self._labels["bottom"].lower(), self._labels["left"].lower()), rows)

    @staticmethod
    def _color(curve: Curve) -> str:
        return Theme.get().t.color(RUN_TOKENS[curve.number])


def _sound(curve: Curve, *, is_log: bool) -> Curve | None:
    """The curve without what cannot be drawn, thinned where it is long; None if nothing is left."""
    fits = np.isfinite(curve.x) & np.isfinite(curve.y)
    if is_log:
        fits &= (curve.x > 0) & (curve.y > 0)
    x, y = curve.x[fits], curve.y[fits]
    if not len(x):
        return None
    if len(x) > MOST_POINTS:
        places = np.geomspace(1, len(x), MOST_POINTS) if is_log else np.linspace(1, len(x), MOST_POINTS)
        chosen = np.unique(places.round().astype(np.int64)) - 1
        x, y = x[chosen], y[chosen]
    return Curve(curve.name, curve.number, x, y)
