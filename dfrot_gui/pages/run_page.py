"""The run as it goes: stages, time, numbers, charts and log."""

from __future__ import annotations

from datetime import UTC, datetime

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QGridLayout, QProgressBar, QStackedWidget

from dfrot_gui import icons
from dfrot_gui.charts.activation_map import ActivationMapChart
from dfrot_gui.charts.block_error import BlockErrorChart
from dfrot_gui.charts.card import ChartCard
from dfrot_gui.charts.refinement_loss import RefinementLossChart
from dfrot_gui.charts.token_error import TokenErrorChart
from dfrot_gui.pages.empty_page import EmptyPage
from dfrot_gui.pages.run_banner import RunBanner
from dfrot_gui.run_model import RunModel
from dfrot_gui.run_parts import LogLine
from dfrot_gui.run_progress import overall_fraction, remaining_s
from dfrot_gui.run_state import RunState
from dfrot_gui.run_words import (
    STAGE_TITLES,
    loss_kpi,
    massive_kpi,
    memory_kpi,
    recipe_line,
    speed_kpi,
    stage_line,
    time_line,
)
from dfrot_gui.translation import mark, tr
from dfrot_gui.widgets import Button, Card, KpiCard, LogView, Page, StageBar, box, col, label, row, scrolled

CHART_HEIGHT = 236
KPI_WIDTH = 190
TWO_COLUMNS_FROM = 760  # pixels
PROGRESS_STEPS = 1_000
QWIDGETSIZE_MAX = (1 << 24) - 1  # a C macro that PySide6 leaves out
KPIS = {
    mark("Best loss"): loss_kpi,
    mark("Massive tokens"): massive_kpi,
    mark("Memory"): memory_kpi,
    mark("Speed"): speed_kpi,
}


