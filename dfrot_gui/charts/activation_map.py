"""Where the massive activations are: the largest |h| of every block input and token."""

from __future__ import annotations

import math

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent
from PySide6.QtWidgets import QGraphicsRectItem

from dfrot_engine.charts import ActivationMap
from dfrot_gui.charts.axis import whole_text
from dfrot_gui.charts.base import Clicked, Plot, tip_html
from dfrot_gui.run_tables import Table, shown_text
from dfrot_gui.theme import Theme, Tokens, ui_font
from dfrot_gui.translation import mark, num, tr

HEAD_ROOM = 0.045  # share of the height above block 0, where the marks of massive tokens sit

SIDE_ROOM = 0.008
#: Key → blocks down, positions to the right.
STEPS = {
    Qt.Key.Key_Left: (0, -1),
    Qt.Key.Key_Right: (0, 1),
    Qt.Key.Key_Up: (-1, 0),
    Qt.Key.Key_Down: (1, 0),
    Qt.Key.Key_PageUp: (0, -32),
    Qt.Key.Key_PageDown: (0, 32),
    Qt.Key.Key_Home: (0, -(1 << 30)),
    Qt.Key.Key_End: (0, 1 << 30),
}
TAB_REASONS = (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason)
#: Seen on every colour of the map, which both themes share.
MARK_COLOR = "#3de0ff"
MARKS = {
    "block": (1.0, Qt.PenStyle.DashLine),
    "pin": (2.0, Qt.PenStyle.SolidLine),
    "cursor": (3.0, Qt.PenStyle.SolidLine),
}
PIN_KEYS = (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space)
MASSIVE = mark("{value:,.1f}, massive")


