"""The rows of the model list, painted by a delegate: thousands of rows cost no widgets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPen
from PySide6.QtWidgets import QAbstractItemView, QFrame, QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from dfrot_gui import icons
from dfrot_gui.hub_search import ModelRow
from dfrot_gui.quantities import format_bytes, format_count, format_parameters
from dfrot_gui.theme import Theme, design_font, px, scaled
from dfrot_gui.translation import tr

Index = QModelIndex | QPersistentModelIndex
ROW_HEIGHT = 64
_RIGHT_WIDTH = 96.0


class ModelRows(QAbstractListModel):
    """Rows behind the list; the row itself is the UserRole."""

    def __init__(self) -> None:
        super().__init__()
        self._rows: tuple[ModelRow, ...] = ()

    def set_rows(self, rows: Sequence[ModelRow]) -> None:
        self.beginResetModel()
        self._rows = tuple(rows)
        self.endResetModel()

    def find(self, source: str) -> QModelIndex:
        """Index of a model, or an invalid one."""
        for number, row in enumerate(self._rows):
            if row.source == source:
                return self.index(number, 0)
        return QModelIndex()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008, N802
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        row = self._rows[index.row()]
        if role == Qt.ItemDataRole.UserRole:
            return row
        if role == Qt.ItemDataRole.DisplayRole:
            return row.name
        if role == Qt.ItemDataRole.AccessibleTextRole:
            parts = (
                f"{row.owner}/{row.name}",
                row.architecture,
                _parameters(row),
                _size(row),
                *(text for text, _ in _badges(row)),
            )
            return ", ".join(filter(None, parts))
        return row.source if role == Qt.ItemDataRole.ToolTipRole and row.kind != "sample" else None


class ModelList(QListView):
    """The list itself: one row chosen, arrows move, Enter takes."""

    def __init__(self, fits: Callable[[ModelRow], bool]) -> None:
        super().__init__()
        self.setItemDelegate(_ModelDelegate(fits))
        self.setAccessibleName(tr("Models"))
        self.setMouseTracking(True)
        self.setUniformItemSizes(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.viewport().setAttribute(Qt.WidgetAttribute.WA_Hover)
        Theme.get().changed.connect(self.viewport().update)


def _parameters(row: ModelRow) -> str:
    return format_parameters(row.parameters) if row.parameters else ""


def _size(row: ModelRow) -> str:
    return format_bytes(row.size) if row.size else ""


def _badges(row: ModelRow) -> list[tuple[str, str]]:
    """(text, colour) of what is worth knowing before one chooses it."""
    badges = [(tr("Downloaded"), "good")] if row.is_downloaded and row.kind == "hub" else []
    return [*badges, (tr("Gated"), "warn")] if row.is_gated else badges


class _ModelDelegate(QStyledItemDelegate):
    def __init__(self, fits: Callable[[ModelRow], bool]) -> None:
        super().__init__()
        self._fits = fits

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:  # noqa: N802
        return QSize(px(200), px(ROW_HEIGHT))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        style: Any = option  # its fields are not in the stubs
        row: ModelRow = index.data(Qt.ItemDataRole.UserRole)
        frame = scaled(painter, style.rect).adjusted(4, 2, -4, -2)
        is_selected = bool(style.state & QStyle.StateFlag.State_Selected)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if is_selected or style.state & QStyle.StateFlag.State_MouseOver:
            t = Theme.get().t
            painter.setPen(QPen(QColor(t.accent), 1) if is_selected else Qt.PenStyle.NoPen)
            painter.setBrush(QColor(t.accent_soft if is_selected else t.inset))
            painter.drawRoundedRect(frame, 9, 9)
        self._paint_icon(painter, row, frame, is_selected)
        self._paint_name(painter, row, frame)
        self._paint_details(painter, row, frame)
        self._paint_size(painter, row, frame)
        painter.restore()

    def _paint_icon(self, painter: QPainter, row: ModelRow, frame: QRectF, is_selected: bool) -> None:
        t = Theme.get().t
        name = {"sample": "sparkle", "file": "folder"}.get(row.kind, "lock-key" if row.is_gated else "cube")
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(t.card if is_selected else t.inset))
        square = QRectF(frame.x() + 14, frame.y() + 13, 34, 34)
        painter.drawRoundedRect(square, 9, 9)
        icons.draw(painter, name, square.adjusted(8, 8, -8, -8), "accent" if is_selected else "muted")

    def _paint_name(self, painter: QPainter, row: ModelRow, frame: QRectF) -> None:
        t = Theme.get().t
        badges = self._badges(row)
        badge_font, owner_font, name_font = design_font(11, QFont.Weight.Medium), design_font(12), design_font(13)
        name_font.setWeight(QFont.Weight.DemiBold)
        badge_width = sum(QFontMetricsF(badge_font).horizontalAdvance(text) + 20 for text, _ in badges)
        x, base = frame.x() + 60, frame.y() + 25
        free = frame.right() - _RIGHT_WIDTH - 24 - badge_width - x
        owner = f"{row.owner} / " if row.kind == "hub" else ""
        metrics = QFontMetricsF(name_font)
        name_width = metrics.horizontalAdvance(row.name)
        owner_width = QFontMetricsF(owner_font).horizontalAdvance(owner)
        if owner and name_width + owner_width <= free:
            painter.setFont(owner_font)
            painter.setPen(QColor(t.muted))
            painter.drawText(QPointF(x, base), owner)
            x, free = x + owner_width, free - owner_width
        painter.setFont(name_font)
        painter.setPen(QColor(t.text))
        painter.drawText(QPointF(x, base), metrics.elidedText(row.name, Qt.TextElideMode.ElideMiddle, free))
        x += min(name_width, free) + 10
        painter.setFont(badge_font)
        for text, kind in badges:
            pill = QRectF(x, frame.y() + 12, QFontMetricsF(badge_font).horizontalAdvance(text) + 14, 18)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(t.color(f"{kind}_soft")))
            painter.drawRoundedRect(pill, 9, 9)
            painter.setPen(QColor(t.color(kind)))
            painter.drawText(pill, Qt.AlignmentFlag.AlignCenter, text)
            x = pill.right() + 6

    def _badges(self, row: ModelRow) -> list[tuple[str, str]]:
        badges = _badges(row)
        return badges if self._fits(row) else [*badges, (tr("Larger than memory"), "bad")]

    def _paint_details(self, painter: QPainter, row: ModelRow, frame: QRectF) -> None:
        t = Theme.get().t
        font = design_font(12)
        metrics = QFontMetricsF(font)
        painter.setFont(font)
        x, limit = frame.x() + 60, frame.right() - _RIGHT_WIDTH - 20
        details = [
            ("stack", row.architecture or (tr("Not on the list: look it up by its id") if row.kind == "hub" else ""))
        ]
        if row.kind == "sample":
            details = [("info", tr("Small, needs no download; good for a first run"))]
        elif row.kind == "file":
            details = [("folder", row.owner)]
        details += [("download-simple", format_count(row.downloads))] if row.downloads else []
        details += [("heart", format_count(row.likes))] if row.likes else []
        for name, text in details:
            is_first = (name, text) == details[0]
            if not text or (not is_first and x + 17 + metrics.horizontalAdvance(text) > limit):
                continue
            shown = metrics.elidedText(text, Qt.TextElideMode.ElideMiddle, limit - x - 17)
            icons.draw(painter, name, QRectF(x, frame.y() + 35, 13, 13), "faint")
            painter.setPen(QColor(t.muted))
            painter.drawText(QPointF(x + 17, frame.y() + 46), shown)
            x += 17 + metrics.horizontalAdvance(shown) + 16

    def _paint_size(self, painter: QPainter, row: ModelRow, frame: QRectF) -> None:
        t = Theme.get().t
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        left = frame.right() - _RIGHT_WIDTH - 14
        painter.setFont(design_font(13, QFont.Weight.DemiBold))
        painter.setPen(QColor(t.text))
        painter.drawText(QRectF(left, frame.y() + 12, _RIGHT_WIDTH, 18), right, _parameters(row))
        painter.setFont(design_font(12))
        painter.setPen(QColor(t.muted))
        painter.drawText(QRectF(left, frame.y() + 33, _RIGHT_WIDTH, 18), right, _size(row))
