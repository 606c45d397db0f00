"""Past runs are read in the background, a few at a time, and once."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path
from typing import cast

from pytestqt.qtbot import QtBot

from dfrot_engine import RunInfo
from dfrot_engine.events import JOURNAL
from dfrot_engine.run_index import RunNote
from dfrot_engine.run_list import read_info
from dfrot_gui.history_model import CHUNK, HistoryModel
from dfrot_gui.pages.history_page import HistoryPage
from dfrot_gui.run_model import RunModel
from tests.gui.fakes import FakeRuns
from tests.gui.history_runs import Past, save_past

HOUR = timedelta(hours=1)


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
