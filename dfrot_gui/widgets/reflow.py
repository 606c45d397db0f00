"""A grid that takes fewer columns when it gets narrow."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QGridLayout, QSizePolicy, QWidget


class ReflowGrid(QWidget):
    """Equal columns; their number is the largest of `columns` at which each is at least `min_width` wide."""

    def __init__(self, widgets: Sequence[QWidget], *, columns: Sequence[int], min_width: int, spacing: int) -> None:
        super().__init__()
        self._widgets = list(widgets)
        self._columns = sorted(columns, reverse=True)
        self._min_width = min_width
        self._now = 0
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(spacing)
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.setSizePolicy(policy)
        for widget in widgets:  # else wide contents would make their column wider than the others
            own = widget.sizePolicy()
            own.setHorizontalPolicy(QSizePolicy.Policy.Ignored)
            widget.setSizePolicy(own)
        self._arrange(self._columns[0])

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        # Without this the widest arrangement would keep the page from ever getting narrow.
        return QSize(self._least(), super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        super().resizeEvent(event)
        gap = self._grid.spacing()
        least = self._least()
        fitting = (n for n in self._columns if n * least + (n - 1) * gap <= self.width())
        self._arrange(next(fitting, self._columns[-1]))

    def _least(self) -> int:
        return max(self._min_width, *(widget.minimumSizeHint().width() for widget in self._widgets))

    def _arrange(self, columns: int) -> None:
        if columns == self._now:
            return
        for column in range(max(columns, self._now)):
            self._grid.setColumnStretch(column, 1 if column < columns else 0)
        self._now = columns
        for number, widget in enumerate(self._widgets):
            line, column = divmod(number, columns)
            is_last = number == len(self._widgets) - 1
            self._grid.addWidget(widget, line, column, 1, columns - column if is_last else 1)
