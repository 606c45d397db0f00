"""Checks as the window starts them: rows as events, and a stop that lands."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from dfrot_engine import Event, Proved, RunEnded, parse_event
from dfrot_engine.marker import MARKER, change_marker, seal
from tests.warm import Warm

WAITING = "import time; from dfrot_engine.stdin_stop import interrupt_on_stdin; interrupt_on_stdin(); time.sleep(60)"


def verify(warm: Warm, folder: Path) -> tuple[int, list[Event]]:
    """With a standard input that stays open, as the window's does."""
    line = [*warm.engine, "verify", str(folder), "--json", "--stdin-commands"]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        events = [parse_event(text) for text in child.stdout]
        return child.wait(60), events


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    written = tmp_path / "out"
    written.mkdir()
    (written / "model.safetensors").write_bytes(b"1234")
    change_marker(written, {"export": {"kind": "compressed-tensors"}})
    seal(written)
    return written


def test_rows_come_as_events(warm: Warm, folder: Path) -> None:
    status, events = verify(warm, folder)
    assert status == 0
    assert [(one.row.check, one.row.passed) for one in events if isinstance(one, Proved)] == [
        ("files", True),
        ("tensors", None),
    ]
    assert isinstance(events[-1], RunEnded)
    assert events[-1].status == "finished"
    (folder / "model.safetensors").write_bytes(b"1235")
    status, events = verify(warm, folder)
    assert status == 1
    assert isinstance(events[0], Proved)
    assert events[0].row.passed is False
    (folder / MARKER).unlink()
    status, events = verify(warm, folder)
    assert status == 1
    assert isinstance(events[-1], RunEnded)
    assert events[-1].status == "failed"
    assert "dfrot.json" in events[-1].message


@pytest.mark.parametrize("said", [b'{"command": "cancel"}\n', b"", b"noise\n"])
def test_a_line_or_the_end_of_input_stops(said: bytes) -> None:
    with subprocess.Popen([sys.executable, "-c", WAITING], stdin=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdin
        started = time.monotonic()
        child.stdin.write(said)
        child.stdin.flush()
        if b"cancel" not in said:
            child.stdin.close()
        assert child.wait(40) != 0
        assert time.monotonic() - started < 35
