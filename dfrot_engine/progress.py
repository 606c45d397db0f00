"""Reporting: the one place where a run speaks, and the only place where a cancel or a pause lands."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from dfrot_engine.errors import Cancelled
from dfrot_engine.events import Event, PauseChanged


class Report(Protocol):
    """Takes an event. Raises Cancelled when the user asked to stop; blocks while the run is paused."""

    def __call__(self, event: Event, /) -> None: ...


class Control:
    """What the user asked of a running engine, set from the thread that reads commands."""

    def __init__(self) -> None:
        self._cancelled = threading.Event()
        self._running = threading.Event()
        self._running.set()

    def cancel(self) -> None:
        self._cancelled.set()
        self._running.set()

    def pause(self) -> None:
        if not self._cancelled.is_set():
            self._running.clear()

    def resume(self) -> None:
        self._running.set()

    def checkpoint(self, emit: Callable[[Event], None]) -> None:
        """Wait here while paused.

        Raises:
            Cancelled: the user stopped the run.
        """
        if not self._running.is_set():
            emit(PauseChanged(paused=True))
            self._running.wait()
            emit(PauseChanged(paused=False))
        if self._cancelled.is_set():
            raise Cancelled


def cancellable(emit: Callable[[Event], None], control: Control) -> Report:
    """A report that hands events to `emit` and lets pauses and cancels land."""

    def report(event: Event) -> None:
        emit(event)
        control.checkpoint(emit)

    return report
