"""What is done with past runs: open, resume, use again, delete, compare."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QDesktopServices
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from dfrot_engine import Recipe
from dfrot_engine.events import JOURNAL
from dfrot_engine.run_index import RunNote, keep_note
from dfrot_engine.work_lock import locked
from dfrot_gui.history_model import HistoryModel
from dfrot_gui.history_table import state_text
from dfrot_gui.pages.history_page import COMPARE, LIST, HistoryPage
from dfrot_gui.pages.result_page import ResultPage
from dfrot_gui.pages.run_page import RunPage
from dfrot_gui.run_model import RunModel
from dfrot_gui.run_state import RunState
from dfrot_gui.theme import Theme
from tests.gui.fakes import FakeRuns
from tests.gui.history_runs import NOON, Confirm, Past, choose, names, save_past, settle, shown

HOUR = timedelta(hours=1)


@pytest.fixture
def page(history_page: HistoryPage) -> HistoryPage:
    return history_page


def test_open_fills_the_run_and_result_pages(qtbot: QtBot, confirm: Confirm, three: tuple[RunNote, ...]) -> None:
    runs = RunModel(("/bin/false",))
    page = shown(qtbot, HistoryPage(HistoryModel(), runs, confirm))
    run_page, result_page = RunPage(runs), ResultPage(runs)
    for one in (run_page, result_page):
        qtbot.addWidget(one)
    page.opened.connect(lambda past, _: runs.show_past(past))
    choose(page, 1)
    with qtbot.waitSignal(page.opened, timeout=10_000):
        page.open_button.click()
    assert len(run_page.loss.table().rows) == 100
    assert len(run_page.blocks.table().rows) == 30
    assert run_page.errors.kinds == ("none", "random-orthogonal", "hadamard", "dfrot")
    assert "28.4" in result_page.kpi("Perplexity").accessibleName()
    assert runs.recipe is not None


def test_resume_is_offered_where_a_run_stopped_early(
    qtbot: QtBot, page: HistoryPage, three: tuple[RunNote, ...]
) -> None:
    shown(qtbot, page)
    choose(page, 1)
    assert not page.resume_button.isEnabled()
    choose(page, 0)
    with qtbot.waitSignal(page.opened, timeout=10_000) as signal:
        page.resume_button.click()
    assert signal.args
    assert signal.args[1] is True
    assert signal.args[0].options.output_dir == three[2].output_dir


def test_while_a_run_goes_on_no_other_is_opened(
    qtbot: QtBot, page: HistoryPage, runs: FakeRuns, three: tuple[RunNote, ...]
) -> None:
    shown(qtbot, page)
    runs.work_dir = three[2].work_dir
    runs._be(RunState(status="running"), True)
    choose(page, 1)
    assert not page.open_button.isEnabled()
    assert "going on" in page.chosen_label.text()
    assert page.delete_button.isEnabled()
    choose(page, 0)
    assert not page.delete_button.isEnabled()
    assert not page.resume_button.isEnabled()
    with qtbot.waitSignal(page.run_requested):
        page.open_button.click()
    runs.end("finished")
    choose(page, 1)
    assert page.open_button.isEnabled()


def test_the_recipe_is_used_again(qtbot: QtBot, page: HistoryPage, three: tuple[RunNote, ...]) -> None:
    shown(qtbot, page)
    choose(page, 2)
    with qtbot.waitSignal(page.recipe_wanted, timeout=10_000) as signal:
        page.recipe_button.click()
    assert signal.args
    assert signal.args[0].recipe == Recipe.load(three[0].work_dir / "recipe.toml")


def test_the_folder_is_opened(
    qtbot: QtBot, page: HistoryPage, three: tuple[RunNote, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
    shown(qtbot, page)
    for row in (2, 0):
        choose(page, row)
        page.folder_button.click()
    assert opened == [str(three[0].output_dir), str(three[2].work_dir)]


def test_deleting_says_what_goes_and_asks(
    qtbot: QtBot, page: HistoryPage, confirm: Confirm, three: tuple[RunNote, ...]
) -> None:
    shown(qtbot, page)
    choose(page, 0)
    confirm.answer = False
    QTest.keyClick(page.list, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: len(confirm.asked) == 1, timeout=10_000)
    assert "Delete the run and" in confirm.asked[0]
    assert str(three[2].work_dir) in confirm.asked[0]
    assert (three[2].work_dir / JOURNAL).is_file()
    confirm.answer = True
    page.delete_button.click()
    settle(qtbot, page, 2)
    assert names(page) == ["small", "good"]
    assert not three[2].work_dir.exists()


def test_what_is_not_ours_stays_and_is_named(
    qtbot: QtBot, page: HistoryPage, confirm: Confirm, three: tuple[RunNote, ...]
) -> None:
    (three[0].work_dir / "notes.md").write_text("mine")
    shown(qtbot, page)
    choose(page, 2)
    page.delete_button.click()
    settle(qtbot, page, 2)
    assert "notes.md" in confirm.asked[0]
    assert f"{three[0].output_dir} stays" in confirm.asked[0], "no export has listed its files"
    assert [path.name for path in three[0].work_dir.iterdir()] == ["notes.md"]
    assert (three[0].output_dir / "model.safetensors").is_file()


def test_a_run_that_is_at_work_elsewhere_is_not_deleted(
    qtbot: QtBot, page: HistoryPage, confirm: Confirm, three: tuple[RunNote, ...]
) -> None:
    shown(qtbot, page)
    choose(page, 2)
    with locked(three[0].work_dir):
        page.delete_button.click()
        qtbot.waitUntil(page.notice.isVisible, timeout=10_000)
    assert "going on" in page.notice.text
    assert confirm.asked == []
    assert (three[0].work_dir / JOURNAL).is_file()


def test_a_folder_that_is_gone_can_only_leave_the_list(
    qtbot: QtBot, page: HistoryPage, confirm: Confirm, three: tuple[RunNote, ...], tmp_path: Path
) -> None:
    gone = three[0].model_copy(update={"work_dir": tmp_path / "gone.dfrot", "output_dir": tmp_path / "gone"})
    keep_note(gone)
    shown(qtbot, page)
    row = names(page).index("gone")
    choose(page, row)
    assert state_text(page.shown.runs()[row]) == "Folder gone"
    enabled = {button.accessibleName() for button in page._menu_buttons() if button.isEnabled()}
    assert enabled == {"Delete…"}
    page.delete_button.click()
    settle(qtbot, page, 3)
    assert "Take the run off the list?" in confirm.asked[0]


@pytest.fixture
def compared(qtbot: QtBot, page: HistoryPage, three: tuple[RunNote, ...]) -> HistoryPage:
    shown(qtbot, page)
    choose(page, 0, 1, 2)
    page.compare_button.click()
    qtbot.waitUntil(lambda: page._stack.currentIndex() == COMPARE, timeout=10_000)
    return page


def test_comparing_shows_only_what_differs(compared: HistoryPage) -> None:
    view = compared.compare
    assert [name.split(",")[0] for name in view.names()] == ["A: Qwen3-0.6B", "B: SmolLM2-135M", "C: SmolLM2-135M"]
    table = view._settings.table
    assert table.header == ("Setting", "A", "B", "C")
    rows = {str(row[0]): row[1:] for row in table.rows}
    assert rows["model.id_or_path"] == ("Qwen/Qwen3-0.6B", "HuggingFaceTB/SmolLM2-135M", "HuggingFaceTB/SmolLM2-135M")
    assert rows["weights.format"] == ("int4", "int4", "int8")
    assert "rotation.r1.kind" not in rows
    assert all(len(set(values)) > 1 for values in rows.values())


def test_comparing_shows_numbers_and_curves(compared: HistoryPage) -> None:
    view = compared.compare
    rows = {str(row[0]): row[1:] for row in view._numbers.table.rows}
    assert rows["Perplexity"] == ("–", "28.40", "17.90")
    assert rows["Size"] == ("–", "98.0 MB", "160 MB")
    by_run = {curve.name: curve for curve in view.blocks.curves}
    assert by_run["B"].y[0] == pytest.approx(2 * by_run["C"].y[0])
    assert {curve.name for curve in view.loss.curves} == {"A", "B", "C"}
    assert {curve.name for curve in view.tokens.curves} == {"B", "C"}, "A stopped before it had measured them"
    assert {(point.name, point.perplexity) for point in view.sizes.points} == {("B", 28.4), ("C", 17.9)}
    assert view.sizes.original == pytest.approx(17.65)
    assert len({color for _, color in view.blocks.legend()}) == 2 + ("A" in by_run)


def test_a_comparison_follows_the_theme_and_escape_leaves_it(
    qtbot: QtBot, compared: HistoryPage, themed: Theme
) -> None:
    before = dict(compared.compare.sizes.legend())
    themed.set_mode("dark")
    assert dict(compared.compare.sizes.legend()) != before
    themed.set_mode("light")
    QTest.keyClick(compared.compare.back_button, Qt.Key.Key_Escape)
    assert compared._stack.currentIndex() == LIST
    assert len(compared.list.selected()) == 3


def test_perplexities_of_other_texts_are_not_compared_without_a_word(compared: HistoryPage) -> None:
    view = compared.compare
    assert not view.caution.isVisible()
    first, *others = view.runs
    elsewhere = replace(first, info=first.info.model_copy(update={"perplexity_original": 30.0}))
    view.show_runs((elsewhere, *others))
    assert view.caution.isVisible()
    assert "original" in view.caution.text
    view.show_runs((first, *others))
    assert not view.caution.isVisible()


def test_one_run_or_seven_cannot_be_compared(qtbot: QtBot, page: HistoryPage, tmp_path: Path) -> None:
    for number in range(7):
        save_past(tmp_path, Past(f"run-{number}", started=NOON + number * HOUR))
    shown(qtbot, page)
    choose(page, 0)
    assert not page.compare_button.isEnabled()
    choose(page, *range(6))
    assert page.compare_button.isEnabled()
    choose(page, *range(7))
    assert not page.compare_button.isEnabled()
