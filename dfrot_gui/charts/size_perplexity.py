"""What a smaller model costs: each run's perplexity over the size of its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyqtgraph as pg
from PySide6.QtCore import Qt

from dfrot_gui.charts.base import Plot, tip_html
from dfrot_gui.quantities import format_bytes
from dfrot_gui.run_tables import Table
from dfrot_gui.run_words import level_text
from dfrot_gui.theme import RUN_TOKENS, Theme, Tokens, ui_font
from dfrot_gui.translation import tr

# Beside the colours, so that the runs can be told apart without them.
SYMBOLS = ("o", "s", "t", "d", "star", "p")
MARK_SIZE = 12.0
# Originals that differ by less are one model measured with other threads.
SAME_ORIGINAL = 0.005
_NEAR = 0.06  # of the picture's width


@dataclass(frozen=True)
class RunPoint:
    """`number` is the run's place among those compared, which decides its colour and mark."""

    name: str
    number: int
    size: float
    perplexity: float


class SizePerplexityChart(Plot):
    """A mark with its letter for each run; a dashed line where the original is, if all have the same."""

    def __init__(self) -> None:
        super().__init__(
            tr("Size against perplexity"),
            tr("Size of the weights"),
            tr("Perplexity"),
            empty=tr("Runs that have written a checkpoint and measured its perplexity are drawn here."),
            x_text=lambda value: format_bytes(value) if value > 0 else "",
        )
        self._points: tuple[RunPoint, ...] = ()
        self._marks: list[pg.PlotDataItem] = []
        self._letters: list[pg.TextItem] = []
        self._original = pg.InfiniteLine(angle=0)
        self._original_value: float | None = None
        self.plot_item.addItem(self._original)
        self._original.hide()
        self.set_has_data(False)
        self.apply_theme(Theme.get().t)

    @property
    def points(self) -> tuple[RunPoint, ...]:
        return self._points

    @property
    def original(self) -> float | None:
        """Perplexity of the original that all runs share."""
        return self._original_value

    def set_points(self, points: Sequence[RunPoint], originals: Sequence[float]) -> None:
        """`originals` are the perplexities of the original models, of every run that knows it."""
        self.remove_drawn(self._marks)
        for letter in self._letters:
            self.plot_item.removeItem(letter)
        self._points, self._marks, self._letters = tuple(points), [], []
        for point in self._points:
            mark = self.add_symbols(RUN_TOKENS[point.number], SYMBOLS[point.number], MARK_SIZE)
            mark.setData([point.size], [point.perplexity])
            letter = pg.TextItem(point.name, anchor=(-0.6, 0.5))
            letter.setPos(point.size, point.perplexity)
            self.plot_item.addItem(letter)
            self._marks.append(mark)
            self._letters.append(letter)
        is_shared = bool(originals) and max(originals) <= (1 + SAME_ORIGINAL) * min(originals)
        self._original_value = originals[0] if is_shared and points else None
        self._original.setVisible(self._original_value is not None)
        if self._original_value is not None:
            self._original.setPos(self._original_value)
        self.set_has_data(bool(points))
        self.apply_theme(Theme.get().t)
        self._show_all()

    def _show_all(self) -> None:
        """With room around the marks; one alone would have no extent at all."""
        if not self._points:
            return
        heights = [point.perplexity for point in self._points]
        heights += [self._original_value] if self._original_value is not None else []
        sizes = [point.size for point in self._points]
        for low, high, show in (
            (min(sizes), max(sizes), self.view.setXRange),
            (min(heights), max(heights), self.view.setYRange),
        ):
            room = 0.15 * (high - low) or 0.1 * high
            show(max(0.0, low - room), high + room, padding=0)

    def reset_view(self) -> None:
        self._show_all()

    def apply_theme(self, t: Tokens) -> None:
        super().apply_theme(t)
        if not hasattr(self, "_original"):  # the frame's own call
            return
        self._original.setPen(pg.mkPen(t.faint, style=Qt.PenStyle.DashLine))
        for letter in self._letters:
            letter.setColor(t.text)
            letter.setFont(ui_font(12))

    def readout(self, x: float, y: float) -> str:
        (left, right), _ = self.view.viewRange()
        near = [point for point in self._points if abs(point.size - x) <= _NEAR * (right - left)]
        rows = [(self._color(point), point.name, level_text(point.perplexity)) for point in near]
        return tip_html(format_bytes(near[0].size), rows) if near else ""

    def legend(self) -> list[tuple[str, str]]:
        entries = [(point.name, self._color(point)) for point in self._points]
        return (
            [*entries, (tr("original, dashed"), Theme.get().t.faint)] if self._original_value is not None else entries
        )

    def table(self) -> Table:
        rows = tuple((point.name, point.size, point.perplexity) for point in self._points)
        return Table(("run", "bytes", "perplexity"), rows)

    @staticmethod
    def _color(point: RunPoint) -> str:
        return Theme.get().t.color(RUN_TOKENS[point.number])