class RunPage(Page):
    """Listens to a RunModel; asks for other pages through signals."""

    results_requested = Signal()
    recipe_requested = Signal()
    field_requested = Signal(str)

    def __init__(self, model: RunModel) -> None:
        self.pause_button = Button(tr("Pause"), "pause", tip=tr("Hold the run; the memory stays in use"))
        self.stop_button = Button(
            tr("Stop"), "stop", "danger", tip=tr("Stop the run; everything finished so far is kept")
        )
        super().__init__(tr("Run"), "", (self.pause_button, self.stop_button))
        self._model = model
        self._is_held = False
        self._last_line: LogLine | None = None
        self._details: tuple[str, ...] = ()
        self.banner = RunBanner()
        self.log = LogView(name=tr("Log"))
        self._build_charts()
        self.empty = EmptyPage(
            "play-circle",
            tr("Nothing has run yet"),
            tr("Choose a model and a recipe, then start a run."),
            tr("Go to the recipe"),
        )
        self._stack = QStackedWidget()
        self._stack.addWidget(self.empty)
        self._stack.addWidget(box(self._content()))
        self.add(self._stack, 1)
        self._clock = QTimer(self)
        self._clock.setInterval(1_000)
        self._connect()
        self._show_state()

    def _build_charts(self) -> None:
        self.loss, self.errors = RefinementLossChart(), TokenErrorChart()
        self.map, self.blocks = ActivationMapChart(), BlockErrorChart()
        self._cards = [
            ChartCard(self.loss),
            ChartCard(self.errors, tr("Worst first; dots are massive tokens")),
            ChartCard(self.map, tr("Largest |h| of each token; triangles are massive tokens")),
            ChartCard(self.blocks),
        ]
        for card in self._cards:
            card.setMinimumHeight(CHART_HEIGHT)
        self._cards[1].show_legend()
        self._cards[3].show_legend()

    def _content(self) -> QGridLayout:
        self.stage_bar = StageBar()
        self.progress = QProgressBar()
        self.progress.setRange(0, PROGRESS_STEPS)
        self.progress.setAccessibleName(tr("Overall progress"))
        self._stage_label = label()
        self._stage_label.setMinimumWidth(1)
        self._time_label = label("", "small")
        head = Card(margins=(20, 14, 20, 14), spacing=12)
        head.add(self.stage_bar)
        head.add(self.progress)
        self._line_box = box(row((self._stage_label, 1), self._time_label))
        head.add(self._line_box)
        self._kpis = {name: KpiCard(tr(name)) for name in KPIS}
        self._kpi_line = col(*((card, 1) for card in self._kpis.values()), spacing=12)
        self._kpi_box = box(self._kpi_line)
        self._grid = QGridLayout()
        self._grid.setSpacing(16)
        self._overview = QGridLayout()
        self._overview.setContentsMargins(0, 0, 0, 0)
        self._overview.setSpacing(16)
        self._overview.addLayout(self._grid, 1, 0)
        self._place(2)
        self._charts_area = scrolled(self._overview)
        self.log.setFixedHeight(92)
        content = QGridLayout()
        content.setContentsMargins(0, 0, 0, 0)
        content.setSpacing(16)
        for line, widget in enumerate((self.banner, head, self._charts_area, self.log)):
            content.addWidget(widget, line, 0)
        content.setRowStretch(2, 1)
        return content

    def _place(self, columns: int) -> None:
        """Two columns of charts with the numbers at their right; on a narrow page one, the numbers above."""
        self.columns = columns
        is_wide = columns > 1
        self._kpi_box.setMaximumWidth(KPI_WIDTH if is_wide else QWIDGETSIZE_MAX)
        self._kpi_box.setMinimumWidth(KPI_WIDTH if is_wide else 0)
        self._kpi_line.setDirection(QBoxLayout.Direction.TopToBottom if is_wide else QBoxLayout.Direction.LeftToRight)
        self._overview.addWidget(self._kpi_box, 1 if is_wide else 0, 1 if is_wide else 0)
        for index, card in enumerate(self._cards):
            self._grid.addWidget(card, index // columns, index % columns)
        for column in range(2):
            self._grid.setColumnStretch(column, 1 if column < columns else 0)

    def _connect(self) -> None:
        self._model.changed.connect(self._show_state)
        self._clock.timeout.connect(self._show_time)
        self.pause_button.clicked.connect(self._pause_or_resume)
        self.stop_button.clicked.connect(self._model.stop)
        self.banner.resume_requested.connect(self._model.start_again)
        self.banner.results_requested.connect(self.results_requested)
        self.banner.field_requested.connect(self.field_requested)
        self.empty.requested.connect(self.recipe_requested)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        super().resizeEvent(event)
        columns = 2 if self.width() - KPI_WIDTH >= TWO_COLUMNS_FROM else 1
        if columns != self.columns:
            self._place(columns)

    def _pause_or_resume(self) -> None:
        state = self._model.state
        if state.status == "paused" or state.is_pause_requested:
            self._model.resume()
        else:
            self._model.pause()

    def _show_state(self) -> None:
        state = self._model.state
        self._stack.setCurrentIndex(0 if state.status == "idle" else 1)
        self.set_subtitle(recipe_line(self._model.recipe, state))
        self._show_buttons(state)
        self.banner.show_state(state, self._model.can_start_again)
        self._show_stages(state)
        self._show_time()
        for name, kpi_of in KPIS.items():
            kpi = kpi_of(state)
            self._kpis[name].set_value(kpi.value, kpi.note, kpi.role)
        self._show_charts(state)
        self._show_log(state)
        if state.is_active and not self._clock.isActive():
            self._clock.start()

    def _show_buttons(self, state: RunState) -> None:
        is_held = state.status == "paused" or state.is_pause_requested
        self.pause_button.setVisible(self._model.is_active)
        self.stop_button.setVisible(self._model.is_active or self._model.is_following)
        for button in (self.pause_button, self.stop_button):
            button.setEnabled(state.status != "stopping")
        if is_held != self._is_held:
            self._is_held = is_held
            self.pause_button.setText("\u2002" + tr("Resume") if is_held else "\u2002" + tr("Pause"))
            self.pause_button.setIcon(icons.icon("play" if is_held else "pause"))
            self.pause_button.setAccessibleName(tr("Resume") if is_held else tr("Pause"))

    def _show_stages(self, state: RunState) -> None:
        names = [stage.name for stage in state.stages]
        self.stage_bar.set_stages(names, [tr(STAGE_TITLES.get(name, name.capitalize())) for name in names])
        done = {stage.name for stage in state.stages if stage.status in ("done", "reused")}
        fraction = next((stage.fraction for stage in state.stages if stage.name == state.stage), 0.0)
        self.stage_bar.set_current("" if state.stage in done else state.stage, fraction, done)
        self.progress.setValue(round(PROGRESS_STEPS * overall_fraction(state, self._model.estimates)))
        self._stage_label.setText(stage_line(state))
        self._line_box.setVisible(state.is_active)

    def _show_time(self) -> None:
        state, now = self._model.state, datetime.now(UTC)
        if not state.is_active:
            self._clock.stop()
        self._time_label.setText(time_line(state, now, remaining_s(state, now, self._model.estimates)))

    def _show_charts(self, state: RunState) -> None:
        self.loss.set_is_refined(self._model.is_refined)
        self.loss.set_points(state.loss)
        self.blocks.set_errors(state.block_errors)
        self._cards[3].refresh_legend()
        errors, chart = self._model.token_errors(), self._model.activation_map()
        if errors is not self.errors.errors:
            self.errors.set_errors(errors)
            self._cards[1].refresh_legend()
        if chart is not self.map.map:
            self.map.set_map(chart)

    def _show_log(self, state: RunState) -> None:
        """Add the lines that are new; everything anew when another run is shown."""
        new: list[LogLine] = []
        for line in reversed(state.log):
            if line is self._last_line:
                break
            new.append(line)
        lines = [str(line) for line in reversed(new)]
        if len(new) == len(state.log):
            self.log.set_lines(lines)
        else:
            for line in lines:
                self.log.add_line(line)
        self._last_line = state.log[-1] if state.log else None
        if state.details != self._details:
            self._details = state.details
            for text in state.details:
                self.log.add_line(f"          engine    {text}")
