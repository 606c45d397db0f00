"""The way of somebody who has just installed the program, and of somebody whose engine dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import psutil
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from dfrot_engine.proof.types import failures
from dfrot_gui.app import make_window
from dfrot_gui.main_window import RECIPE, RESULTS, RUN, MainWindow
from dfrot_gui.pages.model_list import ModelRows
from dfrot_gui.settings import Settings
from tests.gui.user import click, model_page, result_page, run_page
from tests.tiny_models import save_tiny_model

MOST_CLICKS = 4
SIZES = {
    "calibration.num_samples": 8,
    "calibration.seq_len": 128,
    "rotation.r1.sample_rows": 1_024,
    "rotation.r1.steps": 20,
    "rotation.r2.steps": 10,
    "evaluation.seq_len": 128,
    "evaluation.num_windows": 2,
}
RUN_MS = 120_000
ENGINE_STARTS_MS = 90_000
CLOSES_MS = 14_000


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wide enough for the groups of the default recipe."""
    folder = tmp_path_factory.mktemp("models") / "tiny-llama"
    return save_tiny_model("llama", folder, hidden_size=128, intermediate_size=256, max_position_embeddings=4096)


@pytest.fixture
def window(qtbot: QtBot, settings: Settings, tiny_model: Path) -> Iterator[MainWindow]:
    """As the program opens it; the tiny model is in the list, as one that was opened before."""
    settings.add_recent_model(str(tiny_model))
    window = make_window(settings, lambda _: "stop")
    window.show()
    yield window
    window.runs.stop()
    assert window.runs.wait(CLOSES_MS)
    window.close()
    window.deleteLater()


def make_short(window: MainWindow) -> None:
    """The default recipe on less text; nothing that a user would have to touch."""
    for field, number in SIZES.items():
        window.recipe.set(field, number)


class Mouse:
    """Clicks on what can be seen and pressed, and counts them."""

    def __init__(self) -> None:
        self.clicks = 0

    def press(self, widget: QWidget, at: QPoint | None = None) -> None:
        assert widget.isVisible(), widget.accessibleName()
        assert widget.isEnabled(), widget.accessibleName()
        assert not widget.visibleRegion().isEmpty(), "scrolled out of sight"
        QTest.mouseClick(widget, Qt.MouseButton.LeftButton, pos=at or widget.rect().center())
        self.clicks += 1


def test_a_new_user_is_told_what_to_do_and_not_twice(qtbot: QtBot, window: MainWindow, settings: Settings) -> None:
    hint = model_page(window).hint
    assert hint.isVisible()
    assert "Use this model" in hint.text
    assert "Start run" in hint.text
    facts = model_page(window).facts
    assert facts.use_button.text().strip() == "Use this model"
    assert window.recipe_page.start_button.text().strip() == "Start run"
    qtbot.waitUntil(facts.use_button.isEnabled, timeout=20_000)
    Mouse().press(facts.use_button)
    assert not hint.isVisibleTo(model_page(window))
    assert not settings.is_new_here


def test_the_hint_can_be_closed_for_good(window: MainWindow, settings: Settings) -> None:
    hint = model_page(window).hint
    (close,) = (button for button in hint.findChildren(type(hint.button)) if button.text().strip() == "Got it")
    Mouse().press(close)
    assert not hint.isVisible()
    assert not settings.is_new_here


def test_from_the_launch_to_a_checked_checkpoint_in_four_clicks(
    qtbot: QtBot, window: MainWindow, tiny_model: Path
) -> None:
    mouse, page = Mouse(), model_page(window)
    rows = cast(ModelRows, page.list.model())
    qtbot.waitUntil(lambda: rows.find(str(tiny_model)).isValid(), timeout=20_000)
    mouse.press(page.list.viewport(), page.list.visualRect(rows.find(str(tiny_model))).center())
    qtbot.waitUntil(page.facts.use_button.isEnabled, timeout=20_000)
    mouse.press(page.facts.use_button)
    assert window.stack.currentIndex() == RECIPE
    qtbot.waitUntil(window.recipe_page.start_button.isEnabled, timeout=20_000)
    assert window.recipe.recipe.model.id_or_path == str(tiny_model)
    make_short(window)
    qtbot.waitUntil(window.recipe_page.start_button.isEnabled, timeout=20_000)
    mouse.press(window.recipe_page.start_button)
    assert window.stack.currentIndex() == RUN
    qtbot.waitUntil(lambda: not window.runs.is_active, timeout=RUN_MS)
    state = window.runs.state
    assert state.status == "finished", f"{state.message} {state.remedy}"
    assert window.stack.currentIndex() == RESULTS
    results = result_page(window)
    qtbot.waitUntil(lambda: results.text.ask_button.isEnabled() and results.sensitivity.measure_button.isEnabled())
    assert state.proof, "what was written was checked"
    assert not failures(state.proof)
    output = window.runs.output_dir
    assert output is not None
    assert (output / "model.safetensors").is_file()
    assert "→" in result_page(window).kpi("Perplexity").accessibleName()
    assert mouse.clicks <= MOST_CLICKS


def test_the_sample_is_chosen_already_so_that_two_clicks_start_it(qtbot: QtBot, window: MainWindow) -> None:
    mouse, facts = Mouse(), model_page(window).facts
    qtbot.waitUntil(facts.use_button.isEnabled, timeout=60_000)
    mouse.press(facts.use_button)
    assert window.recipe.recipe.model.id_or_path == "sample"
    qtbot.waitUntil(window.recipe_page.start_button.isEnabled, timeout=60_000)
    mouse.press(window.recipe_page.start_button)
    assert window.runs.is_active
    assert mouse.clicks == 2


def test_an_engine_that_is_killed_leaves_the_window_its_last_words_and_a_way_on(
    qtbot: QtBot, window: MainWindow, tiny_model: Path
) -> None:
    window.recipe.set_model(str(tiny_model), "main")
    make_short(window)
    window.go_to(RECIPE)
    qtbot.waitUntil(window.recipe_page.start_button.isEnabled, timeout=20_000)
    before = set(psutil.Process().children())
    click(window.recipe_page.start_button)
    page = run_page(window)
    qtbot.waitUntil(lambda: "calibrate" in page.stage_bar.done, timeout=ENGINE_STARTS_MS)
    (engine,) = set(psutil.Process().children()) - before
    os.kill(engine.pid, signal.SIGKILL)
    qtbot.waitUntil(lambda: not window.runs.is_active, timeout=10_000)

    assert window.isVisible()
    assert window.stack.currentIndex() == RUN
    assert window.runs.state.status == "failed"
    assert not psutil.pid_exists(engine.pid)
    assert page.banner.isVisible()
    assert "memory" in page.banner.accessibleName(), "what most often kills a process"
    assert "calibrate" in page.log.toPlainText(), "the last lines stay"
    assert page.banner.resume_button.isVisible()
    click(page.banner.resume_button)
    qtbot.waitUntil(lambda: not window.runs.is_active, timeout=RUN_MS)
    assert window.runs.state.status == "finished", window.runs.state.message
    assert "calibrate" in [stage.name for stage in window.runs.state.stages if stage.status == "reused"]
