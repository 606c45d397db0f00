"""A run, a trial or a sensitivity pass as a process of its own: where events go, how commands and Ctrl-C come in."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType

import psutil
import torch

from dfrot_engine.events import Event, RunEnded
from dfrot_engine.options import RunOptions
from dfrot_engine.progress import Control
from dfrot_engine.recipe import Recipe
from dfrot_engine.run import run
from dfrot_engine.sensitivity.run import run_sensitivity
from dfrot_engine.sensitivity.types import Ask
from dfrot_engine.terminal import TerminalProgress, quiet_libraries
from dfrot_engine.trial.run import run_trial

#: Engine work: (recipe, options, where events go, what the user asked) → its last event.
Work = Callable[[Recipe, RunOptions, Callable[[Event], None], Control], RunEnded]

_NICENESS = 10  # a background job of the window must not make the desktop stutter


def run_process(recipe: Recipe, options: RunOptions, *, as_json: bool, stdin_commands: bool) -> RunEnded:
    """Run a recipe, printing events as JSON lines or as progress for people. Ctrl-C cancels; twice ends at once."""
    return _as_process(run, recipe, options, as_json=as_json, stdin_commands=stdin_commands)


def trial_process(recipe: Recipe, options: RunOptions, *, as_json: bool, stdin_commands: bool) -> RunEnded:
    """Try rotations for a recipe, in the same way."""
    return _as_process(run_trial, recipe, options, as_json=as_json, stdin_commands=stdin_commands)


def sensitivity_process(
    ask: Ask, recipe: Recipe, options: RunOptions, *, as_json: bool, stdin_commands: bool
) -> RunEnded:
    """Measure what rounding each linear alone costs, in the same way."""
    work = partial(run_sensitivity, ask)
    return _as_process(work, recipe, options, as_json=as_json, stdin_commands=stdin_commands)


def _as_process(work: Work, recipe: Recipe, options: RunOptions, *, as_json: bool, stdin_commands: bool) -> RunEnded:
    use_threads(options.threads)
    quiet_libraries()
    control = Control()
    with _cancel_on_interrupt(control):
        if as_json:
            if stdin_commands:
                os.nice(_NICENESS)
                threading.Thread(target=_read_commands, args=(control,), daemon=True).start()
            with _protocol_output() as emit:
                return work(recipe, options, emit, control)
        with TerminalProgress(options) as progress:
            return work(recipe, options, progress.show, control)


def use_threads(threads: int) -> None:
    """Compute with this many threads; 0 takes every core."""
    torch.set_num_threads(threads or psutil.cpu_count(logical=False) or 1)


@contextlib.contextmanager
def _protocol_output() -> Iterator[Callable[[Event], None]]:
    """Standard output for events alone: whatever else prints goes to standard error instead."""
    sys.stdout.flush()
    descriptor = os.dup(1)
    os.dup2(2, 1)
    lock = threading.Lock()
    with os.fdopen(descriptor, "w", encoding="utf-8", buffering=1) as stream:

        def emit(event: Event) -> None:
            # A reader that went away must not end the run; the journal has everything.
            with lock, contextlib.suppress(BrokenPipeError):
                stream.write(event.model_dump_json() + "\n")

        try:
            yield emit
        finally:
            with contextlib.suppress(BrokenPipeError):
                stream.flush()
            os.dup2(descriptor, 1)


def _read_commands(control: Control) -> None:
    actions = {"pause": control.pause, "resume": control.resume, "cancel": control.cancel}
    for line in sys.stdin:
        with contextlib.suppress(ValueError, AttributeError):
            action = actions.get(json.loads(line).get("command"))
            if action is not None:
                action()
    # The window is gone: save and stop rather than go on unseen.
    control.cancel()


@contextlib.contextmanager
def _cancel_on_interrupt(control: Control) -> Iterator[None]:
    """First Ctrl-C: stop at the next report, everything finished is kept. Second: end at once."""

    def cancel(_number: int, _frame: FrameType | None) -> None:
        control.cancel()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        print("Stopping; Ctrl-C again ends at once.", file=sys.stderr)

    previous = signal.signal(signal.SIGINT, cancel)
    terminate = signal.signal(signal.SIGTERM, lambda _number, _frame: control.cancel())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
        signal.signal(signal.SIGTERM, terminate)
