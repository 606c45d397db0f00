"""What the window's tests stand on: a fake planner and Hub, settings of their own; no network, no engine."""

from __future__ import annotations

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("QT_SCALE_FACTOR", "1")

from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication

from dfrot_gui.hub_search import HubSearch
from dfrot_gui.pages.model_page import ModelPage
from dfrot_gui.pages.recipe_page import RecipePage
from dfrot_gui.recipe_model import RecipeModel
from dfrot_gui.settings import Settings
from dfrot_gui.theme import Theme
from tests.gui.fakes import GIGABYTE, FakeHub, FakePlanner, look_at


@pytest.fixture(scope="session")
def qapp_args() -> list[str]:
    return ["dfrot-tests"]


@pytest.fixture(autouse=True)
def themed(qapp: QApplication) -> Theme:
    """The look of the program, so that sizes in tests are those of the program."""
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
def recipe_page(qtbot, recipe_model: RecipeModel) -> RecipePage:
    page = RecipePage(recipe_model)
    qtbot.addWidget(page)
    return page


@pytest.fixture
def search(hub: FakeHub) -> HubSearch:
    return HubSearch(hub.search, hub.local, 8 * GIGABYTE)


@pytest.fixture
def model_page(qtbot, search: HubSearch, settings: Settings) -> ModelPage:
    page = ModelPage(search, look_at, 8 * GIGABYTE, settings)
    qtbot.addWidget(page)
    return page
