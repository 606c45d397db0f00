"""The run page: empty, going, paused, ended in every way."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from dfrot_engine import Event, Recipe, RunEnded, RunOptions
from dfrot_engine.events import JOURNAL
from dfrot_gui.pages.run_page import RunPage
from dfrot_gui.run_model import RunModel
from dfrot_gui.run_state import RunState, with_request
from dfrot_gui.run_words import loss_kpi, massive_kpi, memory_kpi, recipe_line, speed_kpi
from dfrot_gui.theme import Theme
from tests.gui import fake_engine


def past_run(folder: Path, count: int = 10_000, end: Event | None = None) -> Path:
    """A work folder with the first events of a run."""
    work_dir = folder / "out.dfrot"
    options = RunOptions(output_dir=folder / "out")
    recipe = Recipe.preset("w4a4").with_field("rotation.r1.kind", "dfrot")
    fake_engine.write_work_folder(work_dir, recipe.to_toml(), options)
    events = [*list(fake_engine.whole_run(folder / "out"))[:count], *([end] if end else [])]
    (work_dir / JOURNAL).write_text("".join(event.model_dump_json() + "\n" for event in events), encoding="utf-8")
    return work_dir


@pytest.fixture
def runs(qtbot: QtBot) -> Iterator[RunModel]:
    Theme.get().install(QApplication.instance())  # type: ignore[arg-type]
    model = RunModel((sys.executable, fake_engine.__file__, "--behave", "slow"))
    yield model
    model.stop()
    assert model.wait(10_000)


@pytest.fixture
def page(qtbot: QtBot, runs: RunModel) -> RunPage:
    page = RunPage(runs)
    qtbot.addWidget(page)
    page.resize(1_136, 880)
    page.show()
    return page


def test_before_any_run_the_page_leads_to_the_recipe(qtbot: QtBot, page: RunPage) -> None:
    assert not page.pause_button.isVisible()
    assert not page.log.isVisible()
    with qtbot.waitSignal(page.recipe_requested):
        qtbot.mouseClick(page.empty.button, Qt.MouseButton.LeftButton)


def test_a_run_is_paused_resumed_and_stopped_with_the_buttons(
    qtbot: QtBot, page: RunPage, runs: RunModel, tmp_path: Path
) -> None:
    runs.start(Recipe.preset("w4a4"), RunOptions(output_dir=tmp_path / "out"))
    qtbot.waitUntil(lambda: runs.state.stage == "calibrate", timeout=10_000)
    assert page.stop_button.isVisible()
    qtbot.mouseClick(page.pause_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: runs.state.status == "paused", timeout=1_000)
    assert page.pause_button.accessibleName() == "Resume"
    qtbot.mouseClick(page.pause_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: runs.state.status == "running", timeout=1_000)
    assert page.pause_button.accessibleName() == "Pause"
    qtbot.mouseClick(page.stop_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not runs.is_active, timeout=2_000)
    assert page.banner.isVisible()
    assert page.banner.resume_button.isVisible()
    assert not page.stop_button.isVisible()


def test_a_run_is_not_stopped_twice(qtbot: QtBot, page: RunPage, runs: RunModel, tmp_path: Path) -> None:
    runs.open(past_run(tmp_path, 40))
    running = replace(runs.state, status="running", message="")
    runs._set_state(running)
    assert page.stop_button.isEnabled()
    runs._set_state(with_request(running, "cancel"))
    assert not page.stop_button.isEnabled()
    assert not page.pause_button.isEnabled()


def test_the_resume_button_starts_the_run_again(qtbot: QtBot, page: RunPage, runs: RunModel, tmp_path: Path) -> None:
    runs.open(past_run(tmp_path, 40))
    assert runs.state.status == "interrupted"
    assert page.banner.resume_button.isVisible()
    qtbot.mouseClick(page.banner.resume_button, Qt.MouseButton.LeftButton)
    assert runs.is_active
    assert not page.banner.isVisible()


def test_a_failure_shows_message_remedy_and_field(qtbot: QtBot, page: RunPage, runs: RunModel, tmp_path: Path) -> None:
    end = RunEnded(status="failed", message="The GPU ran out of memory.", remedy="Use the CPU.", field="device")
    runs.open(past_run(tmp_path, 40, end))
    assert "The GPU ran out of memory. Use the CPU." in page.banner.accessibleName()
    with qtbot.waitSignal(page.field_requested) as asked:
        qtbot.mouseClick(page.banner.field_button, Qt.MouseButton.LeftButton)
    assert asked.args == ["device"]


def test_a_finished_run_fills_the_page(qtbot: QtBot, page: RunPage, runs: RunModel, tmp_path: Path) -> None:
    runs.open(past_run(tmp_path))
    assert page.progress.value() == page.progress.maximum()
    assert len(page.loss.table().rows) == 100
    assert page.errors.kinds == ("none", "random-orthogonal", "hadamard", "dfrot")
    assert len(page.blocks.table().rows) == 30
    assert page.map.map is not None
    assert "Row 17 had no direction" in page.log.toPlainText()
    assert not page.banner.resume_button.isVisible()
    with qtbot.waitSignal(page.results_requested):
        qtbot.mouseClick(page.banner.results_button, Qt.MouseButton.LeftButton)


def test_the_log_grows_and_is_replaced_by_that_of_another_run(page: RunPage, runs: RunModel, tmp_path: Path) -> None:
    runs.open(past_run(tmp_path, 4))
    first = page.log.toPlainText()
    runs.open(past_run(tmp_path))
    assert page.log.toPlainText().count("with recipe") == 1
    assert len(page.log.toPlainText()) > len(first)


def test_a_crash_puts_the_last_words_into_the_log(qtbot: QtBot, tmp_path: Path) -> None:
    runs = RunModel((sys.executable, fake_engine.__file__, "--behave", "crash"))
    page = RunPage(runs)
    qtbot.addWidget(page)
    with qtbot.waitSignal(runs.ended, timeout=20_000):
        runs.start(Recipe(), RunOptions(output_dir=tmp_path / "out"))
    assert "Traceback: something broke" in page.log.toPlainText()
    assert "exit code 7" in page.banner.accessibleName()


def test_a_narrow_page_has_one_column(qtbot: QtBot, page: RunPage, runs: RunModel, tmp_path: Path) -> None:
    runs.open(past_run(tmp_path))
    page.resize(1_136, 880)
    assert page.columns == 2
    page.resize(850, 700)
    assert page.columns == 1
    assert page.minimumSizeHint().width() <= 856


def test_everything_that_can_be_pressed_has_a_name(page: RunPage) -> None:
    from PySide6.QtWidgets import QAbstractButton

    assert [button for button in page.findChildren(QAbstractButton) if not button.accessibleName()] == []


def test_numbers_in_words(runs: RunModel, tmp_path: Path) -> None:
    empty = RunState()
    assert [kpi(empty).value for kpi in (loss_kpi, massive_kpi, memory_kpi, speed_kpi)] == ["–"] * 4
    runs.open(past_run(tmp_path))
    state = runs.state
    assert loss_kpi(state).role == "good"
    assert loss_kpi(state).note.startswith("−6")
    assert massive_kpi(state).value == "125"
    assert memory_kpi(state).note == "peak 2.1 GB"
    assert recipe_line(runs.recipe, state) == "SmolLM2-135M · W4 A4 · DFRot"
