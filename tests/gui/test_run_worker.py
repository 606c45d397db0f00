"""The worker thread against engines that behave well, badly and not at all."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from PySide6.QtCore import QElapsedTimer, QTimer
from pytestqt.qtbot import QtBot

from dfrot_engine import Recipe
from dfrot_gui.run_exit import describe_exit
from dfrot_gui.run_state import RunState, replay
from dfrot_gui.run_worker import LineSplitter, RunThread, engine_command
from tests.gui import fake_engine


def run_command(folder: Path, behave: str) -> list[str]:
    recipe_path = folder / "recipe.toml"
    Recipe().save(recipe_path)
    engine = [sys.executable, fake_engine.__file__, "--behave", behave]
    return [*engine, "run", str(recipe_path), "--output", str(folder / "out"), "--json"]


class Run:
    """A started thread and every state it emitted."""

    def __init__(self, folder: Path, behave: str, grace_s: float = 10.0) -> None:
        self.work_dir = folder / "out.dfrot"
        self.thread = RunThread(run_command(folder, behave), cancel_grace_s=grace_s)
        self.states: list[RunState] = []
        self._others = set(psutil.Process().children(recursive=True))  # of other tests
        self.thread.state_changed.connect(self.states.append)
        self.thread.start()

    def wait(self, qtbot: QtBot) -> RunState:
        qtbot.waitUntil(self.thread.isFinished, timeout=20_000)
        assert self.processes() == []
        return self.thread.state

    def processes(self) -> list[psutil.Process]:
        return [process for process in psutil.Process().children(recursive=True) if process not in self._others]

    def wait_for(self, qtbot: QtBot, status: str, timeout_ms: int = 5_000) -> None:
        qtbot.waitUntil(lambda: self.thread.state.status == status, timeout=timeout_ms)


def test_a_whole_run_and_its_journal_agree(qtbot: QtBot, tmp_path: Path) -> None:
    run = Run(tmp_path, "whole")
    state = run.wait(qtbot)
    assert state.status == "finished"
    assert replay(run.work_dir) == state


def test_a_detached_engine_goes_on_to_its_end(qtbot: QtBot, tmp_path: Path) -> None:
    run = Run(tmp_path, "slow")
    run.thread.send("detach")  # before the engine has read its recipe
    qtbot.waitUntil(run.thread.isFinished, timeout=20_000)
    assert run.thread.is_left
    assert run.thread.state.status == "interrupted"
    (engine,) = run.processes()
    heard = run.thread.state.last_heard
    assert heard is not None
    engine.wait(30)
    state = replay(run.work_dir)
    assert state.status == "finished"
    assert state.last_heard is not None
    assert state.last_heard > heard


def test_an_engine_that_ends_before_it_is_detached_has_simply_ended(qtbot: QtBot, tmp_path: Path) -> None:
    run = Run(tmp_path, "failed")
    run.thread.send("detach")
    state = run.wait(qtbot)
    assert not run.thread.is_left
    assert state.message == "The disk is full."


def test_pause_resume_and_stop_are_answered_within_a_second(qtbot: QtBot, tmp_path: Path) -> None:
    run = Run(tmp_path, "slow")
    qtbot.waitUntil(lambda: run.thread.state.stage == "calibrate", timeout=10_000)
    for command, status in (("pause", "paused"), ("resume", "running"), ("pause", "paused"), ("cancel", "cancelled")):
        run.thread.send(command)  # type: ignore[arg-type]
        run.wait_for(qtbot, status, 1_000)
    state = run.wait(qtbot)
    assert state.status == "cancelled"
    assert not state.is_pause_requested
    assert any(one.status == "stopping" for one in run.states)


@pytest.mark.parametrize("behave", ["deaf", "silent"])
def test_an_engine_that_ignores_the_stop_is_killed_after_the_grace(qtbot: QtBot, tmp_path: Path, behave: str) -> None:
    run = Run(tmp_path, behave, grace_s=0.5)
    qtbot.wait(500)
    timer = QElapsedTimer()
    timer.start()
    run.thread.send("cancel")
    state = run.wait(qtbot)
    assert 400 < timer.elapsed() < 5_000
    assert state.status == "cancelled"
    assert "did not answer" in state.message


@pytest.mark.parametrize(
    ("behave", "status", "words"),
    [
        ("crash", "failed", "exit code 7"),
        ("killed", "failed", "out of memory"),
        ("failed", "failed", "The disk is full"),
        ("refused", "failed", "did not accept"),
        ("garbage", "finished", ""),
    ],
)
def test_every_end_is_told(qtbot: QtBot, tmp_path: Path, behave: str, status: str, words: str) -> None:
    state = Run(tmp_path, behave).wait(qtbot)
    assert state.status == status
    assert words in state.message
    assert (status == "finished") or state.remedy


def test_a_crash_keeps_its_last_words(qtbot: QtBot, tmp_path: Path) -> None:
    state = Run(tmp_path, "crash").wait(qtbot)
    assert state.details[-1] == "Traceback: something broke"


def test_an_engine_that_is_not_there(qtbot: QtBot, tmp_path: Path) -> None:
    thread = RunThread([str(tmp_path / "nothing")])
    thread.start()
    qtbot.waitUntil(thread.isFinished, timeout=5_000)
    assert thread.state.status == "failed"
    assert "could not be started" in thread.state.message


def test_a_grandchild_that_holds_the_pipes_open_is_ended_too(qtbot: QtBot, tmp_path: Path) -> None:
    sleeper = ["-c", "import time; time.sleep(60)", str(tmp_path)]
    thread = RunThread(
        [sys.executable, "-c", f"import subprocess, sys; subprocess.Popen([sys.executable, *{sleeper}])"]
    )
    thread.start()
    qtbot.waitUntil(thread.isFinished, timeout=10_000)
    qtbot.waitUntil(lambda: not has_process(str(tmp_path)), timeout=2_000)


def has_process(argument: str) -> bool:
    return any(argument in (process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"]))


def test_a_flood_leaves_the_window_responsive(qtbot: QtBot, tmp_path: Path) -> None:
    gaps: list[float] = []
    last = [time.perf_counter()]

    def tick() -> None:
        now = time.perf_counter()
        gaps.append(now - last[0])
        last[0] = now

    timer = QTimer(interval=10)
    timer.timeout.connect(tick)
    timer.start()
    begin = time.perf_counter()
    run = Run(tmp_path, "flood")
    state = run.wait(qtbot)
    timer.stop()
    seconds = time.perf_counter() - begin
    assert len(state.loss) == 100  # the flood's 20,000 points, then the run's own
    assert len(run.states) < 10 * seconds + 10
    # Only a sanity check: a loop that waited for the whole flood would show one gap as long as the run.
    assert max(gaps) < max(1.0, seconds / 2)


def test_no_thread_and_no_handle_is_left(qtbot: QtBot, tmp_path: Path) -> None:
    Run(tmp_path, "whole").wait(qtbot)
    threads, handles = threading.active_count(), psutil.Process().num_fds()
    for _ in range(3):
        Run(tmp_path, "whole").wait(qtbot)
    assert threading.active_count() <= threads
    assert psutil.Process().num_fds() <= handles


def test_lines_are_split_wherever_the_bytes_break() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b'{"a"') == []
    assert splitter.feed(b':1}\n\n{"b":2}\n{"c') == [b'{"a":1}', b'{"b":2}']
    assert splitter.flush() == [b'{"c']
    assert splitter.flush() == []


def test_exits_in_words() -> None:
    assert describe_exit(-11).message == "The engine crashed (SIGSEGV)."
    assert describe_exit(130).status == "cancelled"


def test_a_frozen_app_is_its_own_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert engine_command()[-2:] == ("-m", "dfrot_engine")
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert engine_command() == (sys.executable, "--engine")
