"""What every chart shares: colours of the theme, a crosshair with a read-out, zoom, and saving."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Protocol

import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QContextMenuEvent, QMouseEvent, QPainter, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QFrame, QGraphicsItem, QGraphicsView, QLabel

from dfrot_gui.charts.axis import Axis, Number
from dfrot_gui.charts.export import save_chart
from dfrot_gui.charts.menu import chart_menu
from dfrot_gui.charts.steady_view import SteadyView
from dfrot_gui.run_tables import Table
from dfrot_gui.theme import Theme, Tokens, px, ui_font

GRID_ALPHA = {"light": 0.18, "dark": 0.14}


class Clicked(Protocol):
    """What is needed of pyqtgraph's click."""

    def scenePos(self) -> QPointF: ...  # noqa: N802


@dataclass
class Styled:
    """An item and how the theme colours it; `width` in logical pixels."""

    item: pg.PlotDataItem
    token: str
    width: float
    symbol: bool = False
    line: Qt.PenStyle = Qt.PenStyle.SolidLine


class Plot(pg.PlotWidget):
    """A chart. Drag zooms into a rectangle, Ctrl+wheel zooms, a double click shows everything again."""

    def __init__(
        self,
        title: str,
        x_label: str,
        y_label: str,
        *,
        empty: str,
        x_text: Number | None = None,
        y_text: Number | None = None,
    ) -> None:
        axes = {"bottom": Axis("bottom", x_text), "left": Axis("left", y_text)}
        super().__init__(viewBox=SteadyView(), axisItems=axes)
        self.title = title
        self.plot_item: pg.PlotItem = self.getPlotItem()  # type: ignore[assignment]
        self.view: pg.ViewBox = self.plot_item.getViewBox()  # type: ignore[assignment]
        self._labels = {"bottom": x_label, "left": y_label}
        self._styled: list[Styled] = []
        self._has_data: bool | None = None
        self._cross = pg.InfiniteLine(angle=90)
        # A QLabel, not a pyqtgraph text item: it takes the style sheet and stays out of saved pictures.
        self.tip = self._overlay("tip")
        self._empty = self._overlay("empty", empty)
        self._set_up(title)
        Theme.get().changed.connect(self.apply_theme)
        self.apply_theme(Theme.get().t)

    def _set_up(self, title: str) -> None:
        self.plot_item.setMenuEnabled(False)
        self.plot_item.hideButtons()
        for side in ("bottom", "left"):
            # An axis draws the grid; above the view it would stripe bars and pictures.
            axis = self.plot_item.getAxis(side)
            axis.setZValue(self.view.zValue() - 1)
            axis.setCacheMode(QGraphicsItem.CacheMode.DeviceCoordinateCache)
        self.view.setDefaultPadding(0.03)
        self.view.setMouseMode(pg.ViewBox.RectMode)
        self._cross.hide()
        self.plot_item.addItem(self._cross, ignoreBounds=True)
        self.setAccessibleName(title)
        self.setMinimumHeight(px(150))
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setViewportUpdateMode(QGraphicsView.ViewportUpdateMode.MinimalViewportUpdate)
        self.sceneObj.sigMouseMoved.connect(self._mouse_moved)  # type: ignore[union-attr]

    def _overlay(self, kind: str, text: str = "") -> QLabel:
        overlay = QLabel(text, self)
        overlay.setProperty("tip" if kind == "tip" else "role", True if kind == "tip" else "muted")
        overlay.setAlignment(Qt.AlignmentFlag.AlignCenter if kind == "empty" else Qt.AlignmentFlag.AlignLeft)
        overlay.setWordWrap(kind == "empty")
        overlay.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        overlay.setVisible(kind == "empty")
        return overlay

    # What a chart adds.

    def readout(self, x: float, y: float) -> str:
        """HTML for the point under the mouse, in view coordinates (logarithms on a logarithmic axis); "" for none."""
        return ""

    def legend(self) -> list[tuple[str, str]]:
        """(text, colour) of what is drawn."""
        return []

    def table(self) -> Table:
        """The numbers behind the picture."""
        return Table()

    # What a chart uses.

    def add_curve(self, token: str, width: float = 2.0, line: Qt.PenStyle = Qt.PenStyle.SolidLine) -> pg.PlotDataItem:
        """An empty curve in a theme colour, drawn fast and without losing its peaks."""
        curve = self.plot_item.plot([], [], antialias=True)
        curve.setDownsampling(auto=True, method="peak")
        curve.setClipToView(True)
        curve.setSkipFiniteCheck(True)
        self._styled.append(Styled(curve, token, width, line=line))
        self._style(self._styled[-1], Theme.get().t)
        return curve

    def add_symbols(self, token: str, symbol: str = "o", size: float = 5.0) -> pg.PlotDataItem:
        """Empty marks in a theme colour."""
        marks = self.plot_item.plot([], [], pen=None, symbol=symbol, symbolSize=size, symbolPen=None, antialias=True)
        self._styled.append(Styled(marks, token, 0.0, symbol=True))
        self._style(self._styled[-1], Theme.get().t)
        return marks

    def remove_drawn(self, items: Sequence[pg.PlotDataItem]) -> None:
        for item in items:
            self.plot_item.removeItem(item)
        self._styled = [one for one in self._styled if one.item not in items]

    def set_labels(self, x_label: str, y_label: str) -> None:
        self._labels = {"bottom": x_label, "left": y_label}
        self.apply_theme(Theme.get().t)

    def set_has_data(self, has_data: bool) -> None:
        """Show the chart, or the sentence that says why there is none."""
        if has_data == self._has_data:
            return  # an axis that is shown again draws itself anew
        self._has_data = has_data
        self._empty.setVisible(not has_data)
        for side in ("bottom", "left"):
            self.plot_item.showAxis(side, has_data)
        if not has_data:
            self._hide_cross()

    def set_empty_text(self, text: str) -> None:
        """Say why there is nothing to draw."""
        self._empty.setText(text)

    def reset_view(self) -> None:
        self.view.enableAutoRange()

    def apply_theme(self, t: Tokens) -> None:
        self.setBackground(t.card)
        for side, text in self._labels.items():
            axis = self.plot_item.getAxis(side)
            axis.setPen(pg.mkPen(t.line_strong))
            axis.setTextPen(t.muted)
            axis.setTickFont(ui_font(11))
            if text:
                axis.setLabel(text, **{"color": t.muted, "font-size": f"{px(11)}px"})
        self.plot_item.showGrid(x=False, y=True, alpha=GRID_ALPHA[t.name])
        for one in self._styled:
            self._style(one, t)
        self._cross.setPen(pg.mkPen(t.faint, style=Qt.PenStyle.DashLine))

    def _style(self, one: Styled, t: Tokens) -> None:
        if one.symbol:
            one.item.setSymbolBrush(t.color(one.token))
        else:
            # pyqtgraph's pens are cosmetic: their width is in device pixels.
            width = one.width * self.devicePixelRatioF()
            one.item.setPen(pg.mkPen(t.color(one.token), width=width, style=one.line))

    def close(self) -> None:
        # pyqtgraph takes a closed plot to pieces, which no theme can colour any more.
        if not self.closed:
            Theme.get().changed.disconnect(self.apply_theme)
            super().close()

    def sizeHint(self) -> QSize:  # noqa: N802
        # A graphics view asks for 640 × 480 and would push everything else out of the page.
        return QSize(px(260), px(160))

    # Pictures and numbers.

    def picture_size(self) -> QSize:
        return self.viewport().size()

    def paint_picture(self, painter: QPainter, target: QRectF) -> None:
        self._hide_cross()
        with self._drawn_anew():
            QGraphicsView.render(self, painter, target, self.viewport().rect())

    @contextmanager
    def _drawn_anew(self) -> Iterator[None]:
        """Axes and marks as shapes: on the screen they come from pixmaps, which a picture would show enlarged."""
        axes = [self.plot_item.getAxis(side) for side in self._labels]
        marks = [one.item.scatter for one in self._styled]
        for axis in axes:
            axis.setCacheMode(QGraphicsItem.CacheMode.NoCache)
        for dots in marks:
            dots.opts["useCache"] = False
        try:
            yield
        finally:
            for axis in axes:
                axis.setCacheMode(QGraphicsItem.CacheMode.DeviceCoordinateCache)
            for dots in marks:
                dots.opts["useCache"] = True

    def save(self, path: Path) -> None:
        """Raises: OSError: the file cannot be written."""
        save_chart(self, path)

    # Mouse.

    def _mouse_moved(self, position: QPointF) -> None:
        if self._empty.isVisibleTo(self) or not self.view.sceneBoundingRect().contains(position):
            self._hide_cross()
            return
        self.show_tip_at(self.view.mapSceneToView(position))

    def clicked_point(self, event: Clicked) -> QPointF | None:
        """Where the view was clicked, in its own coordinates; None beside it."""
        is_inside = self.view.sceneBoundingRect().contains(event.scenePos())
        return self.view.mapSceneToView(event.scenePos()) if is_inside else None

    def show_tip_at(self, point: QPointF) -> None:
        """Crosshair and read-out at a point in view coordinates."""
        html = self.readout(point.x(), point.y())
        if not html:
            self._hide_cross()
            return
        self._cross.setPos(point.x())
        self._cross.show()
        self.tip.setText(html)
        self.tip.adjustSize()
        at = self.mapFromScene(self.view.mapViewToScene(point))
        self._place_tip(at.x(), at.y())

    def _place_tip(self, x: int, y: int) -> None:
        fits_right = x + 20 + self.tip.width() < self.width()
        left = x + 14 if fits_right else x - 14 - self.tip.width()
        top = min(y - self.tip.height() // 2, self.height() - self.tip.height() - 4)
        self.tip.move(max(4, left), max(4, top))
        self.tip.show()

    def _hide_cross(self) -> None:
        self._cross.hide()
        self.tip.hide()

    def leaveEvent(self, ev: QEvent) -> None:  # noqa: N802
        super().leaveEvent(ev)
        self._hide_cross()

    def wheelEvent(self, ev: QWheelEvent) -> None:  # noqa: N802
        # The wheel scrolls the page; a chart that swallowed it would trap the reader.
        if ev.modifiers() & Qt.KeyboardModifier.ControlModifier:
            super().wheelEvent(ev)
        else:
            ev.ignore()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        self.reset_view()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:  # noqa: N802
        menu = chart_menu(self, self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(event.globalPos())

    def resizeEvent(self, ev: QResizeEvent | None) -> None:  # noqa: N802
        super().resizeEvent(ev)
        if hasattr(self, "_empty"):
            self._empty.setGeometry(self.rect().adjusted(40, 10, -40, -30))


def tip_html(head: str, rows: Sequence[tuple[str, str, str]]) -> str:
    """A read-out: a muted head, then (colour or "", name, value) a line each. Texts are escaped."""
    lines = [f"<div style='font-size:{px(11)}px;color:{Theme.get().t.muted}'>{escape(head)}</div>"]
    for color, name, value in rows:
        square = f"<span style='color:{color}'>■</span> " if color else ""
        lines.append(f"<div style='font-size:{px(11)}px'>{square}{escape(name)} &nbsp;<b>{escape(value)}</b></div>")
    return "".join(lines)
