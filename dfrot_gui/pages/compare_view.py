"""Two to six runs side by side: which is which, what differs, the numbers, the curves over each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHeaderView, QVBoxLayout, QWidget

from dfrot_gui.charts.axis import whole_text
from dfrot_gui.charts.block_error import OUTPUT, merge_linears
from dfrot_gui.charts.card import ChartCard
from dfrot_gui.charts.run_curves import Curve, RunCurvesChart
from dfrot_gui.charts.size_perplexity import RunPoint, SizePerplexityChart
from dfrot_gui.compare import ComparedRun, is_measured_alike, numbers_table, settings_table
from dfrot_gui.history_table import recipe_text, short_model, when_text
from dfrot_gui.pages.result_tables import HEAD_HEIGHT, ROW_HEIGHT, TableCard
from dfrot_gui.run_tables import TableModel
from dfrot_gui.theme import RUN_TOKENS, Theme, px
from dfrot_gui.translation import tr
from dfrot_gui.widgets import Button, Card, Notice, box, clear, col, label, row, scrolled

CHART_HEIGHT = 300
# Of a table card: rows that are shown without scrolling, and pixels around them.
MOST_ROWS, CARD_FRAME = 12, 72


class CompareView(QWidget):
    """`closed` is emitted when the reader goes back to the list."""

    closed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.back_button = Button(tr("All runs"), "arrow-left", tip=tr("Back to the list of runs (Esc)"))
        self.back_button.clicked.connect(self.closed)
        self._runs: tuple[ComparedRun, ...] = ()
        self._settings, self._numbers = TableModel(self), TableModel(self)
        self.settings_card = TableCard(
            tr("What differs"), self._settings, tr("Fields of the recipe; the others are the same")
        )
        self.numbers_card = TableCard(tr("Numbers"), self._numbers)
        self.caution = Notice()
        self._make_charts()
        self._names = col(spacing=6)
        self._names_card = Card(margins=(18, 12, 18, 12))
        self._names_card.add(row((self._names, 1), box(col(self.back_button, None)), spacing=16))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(scrolled(self._content()))
        Theme.get().changed.connect(self._show_names)

    @property
    def runs(self) -> tuple[ComparedRun, ...]:
        return self._runs

    def show_runs(self, runs: Sequence[ComparedRun]) -> None:
        self._runs = tuple(runs)
        self._show_names()
        self._settings.set_table(settings_table(runs))
        self._numbers.set_table(numbers_table(runs))
        for card in (self.settings_card, self.numbers_card):
            _fit(card)
        self._warn()
        self.loss.set_curves(_curves(runs, _loss))
        self.blocks.set_curves(_curves(runs, _block_errors))
        self.tokens.set_curves(_curves(runs, _token_errors))
        points = [
            RunPoint(run.letter, number, float(run.info.bytes), run.info.perplexity)
            for number, run in enumerate(runs)
            if run.info.bytes is not None and run.info.perplexity is not None
        ]
        originals = [run.info.perplexity_original for run in runs if run.info.perplexity_original is not None]
        self.sizes.set_points(points, originals)
        for card in self._cards:
            card.refresh_legend()

    def _warn(self) -> None:
        if is_measured_alike(self._runs):
            self.caution.hide()
            return
        title = tr("These perplexities were not measured alike.")
        text = tr(
            "The original's own differs: other text, other windows or another model. Compare each with its original."
        )
        self.caution.show_message("warn", title, text)

    def names(self) -> list[str]:
        """What stands beside each letter."""
        return [
            f"{run.letter}: {short_model(run.info)}, {recipe_text(run.info)}, {when_text(run.info)}"
            for run in self._runs
        ]

    def _make_charts(self) -> None:
        self.loss = RunCurvesChart(
            tr("Loss of the refinement"),
            tr("Refinement"),
            tr("Loss"),
            empty=tr("None of these runs has refined its rotation."),
            x_text=whole_text,
        )
        self.blocks = RunCurvesChart(
            tr("Error per block"),
            tr("Block"),
            tr("Relative error of the output"),
            empty=tr("None of these runs has quantized a block."),
            x_text=whole_text,
        )
        self.tokens = RunCurvesChart(
            tr("Error of every token"),
            tr("Token rank, worst first"),
            tr("Relative error"),
            empty=tr("None of these runs has measured the errors of its tokens."),
            is_log=True,
        )
        self.sizes = SizePerplexityChart()
        self._cards = [ChartCard(chart) for chart in (self.sizes, self.blocks, self.tokens, self.loss)]
        for card in self._cards:
            card.setFixedHeight(px(CHART_HEIGHT))
            card.show_legend()

    def _content(self) -> QVBoxLayout:
        first, second, third, fourth = self._cards
        return col(
            self._names_card,
            self.caution,
            self.numbers_card,
            row((first, 1), (second, 1), spacing=16),
            row((third, 1), (fourth, 1), spacing=16),
            self.settings_card,
            None,
            spacing=16,
        )

    def _show_names(self) -> None:
        clear(self._names)
        t = Theme.get().t
        for number, run in enumerate(self._runs):
            letter = label(run.letter, "h2")
            letter.setFixedWidth(px(14))
            letter.setStyleSheet(f"color: {t.color(RUN_TOKENS[number])}")
            what = f"{short_model(run.info)} · {recipe_text(run.info)}"
            self._names.addWidget(box(row(letter, label(what), label(when_text(run.info), "small"), None, spacing=10)))


def _fit(card: TableCard) -> None:
    """The card as high as its rows, all runs as wide as each other."""
    head, rows = card.view.horizontalHeader(), card.view.model().rowCount()
    for column in range(1, card.view.model().columnCount()):
        head.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)
    card.setFixedHeight(px(HEAD_HEIGHT + ROW_HEIGHT * min(max(rows, 4), MOST_ROWS) + CARD_FRAME))


def _curves(runs: Sequence[ComparedRun], points: Callable[[ComparedRun], tuple[list, list]]) -> list[Curve]:
    found = []
    for number, run in enumerate(runs):
        x, y = points(run)
        found.append(Curve(run.letter, number, np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)))
    return found


def _loss(run: ComparedRun) -> tuple[list, list]:
    return [point.step for point in run.state.loss], [point.value for point in run.state.loss]


def _block_errors(run: ComparedRun) -> tuple[list, list]:
    """Of the block's output; of its worst linear where that was not measured."""
    errors = {block: merge_linears(by_linear) for block, by_linear in run.state.block_errors.items() if by_linear}
    return list(errors), [by_kind.get(OUTPUT, max(by_kind.values())) for by_kind in errors.values()]


def _token_errors(run: ComparedRun) -> tuple[list, list]:
    return (list(run.errors.rank), list(run.errors.error)) if run.errors else ([], [])
