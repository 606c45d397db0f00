"""The History page: what is found and shown, keys, opening, resuming, deleting, comparing, all without waiting."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QDesktopServices
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QComboBox, QLineEdit, QWidget
from pytestqt.qtbot import QtBot

from dfrot_engine import Recipe, RunInfo
from dfrot_engine.events import JOURNAL
from dfrot_engine.run_index import ENVIRONMENT, RunNote, keep_note, read_notes
from dfrot_engine.run_list import read_info
from dfrot_engine.work_lock import locked
from dfrot_gui.history_model import CHUNK, HistoryModel
from dfrot_gui.history_table import state_text
from dfrot_gui.pages.history_page import COMPARE, EMPTY, LIST, HistoryPage
from dfrot_gui.pages.result_page import ResultPage
from dfrot_gui.pages.run_page import RunPage
from dfrot_gui.run_model import RunModel
from dfrot_gui.run_state import RunState
from dfrot_gui.theme import Theme
from tests.gui.fakes import FakeRuns, assert_uncut
from tests.gui.history_runs import NOON, Past, save_past

HOUR = timedelta(hours=1)
WIDE = 1100


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "index"))
    return tmp_path / "index"


@pytest.fixture
def three(tmp_path: Path) -> tuple[RunNote, ...]:
    """Oldest first: a good one, a small and worse one, one that was stopped."""
    return (
        save_past(tmp_path, Past("good", "w8a8", perplexity=17.9, num_bytes=160_000_000)),
        save_past(tmp_path, Past("small", perplexity=28.4, num_bytes=98_000_000, started=NOON + HOUR, scale=2.0)),
        save_past(tmp_path, Past("stopped", model="Qwen/Qwen3-0.6B", status="cancelled", started=NOON + 2 * HOUR)),
    )


class Confirm:
    """Answers questions before something is deleted, and remembers them."""

    def __init__(self) -> None:
        self.answer = True
        self.asked: list[str] = []

    def __call__(self, parent: QWidget, title: str, text: str) -> bool:
        self.asked.append(f"{title}\n{text}")
        return self.answer


@pytest.fixture
def confirm() -> Confirm:
    return Confirm()


@pytest.fixture
def page(qtbot: QtBot, runs: FakeRuns, confirm: Confirm) -> HistoryPage:
    return HistoryPage(HistoryModel(), cast(RunModel, runs), confirm)


def shown(qtbot: QtBot, page: HistoryPage, count: int | None = None) -> HistoryPage:
    qtbot.addWidget(page)
    page.resize(WIDE, 700)
    page.show()
    page.activateWindow()
    settle(qtbot, page, count)
    return page


def settle(qtbot: QtBot, page: HistoryPage, count: int | None = None) -> None:
    history = page._history
    wanted = len(read_notes(lambda _: None)) if count is None else count
    qtbot.waitUntil(
        lambda: history.is_loaded and not history.is_busy and len(history.table.runs) == wanted, timeout=10_000
    )


def names(page: HistoryPage) -> list[str]:
    return [run.output_dir.name for run in page.shown.runs()]


def choose(page: HistoryPage, *rows: int) -> list[RunInfo]:
    page.list.clearSelection()
    for row in rows:
        flag = page.list.selectionModel().SelectionFlag
        page.list.selectionModel().select(page.shown.index(row, 0), flag.Select | flag.Rows)
    return page.list.selected()


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


def test_damaged_notes_are_told_and_left_out(
    qtbot: QtBot, page: HistoryPage, three: tuple[RunNote, ...], index: Path
) -> None:
    (index / "000000000000.json").write_text("{")
    shown(qtbot, page, 3)
    assert "000000000000.json is left out" in page.notice.text


def test_runs_come_a_few_at_a_time_while_the_window_lives(qtbot: QtBot, runs: FakeRuns, tmp_path: Path) -> None:
    first = save_past(tmp_path, Past("first"))
    notes = [first.model_copy(update={"work_dir": tmp_path / f"{number}.dfrot"}) for number in range(3 * CHUNK)]
    gate, reads = threading.Event(), []

    def slow(note: RunNote) -> RunInfo:
        reads.append(note.key)
        if len(reads) > CHUNK:
            assert gate.wait(10)
        return read_info(note)

    history = HistoryModel(lambda _: tuple(notes), slow)
    page = HistoryPage(history, cast(RunModel, runs))
    qtbot.addWidget(page)
    page.show()
    qtbot.waitUntil(lambda: len(history.table.runs) == CHUNK)
    assert history.is_busy
    page.list.selectRow(3)
    kept = page.list.selected()[0].key
    gate.set()
    qtbot.waitUntil(lambda: len(history.table.runs) == 3 * CHUNK, timeout=10_000)
    assert page.list.selected()[0].key == kept, "rows that come later leave the choice alone"


def test_a_journal_that_has_not_changed_is_not_read_again(qtbot: QtBot, three: tuple[RunNote, ...]) -> None:
    reads: list[str] = []

    def read(note: RunNote) -> RunInfo:
        reads.append(note.output_dir.name)
        return read_info(note)

    history = HistoryModel(read=read)
    history.refresh()
    qtbot.waitUntil(lambda: len(history.table.runs) == 3 and not history.is_busy, timeout=10_000)
    with (three[0].work_dir / JOURNAL).open("a") as journal:
        journal.write("\n")
    reads.clear()
    history.refresh()
    qtbot.waitUntil(lambda: not history.is_busy, timeout=10_000)
    assert reads == ["good"]


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
