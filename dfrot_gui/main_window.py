"""Steps on the left, one page on the right; hands signals from one page to the next and owns no logic."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Qt, QTimer
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import QMainWindow, QWidget

from dfrot_engine import Recipe
from dfrot_gui.closing import Closing, ask_how_to_close
from dfrot_gui.help_box import show_help
from dfrot_gui.late_pages import LatePages
from dfrot_gui.notify import RunNotifier, Tray, system_tray
from dfrot_gui.pages.model_page import ModelPage
from dfrot_gui.pages.recipe_page import RecipePage
from dfrot_gui.recipe_model import RecipeModel
from dfrot_gui.run_model import PastRun, RunModel
from dfrot_gui.run_state import RunState, replay
from dfrot_gui.settings import Settings
from dfrot_gui.sidebar import WIDTH, Sidebar
from dfrot_gui.theme import Mode, Theme
from dfrot_gui.translation import tr
from dfrot_gui.trial_model import TrialModel
from dfrot_gui.widgets import Notice, box, col, row
from dfrot_gui.widgets.page import PageStack, scroll_area

PRODUCT = "DFRot Studio"
MODEL, RECIPE, RUN, RESULTS, HISTORY = range(5)
# The engine is killed before this when it does not stop by itself; see run_worker.CANCEL_GRACE_S.
CLOSE_TIMEOUT_MS = 15_000

Confirm = Callable[[QWidget], Closing]
MakePage = Callable[["MainWindow"], QWidget]


class MainWindow(QMainWindow):
    """The window.

    Args:
        make_pages: of Run, Results and History, called when the window is on the screen, one after the other, since
            the charts take a while to import and to build.
        confirm_close: asks what is to become of the run.
        make_tray: where a word on ended runs is shown.
    """

    def __init__(
        self,
        recipe: RecipeModel,
        runs: RunModel,
        trials: TrialModel,
        model_page: ModelPage,
        recipe_page: RecipePage,
        make_pages: Mapping[int, MakePage],
        settings: Settings,
        confirm_close: Confirm | None = None,
        make_tray: Callable[[QObject], Tray | None] = system_tray,
    ) -> None:
        super().__init__()
        self.recipe = recipe
        self.runs = runs
        self.trials = trials
        self._settings = settings
        self._confirm_close = confirm_close or ask_how_to_close
        self._closing: Closing = "stay"
        self.notifier = RunNotifier(self, make_tray)
        self._is_shown = False
        self._open_run = settings.open_run
        self.model_page = model_page
        self.recipe_page = recipe_page
        self.setWindowTitle(PRODUCT)
        self.setMinimumSize(1080, 700)
        self.resize(1360, 880)
        self.sidebar = Sidebar(PRODUCT, settings.theme)
        self.notice = Notice(tr("Resume"), tr("Not now"))
        self.stack = PageStack()
        self._build((model_page, recipe_page, QWidget(), QWidget(), QWidget()))
        self._pages = LatePages(self.stack, {step: partial(make, self) for step, make in make_pages.items()}, self)
        self._connect()
        self.setAcceptDrops(True)
        self.go_to(MODEL)
        if not settings.geometry.isEmpty():
            self.restoreGeometry(settings.geometry)

    def go_to(self, step: int) -> None:
        """Show the page of a step."""
        self._pages.make(step)
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
            # Its words have their font only now.
            self._side_area.setFixedWidth(max(WIDTH, self.sidebar.minimumSizeHint().width()))
            focus = Theme.get().focus
            if focus is not None:
                focus.watch(self)
            QTimer.singleShot(0, self, self._offer_resume)
            self._pages.make_all()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        self.model_page.dragEnterEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        self.model_page.dropEvent(event)

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802
        if self.runs.is_active and self._closing != "stop":
            event.ignore()
            if self._closing == "stay":
                self._close_with(self._confirm_close(self))
            return
        if self.runs.is_active:
            self.runs.wait(0)
        if self.trials.is_active:
            self.hide()  # stopping loses nothing, so nobody is asked or kept waiting
            self.trials.stop()
            self.trials.wait(CLOSE_TIMEOUT_MS)
        self.model_page.stop()
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
        right = col(top, (scroll_area(self.stack), 1), spacing=0)
        self.setCentralWidget(box(row(self._side(), (right, 1), spacing=0)))
        for step in range(len(pages)):
            keys = QKeySequence(f"Ctrl+{step + 1}")
            QShortcut(keys, self, lambda step=step: self.go_to(step), context=Qt.ShortcutContext.WindowShortcut)
        QShortcut(QKeySequence(QKeySequence.StandardKey.HelpContents), self, self._show_help)

    def _side(self) -> QWidget:
        """The sidebar; where text is large and the window low, it scrolls."""
        self._side_area = scroll_area(self.sidebar)
        self._side_area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        return self._side_area

    def _connect(self) -> None:
        self.sidebar.step_chosen.connect(self.go_to)
        self.sidebar.mode_chosen.connect(self._set_mode)
        self.sidebar.help_asked.connect(self._show_help)
        self.model_page.model_used.connect(self._use_model)
        self.model_page.opened.connect(lambda _: self.go_to(MODEL))
        self.recipe_page.start_requested.connect(self._start_run)
        self.notice.activated.connect(self._resume_run)
        self.recipe.plan_changed.connect(self._show_done)
        self.runs.changed.connect(self._show_done)
        self.runs.ended.connect(self._run_ended)

    def _show_help(self) -> None:
        show_help(PRODUCT, self._settings, self.stack.currentIndex(), self)

    def _set_mode(self, mode: Mode) -> None:
        Theme.get().set_mode(mode)
        self._settings.theme = mode

    def _use_model(self, source: str, revision: str) -> None:
        self.recipe.set_model(source, revision)
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
        if self._closing != "stay":
            self.close()
            return
        self.notifier.tell(state)
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
        if state.is_active:
            self._offer(
                tr("Show"),
                tr("The run of {model} goes on in the background.", model=state.model),
                tr("Its numbers can be watched."),
            )
        elif state.has_stopped_early:
            text = tr("Everything finished so far is kept; it goes on where it stopped.")
            self._offer(
                tr("Resume"), tr("The last run of {model} was interrupted.", model=state.model or folder.name), text
            )
        else:
            self._forget_run()

    def _offer(self, action: str, title: str, text: str) -> None:
        self.notice.button.setText(action)
        self.notice.button.setAccessibleName(action)
        self.notice.show_message("warn" if action == tr("Resume") else "inset", title, text)
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

    def open_past(self, past: PastRun, is_to_go_on: bool) -> None:
        """Show a past run on the Run and Results pages; go on with it where that is wanted and possible."""
        self._top.hide()
        self.runs.show_past(past)
        if is_to_go_on and self.runs.can_start_again:
            self._settings.open_run = past.work_dir
            self.runs.start_again()
        self.go_to(RESULTS if past.state.status == "finished" else RUN)

    def use_recipe(self, past: PastRun) -> None:
        """Take the recipe of a past run, to change it or to run it again."""
        if past.recipe is None:
            self.notice.show_message(
                "warn", tr("The recipe in {work_dir} cannot be read.", work_dir=past.work_dir), can_act=False
            )
            self._top.show()
            return
        self.take_recipe(past.recipe)

    def take_recipe(self, recipe: Recipe) -> None:
        """Go on with a recipe on the Recipe page."""
        self.recipe.set_recipe(recipe)
        self.go_to(RECIPE)

    def _forget_run(self) -> None:
        self._top.hide()
        self._open_run = None
        self._settings.open_run = None

    def _close_with(self, closing: Closing) -> None:
        """Close the window as soon as the run is stopped, or has heard that it goes on alone."""
        if closing == "stay":
            return
        self._closing = closing
        self.stack.setEnabled(False)
        self.sidebar.setEnabled(False)
        if closing == "stop":
            self.runs.stop()
            title, text = tr("Stopping the run…"), tr("What is finished is being saved; then the window closes.")
            QTimer.singleShot(CLOSE_TIMEOUT_MS, self, self.close)
        else:
            self.runs.detach()
            title, text = tr("Leaving the run to itself…"), tr("The window closes as soon as the engine has begun.")
        self.notice.show_message("inset", title, text, can_act=False)
        self._top.show()