class ActivationMapChart(Plot):
    """A heat map of log₁₀(1 + |h|); triangles mark the tokens that are massive in any block.

    A click pins a cell; with the keyboard, arrows move a cursor, Enter pins and Escape lets go.
    """

    #: The pinned (block, position), or None.
    pinned = Signal(object)

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
        self.site: int | None = None
        self.pin: tuple[int, int] | None = None
        self.cursor_cell: tuple[int, int] | None = None
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
        self._marked = {name: QGraphicsRectItem() for name in MARKS}
        for frame in self._marked.values():
            frame.setZValue(10)
            frame.hide()
            self.view.addItem(frame, ignoreBounds=True)
        self.sceneObj.sigMouseClicked.connect(self._mouse_clicked)  # type: ignore[union-attr]
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleDescription(tr("Arrow keys move over the tokens; Enter shows one in full, Escape closes it."))
        self.set_has_data(False)
        self.apply_theme(Theme.get().t)

    @property
    def values(self) -> NDArray[np.float32]:
        """[L, T] what is drawn: in front of the chosen site, else of the block."""
        return self._of_site("value")

    @property
    def is_massive(self) -> NDArray[np.bool_]:
        return self._of_site("is_massive")

    def _of_site(self, name: str) -> NDArray:
        assert self.map is not None
        by_site = getattr(self.map, f"site_{name}")
        return by_site[self.site] if self.site is not None and self.site < len(by_site) else getattr(self.map, name)

    def set_has_data(self, has_data: bool) -> None:
        super().set_has_data(has_data)
        self._bar.setVisible(has_data)

    def set_map(self, chart: ActivationMap | None) -> None:
        """The map of the same run may have grown; what is pinned stays where there still is such a cell."""
        is_other = chart is None or self.map is None or not _is_alike(chart, self.map)
        self.map = chart
        self.set_has_data(chart is not None)
        if is_other:
            self.cursor_cell = None
            self.set_pin(None)
            self.set_block(None)
        if chart is None:
            self._image.clear()
            self._marks.setData([], [])
            return
        self._draw()
        if is_other:
            self.reset_view()
        else:
            self._redraw()

    def set_site(self, site: int | None) -> None:
        """Show what is in front of one of the block's sites; None: of the block."""
        if site != self.site:
            self.site = site
            if self.map is not None:
                self._draw()
                self._redraw()

    def set_block(self, block: int | None) -> None:
        """Put a frame around a block; None: around none."""
        width = self.map.value.shape[1] if self.map else 0
        self._mark("block", (block, 0) if block is not None and width else None, width)

    def set_pin(self, cell: tuple[int, int] | None) -> None:
        """Mark a cell and say so; None lets go."""
        self._mark("pin", cell)
        if cell != self.pin:
            self.pin = cell
            self.pinned.emit(cell)

    def _mark(self, name: str, cell: tuple[int, int] | None, width: int = 1) -> None:
        frame = self._marked[name]
        frame.setVisible(cell is not None)
        if cell is not None:
            frame.setRect(QRectF(cell[1] - 0.5, cell[0] - 0.5, width, 1))

    def _draw(self) -> None:
        values = self.values
        top = max(1.0, math.log10(1.0 + float(np.nan_to_num(values).max(initial=0.0))))
        self._bar.setLevels((0, top))
        ticks = [(math.log10(1.0 + value), num(f"{value:,}")) for value in (0, *(10**power for power in range(12)))]
        # A tick at the very top is cut off.
        self._bar.axis.setTicks([[tick for tick in ticks if tick[0] < 0.97 * top]])
        positions = np.flatnonzero(self.is_massive.any(axis=0))
        self._marks.setData(positions, np.full(len(positions), -0.5 - HEAD_ROOM * len(values) / 2))

    def reset_view(self) -> None:
        if self.map is not None:
            blocks, tokens = self.map.value.shape
            left, top = -0.5 - SIDE_ROOM * tokens, -0.5 - HEAD_ROOM * blocks
            self.view.setRange(xRange=(left, tokens - 0.5), yRange=(top, blocks - 0.5), padding=0)
            self._redraw()

    def cell_at(self, x: float, y: float) -> tuple[int, int] | None:
        """The (block, position) under a point in view coordinates."""
        if self.map is None:
            return None
        block, position = math.floor(y + 0.5), math.floor(x + 0.5)
        blocks, tokens = self.map.value.shape
        return (block, position) if 0 <= position < tokens and 0 <= block < blocks else None

    def readout(self, x: float, y: float) -> str:
        cell = self.cell_at(x, y)
        if cell is None or self.map is None:
            return ""
        block, position = cell
        template = MASSIVE if self.is_massive[cell] else "{value:,.1f}"
        rows = [
            ("", tr("token"), shown_text(str(self.map.tokens[position]))),
            ("", tr("largest |h|"), tr(template, value=float(self.values[cell]))),
        ]
        return tip_html(tr("block {block} · position {position}", block=block, position=position), rows)

    def table(self) -> Table:
        if self.map is None:
            return Table()
        blocks, tokens = self.map.value.shape
        values, is_massive = self.values, self.is_massive
        rows = tuple(
            (
                block,
                position,
                str(self.map.tokens[position]),
                float(values[block, position]),
                int(is_massive[block, position]),
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
            for name, (width, line) in MARKS.items():
                pen = pg.mkPen(MARK_COLOR, width=width * self.devicePixelRatioF(), style=line)
                self._marked[name].setPen(pen)

    def focusInEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        super().focusInEvent(event)
        if self.map is not None and event.reason() in TAB_REASONS:
            self._move_cursor(0, 0)  # shows where the arrows will start

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        super().focusOutEvent(event)
        self._mark("cursor", None)
        self._hide_cross()

    def keyPressEvent(self, ev: QKeyEvent) -> None:  # noqa: N802
        key = Qt.Key(ev.key())
        if self.map is None or (key == Qt.Key.Key_Escape and self.pin is None):
            ev.ignore()
        elif key in STEPS:
            self._move_cursor(*STEPS[key])
        elif key in PIN_KEYS and self.cursor_cell is not None:
            self.set_pin(self.cursor_cell)
        elif key == Qt.Key.Key_Escape:
            self.set_pin(None)
        else:
            ev.ignore()

    def _move_cursor(self, down: int, right: int) -> None:
        """From the cell that is pinned or was left last; the first step shows where that is."""
        assert self.map is not None
        start = self.cursor_cell or self.pin or (0, 0)
        limits = self.map.value.shape
        block, position = (
            min(max(0, at + by), limit - 1) for at, by, limit in zip(start, (down, right), limits, strict=True)
        )
        self.cursor_cell = block, position
        self._mark("cursor", self.cursor_cell)
        (left, end), (top, bottom) = self.view.viewRange()
        if not (left <= position <= end and top <= block <= bottom):
            self.reset_view()
        self.show_tip_at(QPointF(position, block))

    def _mouse_clicked(self, event: Clicked) -> None:
        point = self.clicked_point(event)
        cell = self.cell_at(point.x(), point.y()) if point else None
        if cell is not None:
            self.cursor_cell = cell
            self.set_pin(cell)

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
        shown = np.log10(1.0 + np.nan_to_num(self.values[:, first:last]))
        pooled = np.maximum.reduceat(shown, np.arange(0, shown.shape[1], per_pixel), axis=1)
        self._image.setImage(pooled.astype(np.float32), autoLevels=False, levels=self._bar.levels())
        self._image.setRect(QRectF(first - 0.5, -0.5, pooled.shape[1] * per_pixel, blocks))  # centred on its numbers


def _is_alike(one: ActivationMap, other: ActivationMap) -> bool:
    """Whether a cell of one is the same token in the same block of the other."""
    return one.value.shape == other.value.shape and np.array_equal(one.tokens, other.tokens)
