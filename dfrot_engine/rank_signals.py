"""What ranks tell each other besides the work: I am alive, stop, I failed, it is over. A thread that keeps looking."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from dfrot_engine.errors import DFRotError, RunError

_INTERVAL_S = 0.2
_SILENCE_S = 60.0  # nobody computes so long without letting another thread run
_BRIEF_S = 3.0
_SOON_S = 8.0
_OVER, _FAILED, _CANCEL = "over", "failed", "cancel"


class RunIsOver(Exception):
    """The run has ended elsewhere, well or not; there is nothing left to do for this rank."""


class RankSignals:
    """One rank's side.

    Args:
        store: keys that all ranks see; used by no other thread.
    """

    def __init__(self, store: Any, rank: int, world_size: int) -> None:
        self._store, self._rank, self._others = store, rank, [one for one in range(world_size) if one != rank]
        self._beats = 0
        self._heard = {one: (b"", time.monotonic()) for one in self._others}
        self._on_cancel: Callable[[], None] = lambda: None
        self._wishes: dict[str, str] = {}
        self._lock = threading.Lock()
        self._failure: DFRotError | None = None
        self._is_over = False
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="rank-signals", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises:
        DFRotError: on the first rank, what another one has failed with.
        RunIsOver: on the others.
        """
        if self._rank == 0:
            if self._failure is not None:
                raise self._failure
        elif self._is_over or self._failure is not None:
            raise RunIsOver

    def on_cancel(self, cancel: Callable[[], None]) -> None:
        """What is called, in the thread, when another rank was asked to stop."""
        self._on_cancel = cancel

    def ask_to_cancel(self) -> None:
        """From a rank that was told to stop; may be called by a signal's handler."""
        self._wishes[_CANCEL] = "1"

    def fail(self, error: DFRotError) -> None:
        """Tell the first rank why this one ends, and wait until it has taken note."""
        words = {"message": error.message, "remedy": error.remedy, "field": error.field}
        self._wishes[_FAILED] = json.dumps(words)
        limit = time.monotonic() + _SILENCE_S
        while not self._is_over and time.monotonic() < limit:
            time.sleep(_INTERVAL_S)

    def close(self) -> None:
        """Say that the run is over, if this is the first rank, and stop looking."""
        if self._rank == 0:
            self._wishes[_OVER] = "1"
        limit = time.monotonic() + _BRIEF_S
        while self._wishes and self._thread.is_alive() and time.monotonic() < limit:
            time.sleep(_INTERVAL_S / 10)
        self._closed.set()
        self._thread.join(_BRIEF_S)

    def cause(self, error: DFRotError) -> DFRotError:
        """Why really: what a rank said or that one is gone, which may look like a wish to stop or a torn connection."""
        since, limit = time.monotonic(), time.monotonic() + _SOON_S
        while time.monotonic() < limit and self._failure is None:
            silent = [rank for rank, (_, heard) in self._heard.items() if heard < since]
            if not silent:
                return error
            time.sleep(_INTERVAL_S)
        if self._failure is None:
            silent = [rank for rank, (_, heard) in self._heard.items() if heard < since]
            self._failure = _gone(silent[0])
        return self._failure

    def _watch(self) -> None:
        while not self._closed.is_set():
            try:
                self._look()
            except RuntimeError:  # the store, and with it the first rank, is gone
                self._is_over = True
                if self._rank and not self._closed.is_set():
                    # Nothing of this rank is kept, and its thread may compute for long.
                    os._exit(1)
                return
            self._closed.wait(_INTERVAL_S)

    def _look(self) -> None:
        self._beats += 1
        self._store.set(f"alive/{self._rank}", str(self._beats))
        for key, value in list(self._wishes.items()):
            self._store.compare_set(key, "", value)
            del self._wishes[key]
        self._is_over = self._is_over or self._store.check([_OVER])
        if self._rank == 0:
            if self._failure is None and self._store.check([_FAILED]):
                self._failure = RunError(**json.loads(self._store.get(_FAILED)))
            if self._store.check([_CANCEL]):
                self._on_cancel()
        self._listen()

    def _listen(self) -> None:
        now = time.monotonic()
        for rank, (before, heard) in self._heard.items():
            key = f"alive/{rank}"
            beat = self._store.get(key) if self._store.check([key]) else b""
            if beat != before:
                self._heard[rank] = (beat, now)
            elif now - heard > _SILENCE_S and self._failure is None:
                self._failure = _gone(rank)


def named(rank: int, error: DFRotError) -> DFRotError:
    """The error with the rank and the computer it happened on."""
    where = f"Process {rank} on {socket.gethostname()}: {error.message}"
    return RunError(where, error.remedy, error.field)


def _gone(rank: int) -> RunError:
    return RunError(
        f"Process {rank} of this run has ended without a word, perhaps because memory ran out.",
        "Look at what it left on standard error. Finished blocks are kept; the same run goes on from there.",
    )
