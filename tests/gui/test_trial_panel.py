"""Trying rotations on the Recipe page, with the fake engine as a process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from dfrot_engine import Plan, Problem, Recipe, RunOptions
from dfrot_gui.main_window import RECIPE, MainWindow
from dfrot_gui.pages.recipe_page import RecipePage
from dfrot_gui.pages.trial_panel import INVITATION, STALE, TrialPanel
from dfrot_gui.recipe_model import RecipeModel
from dfrot_gui.trial_model import TrialModel, can_try
from tests.engine.runs import tiny_recipe
from tests.gui import fake_engine
from tests.gui.fake_trial import RESULT, ROWS
from tests.gui.fakes import SUMMARY, FakePlanner, FakeRuns, assert_uncut
from tests.gui.user import click
from tests.tiny_models import save_tiny_model


@pytest.fixture
def page(qtbot: QtBot, recipe_page: RecipePage, recipe_model: RecipeModel) -> RecipePage:
    recipe_page.resize(1136, 880)
    recipe_page.show()
    recipe_model.plan_now()
    qtbot.waitUntil(lambda: recipe_model.can_start)
    return recipe_page


@pytest.fixture
def panel(page: RecipePage) -> TrialPanel:
    return page.trial


@pytest.fixture
def tried(qtbot: QtBot, panel: TrialPanel, trials: TrialModel) -> TrialPanel:
    """The panel after a whole trial."""
    with qtbot.waitSignal(trials.ended, timeout=20_000):
        click(panel.try_button)
    # Widgets that were just added to a layout are shown in the next turn of the event loop.
    qtbot.waitUntil(panel.table.buttons["descent"].isVisible)
    return panel


def trials_of(behave: str, grace_s: float = 0.5) -> TrialModel:
    return TrialModel((sys.executable, fake_engine.__file__, "--behave", behave), grace_s)


def panel_of(qtbot: QtBot, recipe_model: RecipeModel, trials: TrialModel) -> TrialPanel:
    recipe_model.plan_now()
    qtbot.waitUntil(lambda: recipe_model.can_start)
    panel = TrialPanel(recipe_model, trials)
    qtbot.addWidget(panel)
    panel.show()
    return panel


def test_it_is_offered_before_anything_was_tried(panel: TrialPanel) -> None:
    assert panel.try_button.isEnabled()
    assert panel.line.text() == INVITATION
    shown = (panel.cancel_button, panel.bar, panel.table, panel.advice)
    assert not any(widget.isVisible() for widget in shown)


def test_rows_come_one_by_one_and_then_the_advice(
    qtbot: QtBot, page: RecipePage, panel: TrialPanel, trials: TrialModel
) -> None:
    with qtbot.waitSignal(trials.ended, timeout=20_000):
        click(panel.try_button)
        assert panel.cancel_button.isVisible()
        assert not page.start_button.isEnabled()
        assert page.start_button.toolTip() == "Rotations are being tried"
        qtbot.waitUntil(lambda: len(panel.table.texts()) == 2, timeout=10_000)
        assert panel.bar.value() > 0
        assert "iteration" in panel.line.text()
        assert not panel.advice.isVisible()
        assert all(badge.isHidden() for badge in panel.table.badges.values())
    assert panel.table.texts()[0] == ["NR", "85.00 %", "0.4170", "0.6000", "0.1290", "4 s"]
    assert [kind for kind, badge in panel.table.badges.items() if not badge.isHidden()] == ["descent"]
    assert panel.advice.text == " ".join((RESULT.sentence, *RESULT.notes))
    assert panel.try_button.isVisible()
    assert page.start_button.isEnabled()


def test_a_row_sets_the_rotation_and_stays_up_to_date(tried: TrialPanel, recipe_model: RecipeModel) -> None:
    assert not tried.table.buttons["descent"].isEnabled()
    assert tried.table.buttons["descent"].text() == "Chosen"
    click(tried.table.buttons["dfrot"])
    assert recipe_model.recipe.rotation.r1.kind == "dfrot"
    assert tried.table.buttons["dfrot"].text() == "Chosen"
    assert tried.table.buttons["descent"].isEnabled()
    assert tried.advice.text.startswith(RESULT.sentence)
    click(tried.table.buttons["none"])
    assert recipe_model.recipe.rotation.r1.kind == "none"


def test_a_result_that_no_longer_fits_is_faded(tried: TrialPanel, recipe_model: RecipeModel) -> None:
    recipe_model.set("evaluation.num_windows", 3)
    recipe_model.set("calibration.num_samples", 3)
    assert STALE not in tried.advice.text
    recipe_model.set_format("weights", "int8")
    assert STALE in tried.advice.text
    assert tried.table.is_faded
    assert tried.table.badges["descent"].isHidden()
    recipe_model.undo()
    assert STALE not in tried.advice.text
    assert not tried.table.is_faded
    recipe_model.set_model("Qwen/Qwen3-0.6B")
    assert STALE in tried.advice.text


def test_cancel_keeps_the_rows_so_far(qtbot: QtBot, panel: TrialPanel, trials: TrialModel) -> None:
    with qtbot.waitSignal(trials.ended, timeout=20_000):
        click(panel.try_button)
        qtbot.waitUntil(lambda: len(panel.table.texts()) == 1, timeout=10_000)
        click(panel.cancel_button)
    assert trials.state.status == "cancelled"
    assert 1 <= len(panel.table.texts()) < len(ROWS)
    assert "no recommendation" in panel.advice.text
    assert panel.try_button.isEnabled()


@pytest.mark.parametrize(
    ("behave", "words"),
    [("failed", "The disk is full. Make room."), ("crash", "exit code 7"), ("killed", "Try again"), ("refused", "Try")],
)
def test_a_failure_is_told(qtbot: QtBot, recipe_model: RecipeModel, behave: str, words: str) -> None:
    trials = trials_of(behave)
    panel = panel_of(qtbot, recipe_model, trials)
    with qtbot.waitSignal(trials.ended, timeout=20_000):
        click(panel.try_button)
    assert trials.state.status == "failed"
    assert words in panel.advice.text or behave == "refused"
    assert "resume" not in panel.advice.text.lower()
    assert panel.try_button.isEnabled()


def test_an_engine_that_ignores_the_stop_is_killed(qtbot: QtBot, recipe_model: RecipeModel) -> None:
    trials = trials_of("deaf", grace_s=1.5)
    panel = panel_of(qtbot, recipe_model, trials)
    with qtbot.waitSignal(trials.ended, timeout=10_000):
        click(panel.try_button)
        qtbot.waitUntil(lambda: trials.state.stage == "calibrate", timeout=10_000)
        click(panel.cancel_button)
        qtbot.waitUntil(lambda: trials.state.status == "stopping", timeout=2_000)
        assert not panel.cancel_button.isEnabled()
        assert panel.line.text() == "Stopping…"
    assert trials.state.status == "cancelled"


def test_a_second_trial_starts_afresh(qtbot: QtBot, tried: TrialPanel, trials: TrialModel) -> None:
    click(tried.try_button)
    qtbot.waitUntil(lambda: trials.state.stage == "calibrate", timeout=10_000)
    assert tried.table.texts() == []
    assert not tried.advice.isVisible()


def test_it_waits_for_a_run(panel: TrialPanel, page: RecipePage) -> None:
    page.set_run_active(True)
    assert not panel.try_button.isEnabled()
    assert panel.try_button.toolTip() == "A run is going on"
    page.set_run_active(False)
    assert panel.try_button.isEnabled()


@pytest.mark.parametrize(
    ("field", "is_possible"),
    [
        ("model.id_or_path", False),
        ("weights.group_size", False),
        ("calibration.dataset", False),
        ("options.output_dir", True),
        ("exports.0.kind", True),
        ("evaluation.seq_len", True),
    ],
)
def test_only_errors_that_concern_it_keep_it_from_starting(field: str, is_possible: bool) -> None:
    problem = Problem(field=field, severity="error", message="Wrong.")
    assert can_try(Plan(model=SUMMARY, stages=(), outputs=(), problems=(problem,))) is is_possible


def test_without_a_model_there_is_nothing_to_try(qtbot: QtBot, panel: TrialPanel, planner: FakePlanner) -> None:
    assert not can_try(None)
    planner.problems = (Problem(field="model.id_or_path", severity="error", message="No such model."),)
    panel._recipe.plan_now()
    qtbot.waitUntil(lambda: not panel.try_button.isEnabled())
    assert panel.try_button.toolTip() == "Correct the errors first"


def test_the_engine_gets_device_and_threads(qtbot: QtBot, tmp_path: Path) -> None:
    """And no folder to write to."""
    program = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text('|'.join(sys.argv[2:]))"
    own = TrialModel((sys.executable, "-c", program, str(tmp_path / "said")))
    with qtbot.waitSignal(own.ended, timeout=10_000):
        own.start(Recipe(), RunOptions(output_dir=tmp_path / "out", device="cpu", threads=3))
    command, _, *flags = (tmp_path / "said").read_text().split("|")
    assert command == "trial"
    assert flags == ["--device", "cpu", "--threads", "3", "--json", "--stdin-commands"]


@pytest.mark.parametrize("width", [816, 1136])
def test_nothing_is_cut(tried: TrialPanel, page: RecipePage, width: int) -> None:
    page.resize(width, 700)
    shown: QWidget = tried
    assert_uncut(shown)


def try_rotations(qtbot, window: MainWindow) -> None:
    window.go_to(RECIPE)
    window.recipe_page.trial.try_button.click()
    qtbot.waitUntil(lambda: window.trials.state.stage == "calibrate", timeout=10_000)


def test_the_window_closes_while_rotations_are_tried(qtbot, window: MainWindow) -> None:
    try_rotations(qtbot, window)
    assert window.close()
    assert not window.trials.is_active


def test_a_run_that_is_resumed_ends_the_trial(qtbot, window: MainWindow, runs: FakeRuns) -> None:
    try_rotations(qtbot, window)
    runs.start_again()
    qtbot.waitUntil(lambda: not window.trials.is_active, timeout=5_000)
    assert window.trials.state.status == "cancelled"
    assert not window.recipe_page.trial.try_button.isEnabled()


def test_the_real_engine_tries_them_and_writes_nothing(qtbot: QtBot, tmp_path: Path) -> None:
    recipe = tiny_recipe(save_tiny_model("llama", tmp_path / "model"))
    trials = TrialModel()
    with qtbot.waitSignal(trials.ended, timeout=120_000):
        trials.start(recipe, RunOptions(output_dir=tmp_path / "out", device="cpu", threads=1))
    assert trials.state.status == "finished", f"{trials.state.message} {trials.state.details}"
    assert trials.result is not None
    assert trials.result.rows == trials.state.tried
    assert trials.fraction == 1.0
    assert trials.fits(recipe)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
