"""The run as it goes: stages, time, numbers, charts and log."""

from __future__ import annotations

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import QBoxLayout, QGridLayout, QProgressBar, QStackedWidget

from dfrot_gui import icons
from dfrot_gui.charts.block_error import BlockErrorChart
from dfrot_gui.charts.card import ChartCard
from dfrot_gui.charts.linear_error import LinearErrorChart
from dfrot_gui.charts.refinement_loss import RefinementLossChart
from dfrot_gui.charts.token_error import TokenErrorChart
from dfrot_gui.pages.empty_page import EmptyPage
from dfrot_gui.pages.map_card import MapCard
from dfrot_gui.pages.run_banner import RunBanner
from dfrot_gui.pages.site_picker import SitePicker
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
from dfrot_gui.theme import px
from dfrot_gui.translation import mark, tr
from dfrot_gui.widgets import Button, Card, KpiCard, LogView, Page, StageBar, box, col, label, row, scrolled

CHART_HEIGHT = 236
WORST_FIRST = mark("Worst first; dots are massive tokens")
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
        self._is_stale = False
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
        self.blocks, self.linears = BlockErrorChart(), LinearErrorChart()
        self.picker = SitePicker()
        self.map_card = MapCard(px(CHART_HEIGHT))
        self.map = self.map_card.map
        self.all_blocks = Button(tr("All blocks"), "arrow-left", "ghost", tip=tr("Show the error of all blocks"))
        self._error_card = ChartCard(self.errors, tr(WORST_FIRST))
        self._block_card = ChartCard(self.blocks, tr("Click a block for its linears"))
        self._linear_card = ChartCard(self.linears, " ", self.all_blocks)
        self._block_stack = QStackedWidget()
        for card in (self._block_card, self._linear_card):
            self._block_stack.addWidget(card)
        self._cards = [ChartCard(self.loss), self._error_card, self.map_card, self._block_stack]
        for card in self._cards:
            card.setMinimumHeight(px(CHART_HEIGHT))
        self._error_card.show_legend()
        self._block_card.show_legend()

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
        self._overview.addWidget(self.picker, 1, 0)
        self._overview.addLayout(self._grid, 2, 0)
        self._place(2)
        self._charts_area = scrolled(self._overview)
        self.log.setFixedHeight(px(92))
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
        self._kpi_box.setMaximumWidth(px(KPI_WIDTH) if is_wide else QWIDGETSIZE_MAX)
        self._kpi_box.setMinimumWidth(px(KPI_WIDTH) if is_wide else 0)
        self._kpi_line.setDirection(QBoxLayout.Direction.TopToBottom if is_wide else QBoxLayout.Direction.LeftToRight)
        if is_wide:
            self._overview.addWidget(self._kpi_box, 1, 1, 2, 1)
        else:
            self._overview.addWidget(self._kpi_box, 0, 0)
        for index, card in enumerate(self._cards):
            self._grid.addWidget(card, index // columns, index % columns)
        for column in range(2):
            self._grid.setColumnStretch(column, 1 if column < columns else 0)

    def _connect(self) -> None:
        self._model.changed.connect(self._show_state)
        self._model.errors_known.connect(self._show_known_errors)
        self._clock.timeout.connect(self._show_time)
        self.pause_button.clicked.connect(self._pause_or_resume)
        self.stop_button.clicked.connect(self._model.stop)
        self.banner.resume_requested.connect(self._model.start_again)
        self.banner.results_requested.connect(self.results_requested)
        self.banner.field_requested.connect(self.field_requested)
        self.empty.requested.connect(self.recipe_requested)
        self.picker.changed.connect(lambda: self._show_charts(self._model.state))
        self.blocks.clicked.connect(self.picker.pick_block)
        self.all_blocks.clicked.connect(lambda: self.picker.pick_block(None))

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        super().showEvent(event)
        if self._is_stale:
            self._show_state()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        super().resizeEvent(event)
        columns = 2 if self.width() - px(KPI_WIDTH) >= px(TWO_COLUMNS_FROM) else 1
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
        # A page that nobody sees would take time from the one that is seen; how a run ended is worth it.
        self._is_stale = state.is_active and not self.isVisible()
        if self._is_stale:
            return
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
        state, now = self._model.state, self._model.clock.now()
        if not state.is_active:
            self._clock.stop()
        self._time_label.setText(time_line(state, now, remaining_s(state, now, self._model.estimates)))

    def _show_charts(self, state: RunState) -> None:
        self.loss.set_is_refined(self._model.is_refined)
        self.loss.set_points(state.loss, is_last=not state.is_active)
        cells, chart = self._model.cell_errors(), self._model.activation_map()
        sites = cells.sites if cells else ()
        num_blocks = max(state.num_blocks, chart.value.shape[0] if chart else 0)
        self.picker.set_places(sites, num_blocks)
        self.picker.setVisible(num_blocks > 0)
        site, block = self.picker.site, self.picker.block
        self.map_card.set_map(chart, cells, self._model.own_rotation, not state.is_active)
        self.map_card.set_site(site)
        self.map.set_block(block)
        self._show_errors()
        self._show_block_errors(state, block)

    def _show_known_errors(self) -> None:
        """The one chart alone: drawing all of the page at once would hold the window up."""
        if self._model.state.is_active and not self.isVisible():
            self._is_stale = True
        else:
            self._show_errors()

    def _show_errors(self) -> None:
        site, block = self.picker.site, self.picker.block if self.picker.sites.isEnabled() else None
        errors = self._model.token_errors_at(site, block)
        if errors is None and (site, block) != (None, None):
            return  # they are being read
        if errors is not self.errors.errors:
            self.errors.set_errors(errors)
            self._error_card.refresh_legend()
        where = [self.picker.sites.currentText()] if site is not None else []
        where += [tr("block {block}", block=block)] if block is not None else []
        self._error_card.set_subtitle(f"{', '.join(where)}. {tr(WORST_FIRST)}" if where else tr(WORST_FIRST))

    def _show_block_errors(self, state: RunState, block: int | None) -> None:
        self._block_stack.setCurrentIndex(0 if block is None else 1)
        if block is None:
            self.blocks.set_errors(state.block_errors)
            self._block_card.refresh_legend()
        else:
            self.linears.set_errors(state.block_errors.get(block, {}))
            self._linear_card.set_subtitle(tr("Block {block}, each on its own inputs", block=block))

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
