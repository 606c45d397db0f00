"""The History page: what is found and shown, filtered, sorted, reached by keys."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QComboBox, QLineEdit, QWidget
from pytestqt.qtbot import QtBot

from dfrot_engine.run_index import RunNote
from dfrot_gui.history_model import HistoryModel
from dfrot_gui.history_table import state_text
from dfrot_gui.pages.history_page import EMPTY, HistoryPage
from dfrot_gui.run_model import RunModel
from dfrot_gui.theme import Theme
from tests.gui.fakes import FakeRuns, assert_uncut
from tests.gui.history_runs import NOON, WIDE, Past, choose, names, save_past, shown

HOUR = timedelta(hours=1)


@pytest.fixture
def page(history_page: HistoryPage) -> HistoryPage:
    return history_page


def test_runs_stand_newest_first(qtbot: QtBot, page: HistoryPage, three: tuple[RunNote, ...]) -> None:
    shown(qtbot, page)
    assert names(page) == ["stopped", "small", "good"]
    assert [state_text(run) for run in page.shown.runs()] == ["Stopped, can be resumed", "Finished", "Finished"]
    texts = [page.shown.index(2, column).data() for column in range(page.shown.columnCount())]
    assert texts[:6] == ["Finished", "SmolLM2-135M", "w8a8 · DFRot", "17.65 → 17.90", "0.182", "160 MB"]
    assert page.subtitle_label.text() == "3 runs on this computer"


def test_no_run_leads_to_the_recipe(qtbot: QtBot, page: HistoryPage) -> None:
    shown(qtbot, page, 0)
    assert page._stack.currentIndex() == EMPTY
    with qtbot.waitSignal(page.recipe_requested):
        page.empty.button.click()


def test_words_and_states_filter(qtbot: QtBot, page: HistoryPage, three: tuple[RunNote, ...]) -> None:
    shown(qtbot, page)
    page.search_edit.setText("smol dfrot")
    assert names(page) == ["small", "good"]
    assert page.subtitle_label.text() == "2 of 3 runs on this computer"
    page.search_edit.clear()
    for state, left in (
        ("Finished", ["small", "good"]),
        ("Stopped", ["stopped"]),
        ("Can be resumed", ["stopped"]),
        ("Failed", []),
    ):
        button = next(one for one in page.state_choice.buttons if one.text() == state)
        button.click()
        assert names(page) == left
        assert page.none_label.isVisible() == (not left)


@pytest.mark.parametrize("order", ["Lowest perplexity", "Smallest", "Oldest first"])
def test_what_has_no_number_stands_last(
    qtbot: QtBot, page: HistoryPage, three: tuple[RunNote, ...], order: str
) -> None:
    shown(qtbot, page)
    page.order_choice.setCurrentText(order)
    page.order_choice.activated.emit(page.order_choice.currentIndex())
    expected = {"Smallest": ["small", "good", "stopped"]}.get(order, ["good", "small", "stopped"])
    assert names(page) == expected
    page.list.sortByColumn(3, Qt.SortOrder.DescendingOrder)
    assert names(page) == ["small", "good", "stopped"]
    assert page.order_choice.currentText() == "Column heads"


def test_keys_alone_find_and_open_a_run(qtbot: QtBot, page: HistoryPage, three: tuple[RunNote, ...]) -> None:
    shown(qtbot, page)
    page.search_edit.setFocus()
    QTest.keyClicks(page.search_edit, "small")
    QTest.keyClick(page.search_edit, Qt.Key.Key_Return)
    assert page.list.hasFocus()
    with qtbot.waitSignal(page.opened, timeout=10_000) as signal:
        QTest.keyClick(page.list, Qt.Key.Key_Return)
    assert signal.args
    past, is_to_go_on = signal.args
    assert (past.work_dir, is_to_go_on) == (three[1].work_dir, False)
    assert past.state.status == "finished"


def test_tab_reaches_everything_and_everything_has_a_name(
    qtbot: QtBot, page: HistoryPage, three: tuple[RunNote, ...]
) -> None:
    shown(qtbot, page)
    choose(page, 0)
    page.search_edit.setFocus()
    reached: set[str] = set()
    for _ in range(30):
        focused = page.focusWidget()
        assert focused is not None
        assert focused.accessibleName(), focused
        reached.add(focused.accessibleName())
        QTest.keyClick(focused, Qt.Key.Key_Tab)
    wanted = {"Filter runs", "State All", "Order of the runs", "Runs", "Resume", "Use this recipe", "Open folder"}
    assert wanted | {"Delete…", "Open"} <= reached
    for widget in page.findChildren(QWidget):
        if isinstance(widget, QAbstractButton | QLineEdit | QComboBox) and widget.isVisible():
            assert widget.accessibleName() or widget.parent() is not page, widget


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("width", [820, WIDE])
def test_no_text_is_cut_off(
    qtbot: QtBot, page: HistoryPage, three: tuple[RunNote, ...], themed: Theme, mode: str, width: int
) -> None:
    themed.set_mode("dark" if mode == "dark" else "light")
    shown(qtbot, page)
    page.resize(width, 640)
    choose(page, 0)
    QTest.qWait(50)
    assert_uncut(page)
    assert not [one for one in QApplication.topLevelWidgets() if one.isVisible() and one is not page]


def test_damaged_notes_are_told_and_left_out(
    qtbot: QtBot, page: HistoryPage, three: tuple[RunNote, ...], index: Path
) -> None:
    (index / "000000000000.json").write_text("{")
    shown(qtbot, page, 3)
    assert "000000000000.json is left out" in page.notice.text


def test_a_run_that_begins_elsewhere_appears_by_itself(
    qtbot: QtBot, runs: FakeRuns, three: tuple[RunNote, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dfrot_gui.pages.history_page.REFRESH_MS", 50)
    page = shown(qtbot, HistoryPage(HistoryModel(), cast(RunModel, runs)))
    choose(page, 1)
    save_past(tmp_path, Past("later", started=NOON + 5 * HOUR))
    qtbot.waitUntil(lambda: names(page)[:1] == ["later"], timeout=10_000)
    assert page.list.selected()[0].output_dir.name == "small"
    page.hide()
    assert not page._clock.isActive()
