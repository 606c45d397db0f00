"""The worker thread of a run or a trial: starts the engine as a process, folds its events, emits ten states a second.

No widget is touched here. Whatever happens to the child, the thread ends with a final state and leaves no process.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import selectors
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from PySide6.QtCore import QObject, QThread, Signal

import dfrot_engine
from dfrot_engine import DFRotError, Logged, parse_event
from dfrot_gui.run_exit import RESUME, Ending, describe_exit, has_exited, kill_group
from dfrot_gui.run_state import RunState, fold, with_request
from dfrot_gui.translation import mark, tr

Command = Literal["pause", "resume", "cancel", "detach"]

EMIT_INTERVAL_S = 0.1
CANCEL_GRACE_S = 10.0
# After the child is gone, what it wrote last is still in the pipes; a grandchild may hold them open for ever.
DRAIN_S = 1.0
# What a detached engine may still say before it stops talking to us.
DETACH_S = 0.5
READ_BYTES = 1 << 16
MAX_LINE_BYTES = 1 << 24
TAIL_LINES = 40
LEFT = mark("The run goes on in the background.")


def engine_command() -> tuple[str, ...]:
    """How the engine is started; a frozen app is its own engine."""
    if getattr(sys, "frozen", False):
        return (sys.executable, "--engine")
    return (sys.executable, "-X", "faulthandler", "-m", "dfrot_engine")


class LineSplitter:
    """Bytes as they come → whole lines; what follows the last newline waits for the next bytes."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            lines.append(self._rest)
            self._rest = b""
        return [line for line in lines if line.strip()]

    def flush(self) -> list[bytes]:
        rest, self._rest = self._rest, b""
        return [rest] if rest.strip() else []


