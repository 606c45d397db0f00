"""One download from the Hub in a thread: how far it is and how fast, paused, resumed, stopped."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from PySide6.QtCore import QObject, Signal

from dfrot_engine import Cancelled, DFRotError
from dfrot_gui.background import outcome_of
from dfrot_gui.hub_actions import Progress

# The client reports every 10 MB of a connection.
SPEED_OVER_S = 15.0
SPEED_FROM_S = 0.5

_LOG = logging.getLogger(__name__)

Status = Literal["idle", "running", "paused", "stopping", "finished", "stopped", "failed"]
ACTIVE = ("running", "paused", "stopping")


@dataclass(frozen=True)
class DownloadState:
    """Where a download stands; `bytes_per_s` is 0 while nobody can tell."""

    model: str = ""
    revision: str = ""
    status: Status = "idle"
    done_bytes: int = 0
    total_bytes: int = 0
    bytes_per_s: float = 0.0
    error: DFRotError | None = None

    @property
    def is_active(self) -> bool:
        return self.status in ACTIVE

    @property
    def left_s(self) -> float | None:
        left = self.total_bytes - self.done_bytes
        return left / self.bytes_per_s if self.bytes_per_s else None


class Download(QObject):
    """Finished files stay. A pause holds the connections; one that breaks meanwhile goes on by Range."""

    changed = Signal()
    ended = Signal(object)  # DownloadState
    _moved = Signal(int, int)
    _returned = Signal(object)  # DFRotError or None

    def __init__(self, fetch: Callable[[str, str, Progress], object], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._fetch = fetch
        self.state = DownloadState()
        self._may_go = threading.Event()
        self._is_cancelled = threading.Event()
        self._thread: threading.Thread | None = None
        self._points: deque[tuple[float, int]] = deque()
        self._moved.connect(self._take_progress)
        self._returned.connect(self._take_end)

    def start(self, model: str, revision: str = "main") -> None:
        """Begin, unless a download is going on; finished files of an earlier attempt are not fetched again."""
        if self.state.is_active:
            return
        self._may_go.set()
        self._is_cancelled.clear()
        self._points.clear()
        self._show(DownloadState(model, revision, "running"))
        arguments = (model, revision)
        self._thread = threading.Thread(target=self._run, args=arguments, name="dfrot-download", daemon=True)
        self._thread.start()

    def pause(self) -> None:
        if self.state.status == "running":
            self._may_go.clear()
            self._points.clear()
            self._show(replace(self.state, status="paused", bytes_per_s=0.0))

    def resume(self) -> None:
        if self.state.status == "paused":
            self._show(replace(self.state, status="running"))
            self._may_go.set()

    def cancel(self) -> None:
        if self.state.is_active:
            self._show(replace(self.state, status="stopping", bytes_per_s=0.0))
            self._is_cancelled.set()
            self._may_go.set()

    def wait(self, timeout_s: float) -> None:
        """Wait for the thread after `cancel`."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self, model: str, revision: str) -> None:
        outcome = outcome_of(lambda: self._fetch(model, revision, self._report))
        if outcome is None:
            return
        try:
            self._returned.emit(outcome[1])
        except RuntimeError:  # the window is gone
            _LOG.debug("the download ended after the window was closed")

    def _report(self, done: int, total: int, _label: str) -> None:
        """Called by the downloading threads; to hold them here is the pause."""
        self._may_go.wait()
        if self._is_cancelled.is_set():
            raise Cancelled
        self._moved.emit(done, total)

    def _take_progress(self, done: int, total: int) -> None:
        if self.state.status == "stopping":
            return
        now_s = time.monotonic()
        if self.state.status == "running":
            self._points.append((now_s, done))
        while self._points and now_s - self._points[0][0] > SPEED_OVER_S:
            self._points.popleft()
        self._show(replace(self.state, done_bytes=done, total_bytes=total, bytes_per_s=self._speed()))

    def _speed(self) -> float:
        if len(self._points) < 2:
            return 0.0
        (first_s, first), (last_s, last) = self._points[0], self._points[-1]
        return max(0.0, (last - first) / (last_s - first_s)) if last_s - first_s >= SPEED_FROM_S else 0.0

    def _take_end(self, error: DFRotError | None) -> None:
        status: Status = "stopped" if isinstance(error, Cancelled) else "failed" if error is not None else "finished"
        self._thread = None
        self._show(replace(self.state, status=status, bytes_per_s=0.0, error=error))
        self.ended.emit(self.state)

    def _show(self, state: DownloadState) -> None:
        self.state = state
        self.changed.emit()
