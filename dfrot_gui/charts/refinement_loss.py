"""The loss of the rotation while it is refined."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

from dfrot_gui.charts.axis import whole_text
from dfrot_gui.charts.base import Plot, tip_html
from dfrot_gui.run_parts import Curve, Point
from dfrot_gui.run_tables import Table
from dfrot_gui.translation import mark, num, tr

# A wide antialiased path through noise costs seconds a frame; drawn in segments it costs 50 ms.
SEGMENTED_FROM = 800
# Drawing axes and curve anew takes longer than everything else on the page.
MOST_PIXELS = 600
EMPTY = mark("The loss is drawn here while a rotation is refined.")
NOT_REFINED = mark("This recipe's rotation is not refined, so there is no loss to draw.")


class RefinementLossChart(Plot):
    """Loss by refinement; a dot marks the best so far."""

    def __init__(self) -> None:
        super().__init__(
            tr("Loss"),
            tr("Refinement"),
            tr("Loss"),
            empty=tr(EMPTY),
            x_text=whole_text,
        )
        self._points: Sequence[Point] = ()
        self._num_drawn = 0
        self._curve = self.add_curve("dfrot", 2.5)
        self._best = self.add_symbols("good", size=8)
        self.set_has_data(False)

    def set_is_refined(self, is_refined: bool) -> None:
        """Whether this run's recipe refines its rotation at all."""
        self.set_empty_text(tr(EMPTY if is_refined else NOT_REFINED))

    def set_points(self, points: Sequence[Point], *, is_last: bool = True) -> None:
        """Draw them; of a curve that grows (`is_last` is false), only when it has grown by about a pixel."""
        if len(points) == len(self._points) == self._num_drawn and points[-1:] == self._points[-1:]:
            return
        self._points = points
        if not is_last and 0 < len(points) - self._num_drawn < len(points) / MOST_PIXELS:
            return
        self._num_drawn = len(points)
        drawn = points.thinned if isinstance(points, Curve) else points
        steps = np.array([point.step for point in drawn], dtype=np.float64)
        values = np.array([point.value for point in drawn], dtype=np.float64)
        is_finite = np.isfinite(values)
        steps, values = steps[is_finite], values[is_finite]
        self._curve.curve.setSegmentedLineMode("on" if len(values) > SEGMENTED_FROM else "auto")
        self._curve.setData(steps, values)
        best = [int(np.argmin(values))] if len(values) else []
        self._best.setData(steps[best], values[best])
        self.set_has_data(len(values) > 0)

    def readout(self, x: float, y: float) -> str:
        if not self._points or not -0.5 + self._points[0].step <= x <= self._points[-1].step + 0.5:
            return ""
        after = bisect_left(self._points, x, key=lambda point: point.step)
        nearest = min(self._points[max(0, after - 1) : after + 1], key=lambda point: abs(point.step - x))
        return tip_html(tr("refinement {step}", step=nearest.step), [("", tr("loss"), num(f"{nearest.value:.6g}"))])

    def table(self) -> Table:
        return Table(("step", "loss"), tuple((point.step, point.value) for point in self._points))
