"""Where the massive activations are: the largest |h| of every block input and token."""

from __future__ import annotations

import math

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QRectF

from dfrot_engine.charts import ActivationMap
from dfrot_gui.charts.axis import whole_text
from dfrot_gui.charts.base import Plot, tip_html
from dfrot_gui.run_tables import Table, shown_text
from dfrot_gui.theme import Theme, Tokens, ui_font
from dfrot_gui.translation import mark, num, tr

HEAD_ROOM = 0.045  # share of the height above block 0, where the marks of massive tokens sit

SIDE_ROOM = 0.008
MASSIVE = mark("{value:,.1f}, massive")


class ActivationMapChart(Plot):
    """A heat map of log₁₀(1 + |h|); triangles mark the tokens that are massive in any block."""

    def __init__(self) -> None:
        super().__init__(
            tr("Massive activations"),
            tr("Token position"),
            tr("Block"),
            empty=tr("The largest activation of every token is drawn here during calibration."),
            x_text=whole_text,
            y_text=whole_text,
        )
        self.map: ActivationMap | None = None
        self._image = pg.ImageItem(axisOrder="row-major")
        self.plot_item.addItem(self._image)
        self._marks = self.add_symbols("text", symbol="t", size=7)
        self._bar = pg.ColorBarItem(
            values=(0, 4), colorMap=pg.colormap.get("inferno"), interactive=False, width=10, label=""
        )
        self._bar.setImageItem(self._image, insert_in=self.plot_item)
        self.view.invertY(True)
        self.view.setDefaultPadding(0)
        self.view.sigRangeChanged.connect(self._redraw)
        self.view.sigResized.connect(self._redraw)
        self.set_has_data(False)
        self.apply_theme(Theme.get().t)

    def set_map(self, chart: ActivationMap | None) -> None:
        self.map = chart
        self._bar.setVisible(chart is not None)
        self.set_has_data(chart is not None)
        if chart is None:
            self._image.clear()
            self._marks.setData([], [])
            return
        top = max(1.0, math.log10(1.0 + float(np.nan_to_num(chart.value).max(initial=0.0))))
        self._bar.setLevels((0, top))
        ticks = [(math.log10(1.0 + value), num(f"{value:,}")) for value in (0, *(10**power for power in range(12)))]
        # A tick at the very top is cut off.
        self._bar.axis.setTicks([[tick for tick in ticks if tick[0] < 0.97 * top]])
        positions = np.flatnonzero(chart.is_massive.any(axis=0))
        blocks = chart.value.shape[0]
        self._marks.setData(positions, np.full(len(positions), -0.5 - HEAD_ROOM * blocks / 2))
        self.reset_view()

    def reset_view(self) -> None:
        if self.map is not None:
            blocks, tokens = self.map.value.shape
            left, top = -0.5 - SIDE_ROOM * tokens, -0.5 - HEAD_ROOM * blocks
            self.view.setRange(xRange=(left, tokens - 0.5), yRange=(top, blocks - 0.5), padding=0)
            self._redraw()

    def readout(self, x: float, y: float) -> str:
        if self.map is None:
            return ""
        block, position = math.floor(y + 0.5), math.floor(x + 0.5)
        if not (0 <= position < self.map.value.shape[1] and 0 <= block < self.map.value.shape[0]):
            return ""
        value = float(self.map.value[block, position])
        template = MASSIVE if self.map.is_massive[block, position] else "{value:,.1f}"
        rows = [
            ("", tr("token"), shown_text(str(self.map.tokens[position]))),
            ("", tr("largest |h|"), tr(template, value=value)),
        ]
        return tip_html(tr("block {block} · position {position}", block=block, position=position), rows)

    def table(self) -> Table:
        if self.map is None:
            return Table()
        blocks, tokens = self.map.value.shape
        rows = tuple(
            (
                block,
                position,
                str(self.map.tokens[position]),
                float(self.map.value[block, position]),
                int(self.map.is_massive[block, position]),
            )
            for block in range(blocks)
            for position in range(tokens)
        )
        return Table(("block", "position", "text", "largest_abs", "is_massive"), rows)

    def apply_theme(self, t: Tokens) -> None:
        super().apply_theme(t)
        self.plot_item.showGrid(x=False, y=False)
        if hasattr(self, "_bar"):
            self._bar.axis.setTextPen(t.muted)
            self._bar.axis.setPen(pg.mkPen(t.line))
            self._bar.axis.setTickFont(ui_font(10))

    def drawn(self) -> NDArray[np.float32]:
        """The picture as it is drawn: log₁₀(1 + |h|), tokens that share a pixel pooled."""
        image = self._image.image
        return np.empty((0, 0), np.float32) if image is None else image

    def _redraw(self, *_: object) -> None:
        """Draw what is in view, the largest of the tokens that share a pixel: a mean would wipe out the massive."""
        if self.map is None:
            return
        blocks, tokens = self.map.value.shape
        (left, right), _ = self.view.viewRange()
        first, last = max(0, math.floor(left + 0.5)), min(tokens, math.ceil(right + 0.5))
        if last <= first:
            return
        per_pixel = max(1, math.ceil((last - first) / max(1.0, self.view.width())))
        shown = np.log10(1.0 + np.nan_to_num(self.map.value[:, first:last]))
        pooled = np.maximum.reduceat(shown, np.arange(0, shown.shape[1], per_pixel), axis=1)
        self._image.setImage(pooled.astype(np.float32), autoLevels=False, levels=self._bar.levels())
        self._image.setRect(QRectF(first - 0.5, -0.5, pooled.shape[1] * per_pixel, blocks))  # centred on its numbers
