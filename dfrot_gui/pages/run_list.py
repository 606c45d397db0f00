"""The table of past runs: whole rows are chosen, Enter opens, a letter finds nothing by accident."""

from __future__ import annotations

from PySide6.QtCore import QItemSelectionModel, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from dfrot_engine import RunInfo
from dfrot_gui.history_table import COLUMNS, RUN_ROLE, STARTED, ShownRuns
from dfrot_gui.pages.result_tables import keep_heads_whole, plain_table
from dfrot_gui.translation import tr

_STRETCHED = ("Model", "Recipe")
_ICON = 16


class RunList(QTableView):
    """Shows what a ShownRuns lets through; `opened` is emitted for a double click or Enter, `unwanted` for Delete."""

    opened = Signal()
    unwanted = Signal()
    chosen = Signal()

    def __init__(self, shown: ShownRuns) -> None:
        super().__init__()
        plain_table(self, tr("Runs"))
        self._shown = shown
        self.setModel(shown)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setIconSize(QSize(_ICON, _ICON))
        self.setWordWrap(False)
        self.setSortingEnabled(True)
        self.sortByColumn(STARTED, Qt.SortOrder.DescendingOrder)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        head = self.horizontalHeader()
        for number, column in enumerate(COLUMNS):
            is_wide = column.title in _STRETCHED
            mode = QHeaderView.ResizeMode.Stretch if is_wide else QHeaderView.ResizeMode.ResizeToContents
            head.setSectionResizeMode(number, mode)
        keep_heads_whole(self)
        self.doubleClicked.connect(lambda _: self.opened.emit())
        self.selectionModel().selectionChanged.connect(lambda *_: self.chosen.emit())

    def selected(self) -> list[RunInfo]:
        """The chosen runs, as they stand in the table."""
        rows = sorted({index.row() for index in self.selectionModel().selectedRows()})
        return [self._shown.index(row, 0).data(RUN_ROLE) for row in rows]

    def select(self, key: str) -> None:
        """Choose the row of a run alone; nothing if it is not shown."""
        for row, run in enumerate(self._shown.runs()):
            if run.key == key:
                flags = QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows
                self.selectionModel().setCurrentIndex(self._shown.index(row, 0), flags)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.opened.emit()
        elif event.key() == Qt.Key.Key_Delete:
            self.unwanted.emit()
        else:
            super().keyPressEvent(event)
