"""What came out: numbers, the paper's figure, texts side by side, what suffers, files; and an honest word on it all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QStackedWidget, QVBoxLayout

from dfrot_engine import Problem
from dfrot_engine.proof.types import failures
from dfrot_engine.units import duration_text
from dfrot_gui.charts.card import ChartCard
from dfrot_gui.charts.rotation_by_block import RotationByBlockChart
from dfrot_gui.charts.token_error import TokenErrorChart
from dfrot_gui.pages.empty_page import EmptyPage
from dfrot_gui.pages.map_card import MapCard
from dfrot_gui.pages.result_tables import TableCard
from dfrot_gui.pages.save_report import ask_and_save, report_of
from dfrot_gui.pages.sensitivity_panel import SensitivityPanel
from dfrot_gui.pages.share_panel import SharePanel
from dfrot_gui.pages.text_panel import TextPanel
from dfrot_gui.report import Report
from dfrot_gui.result_words import (
    agreement_kpi,
    headline,
    is_lossy,
    massive_error_kpi,
    perplexity_kpi,
    size_kpi,
    verdict,
)
from dfrot_gui.run_model import RunModel
from dfrot_gui.run_progress import elapsed_s
from dfrot_gui.run_state import RunState
from dfrot_gui.run_words import Kpi, recipe_line
from dfrot_gui.side_process import SideProcess
from dfrot_gui.theme import px
from dfrot_gui.translation import mark, tr
from dfrot_gui.widgets import (
    Button,
    Card,
    IconLabel,
    KpiCard,
    Legend,
    Page,
    ProblemList,
    Segmented,
    box,
    col,
    label,
    row,
    scrolled,
)

ERROR_HEIGHT, SECOND_HEIGHT, THIRD_HEIGHT = 410, 250, 300
WORST, ALL = mark("Worst first"), mark("All tokens")
NUMBERS, TEXT, SENSITIVITY, USE = mark("Numbers"), mark("Text"), mark("Sensitivity"), mark("Use and share")
VIEWS = (NUMBERS, TEXT, SENSITIVITY, USE)
PUSH_AGAIN = mark("Push again: what has arrived is not sent again.")
KPIS = (mark("Perplexity"), mark("Same top choice"), mark("Massive-token error"), mark("Checkpoint"))


@dataclass(frozen=True)
class _Shown:
    """What the page depends on; it is filled anew only when one of these changed."""

    status: str
    is_active: bool  # for a moment longer than its status says
    run_id: str
    charts: tuple
    evaluated: tuple
    proof: tuple
    outputs: tuple
    num_warnings: int


class ResultPage(Page):
    """Listens to a RunModel; shows what there is, also of a run that stopped early."""

    run_requested = Signal()
    #: A recipe to go on with on the Recipe page.
    recipe_wanted = Signal(object)

    def __init__(self, model: RunModel, engine: Sequence[str] = ()) -> None:
        self.report_button = Button(
            tr("Save report…"), "file-text", tip=tr("Save numbers, charts and recipe as HTML or PDF")
        )
        self.again_button = Button(
            tr("Quantize again"), "sliders", tip=tr("Take this recipe to the Recipe page, to change it")
        )
        self.open_button = Button(tr("Open folder"), "folder-open", tip=tr("Open the output folder"))
        super().__init__(tr("Results"), "", (self.report_button, self.again_button, self.open_button))
        self._model = model
        self._shown: _Shown | None = None
        self._of_run: tuple[str, tuple[str, ...]] = ("", ())
        self._build_charts()
        self._kpis = {name: KpiCard(tr(name)) for name in KPIS}
        self.comparison = TableCard(tr("Comparison"), model.comparison)
        self.massive = TableCard(
            tr("Massive tokens"), model.massive_tokens, tr("The largest, and their error in each rotation")
        )
        self.proof = TableCard(tr("Proof"), model.proof, tr("What was written against what was computed"))
        self._build_panels(engine)
        self.warnings = ProblemList(name=tr("Warnings of the run"))
        self.empty = EmptyPage(
            "chart-line",
            tr("No results yet"),
            tr("They appear here as soon as a run has measured something."),
            tr("Go to the run"),
        )
        self._stack = QStackedWidget()
        self._stack.addWidget(self.empty)
        for content in (self._content(), *(col(panel) for panel in (self.text, self.sensitivity, self.share))):
            self._stack.addWidget(scrolled(content))
        self.add(self.views)
        self.add(self._stack, 1)
        self.empty.requested.connect(self.run_requested)
        self.open_button.clicked.connect(self.files.open_folder)
        self.report_button.clicked.connect(self._save_report)
        self.again_button.clicked.connect(lambda: self.recipe_wanted.emit(self._model.recipe))
        self.sensitivity.recipe_wanted.connect(self.recipe_wanted)
        self.views.changed.connect(lambda _: self._show_view())
        model.changed.connect(self._show_state)
        self._show_state()

    def kpi(self, name: str) -> KpiCard:
        return self._kpis[name]

    def verdict_text(self) -> str:
        return self._verdict.accessibleName()

    def report(self) -> Report:
        """What "Save report…" writes."""
        return report_of(
            self._model,
            self.subtitle_label.text(),
            (self._headline.text(), self._verdict_text.text()),
            {tr(name): (card.value, card.note) for name, card in self._kpis.items()},
            (self.errors, self.by_block, self.map, self.sensitivity.map),
            self.share.shown_verdicts(),
            {tr("Texts"): self.text.table(), tr("What suffers most from rounding"): self.sensitivity.worst()},
        )

    def _save_report(self) -> None:
        ask_and_save(self, self.report(), "report")

    def _build_panels(self, engine: Sequence[str]) -> None:
        self.views = Segmented(VIEWS, labels=[*map(tr, VIEWS)], name=tr("View"))
        self.text = TextPanel(self._model, SideProcess(engine, parent=self))
        self.sensitivity = SensitivityPanel(self._model, SideProcess(engine, parent=self))
        checking, pushing = SideProcess(engine, parent=self), SideProcess(engine, again=PUSH_AGAIN, parent=self)
        serving = SideProcess(engine, parent=self)
        self.share = SharePanel(self._model, checking, serving, pushing)
        self.files = self.share.files
        self._sides = (self.text.process, self.sensitivity.process, checking, serving, pushing)

    def _show_view(self) -> None:
        self._stack.setCurrentIndex(1 + VIEWS.index(self.views.current()) if self.views.isVisibleTo(self) else 0)

    def _follow_run(self, state: RunState) -> None:
        """What was found out about another run is of no use for this one; a run that goes on goes first."""
        if (state.run_id, state.outputs) != self._of_run:
            self._of_run = state.run_id, state.outputs
            for side in self._sides:
                side.forget()
        if self._model.is_active:
            for side in self._sides[:2]:
                side.stop()
        for panel in (self.text, self.sensitivity):
            panel.refresh()

    def _build_charts(self) -> None:
        self.errors, self.by_block = TokenErrorChart(), RotationByBlockChart()
        self.legend = Legend()
        self.order = Segmented((WORST, ALL), labels=(tr(WORST), tr(ALL)), name=tr("Order"))
        self._error_card = ChartCard(self.errors, " ", box(row(self.legend, self.order, spacing=20)))
        self._block_card = ChartCard(self.by_block)
        self._map_card = MapCard(px(THIRD_HEIGHT))
        self.map = self._map_card.map
        self.order.changed.connect(lambda order: self.errors.set_worst_first(order == WORST))
        self.legend.toggled.connect(self.errors.set_kind_visible)
        self.legend.toggled.connect(self.by_block.set_kind_visible)

    def _content(self) -> QVBoxLayout:
        self._verdict = Card(kind="good", margins=(16, 10, 16, 10))
        self._verdict_icon = IconLabel("check-circle", 20, "good")
        self._headline, self._verdict_text = (
            label("", wrap=True, selectable=True),
            label("", wrap=True, selectable=True),
        )
        line = row(spacing=12)
        line.addWidget(self._verdict_icon, 0, Qt.AlignmentFlag.AlignVCenter)
        line.addLayout(col(self._headline, self._verdict_text, spacing=2), 1)
        self._verdict.add(line)
        heights = (
            (self._error_card, ERROR_HEIGHT),
            (self._block_card, SECOND_HEIGHT),
            (self.comparison, SECOND_HEIGHT),
            (self.massive, THIRD_HEIGHT),
            (self.proof, SECOND_HEIGHT),
        )
        for card, height in heights:
            card.setFixedHeight(px(height))
        self._map_card.setMinimumHeight(px(THIRD_HEIGHT))
        return col(
            self._verdict,
            row(*((card, 1) for card in self._kpis.values()), spacing=14),
            self._error_card,
            row((self._block_card, 5), (self.comparison, 4), spacing=16),
            self._map_card,
            self.massive,
            self.proof,
            self.warnings,
            None,
            spacing=16,
        )

    def _show_state(self) -> None:
        state = self._model.state
        shown = _Shown(
            state.status,
            self._model.is_active,
            state.run_id,
            tuple(state.charts.items()),
            state.evaluated,
            state.proof,
            state.outputs,
            len(state.warnings),
        )
        if shown == self._shown:
            return
        self._shown = shown
        has_results = (
            state.status == "finished" or bool(state.evaluated or state.proof) or self._model.token_errors() is not None
        )
        self.views.setVisible(has_results)
        self._show_view()
        self._follow_run(state)
        self.open_button.setVisible(bool(state.outputs))
        self.report_button.setVisible(has_results)
        self.again_button.setVisible(has_results and self._model.recipe is not None)
        self.set_subtitle(_subtitle(self._model, state) if has_results else "")
        if has_results:
            self._show_numbers(state)
            self._show_charts(state)
            self.share.set_outputs()
            self.warnings.set_problems(
                [
                    Problem(field="", severity="warning", message=one.message, remedy=one.remedy)
                    for one in state.warnings
                ]
            )

    def _show_numbers(self, state: RunState) -> None:
        errors, own = self._model.token_errors(), self._model.own_rotation
        plan_model = self._model.plan.model if self._model.plan else None
        kpis: tuple[Kpi, ...] = (
            perplexity_kpi(state),
            agreement_kpi(state),
            massive_error_kpi(errors, own),
            size_kpi(state, plan_model.bytes if plan_model else 0),
        )
        for name, kpi in zip(KPIS, kpis, strict=True):
            self._kpis[name].set_value(kpi.value, kpi.note, kpi.role)
        told, words = verdict(errors, own), headline(state)
        kind = "warn" if is_lossy(state) or failures(state.proof) or (told is not None and not told.is_good) else "good"
        self._verdict.set_kind(kind)
        self._verdict_icon.set_icon("check-circle" if kind == "good" else "warning", kind)
        for text, widget in ((words, self._headline), (told.text if told else "", self._verdict_text)):
            widget.setText(text)
            widget.setVisible(bool(text))
        self._verdict.setVisible(bool(words or told))
        self._verdict.setAccessibleName(f"{words} {told.text if told else ''}".strip())

    def _show_charts(self, state: RunState) -> None:
        errors, chart = self._model.token_errors(), self._model.activation_map()
        if errors is not self.errors.errors:
            self.errors.set_errors(errors)
            self.by_block.set_errors(errors)
            self.legend.set_kinds(self.errors.kinds)
            tokens = tr(
                "{count:,} tokens, sorted for each rotation; dots are massive tokens", count=self.errors.num_tokens()
            )
            self._error_card.set_subtitle(tokens if errors else "")
        self._map_card.set_map(chart, self._model.cell_errors(), self._model.own_rotation, not state.is_active)
        self.proof.setVisible(self._model.proof.rowCount() > 0)
        self.massive.setVisible(self._model.massive_tokens.rowCount() > 0)


def _subtitle(model: RunModel, state: RunState) -> str:
    line = recipe_line(model.recipe, state)
    if state.status == "finished":
        return tr("{line} · finished in {duration}", line=line, duration=duration_text(elapsed_s(state)))
    return tr("{line} · still running", line=line) if state.is_active else tr("{line} · stopped early", line=line)
