"""What a user does with the window, with mouse and keys, and where to look."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QLabel, QWidget
from pytestqt.qtbot import QtBot

from dfrot_gui.main_window import MODEL, RECIPE, RESULTS, RUN, MainWindow
from dfrot_gui.pages.model_page import ModelPage
from dfrot_gui.pages.result_page import ResultPage
from dfrot_gui.pages.run_page import RunPage
from dfrot_gui.recipe_form.editors import IntEditor, TextEditor
from dfrot_gui.widgets.path_field import PathField
from tests.gui.fakes import drop

# What a user types to be done in seconds. Six blocks leave time to press something meanwhile.
NUMBERS = {
    "calibration.num_samples": 4,
    "calibration.seq_len": 64,
    "rotation.r1.sample_rows": 512,
    "rotation.r1.steps": 20,
    "evaluation.seq_len": 64,
    "evaluation.num_windows": 3,
}


def choose_model(qtbot: QtBot, window: MainWindow, folder: Path) -> None:
    """Drop the folder on the page, then use it."""
    assert window.stack.currentIndex() == MODEL
    page = model_page(window)
    drop(page, folder)
    qtbot.waitUntil(page.facts.use_button.isEnabled, timeout=10_000)
    click(page.facts.use_button)
    assert window.stack.currentIndex() == RECIPE
    assert window.recipe.recipe.model.id_or_path == str(folder)


def fill_in_recipe(window: MainWindow) -> None:
    page = window.recipe_page
    w8a8, w4a4 = (next(one for one in page.preset_choice.buttons if one.text() == name) for name in ("W8A8", "W4A4"))
    click(w8a8)
    assert window.recipe.recipe.name == "w8a8"
    click(w4a4)
    click(page.rotation.cards["hadamard"])
    assert window.recipe.recipe.rotation.r1.kind == "hadamard"
    click(page.rotation.cards["dfrot"])
    for field, number in NUMBERS.items():
        type_number(window, field, number)
    got = {field: window.recipe.value(field) for field in NUMBERS}
    assert got == NUMBERS, got
    window.recipe.set("weights.group_size", 16)  # 48 columns hold no group that the form offers
    assert window.recipe_page.quantization.group.currentText() == "Group of 16"


def type_number(window: MainWindow, field: str, number: int) -> None:
    editor = window.recipe_page.editor(field)
    assert isinstance(editor, IntEditor | TextEditor)  # the second where a word will do as well
    window.show_field(field)
    editor.selectAll()
    QTest.keyClicks(editor, str(number))
    # Not by Tab: nothing has or loses the focus where no window can become the active one.
    QTest.keyClick(editor, Qt.Key.Key_Return)


def choose_output(window: MainWindow, folder: Path) -> None:
    field = window.recipe_page.editor("options.output_dir")
    assert isinstance(field, PathField)
    window.show_field("options.output_dir")
    field.edit.selectAll()
    QTest.keyClicks(field.edit, str(folder))
    QTest.keyClick(field.edit, Qt.Key.Key_Return)
    assert window.recipe.options.output_dir == folder


def pause_and_resume(qtbot: QtBot, window: MainWindow) -> None:
    page = run_page(window)
    click(page.pause_button)
    qtbot.waitUntil(lambda: window.runs.state.status == "paused", timeout=10_000)
    assert page.pause_button.accessibleName() == "Resume"
    assert "Paused" in visible_texts(page)
    heard = window.runs.state.last_heard
    qtbot.wait(300)
    assert window.runs.state.last_heard == heard, "a paused engine does nothing"
    click(page.pause_button)
    qtbot.waitUntil(lambda: window.runs.state.status == "running", timeout=10_000)
    assert page.pause_button.accessibleName() == "Pause"


def click(button: QAbstractButton) -> None:
    """With the mouse where a click on a check box counts: near its left end."""
    assert button.isVisible(), button.accessibleName()
    assert button.isEnabled(), button.accessibleName()
    QTest.mouseClick(button, Qt.MouseButton.LeftButton, pos=QPoint(12, button.height() // 2))


def model_page(window: MainWindow) -> ModelPage:
    return cast(ModelPage, window.stack.widget(MODEL))


def run_page(window: MainWindow) -> RunPage:
    return cast(RunPage, window.stack.widget(RUN))


def result_page(window: MainWindow) -> ResultPage:
    return cast(ResultPage, window.stack.widget(RESULTS))


def visible_texts(widget: QWidget) -> list[str]:
    return [one.text() for one in widget.findChildren(QLabel) if one.isVisible()]
