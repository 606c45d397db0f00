"""Objects of the window are destroyed in its own thread, wherever others were made meanwhile."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

from dfrot_gui import garbage
from dfrot_gui.background import Latest
from dfrot_gui.garbage import GarbageCollector


class Circle(QObject):
    """Refers to itself."""

    def __init__(self) -> None:
        super().__init__()
        self.itself = self


@pytest.fixture
def collections() -> Iterator[list[str]]:
    """Names of the threads in which Python has collected."""
    threads: list[str] = []

    def note(phase: str, _info: dict[str, Any]) -> None:
        if phase == "start":
            threads.append(threading.current_thread().name)

    gc.callbacks.append(note)
    yield threads
    gc.callbacks.remove(note)


def make_many() -> list[object]:
    """Enough objects for dozens of collections; Python counts off again what is not kept."""
    return [{"number": number, "list": [number]} for number in range(100_000)]


def test_a_thread_collects_nothing_and_the_window_does(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, collections: list[str]
) -> None:
    monkeypatch.setattr(garbage, "INTERVAL_MS", 20)
    circle = Circle()
    gone = weakref.ref(circle)
    gc.enable()  # as everywhere else
    window = QObject()
    GarbageCollector(window)
    latest = Latest(window)
    del circle
    with qtbot.waitSignal(latest.answered) as kept:
        latest.ask(make_many)
    assert kept.args
    qtbot.waitUntil(lambda: gone() is None)
    assert set(collections) == {"MainThread"}


def test_the_oldest_generation_that_is_due_is_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    collected: list[int] = []
    monkeypatch.setattr(gc, "collect", collected.append)
    monkeypatch.setattr(gc, "get_threshold", lambda: (700, 10, 10))
    for counts in ((700, 10, 10), (701, 3, 3), (701, 11, 3), (5, 0, 11)):
        monkeypatch.setattr(gc, "get_count", lambda counts=counts: counts)
        garbage.collect_due()
    assert collected == [0, 1, 2]
