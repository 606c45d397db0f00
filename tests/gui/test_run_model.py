"""The model behind the pages: start, steer, end, reopen."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from dfrot_engine import Recipe, RunOptions
from dfrot_engine.cli import build_parser, options_from
from dfrot_engine.events import JOURNAL
from dfrot_gui.pages.run_page import RunPage
from dfrot_gui.run_model import RunModel
from dfrot_gui.run_tables import Table, shown_text
from tests.gui import fake_engine


def model(behave: str, grace_s: float = 10.0) -> RunModel:
    return RunModel((sys.executable, fake_engine.__file__, "--behave", behave), grace_s)


def test_a_run_from_start_to_end(qtbot: QtBot, tmp_path: Path) -> None:
    runs = model("whole")
    with qtbot.waitSignal(runs.ended, timeout=20_000) as ended:
        runs.start(Recipe(), RunOptions(output_dir=tmp_path / "out"))
        assert runs.is_active
        assert runs.state.status == "running"
    assert ended.args == [runs.state]
    assert runs.state.status == "finished"
    assert not runs.is_active
    assert runs.work_dir == tmp_path / "out.dfrot"
    assert runs.output_dir == tmp_path / "out"
    errors = runs.token_errors()
    assert errors
    assert list(errors.series) == ["none", "random-orthogonal", "hadamard", "dfrot"]
    assert runs.activation_map() is runs.activation_map()
    assert runs.massive_tokens.rowCount() == 10
    assert runs.comparison.rowCount() == 4
    assert runs.comparison.table.bold_row == 3
    assert runs.comparison.data(runs.comparison.index(3, 0)) == "DFRot"


def test_a_past_run_is_reopened_as_it_was(qtbot: QtBot, tmp_path: Path) -> None:
    runs = model("whole")
    with qtbot.waitSignal(runs.ended, timeout=20_000):
        runs.start(Recipe(), RunOptions(output_dir=tmp_path / "out"))
    again = RunModel()
    again.open(tmp_path / "out.dfrot")
    assert again.state == runs.state
    assert again.recipe == Recipe()
    assert again.output_dir == tmp_path / "out"
    assert again.massive_tokens.table == runs.massive_tokens.table
    assert again.comparison.table == runs.comparison.table


def test_a_stopped_run_can_be_started_again(qtbot: QtBot, tmp_path: Path) -> None:
    runs = model("slow")
    with qtbot.waitSignal(runs.ended, timeout=20_000):
        runs.start(Recipe(), RunOptions(output_dir=tmp_path / "out"))
        qtbot.waitUntil(lambda: len(runs.state.log) > 3, timeout=10_000)
        runs.pause()
        qtbot.waitUntil(lambda: runs.state.status == "paused", timeout=1_000)
        runs.resume()
        qtbot.waitUntil(lambda: runs.state.status == "running", timeout=1_000)
        runs.stop()
    assert runs.state.status == "cancelled"
    assert runs.can_start_again
    runs.start_again()
    qtbot.waitUntil(lambda: runs.state.stage == "calibrate", timeout=10_000)
    assert runs.state.message == ""
    runs.stop()
    assert runs.wait(10_000)
    assert not runs.is_active
    qtbot.wait(50)
    assert runs.state.status == "cancelled"


def test_wait_gives_up_and_a_second_wait_ends_it(qtbot: QtBot, tmp_path: Path) -> None:
    runs = model("silent", grace_s=1.0)
    runs.start(Recipe(), RunOptions(output_dir=tmp_path / "out"))
    runs.stop()
    assert not runs.wait(50)
    assert runs.wait(10_000)
    assert runs.state.status == "cancelled"


def test_a_missing_chart_file_is_no_chart(qtbot: QtBot, tmp_path: Path) -> None:
    runs = model("whole")
    with qtbot.waitSignal(runs.ended, timeout=20_000):
        runs.start(Recipe(), RunOptions(output_dir=tmp_path / "out"))
    (tmp_path / "out.dfrot" / "charts" / "token_error.npz").unlink()
    again = RunModel()
    again.open(tmp_path / "out.dfrot")
    assert again.token_errors() is None
    assert again.activation_map() is not None


def test_tables_are_saved_as_they_are(tmp_path: Path) -> None:
    Table(("Text", "Value"), (("a,b", 0.125), ("é", 2))).save_csv(tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text(encoding="utf-8").splitlines() == ["Text,Value", '"a,b",0.125', "é,2"]
    assert shown_text(" a\n") == "␣a⏎"


def test_numbers_align_right(qtbot: QtBot) -> None:
    runs = RunModel()
    runs.massive_tokens.set_table(Table(("Text", "Value"), (("a", 1234.5),)))
    role = Qt.ItemDataRole.TextAlignmentRole
    assert runs.massive_tokens.data(runs.massive_tokens.index(0, 1), role) & Qt.AlignmentFlag.AlignRight
    assert runs.massive_tokens.headerData(0, Qt.Orientation.Horizontal, role) & Qt.AlignmentFlag.AlignLeft
    assert runs.massive_tokens.data(runs.massive_tokens.index(0, 1)) == "1,234"


def test_the_engine_is_told_every_option(tmp_path: Path) -> None:
    plain = RunOptions(output_dir=tmp_path / "out")
    other = RunOptions(
        output_dir=tmp_path / "out",
        work_dir=tmp_path / "work",
        device="cpu",
        threads=3,
        ranks=2,
        memory=2_000_000_000,
        overwrite=True,
        keep_rotations=False,
        keep_work=True,
    )
    assert all(getattr(plain, name) != getattr(other, name) for name in RunOptions.model_fields if name != "output_dir")
    for options in (plain, other):
        assert options_from(build_parser().parse_args(["run", *options.flags()])) == options


@pytest.fixture
def at_work(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the work folder of a run it has begun, until it is told to stop."""
    folder = tmp_path / "out.dfrot"
    begun = next(fake_engine.whole_run(tmp_path / "out")).model_dump_json()
    fake_engine.write_work_folder(folder, Recipe().to_toml(), RunOptions(output_dir=tmp_path / "out"))
    code = (
        "import signal, sys, time\nfrom pathlib import Path\nfrom dfrot_engine.work_lock import locked\n"
        f"folder = Path({str(folder)!r})\n(folder / 'events.jsonl').write_text({begun + chr(10)!r})\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
        "with locked(folder):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_run_of_another_process_is_followed_and_stopped(
    qtbot: QtBot, tmp_path: Path, at_work: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dfrot_gui.run_model.FOLLOW_MS", 50)
    runs = RunModel()
    page = RunPage(runs)
    qtbot.addWidget(page)
    page.show()
    runs.open(tmp_path / "out.dfrot")
    assert (runs.is_active, runs.is_following, runs.state.status) == (False, True, "running")
    assert not runs.can_start_again
    assert page.stop_button.isVisible()
    assert not page.pause_button.isVisible()
    with (tmp_path / "out.dfrot" / JOURNAL).open("a") as journal:
        for event in list(fake_engine.whole_run(tmp_path / "out"))[1:60]:
            journal.write(event.model_dump_json() + "\n")
    qtbot.waitUntil(lambda: runs.state.stage == "calibrate", timeout=5_000)
    with qtbot.waitSignal(runs.ended, timeout=10_000):
        page.stop_button.click()
    assert at_work.wait(10) == 0
    assert runs.state.status == "interrupted"
    assert not runs.is_following
    assert runs.can_start_again
