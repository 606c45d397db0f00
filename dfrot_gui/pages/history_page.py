"""Every run on this computer: find one, open it, go on with it, use its recipe again, compare, delete."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from PySide6.QtCore import QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QHideEvent, QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import QComboBox, QLineEdit, QMenu, QStackedWidget

from dfrot_engine import DFRotError, RunInfo
from dfrot_gui import icons
from dfrot_gui.background import Latest
from dfrot_gui.compare import LEAST, MOST, load_runs
from dfrot_gui.history_model import HistoryModel
from dfrot_gui.history_table import COLUMNS, FILTERS, ShownRuns, state_text, when_text
from dfrot_gui.pages.compare_view import CompareView
from dfrot_gui.pages.empty_page import EmptyPage
from dfrot_gui.pages.history_actions import ConfirmDelete, RunDeleter, RunReader, open_folder
from dfrot_gui.pages.run_list import RunList
from dfrot_gui.run_model import RunModel
from dfrot_gui.translation import mark, tr
from dfrot_gui.widgets import Button, Card, Notice, Page, Segmented, label, row
from dfrot_gui.widgets.page import ElidedLabel

EMPTY, LIST, COMPARE = range(3)
REFRESH_MS = 5_000
OPEN, RESUME, RECIPE = "open", "resume", "recipe"
_CUSTOM = mark("Column heads")


class Order(NamedTuple):
    column: str
    order: Qt.SortOrder


_UP, _DOWN = Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder
ORDERS = {
    mark("Newest first"): Order("Started", _DOWN),
    mark("Oldest first"): Order("Started", _UP),
    mark("Lowest perplexity"): Order("Perplexity", _UP),
    mark("Lowest KL"): Order("KL", _UP),
    mark("Smallest"): Order("Size", _UP),
    mark("Fastest"): Order("Duration", _UP),
    mark("By model"): Order("Model", _UP),
    mark("By recipe"): Order("Recipe", _UP),
    mark("By state"): Order("State", _UP),
}
_TITLES = [column.title for column in COLUMNS]


class HistoryPage(Page):
    """Listens to a HistoryModel and a RunModel; what leads to other pages is said by signals."""

    opened = Signal(object, bool)  # PastRun, whether it is to go on
    recipe_wanted = Signal(object)
    recipe_requested = Signal()
    run_requested = Signal()

    def __init__(self, history: HistoryModel, runs: RunModel, confirm: ConfirmDelete | None = None) -> None:
        self.compare_button = Button(tr("Compare"), "scales", tip=tr("Two to six chosen runs side by side (C)"))
        self.open_button = Button(tr("Open"), "folder-open", "primary", tip=tr("Show the run and its results (Enter)"))
        super().__init__(tr("History"), "", (self.compare_button, self.open_button))
        self._history = history
        self._runs = runs
        self.shown = ShownRuns(self)
        self.shown.setSourceModel(history.table)
        self.list = RunList(self.shown)
        self.notice = Notice("", tr("Close"))
        self._told: tuple[str, ...] = ()
        self._clock = QTimer(self, interval=REFRESH_MS)
        self._reader, self._deleter = RunReader(self), RunDeleter(self, confirm)
        self._comparer = Latest(self, parallel=1)
        self.compare = CompareView()
        self.empty = EmptyPage(
            "clock-counter-clockwise",
            tr("No runs yet"),
            tr("Every run on this computer appears here, also those of the command line."),
            tr("Go to the recipe"),
        )
        self._stack = QStackedWidget()
        for widget in (self.empty, self._build_list(), self.compare):
            self._stack.addWidget(widget)
        self.add(self.notice)
        self.add(self._stack, 1)
        self._connect()
        self._show_all()

    def refresh(self) -> None:
        self._history.refresh()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        super().showEvent(event)
        self._clock.start()
        self.refresh()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802
        super().hideEvent(event)
        self._clock.stop()

    def _look_again(self) -> None:
        """Runs go on and begin while one watches, also those of the command line."""
        if not self._history.is_busy:
            self.refresh()

    def _build_list(self) -> Card:
        self.search_edit = QLineEdit()
        self.search_edit.setPlaceholderText(tr("Filter by model, recipe or folder"))
        self.search_edit.setAccessibleName(tr("Filter runs"))
        self.search_edit.setClearButtonEnabled(True)
        position = QLineEdit.ActionPosition.LeadingPosition
        self.search_edit.addAction(icons.icon("magnifying-glass", "faint"), position)
        self.state_choice = Segmented(list(FILTERS), labels=[*map(tr, FILTERS)], name=tr("State"))
        self.order_choice = QComboBox()
        for name in ORDERS:
            self.order_choice.addItem(tr(name), name)
        self.order_choice.setAccessibleName(tr("Order of the runs"))
        card = Card(margins=(14, 14, 14, 12), spacing=10)
        card.add(row((self.search_edit, 1), self.state_choice, self.order_choice, spacing=12))
        card.add(self.list, 1)
        self.none_label = label(tr("No run fits. Choose another state or other words."), "muted")
        card.add(row(self.none_label, margins=(10, 0, 0, 0)))
        self.chosen_label = ElidedLabel("", "small")
        self.resume_button = Button(tr("Resume"), "play", tip=tr("Go on where it stopped"))
        self.recipe_button = Button(
            tr("Use this recipe"), "sliders-horizontal", tip=tr("Load its recipe on the Recipe page")
        )
        self.folder_button = Button(
            tr("Open folder"), "folder-open", tip=tr("Open what was written, else the work folder")
        )
        self.delete_button = Button(
            tr("Delete…"), "trash", "danger", tip=tr("Delete with its files, after asking (Del)")
        )
        buttons = (self.resume_button, self.recipe_button, self.folder_button, self.delete_button)
        card.add(row((self.chosen_label, 1), *buttons, spacing=8, margins=(6, 0, 0, 0)))
        return card

    def _connect(self) -> None:
        self._history.changed.connect(self._show_all)
        self._clock.timeout.connect(self._look_again)
        self._runs.changed.connect(self._show_actions)
        self._runs.ended.connect(lambda _: self.refresh() if self.isVisible() else None)
        self.search_edit.textChanged.connect(self._filter)
        self.search_edit.returnPressed.connect(self._go_to_list)
        self.state_choice.changed.connect(lambda _: self._filter())
        self.order_choice.activated.connect(lambda _: self._sort())
        self.list.horizontalHeader().sortIndicatorChanged.connect(self._show_order)
        self.list.chosen.connect(self._show_actions)
        self.list.customContextMenuRequested.connect(self._show_menu)
        self.compare.closed.connect(self._close_comparison)
        self.empty.requested.connect(self.recipe_requested)
        self._comparer.answered.connect(self._show_comparison)
        for source in (self._comparer, self._reader, self._deleter):
            source.failed.connect(self._tell)
        self._reader.read.connect(self._take)
        self._deleter.done.connect(self.refresh)
        actions: tuple[tuple[Button, Callable[[], None]], ...] = (
            (self.open_button, lambda: self._read(OPEN)),
            (self.resume_button, lambda: self._read(RESUME)),
            (self.recipe_button, lambda: self._read(RECIPE)),
            (self.folder_button, lambda: open_folder(self.list.selected()[0])),
            (self.delete_button, lambda: self._deleter.start(self._history.notes(self.list.selected()))),
            (self.compare_button, lambda: self._compare(self.list.selected())),
        )
        for button, action in actions:
            button.clicked.connect(action)
        self.list.opened.connect(self.open_button.click)
        self.list.unwanted.connect(self.delete_button.click)
        self._add_keys()

    def _add_keys(self) -> None:
        inside = Qt.ShortcutContext.WidgetWithChildrenShortcut
        QShortcut(QKeySequence.StandardKey.Find, self, self.search_edit.setFocus, context=inside)
        QShortcut(QKeySequence.StandardKey.Refresh, self, self.refresh, context=inside)
        QShortcut(QKeySequence("C"), self.list, self.compare_button.click, context=Qt.ShortcutContext.WidgetShortcut)
        QShortcut(QKeySequence("Esc"), self.compare, self._close_comparison, context=inside)

    def _filter(self) -> None:
        self.shown.set_text(self.search_edit.text())
        self.shown.set_state(self.state_choice.current())
        self._show_all()

    def _sort(self) -> None:
        order = ORDERS.get(self.order_choice.currentData())
        if order is not None:
            self.list.sortByColumn(_TITLES.index(order.column), order.order)

    def _show_order(self, section: int, order: Qt.SortOrder) -> None:
        """The choice follows a click on a column's head."""
        chosen = Order(_TITLES[section], order)
        name = next((name for name, one in ORDERS.items() if one == chosen), _CUSTOM)
        custom = self.order_choice.findData(_CUSTOM)
        if name == _CUSTOM and custom < 0:
            self.order_choice.addItem(tr(_CUSTOM), _CUSTOM)
        elif name != _CUSTOM and custom >= 0:
            self.order_choice.removeItem(custom)
        self.order_choice.setCurrentIndex(self.order_choice.findData(name))

    def _go_to_list(self) -> None:
        if self.shown.rowCount():
            self.list.setFocus(Qt.FocusReason.TabFocusReason)
            if not self.list.selected():
                self.list.selectRow(0)

    def _show_all(self) -> None:
        history = self._history
        total, count = history.table.rowCount(), self.shown.rowCount()
        if self._stack.currentIndex() != COMPARE:
            self._stack.setCurrentIndex(EMPTY if history.is_loaded and not total and not history.is_busy else LIST)
        self.set_subtitle(self._summary(total, count))
        self.none_label.setVisible(bool(total) and not count)
        if history.error is not None:
            self._tell(history.error)
        elif history.skipped and history.skipped != self._told:  # once; it may be closed
            self._told = history.skipped
            self.notice.show_message("inset", tr("Part of the list could not be read"), "\n".join(history.skipped[:5]))
        self._show_actions()

    def _summary(self, total: int, count: int) -> str:
        if self._stack.currentIndex() == COMPARE:
            return tr("%n runs side by side", len(self.compare.runs))
        if not self._history.is_loaded:
            return tr("Looking for runs…")
        found = tr("%n runs on this computer", total)
        if count != total:
            found = tr("{count:,} of %n runs on this computer", total, count=count)
        return tr("{found}, reading…", found=found) if self._history.num_missing else found

    def _show_actions(self) -> None:
        chosen = self.list.selected()
        one = chosen[0] if len(chosen) == 1 else None
        is_here = one is not None and self._is_here(one)
        is_free = not self._runs.is_active
        is_list = self._stack.currentIndex() == LIST
        is_there = one is not None and one.status != "gone"
        self.open_button.setEnabled(is_list and is_there and (is_free or is_here))
        self.resume_button.setEnabled(one is not None and one.can_resume and is_free)
        self.recipe_button.setEnabled(is_there)
        self.folder_button.setEnabled(is_there)
        self.delete_button.setEnabled(bool(chosen) and not any(self._is_going_on(run) for run in chosen))
        comparable = [run for run in chosen if run.status != "gone"]
        self.compare_button.setEnabled(is_list and LEAST <= len(chosen) <= MOST and len(comparable) == len(chosen))
        for button in (self.compare_button, self.open_button):
            button.setVisible(self._stack.currentIndex() == LIST)
        self.chosen_label.setText(self._said(chosen))

    def _said(self, chosen: list[RunInfo]) -> str:
        if len(chosen) > 1:
            told = tr("%n runs chosen", len(chosen))
            return tr("{told}; at most {most} can be compared", told=told, most=MOST) if len(chosen) > MOST else told
        if not chosen:
            return tr("Choose a run; with Ctrl or Shift several, to compare them.")
        run = chosen[0]
        if self._runs.is_active and not self._is_here(run):
            return tr("Another run is going on in this window; this one can be opened when it has ended.")
        return " · ".join(filter(None, (f"{state_text(run)}, {when_text(run)}", run.message, str(run.output_dir))))

    def _is_here(self, run: RunInfo) -> bool:
        """Whether it is the run that this window has started."""
        return self._runs.is_active and self._runs.work_dir == run.work_dir

    def _is_going_on(self, run: RunInfo) -> bool:
        return run.status == "running" or self._is_here(run)

    def _read(self, purpose: str) -> None:
        (run,) = self.list.selected()
        if self._is_here(run) and purpose == OPEN:
            self.run_requested.emit()
        else:
            self._reader.ask(run, purpose)

    def _take(self, past: object, purpose: str) -> None:
        if purpose == RECIPE:
            self.recipe_wanted.emit(past)
        elif not self._runs.is_active:  # one may have begun while this one was read
            self.opened.emit(past, purpose == RESUME)

    def _compare(self, runs: list[RunInfo]) -> None:
        self._comparer.ask(lambda: load_runs(runs))

    def _show_comparison(self, runs: tuple) -> None:
        self.compare.show_runs(runs)
        self._stack.setCurrentIndex(COMPARE)
        self._show_all()
        self.compare.back_button.setFocus(Qt.FocusReason.OtherFocusReason)

    def _close_comparison(self) -> None:
        self._stack.setCurrentIndex(LIST)
        self._show_all()
        self.list.setFocus(Qt.FocusReason.OtherFocusReason)

    def _tell(self, error: DFRotError) -> None:
        self.notice.show_message("warn", error.message, error.remedy)

    def _show_menu(self, at: QPoint) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for button in self._menu_buttons():
            action = menu.addAction(button.accessibleName())
            action.setEnabled(button.isEnabled())
            action.triggered.connect(button.click)
        menu.popup(self.list.viewport().mapToGlobal(at))

    def _menu_buttons(self) -> tuple[Button, ...]:
        actions = (self.open_button, self.resume_button, self.recipe_button, self.compare_button)
        return (*actions, self.folder_button, self.delete_button)
