"""Builds the window out of its parts and starts Qt."""

from __future__ import annotations

import gc
import importlib
import logging
import signal
import sys
from types import TracebackType
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QApplication, QMessageBox, QWidget

from dfrot_engine import Plan, Recipe, RunOptions, __version__
from dfrot_engine.recipe import ModelSource
from dfrot_engine.resources import resources_dir
from dfrot_gui.computer import total_ram
from dfrot_gui.garbage import GarbageCollector
from dfrot_gui.hub_actions import HubActions
from dfrot_gui.hub_search import HubSearch
from dfrot_gui.main_window import HISTORY, PRODUCT, RECIPE, RESULTS, RUN, Confirm, MainWindow
from dfrot_gui.pages.model_facts import ModelLook
from dfrot_gui.pages.model_page import ModelPage
from dfrot_gui.pages.recipe_page import RecipePage
from dfrot_gui.recipe_model import RecipeModel
from dfrot_gui.run_model import RunModel
from dfrot_gui.settings import Settings
from dfrot_gui.theme import Theme
from dfrot_gui.translation import install, tr
from dfrot_gui.trial_model import TrialModel

if TYPE_CHECKING:
    from dfrot_engine.checkpoint.hub import Order

# After the first paint, and before the window makes the pages with charts, so that no turn of the event loop is long.
CHARTS_DELAY_MS = 400

_LOG = logging.getLogger(__name__)


def main(arguments: list[str]) -> int:
    """Open the window and return the exit status when it is closed."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    app = make_application(arguments)
    settings = Settings()
    install(app, settings.language)
    Theme.get().install(app, settings.theme)
    sys.excepthook = _show_fault
    # Python handlers wait for the event loop; from a terminal, Ctrl+C is to end the program as everywhere else.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    window = make_window(settings)
    window.show()
    QTimer.singleShot(CHARTS_DELAY_MS, _import_charts)
    return app.exec()


def make_application(arguments: list[str]) -> QApplication:
    QApplication.setHighDpiScaleFactorRoundingPolicy(Qt.HighDpiScaleFactorRoundingPolicy.PassThrough)
    app = QApplication([PRODUCT, *arguments])
    app.setApplicationName("dfrot")
    app.setApplicationDisplayName(PRODUCT)
    app.setApplicationVersion(__version__)
    app.setOrganizationName("dfrot")
    app.setDesktopFileName("dfrot-gui")
    # Qt's own quit waits for whoever holds its lock: a window closed in its first seconds left the process running.
    app.lastWindowClosed.connect(app.quit)
    app.setWindowIcon(QIcon(str(resources_dir() / "icons" / "dfrot.svg")))
    GarbageCollector(app)
    return app


def make_window(
    settings: Settings, confirm_close: Confirm | None = None, *, runs: RunModel | None = None
) -> MainWindow:
    """The window with the real engine and the real Hub behind it; `runs` may have another engine."""
    memory = total_ram()
    recipe = RecipeModel(_make_plan, settings.output_root)
    recipe.set_model(settings.last_model or "sample", settings.last_revision)
    runs = runs or RunModel()
    search = HubSearch(_search_models, _local_models, memory)
    model_page = ModelPage(
        search,
        lambda source, revision: _look_at(ModelSource(id_or_path=source, revision=revision), recipe),
        memory,
        settings,
        HubActions(),
    )
    recipe.plan_now()
    trials = TrialModel()
    recipe_page = RecipePage(recipe, trials, settings)
    return MainWindow(
        recipe,
        runs,
        trials,
        model_page,
        recipe_page,
        {
            RUN: lambda window: _make_run_page(window, runs),
            RESULTS: lambda window: _make_result_page(window, runs),
            HISTORY: lambda window: _make_history_page(window, runs),
        },
        settings,
        confirm_close,
    )


def _import_charts() -> None:
    importlib.import_module("dfrot_gui.charts.base")
    gc.freeze()  # modules stay: collections that pass over them take 5 ms instead of 110


def _make_run_page(window: MainWindow, runs: RunModel) -> QWidget:
    from dfrot_gui.pages.run_page import RunPage

    page = RunPage(runs)
    page.results_requested.connect(lambda: window.go_to(RESULTS))
    page.recipe_requested.connect(lambda: window.go_to(RECIPE))
    page.field_requested.connect(window.show_field)
    return page


def _make_result_page(window: MainWindow, runs: RunModel) -> QWidget:
    from dfrot_gui.pages.result_page import ResultPage

    page = ResultPage(runs)
    page.run_requested.connect(lambda: window.go_to(RUN))
    page.recipe_wanted.connect(window.take_recipe)
    return page


def _make_history_page(window: MainWindow, runs: RunModel) -> QWidget:
    from dfrot_gui.history_model import HistoryModel
    from dfrot_gui.pages.history_page import HistoryPage

    page = HistoryPage(HistoryModel(parent=window), runs)
    page.opened.connect(window.open_past)
    page.recipe_wanted.connect(window.use_recipe)
    page.recipe_requested.connect(lambda: window.go_to(RECIPE))
    page.run_requested.connect(lambda: window.go_to(RUN))
    return page


# The engine's functions are imported when they are first called, in the background thread that calls them: the
# Hub's client alone takes half a second to import.


def _make_plan(recipe: Recipe, options: RunOptions) -> Plan:
    from dfrot_engine import make_plan

    return make_plan(recipe, options)


def _look_at(model: ModelSource, recipe: RecipeModel) -> ModelLook:
    from dfrot_engine.checkpoint.source import inspect

    return ModelLook(inspect(model), _make_plan(recipe.recipe.model_copy(update={"model": model}), recipe.options))


def _search_models(
    query: str,
    *,
    limit: int = 30,
    family: str | None = None,
    max_parameters: int | None = None,
    order: Order = "downloads",
):
    from dfrot_engine.checkpoint.hub import search_models

    return search_models(query, limit=limit, family=family, max_parameters=max_parameters, order=order)


def _local_models():
    from dfrot_engine.checkpoint.hub import local_models

    return local_models()


def _show_fault(kind: type[BaseException], fault: BaseException, trace: TracebackType | None) -> None:
    """A fault of ours inside a slot: into the log in full, onto the screen in a sentence."""
    _LOG.critical("unexpected fault", exc_info=(kind, fault, trace))
    if QApplication.instance() is not None and issubclass(kind, Exception):
        QMessageBox.critical(
            None, PRODUCT, tr("Unexpected fault: {fault}\n\nA run that is going on is not affected.", fault=fault)
        )