class RunThread(QThread):
    """One run or trial of the engine, from start to the last event.

    Args:
        command: program and arguments; speaks JSON lines on stdin and stdout.
        state: what is known before the first event, for example from the run that is resumed.
        cancel_grace_s: seconds a cancelled child may take to save its work before it is killed.
        again: what to do after an end that the child could not explain itself.
    """

    state_changed = Signal(object)

    def __init__(
        self,
        command: Sequence[str],
        state: RunState | None = None,
        cancel_grace_s: float = CANCEL_GRACE_S,
        again: str = RESUME,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._command = list(command)
        self._grace_s = cancel_grace_s
        self._again = again
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._kill_at: float | None = None
        self._is_killed = False
        self._wants_detach = False
        self._leave_at: float | None = None
        self.is_left = False
        self._emitted_at = 0.0
        self._emitted: RunState | None = None
        self.state = replace(state or RunState(), status="running")

    def send(self, command: Command) -> None:
        """Pass on what the user asked; safe from any thread, returns at once."""
        self._commands.put(command)

    def run(self) -> None:
        try:
            child = self._start()
        except OSError as error:
            self.state = replace(
                self.state,
                status="failed",
                message=tr("The engine could not be started: {reason}.", reason=error.strerror or error),
                remedy=tr("Install the program again."),
            )
        else:
            try:
                self._supervise(child)
            finally:
                self._put_away(child)
            if self.is_left:
                self.state = replace(self.state, status="interrupted", message=tr(LEFT), is_pause_requested=False)
            else:
                self._conclude(child.returncode)
        self._emit(is_last=True)

    def _start(self) -> subprocess.Popen[bytes]:
        # The child must find the very engine this window was imported with, installed or not.
        root = str(Path(dfrot_engine.__file__).parents[1])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        return subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": path},
        )

    def _supervise(self, child: subprocess.Popen[bytes]) -> None:
        """Read both pipes and pass on commands until the child is gone and the pipes are empty."""
        assert child.stdout
        assert child.stderr
        takers = {child.stdout.fileno(): self._take_event, child.stderr.fileno(): self._take_log}
        splitters = {fd: LineSplitter() for fd in takers}
        gone_at: float | None = None
        with selectors.DefaultSelector() as selector:
            for fd in takers:
                selector.register(fd, selectors.EVENT_READ)
            while selector.get_map() and (gone_at is None or time.monotonic() < gone_at + DRAIN_S):
                for key, _ in selector.select(EMIT_INTERVAL_S):
                    data = os.read(key.fd, READ_BYTES)
                    for line in splitters[key.fd].feed(data) if data else splitters[key.fd].flush():
                        takers[key.fd](line)
                    if not data:
                        selector.unregister(key.fd)
                self._pass_on_commands(child)
                self._kill_if_overdue(child)
                self._detach_if_wanted(child)
                self._emit()
                if gone_at is None and has_exited(child):
                    gone_at = time.monotonic()
                if self._is_to_leave(child):
                    self.is_left = True
                    return
        while gone_at is None and not has_exited(child):
            self._pass_on_commands(child)
            self._kill_if_overdue(child)
            self.msleep(20)

    def _take_event(self, line: bytes) -> None:
        try:
            event = parse_event(line)
        except DFRotError:
            event = Logged(stage="engine", message=line.decode(errors="replace")[:500].rstrip())
        self.state = fold(self.state, event)

    def _take_log(self, line: bytes) -> None:
        # Progress bars rewrite their line; only what they showed last is worth keeping.
        self._tail.append(line.decode(errors="replace").rstrip().rsplit("\r", 1)[-1][:500])

    def _pass_on_commands(self, child: subprocess.Popen[bytes]) -> None:
        while True:
            try:
                command = self._commands.get_nowait()
            except queue.Empty:
                return
            if not self.state.is_active:
                continue
            if command == "detach":
                self._wants_detach = True
                continue
            self.state = with_request(self.state, command)
            self._emitted_at = 0.0
            if command == "cancel" and self._kill_at is None:
                self._kill_at = time.monotonic() + self._grace_s
            assert child.stdin
            # A child that is ending has closed its end; its exit tells the rest.
            with contextlib.suppress(OSError):
                child.stdin.write(json.dumps({"command": command}).encode() + b"\n")

    def _detach_if_wanted(self, child: subprocess.Popen[bytes]) -> None:
        """Let the engine go on alone, as soon as it has read its recipe, which goes when this thread does."""
        if not self._wants_detach or self.state.started is None or self._kill_at is not None:
            return
        self._wants_detach = False
        assert child.stdin
        with contextlib.suppress(OSError):
            child.stdin.write(json.dumps({"command": "detach"}).encode() + b"\n")
            self._leave_at = time.monotonic() + DETACH_S

    def _is_to_leave(self, child: subprocess.Popen[bytes]) -> bool:
        """Whether the engine was told to go on alone, has had the time to hear it, and is there."""
        is_time = self._leave_at is not None and time.monotonic() >= self._leave_at
        return is_time and self.state.is_active and not has_exited(child)

    def _kill_if_overdue(self, child: subprocess.Popen[bytes]) -> None:
        if self._kill_at is not None and not self._is_killed and time.monotonic() >= self._kill_at:
            self._is_killed = True
            kill_group(child)

    def _put_away(self, child: subprocess.Popen[bytes]) -> None:
        """Reap the child and whatever it started, unless it goes on alone; close every pipe."""
        if not self.is_left:
            # The group is killed before the child is reaped: until then its number cannot belong to anybody else.
            kill_group(child)
            child.wait()
        for pipe in (child.stdin, child.stdout, child.stderr):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]

    def _conclude(self, returncode: int) -> None:
        """Give a state that is still open the end its child did not report."""
        if not self.state.is_active:
            return
        if self._is_killed or (self._kill_at is not None and returncode == 130):
            end = Ending("cancelled", tr("Stopped; the engine did not answer in time and was ended."), tr(self._again))
        else:
            end = describe_exit(returncode, self._again)
        self.state = replace(
            self.state,
            status=end.status,
            message=end.message,
            remedy=end.remedy,
            details=tuple(self._tail),
            is_pause_requested=False,
        )

    def _emit(self, is_last: bool = False) -> None:
        now = time.monotonic()
        if self.state is self._emitted or (not is_last and now - self._emitted_at < EMIT_INTERVAL_S):
            return
        self._emitted_at = now
        self._emitted = self.state
        self.state_changed.emit(self.state)
