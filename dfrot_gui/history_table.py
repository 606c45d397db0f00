"""Past runs as the rows of a Qt table, and which of them are shown in which order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QSortFilterProxyModel, Qt
from PySide6.QtGui import QColor

from dfrot_engine import RunInfo
from dfrot_engine.units import duration_text
from dfrot_gui import icons, quantities
from dfrot_gui.quantities import format_bytes
from dfrot_gui.run_tables import SORT_ROLE, Index, alignment
from dfrot_gui.run_words import level_text
from dfrot_gui.theme import Theme, series_label
from dfrot_gui.translation import mark, num, tr

RUN_ROLE = Qt.ItemDataRole.UserRole + 1
NOTHING = "–"


class StateLook(NamedTuple):
    title: str
    icon: str
    color: str


STATES: dict[str, StateLook] = {
    "finished": StateLook(mark("Finished"), "check-circle", "good"),
    "running": StateLook(mark("Running"), "play-circle", "accent"),
    "cancelled": StateLook(mark("Stopped"), "stop-circle", "warn"),
    "killed": StateLook(mark("Interrupted"), "warning", "warn"),
    "failed": StateLook(mark("Failed"), "x-circle", "bad"),
    "gone": StateLook(mark("Folder gone"), "folder", "muted"),
}
#: What the page offers to filter by.
FILTERS: dict[str, Callable[[RunInfo], bool]] = {
    mark("All"): lambda run: True,
    mark("Finished"): lambda run: run.status == "finished",
    mark("Running"): lambda run: run.status == "running",
    mark("Stopped"): lambda run: run.status in ("cancelled", "killed"),
    mark("Failed"): lambda run: run.status == "failed",
    mark("Can be resumed"): lambda run: run.can_resume,
}


class Column(NamedTuple):
    title: str
    text: Callable[[RunInfo], str]
    value: Callable[[RunInfo], Any]
    is_number: bool = False


def state_text(run: RunInfo) -> str:
    """ "Stopped, can be resumed"."""
    title = STATES[run.status].title
    return tr("{state}, can be resumed", state=tr(title)) if run.can_resume else tr(title)


def short_model(run: RunInfo) -> str:
    return run.model.rstrip("/").rsplit("/", 1)[-1]


def recipe_text(run: RunInfo) -> str:
    """ "w4a4 · Descent", "mine · W4 A4 · RH": a preset's name says its formats."""
    formats = "" if run.formats.replace(" ", "").lower() == run.recipe.lower() else run.formats
    return " · ".join(filter(None, (run.recipe, formats, series_label(run.rotation))))


def when_text(run: RunInfo) -> str:
    return quantities.when_text(run.started)


def score_text(run: RunInfo) -> str:
    """Perplexity before and after: "17.65 → 21.84"."""
    if run.perplexity is None:
        return NOTHING
    before = "" if run.perplexity_original is None else f"{level_text(run.perplexity_original)} → "
    return before + level_text(run.perplexity)


def tip_text(run: RunInfo) -> str:
    return f"{run.model}\n{run.work_dir}\n{run.message}".rstrip()


def _or_nothing(value: float | None, text: Callable[[float], str]) -> str:
    return NOTHING if value is None else text(value)


COLUMNS = (
    Column(mark("State"), state_text, state_text),
    Column(mark("Model"), short_model, lambda run: short_model(run).lower()),
    Column(mark("Recipe"), recipe_text, lambda run: recipe_text(run).lower()),
    Column(mark("Perplexity"), score_text, lambda run: run.perplexity, True),
    Column(
        mark("KL"),
        lambda run: _or_nothing(run.kl_divergence, lambda kl: num(f"{kl:.3g}")),
        lambda run: run.kl_divergence,
        True,
    ),
    Column(mark("Size"), lambda run: _or_nothing(run.bytes, format_bytes), lambda run: run.bytes, True),
    Column(mark("Started"), when_text, lambda run: run.started.timestamp(), True),
    Column(mark("Duration"), lambda run: _or_nothing(run.seconds, duration_text), lambda run: run.seconds, True),
)
STATE, STARTED = 0, 6


