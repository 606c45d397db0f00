"""Work off the GUI thread, of which only the latest answer counts."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, Signal

from dfrot_engine import DFRotError
from dfrot_gui.translation import tr

_LOG = logging.getLogger(__name__)


class Latest(QObject):
    """Asks a function in a thread; an answer that a newer question has overtaken is dropped.

    The threads are daemons: a Hub request that hangs for half a minute never keeps the program from closing.

    Args:
        parallel: questions that may run at once; of those that wait, only the newest is asked.
    """

    answered = Signal(object)
    failed = Signal(object)  # DFRotError
    busy_changed = Signal(bool)
    _returned = Signal(int, object, object)  # generation, answer, error

    def __init__(self, parent: QObject | None = None, *, parallel: int = 3) -> None:
        super().__init__(parent)
        self._parallel = parallel
        self._generation = 0
        self._running = 0
        self._waiting: Callable[[], Any] | None = None
        self._is_busy = False
        self._returned.connect(self._take)

    @property
    def is_busy(self) -> bool:
        """Whether the latest question is still open."""
        return self._is_busy

    def ask(self, function: Callable[[], Any]) -> None:
        """Call `function` in a thread; `answered` or `failed` follows unless another question comes first."""
        self._generation += 1
        self._set_busy(True)
        if self._running >= self._parallel:
            self._waiting = function
        else:
            self._start(function)

    def drop(self) -> None:
        """Forget the open question."""
        self._generation += 1
        self._waiting = None
        self._set_busy(False)

    def _start(self, function: Callable[[], Any]) -> None:
        self._running += 1
        arguments = (self._generation, function)
        threading.Thread(target=self._run, args=arguments, name="dfrot-background", daemon=True).start()

    def _run(self, generation: int, function: Callable[[], Any]) -> None:
        outcome = outcome_of(function)
        if outcome is None:
            return
        try:
            self._returned.emit(generation, *outcome)
        except RuntimeError:  # the window is gone
            _LOG.debug("answer arrived after the window was closed")

    def _take(self, generation: int, answer: Any, error: DFRotError | None) -> None:
        self._running -= 1
        if self._waiting is not None:
            function, self._waiting = self._waiting, None
            self._start(function)
        if generation != self._generation:
            return
        self._set_busy(False)
        if error is not None:
            self.failed.emit(error)
        else:
            self.answered.emit(answer)

    def _set_busy(self, is_busy: bool) -> None:
        if is_busy != self._is_busy:
            self._is_busy = is_busy
            self.busy_changed.emit(is_busy)


def outcome_of(function: Callable[[], Any]) -> tuple[Any, DFRotError | None] | None:
    """What a thread's work gives, and what went wrong instead; None where the program ends meanwhile."""
    try:
        return function(), None
    except DFRotError as error:
        return None, error
    except Exception as error:
        if not threading.main_thread().is_alive():  # imports fail then
            return None
        # A thread's fault must reach the user instead of vanishing with the thread
        _LOG.exception("background work failed")
        return None, DFRotError(tr("Unexpected fault: {error}", error=error), tr("Please report it, with the log."))
