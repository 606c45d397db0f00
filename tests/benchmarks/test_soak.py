"""Three runs in one window: what is held comes back to where it was, and nobody listens or calls anybody meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from PySide6.QtWidgets import QApplication

from dfrot_engine.checkpoint.hub_errors import endpoint
from tests.benchmarks.soak import COUNTED, Sample, complaints, growth, make_model, own_room, soak

#: Of three runs: one page that is drawn late, or one chart not yet collected, takes about twenty.
MOST_OF_THREE_BYTES = 60_000_000


@contextmanager
def watched_connections(every_s: float = 0.05) -> Iterator[set[str]]:
    """What this process and its children listen on or talk to, looked at again and again."""
    found: set[str] = set()
    is_over = threading.Event()
    looks: list[int] = []

    def look() -> None:
        while not is_over.wait(every_s):
            family = [psutil.Process(), *psutil.Process().children(recursive=True)]
            looks.append(len(family))
            for process in family:
                with suppress(psutil.Error):  # it has ended meanwhile
                    found.update(f"{one.status} {one.laddr} {one.raddr}" for one in process.net_connections("inet"))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield found
    finally:
        is_over.set()
        watcher.join()
    assert max(looks) > 1, "the engine was seen at work"


def test_three_runs_leave_nothing_behind_and_open_no_connection(qapp: QApplication, tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    with own_room(tmp_path / "room") as room:
        runs = soak(model, room, runs=3)
        with watched_connections() as connections:  # which opens files itself, in the run that is not compared
            first = next(runs)
        samples = [first, *runs]
    grown = growth(samples, warm_up=1, window=1)
    assert {name: grown[name] for name in COUNTED if grown[name] > 0} == {}
    assert grown["memory_bytes"] < MOST_OF_THREE_BYTES
    assert not connections


def test_the_hub_is_asked_by_https(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    assert endpoint() == "https://huggingface.co"


def test_what_grows_is_named() -> None:
    still = [Sample(1.0, 100_000_000, 9, 3, 0, 4, 1_000)] * 20
    assert complaints(growth(still)) == []
    more = Sample(1.0, 130_000_000, 10, 3, 1, 4, 1_000)
    assert complaints(growth([*still, *[more] * 10])) == [
        "files grew by 1",
        "processes grew by 1",
        "memory_bytes grew by 30,000,000",
    ]
