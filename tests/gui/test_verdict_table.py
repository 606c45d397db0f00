"""Will it load? On the recipe page: rows, badges, this computer, copying by mouse and keyboard, both themes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel, QWidget
from pytestqt.qtbot import QtBot

from dfrot_engine import Plan, Recipe, RunOptions, Verdict
from dfrot_gui.pages.recipe_page import RecipePage
from dfrot_gui.pages.verdict_table import BADGES, EMPTY, VerdictTable
from dfrot_gui.recipe_model import RecipeModel
from dfrot_gui.settings import Settings
from dfrot_gui.theme import Theme
from dfrot_gui.trial_model import TrialModel
from tests.engine.verdicts.asking import A4, CHANNEL8, FOLDER, G64, ask, linear
from tests.gui.fakes import FakePlanner, assert_uncut

MakeTable = Callable[..., VerdictTable]


@pytest.fixture
def show(qtbot: QtBot) -> MakeTable:
    def make(*verdicts: Verdict) -> VerdictTable:
        table = VerdictTable()
        qtbot.addWidget(table)
        table.resize(1_000, 300)
        table.set_verdicts(verdicts)
        table.show()
        return table

    return make


def texts(widget: QWidget) -> list[str]:
    return [one.text() for one in widget.findChildren(QLabel) if one.isVisibleTo(widget) and one.text()]


def test_a_row_for_each_verdict(show: MakeTable) -> None:
    found = ask(linear(G64, A4), here=(80,))
    table = show(*found)
    assert [line[:3] for line in table.texts()] == [(one.runtime, one.generation, one.words) for one in found]
    assert [(one.text(), one.property("badge")) for one in table.badges] == [
        (one.words, BADGES[one.outcome]) for one in found
    ]
    assert texts(table).count("This computer") == sum(one.is_this_computer for one in found) > 0
    assert_uncut(table)


def test_a_command_is_copied_with_the_keyboard(qtbot: QtBot, show: MakeTable) -> None:
    table = show(*ask(linear(G64, A4)))
    names = [button.accessibleName() for button in table.copy_buttons]
    assert names[:2] == [
        "Copy the command for transformers on any",
        "Copy the command for vLLM on Turing–Ada (sm75–sm89)",
    ]
    assert len(set(names)) == len(names)
    first, second = table.copy_buttons[:2]
    with qtbot.waitActive(table):
        table.activateWindow()
    assert "Only with --linear-backend humming" in second.accessibleDescription()
    assert second.toolTip().endswith("--linear-backend humming")
    first.setFocus()
    QTest.keyClick(first, Qt.Key.Key_Tab)
    assert second.hasFocus()
    QTest.keyClick(second, Qt.Key.Key_Space)
    assert QGuiApplication.clipboard().text() == f"vllm serve '{FOLDER}' --linear-backend humming"
    assert second.accessibleDescription() == "Copied"


def test_what_is_refused_has_no_command(show: MakeTable) -> None:
    found = ask(linear(CHANNEL8, {"format": "int8"}))
    table = show(*found)
    assert len(table.copy_buttons) == sum(bool(one.command) for one in found) < len(found)


def test_two_exports_have_a_head_each(show: MakeTable) -> None:
    table = show(*ask(linear(G64)), *ask(linear(G64), export="rotated-bf16"))
    heads = [text for text in texts(table) if text.startswith("Runtime")]
    assert heads == ["Runtime · compressed-tensors", "Runtime · rotated-bf16"]


def test_long_reasons_end_in_a_tooltip(show: MakeTable) -> None:
    (one, *_) = ask(linear(G64, A4))
    long = one.model_copy(update={"reason": "A long reason. " * 30})
    table = show(long)
    why = next(label for label in table.findChildren(QLabel) if label.text() == long.full_reason)
    table.grab()
    assert table.width() == 1_000
    assert why.toolTip() == long.full_reason
    assert table.badges[0].toolTip().startswith("ran: ")


def test_nothing_written_is_said_and_rows_do_not_pile_up(qtbot: QtBot, show: MakeTable) -> None:
    short, long = ask(linear(G64)), ask(linear(G64, A4))
    table = show(*long)
    table.set_verdicts(())
    qtbot.waitUntil(lambda: texts(table) == [EMPTY])
    assert table.sizeHint().height() == show().sizeHint().height()
    for verdicts in (short, long, short):
        table.set_verdicts(verdicts)
    qtbot.waitUntil(lambda: EMPTY not in texts(table) and len(texts(table)) > len(short))
    assert len(table.badges) == len(table.texts()) == len(short) < len(long)
    assert table.sizeHint().height() == show(*short).sizeHint().height()


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_it_is_drawn_in_both_themes(themed: Theme, show: MakeTable, mode: str) -> None:
    themed.set_mode(mode)  # type: ignore[arg-type]
    table = show(*ask(linear(G64, A4)))
    picture = table.grab().toImage()
    colors = {picture.pixelColor(x, y).name() for x in range(0, picture.width(), 2) for y in range(picture.height())}
    assert {themed.t.good_soft.lower(), themed.t.warn_soft.lower(), themed.t.bad_soft.lower()} <= colors


class JudgingPlanner(FakePlanner):
    """A planner whose verdicts are the table's, on one linear with the recipe's schemes."""

    def __call__(self, recipe: Recipe, options: RunOptions) -> Plan:
        weights, activations = (one.model_dump() if one else None for one in (recipe.weights, recipe.activations))
        verdicts = ask(linear(weights, activations)) if recipe.exports else ()
        return super().__call__(recipe, options).model_copy(update={"verdicts": verdicts})


def test_the_verdicts_follow_the_recipe(qtbot: QtBot, settings: Settings, trials: TrialModel) -> None:
    model = RecipeModel(JudgingPlanner(), settings.output_root)
    page = RecipePage(model, trials, settings)
    qtbot.addWidget(page)
    page.resize(1_136, 880)
    page.show()
    table = page.plan.verdicts

    def wait_for(words: str | None) -> None:
        def shown() -> str | None:
            return next((line[2] for line in table.texts() if line[0] == "vLLM CPU"), None)

        qtbot.waitUntil(lambda: not model.is_planning and shown() == words)

    model.plan_now()
    assert not table.isVisible()  # before the first plan
    wait_for("16-bit activations")
    assert table.isVisible()
    model.set_preset("w4a16")
    wait_for("loads")
    model.set("weights.group_size", 96)
    wait_for("not tried")
    model.set("exports", [])
    wait_for(None)
    qtbot.waitUntil(lambda: texts(table) == [EMPTY])
