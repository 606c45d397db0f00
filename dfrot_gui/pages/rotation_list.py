"""The rotations of the library as rows: which method, which model, and what it brought."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPen
from PySide6.QtWidgets import QFrame, QListWidget, QListWidgetItem, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from dfrot_engine.library import RotationEntry
from dfrot_gui.quantities import when_text
from dfrot_gui.theme import Theme, design_font, px, scaled, series_label
from dfrot_gui.translation import tr

Index = QModelIndex | QPersistentModelIndex
ROW_HEIGHT = 56
_RIGHT_WIDTH = 110.0


class RotationList(QListWidget):
    """One row for each entry; the entry itself is the row's UserRole."""

    def __init__(self) -> None:
        super().__init__()
        self.setItemDelegate(_RotationDelegate())
        self.setAccessibleName(tr("Saved rotations"))
        self.setMouseTracking(True)
        self.setUniformItemSizes(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setVerticalScrollMode(QListWidget.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.viewport().setAttribute(Qt.WidgetAttribute.WA_Hover)
        Theme.get().changed.connect(self.viewport().update)

    def show_entries(self, entries: Sequence[RotationEntry], chosen: str = "") -> None:
        """Replace the rows; `chosen` is the reference of the one to select, else the first is."""
        self.clear()
        for entry in entries:
            item = QListWidgetItem(entry.name)
            item.setData(Qt.ItemDataRole.UserRole, entry)
            said = (_title(entry), entry.model, *_details(entry), *_numbers(entry))
            item.setData(Qt.ItemDataRole.AccessibleTextRole, ", ".join(filter(None, said)))
            item.setToolTip(entry.name)
            self.addItem(item)
        places = [number for number, entry in enumerate(entries) if entry.reference == chosen]
        self.setCurrentRow(places[0] if places else 0)

    @property
    def current(self) -> RotationEntry | None:
        item = self.currentItem()
        return item.data(Qt.ItemDataRole.UserRole) if item else None


def _title(entry: RotationEntry) -> str:
    return series_label(entry.kind)


def _details(entry: RotationEntry) -> list[str]:
    details = [when_text(entry.created), tr("recipe {name}", name=entry.recipe_name)]
    details += [tr("seed {seed}", seed=entry.seed)] if entry.seed is not None else []
    return details


def _numbers(entry: RotationEntry) -> tuple[str, str]:
    """(what the refinement took off the loss, mean relative error of a token), each empty where it is not known."""
    gain, error = entry.loss_gain, entry.token_error_mean
    return "" if gain is None else tr("loss −{share:.0f} %", share=100 * gain), "" if error is None else tr(
        "error {error:.4f}", error=error
    )


class _RotationDelegate(QStyledItemDelegate):
    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:  # noqa: N802
        return QSize(px(200), px(ROW_HEIGHT))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        style: Any = option  # its fields are not in the stubs
        entry: RotationEntry = index.data(Qt.ItemDataRole.UserRole)
        frame = scaled(painter, style.rect).adjusted(2, 2, -2, -2)
        is_selected = bool(style.state & QStyle.StateFlag.State_Selected)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        t = Theme.get().t
        if is_selected or style.state & QStyle.StateFlag.State_MouseOver:
            painter.setPen(QPen(QColor(t.accent), 1) if is_selected else Qt.PenStyle.NoPen)
            painter.setBrush(QColor(t.accent_soft if is_selected else t.inset))
            painter.drawRoundedRect(frame, 9, 9)
        self._paint_text(painter, entry, frame)
        self._paint_numbers(painter, entry, frame)
        painter.restore()

    def _paint_text(self, painter: QPainter, entry: RotationEntry, frame: QRectF) -> None:
        t = Theme.get().t
        x, base = frame.x() + 14, frame.y() + 23
        free = frame.right() - _RIGHT_WIDTH - 24 - x
        name_font, font = design_font(13, QFont.Weight.DemiBold), design_font(12)
        painter.setFont(name_font)
        painter.setPen(QColor(t.text))
        painter.drawText(QPointF(x, base), _title(entry))
        title_width = QFontMetricsF(name_font).horizontalAdvance(_title(entry)) + 10
        metrics = QFontMetricsF(font)
        painter.setFont(font)
        painter.setPen(QColor(t.muted))
        model = metrics.elidedText(entry.model, Qt.TextElideMode.ElideMiddle, free - title_width)
        painter.drawText(QPointF(x + title_width, base), model)
        details = metrics.elidedText(" · ".join(_details(entry)), Qt.TextElideMode.ElideRight, free)
        painter.drawText(QPointF(x, base + 20), details)

    def _paint_numbers(self, painter: QPainter, entry: RotationEntry, frame: QRectF) -> None:
        t = Theme.get().t
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        left = frame.right() - _RIGHT_WIDTH - 14
        painter.setFont(design_font(12, QFont.Weight.DemiBold))
        painter.setPen(QColor(t.good))
        gain, error = _numbers(entry)
        painter.drawText(QRectF(left, frame.y() + 9, _RIGHT_WIDTH, 18), right, gain)
        painter.setFont(design_font(12))
        painter.setPen(QColor(t.muted))
        painter.drawText(QRectF(left, frame.y() + 29, _RIGHT_WIDTH, 18), right, error)
