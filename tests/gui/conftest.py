"""What the window's tests stand on: a fake planner and Hub, settings of their own; no network, no engine."""

from __future__ import annotations

import gc
import os
import sys

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("QT_SCALE_FACTOR", "1")

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
from PySide6.QtWidgets import QApplication, QWidget

from dfrot_engine.run_index import ENVIRONMENT, RunNote
from dfrot_gui.closing import Closing
from dfrot_gui.garbage import collect_due
from dfrot_gui.history_model import HistoryModel
from dfrot_gui.hub_search import HubSearch
from dfrot_gui.main_window import HISTORY, RESULTS, RUN, MainWindow
from dfrot_gui.pages.history_page import HistoryPage
from dfrot_gui.pages.model_page import ModelPage
from dfrot_gui.pages.recipe_page import RecipePage
from dfrot_gui.recipe_model import RecipeModel
from dfrot_gui.run_model import RunModel
from dfrot_gui.settings import Settings
from dfrot_gui.theme import Theme
from dfrot_gui.translation import install
from dfrot_gui.trial_model import TrialModel
from tests.gui import fake_engine
from tests.gui.fakes import GIGABYTE, FakeAccount, FakeHub, FakePlanner, FakeRuns, FakeTray, look_at
from tests.gui.history_runs import NOON, Confirm, Past, save_past

MakeWindow = Callable[[], MainWindow]


@pytest.fixture(scope="session")
def qapp_args() -> list[str]:
    return ["dfrot-tests"]


@pytest.fixture(autouse=True)
def no_garbage_in_threads() -> Iterator[None]:
    """As in the program; see `dfrot_gui/garbage.py`."""
    gc.disable()
    yield
    collect_due()
    gc.enable()


@pytest.fixture(autouse=True)
def themed(qapp: QApplication) -> Theme:
    """The look of the program, so that sizes in tests are those of the program."""
    install(qapp, "en")
    theme = Theme.get()
    theme.install(qapp, "light")
    return theme


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    own = Settings(tmp_path / "settings.ini")
    own.output_root = tmp_path / "out"
    return own


@pytest.fixture
def planner() -> FakePlanner:
    return FakePlanner()


@pytest.fixture
def hub() -> FakeHub:
    return FakeHub()


@pytest.fixture
def recipe_model(planner: FakePlanner, settings: Settings) -> RecipeModel:
    return RecipeModel(planner, settings.output_root)


@pytest.fixture
def trials() -> Iterator[TrialModel]:
    """Trials by the fake engine, at the speed of one that takes seconds."""
    model = TrialModel((sys.executable, fake_engine.__file__, "--behave", "slow"))
    yield model
    model.stop()
    model.wait(10_000)


@pytest.fixture
def recipe_page(qtbot, recipe_model: RecipeModel, trials: TrialModel, settings: Settings) -> RecipePage:
    page = RecipePage(recipe_model, trials, settings)
    qtbot.addWidget(page)
    return page


@pytest.fixture
def search(hub: FakeHub) -> HubSearch:
    return HubSearch(hub.search, hub.local, 8 * GIGABYTE)


@pytest.fixture
def account() -> FakeAccount:
    return FakeAccount()


@pytest.fixture
def model_page(qtbot, search: HubSearch, settings: Settings, account: FakeAccount) -> ModelPage:
    page = ModelPage(search, look_at, 8 * GIGABYTE, settings, account.actions(), lambda *_: True)
    qtbot.addWidget(page)
    return page


@pytest.fixture
def runs() -> FakeRuns:
    return FakeRuns()


@pytest.fixture
def answers() -> list[Closing]:
    """What the user will answer when the window is closed while a run goes on, first to last."""
    return []


@pytest.fixture
def tray() -> FakeTray:
    return FakeTray()


@pytest.fixture
def make_window(
    qtbot,
    recipe_model: RecipeModel,
    runs: FakeRuns,
    model_page: ModelPage,
    recipe_page: RecipePage,
    trials: TrialModel,
    settings: Settings,
    answers: list[Closing],
    tray: FakeTray,
) -> MakeWindow:
    def make() -> MainWindow:
        def page(_: MainWindow) -> QWidget:
            return QWidget()

        engine = cast(RunModel, runs)
        window = MainWindow(
            recipe_model,
            engine,
            trials,
            model_page,
            recipe_page,
            dict.fromkeys((RUN, RESULTS, HISTORY), page),
            settings,
            lambda _: answers.pop(0),
            lambda _: tray,
        )
        qtbot.addWidget(window, before_close_func=lambda _: runs.end("cancelled") if runs.is_active else None)
        window.show()
        return window

    return make


@pytest.fixture
def window(qtbot, make_window: MakeWindow, recipe_model: RecipeModel) -> MainWindow:
    window = make_window()
    recipe_model.plan_now()
    qtbot.waitUntil(lambda: recipe_model.can_start)
    return window


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A list of runs for each test."""
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "index"))
    return tmp_path / "index"


@pytest.fixture
def three(tmp_path: Path, index: Path) -> tuple[RunNote, ...]:
    """Oldest first: a good one, a small and worse one, one that was stopped."""
    hour = timedelta(hours=1)
    runs = (
        Past("good", "w8a8", perplexity=17.9, num_bytes=160_000_000),
        Past("small", perplexity=28.4, num_bytes=98_000_000, started=NOON + hour, scale=2.0),
        Past("stopped", model="Qwen/Qwen3-0.6B", status="cancelled", started=NOON + 2 * hour),
    )
    return tuple(save_past(tmp_path, past) for past in runs)


@pytest.fixture
def confirm() -> Confirm:
    return Confirm()


@pytest.fixture
def history_page(qtbot, index: Path, runs: FakeRuns, confirm: Confirm) -> HistoryPage:
    return HistoryPage(HistoryModel(), cast(RunModel, runs), confirm)
