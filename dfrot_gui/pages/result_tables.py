"""Tables in cards, with a button that saves them."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSortFilterProxyModel, Qt
from PySide6.QtWidgets import QAbstractItemView, QFileDialog, QFrame, QHeaderView, QMessageBox, QTableView

from dfrot_gui.run_tables import SORT_ROLE, TableModel
from dfrot_gui.theme import px
from dfrot_gui.translation import tr
from dfrot_gui.widgets import Button, Card

ROW_HEIGHT = 33
HEAD_HEIGHT = 38
HEAD_PADDING = 10


class TableCard(Card):
    """A sortable table."""

    def __init__(self, title: str, model: TableModel, subtitle: str = "") -> None:
        save = Button("CSV", "download-simple", "ghost", tip=tr("Save as CSV: {title}", title=title))
        super().__init__(title, subtitle, right=save, margins=(18, 12, 14, 8), spacing=4)
        self._title = title
        self._model = model
        self.view = _view(title)
        sorted_model = QSortFilterProxyModel(self)
        sorted_model.setSourceModel(model)
        sorted_model.setSortRole(SORT_ROLE)
        self.view.setModel(sorted_model)
        # Until a head is clicked, rows stand in the order they came.
        self.view.horizontalHeader().setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self.view.setSortingEnabled(True)
        self.add(self.view, 1)
        save.clicked.connect(self._ask_and_save)
        sorted_model.modelReset.connect(self._fit_columns)
        self._fit_columns()

    def _fit_columns(self) -> None:
        """Words in full, numbers evenly in what is left."""
        head, rows = self.view.horizontalHeader(), self._model.table.rows
        for column, value in enumerate(rows[0] if rows else ()):
            is_text = isinstance(value, str)
            mode = QHeaderView.ResizeMode.ResizeToContents if is_text else QHeaderView.ResizeMode.Stretch
            head.setSectionResizeMode(column, mode)
        keep_heads_whole(self.view)

    def _ask_and_save(self) -> None:
        proposed = f"{self._title.lower().replace(' ', '-')}.csv"
        name, _ = QFileDialog.getSaveFileName(
            self, tr("Save: {title}", title=self._title), proposed, tr("CSV table (*.csv)")
        )
        if not name:
            return
        try:
            self._model.table.save_csv(Path(name))
        except OSError as error:
            QMessageBox.warning(
                self,
                tr("Not saved"),
                tr("{name} could not be written: {reason}.", name=name, reason=error.strerror or error),
            )


def keep_heads_whole(view: QTableView) -> None:
    """No column becomes narrower than the widest head; where that is too much, the table scrolls sideways."""
    head = view.horizontalHeader()
    titles = (str(head.model().headerData(column, Qt.Orientation.Horizontal)) for column in range(head.count()))
    widest = max((head.fontMetrics().horizontalAdvance(title) for title in titles), default=0)
    head.setMinimumSectionSize(widest + 2 * px(HEAD_PADDING))


def plain_table(view: QTableView, name: str) -> QTableView:
    """The look of the window's tables: lines between rows, no grid, no numbers at the side; Tab leaves it."""
    view.setAccessibleName(name)
    view.setShowGrid(False)
    view.setFrameShape(QFrame.Shape.NoFrame)
    view.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
    # Tab would walk the cells and never leave the table.
    view.setTabKeyNavigation(False)
    view.verticalHeader().hide()
    view.verticalHeader().setDefaultSectionSize(px(ROW_HEIGHT))
    view.setMinimumHeight(px(ROW_HEIGHT * 4 + HEAD_HEIGHT))
    view.horizontalHeader().setHighlightSections(False)
    return view


def _view(name: str) -> QTableView:
    view = plain_table(QTableView(), name)
    view.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
    view.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
    return view
