"""Which linears suffer most from rounding: measure, mark what is to keep 8 bits, take that as a new recipe."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QDoubleSpinBox, QProgressBar, QVBoxLayout, QWidget

from dfrot_engine import SensitivityResult
from dfrot_engine.sensitivity.proposal import MOST_BITS, bits_with, with_raised
from dfrot_engine.sensitivity.types import Raisable
from dfrot_gui.charts.card import ChartCard
from dfrot_gui.charts.sensitivity_map import SensitivityMap
from dfrot_gui.pages.result_tables import TableCard
from dfrot_gui.run_model import RunModel
from dfrot_gui.run_tables import Table, TableModel
from dfrot_gui.side_process import SideProcess
from dfrot_gui.theme import px
from dfrot_gui.translation import mark, tr
from dfrot_gui.widgets import Button, Card, Notice, col, label, row

INVITATION = mark("Rounds one linear at a time, on a few tokens, and compares the predictions with the original's.")
MARK = mark("Click a cell to keep it at 8 bits. Linears that runtimes run as one matrix are marked together.")
NOT_RAISED = mark("This one cannot be raised: it has 8 bits, no bits of its own, or a format that is not raised.")
MAP_HEIGHT, TABLE_HEIGHT = 380, 300
USUAL_BITS_MORE = 0.5
MOST_REPORTED = 12


class SensitivityPanel(QWidget):
    """Measures the recipe of the run that is shown; `recipe_wanted` carries one with exceptions."""

    recipe_wanted = Signal(object)

    def __init__(self, runs: RunModel, process: SideProcess) -> None:
        super().__init__()
        self._runs, self.process = runs, process
        self._result: SensitivityResult | None = None
        self._marked: tuple[Raisable, ...] = ()
        self.measure_button = Button(tr("Measure"), "flask", "primary")
        self.stop_button = Button(tr("Stop"), "stop", tip=tr("Stop measuring"))
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(tr("Progress of the measurement"))
        self.line = label("", "small", wrap=True)
        self.notice = Notice()
        self.map = SensitivityMap()
        self.rows = TableModel(self)
        self._build_marks()
        self.setLayout(self._layout())
        self.measure_button.clicked.connect(self._measure)
        self.stop_button.clicked.connect(process.stop)
        self.map.clicked.connect(self.toggle)
        process.changed.connect(self.refresh)
        self.refresh()

    def _build_marks(self) -> None:
        self.marks_line = label("", "", wrap=True)
        self.clear_button = Button(tr("Clear"), "eraser", tip=tr("Take all marks away"))
        self.worst_button = Button(
            tr("Mark the worst"), tip=tr("Mark what gains most for each bit, up to this average")
        )
        self.recipe_button = Button(tr("New recipe with these exceptions"), "sliders", "primary")
        self.bits = QDoubleSpinBox()
        self.bits.setDecimals(2)
        self.bits.setSingleStep(0.1)
        self.bits.setSuffix(tr(" bits"))
        self.bits.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.bits.setMinimumWidth(px(90))
        self.bits.setAccessibleName(tr("Average bits of a weight"))
        self.clear_button.clicked.connect(lambda: self._mark(()))
        self.worst_button.clicked.connect(self._mark_worst)
        self.recipe_button.clicked.connect(self._want_recipe)

    def _layout(self) -> QVBoxLayout:
        head = Card(tr("What suffers from rounding"), INVITATION)
        head.add(row(self.measure_button, self.stop_button, 4, (col(self.line, self.bar, spacing=6), 1)))
        head.add(self.notice)
        self._map_card = ChartCard(self.map, tr(MARK))
        self._map_card.setFixedHeight(px(MAP_HEIGHT))
        self._marks_card = Card(tr("Exceptions"))
        self._marks_card.add(self.marks_line)
        self._marks_card.add(row(self.bits, self.worst_button, self.clear_button, None, self.recipe_button, spacing=10))
        self.table = TableCard(tr("Linears"), self.rows, tr("Worst first; each rounded alone, everything else exact"))
        self.table.setFixedHeight(px(TABLE_HEIGHT))
        return col(head, self._map_card, self._marks_card, self.table, None, spacing=16)

    def worst(self) -> Table:
        """The rows that matter most, for a report."""
        table = self.rows.table
        return Table(table.header, table.rows[:MOST_REPORTED])

    @property
    def marked(self) -> tuple[Raisable, ...]:
        return self._marked

    def toggle(self, name: str) -> None:
        """Mark a linear and what is raised with it, or take the mark away."""
        unit = next((one for one in self._raisable() if name in one.linears), None)
        if unit is None:
            self._map_card.set_subtitle(tr(NOT_RAISED))
            return
        self._map_card.set_subtitle(tr(MARK))
        self._mark(tuple(one for one in self._marked if one != unit) if unit in self._marked else (*self._marked, unit))

    def refresh(self) -> None:
        state, is_active = self.process.state, self.process.is_active
        if state.sensitivity is not self._result:
            self._take(state.sensitivity)
        reason = self._why_not()
        self.measure_button.setVisible(not is_active)
        self.measure_button.setEnabled(not reason)
        self.measure_button.setToolTip(reason)
        self.stop_button.setVisible(is_active)
        self.stop_button.setEnabled(state.status != "stopping")
        self.bar.setVisible(is_active)
        self.bar.setValue(round(self.bar.maximum() * self.process.fraction))
        self.line.setText((tr("Stopping…") if state.status == "stopping" else state.label) if is_active else reason)
        for widget in (self._map_card, self._marks_card, self.table):
            widget.setVisible(self._result is not None)
        if state.status == "failed":
            self.notice.show_message("bad", state.message, state.remedy)
        elif self._result is not None and self._result.notes:
            self.notice.show_message("inset", self._protocol(self._result), " ".join(self._result.notes))
        else:
            self.notice.hide()

    def _measure(self) -> None:
        assert self._runs.recipe
        options = self._runs.options
        flags = [f"--device={options.device}", f"--threads={options.threads}"] if options else []
        self.process.start("sensitivity", flags, self._runs.recipe)

    def _why_not(self) -> str:
        if self._runs.is_active:
            return tr("A run is going on.")
        return "" if self._runs.recipe is not None else tr("The recipe of this run cannot be read.")

    def _take(self, result: SensitivityResult | None) -> None:
        self._result = result
        self.map.set_result(result)
        self.rows.set_table(_table(result))
        if result is not None:
            self.bits.setRange(result.average_bits, MOST_BITS)
            self.bits.setValue(result.average_bits + USUAL_BITS_MORE)
        self._mark(())

    def _mark(self, units: tuple[Raisable, ...]) -> None:
        self._marked = units
        names = [name for unit in units for name in unit.linears]
        self.map.set_marked(names)
        self.clear_button.setEnabled(bool(units))
        self.recipe_button.setEnabled(bool(units))
        self.worst_button.setEnabled(bool(self._raisable()))
        if self._result is None:
            return
        before, after = self._result.average_bits, bits_with(self._result, units)
        total = sum(one.kl for one in self._result.rows)
        share = sum(one.kl for one in self._result.rows if one.name in set(names)) / total if total > 0 else 0.0
        self.marks_line.setText(
            tr(
                "%n linears marked, which hold {share:.0f} % of the summed divergence: "
                "{before:.2f} → {after:.2f} bits a weight on average, scales not counted.",
                len(names),
                share=100 * share,
                before=before,
                after=after,
            )
            if names
            else tr(
                "Nothing is marked yet. The recipe has {before:.2f} bits a weight on average, scales not counted.",
                before=before,
            )
        )

    def _mark_worst(self) -> None:
        assert self._result
        chosen: tuple[Raisable, ...] = ()
        for unit in self._raisable():  # what gains most for each bit comes first; a smaller one may still fit
            if bits_with(self._result, (*chosen, unit)) <= self.bits.value() + 1e-9:
                chosen = (*chosen, unit)
        self._mark(chosen)

    def _raisable(self) -> tuple[Raisable, ...]:
        return self._result.raisable if self._result else ()

    def _want_recipe(self) -> None:
        assert self._result
        assert self._runs.recipe
        self.recipe_wanted.emit(with_raised(self._runs.recipe, self._result, self._marked))

    @staticmethod
    def _protocol(result: SensitivityResult) -> str:
        return tr(
            "KL divergence in nats a token, over {tokens:,} tokens of the calibration text.", tokens=result.tokens
        )


def _table(result: SensitivityResult | None) -> Table:
    rows = result.rows if result else ()
    cells = ((one.name, "–" if one.bits is None else str(one.bits), 1_000 * one.kl) for one in rows)
    return Table((tr("Rounded alone"), tr("Bits"), tr("KL divergence × 1,000")), tuple(cells))