class RunTable(QAbstractTableModel):
    """One row for each run, in the order they were read."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.runs: list[RunInfo] = []
        Theme.get().changed.connect(self._recolor)

    def keep(self, keys: Collection[str]) -> None:
        """Drop the rows of all other runs."""
        for row in reversed(range(len(self.runs))):
            if self.runs[row].key not in keys:
                self.beginRemoveRows(QModelIndex(), row, row)
                del self.runs[row]
                self.endRemoveRows()

    def put(self, runs: Sequence[RunInfo]) -> None:
        """Renew the rows of runs that are there, and add the others."""
        rows = {run.key: row for row, run in enumerate(self.runs)}
        for run in runs:
            row = rows.get(run.key)
            if row is not None and self.runs[row] != run:
                self.runs[row] = run
                self.dataChanged.emit(self.index(row, 0), self.index(row, len(COLUMNS) - 1))
        new = [run for run in runs if run.key not in rows]
        if new:
            self.beginInsertRows(QModelIndex(), len(self.runs), len(self.runs) + len(new) - 1)
            self.runs += new
            self.endInsertRows()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008, N802
        return 0 if parent.isValid() else len(self.runs)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008, N802
        return 0 if parent.isValid() else len(COLUMNS)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        run, column = self.runs[index.row()], COLUMNS[index.column()]
        answers: dict[int, Callable[[], Any]] = {
            Qt.ItemDataRole.DisplayRole: lambda: column.text(run),
            SORT_ROLE: lambda: column.value(run),
            RUN_ROLE: lambda: run,
            Qt.ItemDataRole.TextAlignmentRole: lambda: alignment(not column.is_number),
            Qt.ItemDataRole.ToolTipRole: lambda: tip_text(run),
        }
        if index.column() == STATE:
            look = STATES[run.status]
            answers[Qt.ItemDataRole.DecorationRole] = lambda: icons.icon(look.icon, look.color)
            answers[Qt.ItemDataRole.ForegroundRole] = lambda: QColor(Theme.get().t.color(look.color))
        return answers[role]() if role in answers else None

    def headerData(  # noqa: N802
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return tr(COLUMNS[section].title)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return alignment(not COLUMNS[section].is_number)
        return None

    def _recolor(self) -> None:
        if self.runs:
            self.dataChanged.emit(self.index(0, STATE), self.index(len(self.runs) - 1, STATE))


class ShownRuns(QSortFilterProxyModel):
    """Runs that fit the words and the state that are asked for, sorted; what has no number stands last."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._words: list[str] = []
        self._state = "All"
        self.setSortRole(SORT_ROLE)

    def set_text(self, text: str) -> None:
        """All words must occur somewhere in a run's row or its folders."""
        self._words = text.lower().split()
        self.invalidate()

    def set_state(self, state: str) -> None:
        """One of FILTERS."""
        self._state = state
        self.invalidate()

    def runs(self) -> list[RunInfo]:
        """In the order in which they are shown."""
        return [self.index(row, 0).data(RUN_ROLE) for row in range(self.rowCount())]

    def filterAcceptsRow(self, source_row: int, source_parent: Index) -> bool:  # noqa: N802
        model = self.sourceModel()
        assert isinstance(model, RunTable)
        run = model.runs[source_row]
        if not FILTERS[self._state](run):
            return False
        said = " ".join((*(column.text(run) for column in COLUMNS), run.model, str(run.work_dir), str(run.output_dir)))
        return all(word in said.lower() for word in self._words)

    def lessThan(self, source_left: Index, source_right: Index) -> bool:  # noqa: N802
        left, right = source_left.data(SORT_ROLE), source_right.data(SORT_ROLE)
        if left is None or right is None:
            is_rising = self.sortOrder() == Qt.SortOrder.AscendingOrder
            return (right is None) == is_rising and left is not right
        return left < right
