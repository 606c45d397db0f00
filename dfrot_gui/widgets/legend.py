"""The legend of a chart: one switch per series."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QWidget

from dfrot_gui.theme import Theme, design_font, px, scaled, series_color, series_label
from dfrot_gui.translation import tr
from dfrot_gui.widgets.basic import clear, row


class Legend(QWidget):
    """`toggled` carries the rotation kind and whether it is to be shown."""

    toggled = Signal(str, bool)

    def __init__(self, kinds: Sequence[str] = ()) -> None:
        super().__init__()
        self._row = row(spacing=14)
        self.setLayout(self._row)
        self._kinds: tuple[str, ...] = ()
        self.set_kinds(kinds)

    def set_kinds(self, kinds: Sequence[str]) -> None:
        """One switch per kind, all on; nothing happens when the kinds are the same."""
        if tuple(kinds) == self._kinds:
            return
        self._kinds = tuple(kinds)
        clear(self._row)
        for kind in kinds:
            switch = LegendItem(kind)
            switch.toggled.connect(lambda is_on, kind=kind: self.toggled.emit(kind, is_on))
            self._row.addWidget(switch)


class LegendItem(QAbstractButton):
    """A coloured square and a name; off is grey."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._kind = kind
        self.setText(series_label(kind))
        self.setCheckable(True)
        self.setChecked(True)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(tr("Show {text}", text=self.text()))
        self.setToolTip(tr("Show or hide {text}", text=self.text()))
        Theme.get().changed.connect(self.update)

    def sizeHint(self) -> QSize:  # noqa: N802
        width = QFontMetrics(design_font(12, QFont.Weight.Medium)).horizontalAdvance(self.text()) + 22
        return QSize(px(width), px(20))

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        t = Theme.get().t
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        frame = scaled(painter, self.rect())
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(series_color(t, self._kind) if self.isChecked() else t.line_strong))
        painter.drawRoundedRect(QRectF(1, 5, 10, 10), 3, 3)
        painter.setFont(design_font(12, QFont.Weight.Medium))
        painter.setPen(QColor(t.text if self.isChecked() else t.faint))
        painter.drawText(QRectF(17, 0, frame.width() - 16, 20), Qt.AlignmentFlag.AlignVCenter, self.text())
        if self.property("kbd"):
            painter.setPen(QPen(QColor(t.focus), 1.5))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(frame.adjusted(0.75, 0.75, -0.75, -0.75), 4, 4)
        painter.end()
