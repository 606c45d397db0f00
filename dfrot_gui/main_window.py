"""Steps on the left, one page on the right; hands signals from one page to the next and owns no logic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QCloseEvent, QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import QMainWindow, QMessageBox, QStackedWidget, QWidget

from dfrot_gui.pages.model_page import ModelPage
from dfrot_gui.pages.recipe_page import RecipePage
from dfrot_gui.recipe_model import RecipeModel
from dfrot_gui.run_model import RunModel
from dfrot_gui.run_state import RunState, replay
from dfrot_gui.settings import Settings
from dfrot_gui.sidebar import Sidebar
from dfrot_gui.theme import Mode, Theme
from dfrot_gui.trial_model import TrialModel
from dfrot_gui.widgets import Notice, box, col, row

PRODUCT = "DFRot Studio"
MODEL, RECIPE, RUN, RESULTS = range(4)
# The engine is killed before this when it does not stop by itself; see run_worker.CANCEL_GRACE_S.
CLOSE_TIMEOUT_MS = 15_000
PAGE_DELAY_MS = 800

Confirm = Callable[[QWidget], bool]
MakePage = Callable[["MainWindow"], QWidget]


class MainWindow(QMainWindow):
    """The window.

    Args:
        make_run_page, make_result_page: called when the window is on the screen, one after the other, since the
            charts take a while to import and to build.
        confirm_stop: asks whether to stop the run and close.
    """

    def __init__(
        self,
        recipe: RecipeModel,
        runs: RunModel,
        trials: TrialModel,
        model_page: ModelPage,
        recipe_page: RecipePage,
        make_run_page: MakePage,
        make_result_page: MakePage,
        settings: Settings,
        confirm_stop: Confirm | None = None,
    ) -> None:
        super().__init__()
        self.recipe = recipe
        self.runs = runs
        self.trials = trials
        self._settings = settings
        self._confirm_stop = confirm_stop or ask_to_stop
        self._is_closing = False
        self._is_shown = False
        self._unmade = {RUN: make_run_page, RESULTS: make_result_page}
        self._open_run = settings.open_run
        self.model_page = model_page
        self.recipe_page = recipe_page
        self.setWindowTitle(PRODUCT)
        self.setMinimumSize(1080, 700)
        self.resize(1360, 880)
        self.sidebar = Sidebar(PRODUCT, settings.theme)
        self.notice = Notice("Resume", "Not now")
        self.stack = QStackedWidget()
        self._build((model_page, recipe_page, QWidget(), QWidget()))
        self._connect()
        self.go_to(MODEL)
        if not settings.geometry.isEmpty():
            self.restoreGeometry(settings.geometry)

    def go_to(self, step: int) -> None:
        """Show the page of a step."""
        self._make_page(step)
        self.stack.setCurrentIndex(step)
        self.sidebar.show_step(step)

    def show_field(self, field: str) -> None:
        """Go to the editor of a recipe field or an option."""
        self.go_to(RECIPE)
        self.recipe_page.show_field(field)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        super().showEvent(event)
        if not self._is_shown:
            self._is_shown = True
            focus = Theme.get().focus
            if focus is not None:
                focus.watch(self)
            QTimer.singleShot(0, self, self._offer_resume)
            for number, step in enumerate((RUN, RESULTS), start=1):
                QTimer.singleShot(number * PAGE_DELAY_MS, self, lambda step=step: self._make_page(step))

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802
        if self.runs.is_active and not self._is_closing:
            event.ignore()
            if self._confirm_stop(self):
                self._stop_and_close()
            return
        if self.runs.is_active:
            self.runs.wait(0)
        if self.trials.is_active:
            self.hide()  # stopping loses nothing, so nobody is asked or kept waiting
            self.trials.stop()
            self.trials.wait(CLOSE_TIMEOUT_MS)
        self._settings.geometry = self.saveGeometry()
        self._settings.sync()
        event.accept()

    def _build(self, pages: Sequence[QWidget]) -> None:
        for page in pages:
            self.stack.addWidget(page)
        top = box(row(self.notice, margins=(28, 16, 28, 0)))
        self.notice.dismissed.connect(self._forget_run)
        self._top = top
        top.hide()
        right = col(top, (self.stack, 1), spacing=0)
        self.setCentralWidget(box(row(self.sidebar, (right, 1), spacing=0)))
        for step in range(len(pages)):
            keys = QKeySequence(f"Ctrl+{step + 1}")
            QShortcut(keys, self, lambda step=step: self.go_to(step), context=Qt.ShortcutContext.WindowShortcut)

    def _make_page(self, step: int) -> None:
        """Put the page of a step in its place, unless it is there."""
        make = self._unmade.pop(step, None)
        if make is None:
            return
        placeholder = self.stack.widget(step)
        assert placeholder is not None
        self.stack.insertWidget(step, make(self))
        self.stack.removeWidget(placeholder)
        placeholder.deleteLater()

    def _connect(self) -> None:
        self.sidebar.step_chosen.connect(self.go_to)
        self.sidebar.mode_chosen.connect(self._set_mode)
        self.model_page.model_used.connect(self._use_model)
        self.recipe_page.start_requested.connect(self._start_run)
        self.notice.activated.connect(self._resume_run)
        self.recipe.plan_changed.connect(self._show_done)
        self.runs.changed.connect(self._show_done)
        self.runs.ended.connect(self._run_ended)

    def _set_mode(self, mode: Mode) -> None:
        Theme.get().set_mode(mode)
        self._settings.theme = mode

    def _use_model(self, source: str) -> None:
        self.recipe.set_model(source)
        self.go_to(RECIPE)

    def _start_run(self) -> None:
        plan = self.recipe.plan
        assert plan is not None
        options = self.recipe.options
        self._top.hide()
        self._settings.open_run = options.work_path
        self._settings.output_root = options.output_dir.parent
        self._settings.sync()
        self.runs.start(self.recipe.recipe, options, plan)
        self.go_to(RUN)

    def _run_ended(self, state: RunState) -> None:
        self.recipe.plan_now()  # the output folder is no longer what it was
        if self._is_closing:
            self.close()
            return
        self._settings.open_run = None
        if state.status == "finished" and self.stack.currentIndex() == RUN:
            self.go_to(RESULTS)

    def _show_done(self) -> None:
        plan = self.recipe.plan
        has_model = plan is not None and plan.model is not None
        is_finished = self.runs.state.status == "finished"
        self.sidebar.set_done(MODEL, has_model)
        self.sidebar.set_done(RECIPE, has_model and plan is not None and not plan.errors)
        self.sidebar.set_done(RUN, is_finished)
        self.sidebar.set_done(RESULTS, is_finished)
        self.recipe_page.set_run_active(self.runs.is_active)
        if self.runs.is_active and self.trials.is_active:
            self.trials.stop()  # a run that is resumed goes first; a trial is soon repeated

    def _offer_resume(self) -> None:
        """Offer to go on with the run that the last session left unfinished."""
        folder = self._open_run
        if folder is None or self.runs.is_active:
            return
        state = replay(folder)
        if not state.has_stopped_early:
            self._forget_run()
            return
        self.notice.show_message(
            "warn",
            f"The last run of {state.model or folder.name} was interrupted.",
            "Everything finished so far is kept; it goes on where it stopped.",
        )
        self._top.show()

    def _resume_run(self) -> None:
        folder: Path | None = self._open_run
        self._top.hide()
        if folder is None:
            return
        self.runs.open(folder)
        self.go_to(RUN)
        if self.runs.can_start_again:
            self._settings.open_run = folder
            self.runs.start_again()

    def _forget_run(self) -> None:
        self._top.hide()
        self._open_run = None
        self._settings.open_run = None

    def _stop_and_close(self) -> None:
        self._is_closing = True
        self.runs.stop()
        self.stack.setEnabled(False)
        self.sidebar.setEnabled(False)
        text = "What is finished is being saved; then the window closes."
        self.notice.show_message("inset", "Stopping the run…", text, can_act=False)
        self._top.show()
        QTimer.singleShot(CLOSE_TIMEOUT_MS, self, self.close)


def ask_to_stop(window: QWidget) -> bool:
    """Ask whether the run is to be stopped for closing the window."""
    question = QMessageBox(window)
    question.setIcon(QMessageBox.Icon.Question)
    question.setWindowTitle(PRODUCT)
    question.setText("A run is going on.")
    question.setInformativeText("If you stop it, everything finished so far is kept and it can be resumed later.")
    stop = question.addButton("Stop and close", QMessageBox.ButtonRole.DestructiveRole)
    keep = question.addButton("Keep running", QMessageBox.ButtonRole.RejectRole)
    question.setDefaultButton(keep)
    question.setEscapeButton(keep)
    question.exec()
    return question.clickedButton() is stop
