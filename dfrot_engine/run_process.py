"""A run, a trial or other engine work as a process of its own: where events go, how commands and Ctrl-C come in."""

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

from dfrot_engine.distributed import Ranks, joined
from dfrot_engine.events import Event, RunEnded
from dfrot_engine.follow import follow
from dfrot_engine.generation.run import run_generation
from dfrot_engine.generation.types import Question
from dfrot_engine.options import RunOptions
from dfrot_engine.progress import Control
from dfrot_engine.ranks import place
from dfrot_engine.recipe import Recipe
from dfrot_engine.run import run
from dfrot_engine.sensitivity.run import run_sensitivity
from dfrot_engine.sensitivity.types import Ask
from dfrot_engine.standard_output import discard_output
from dfrot_engine.terminal import TerminalProgress, quiet_libraries
from dfrot_engine.trial.run import run_trial

#: Engine work: (where events go, what the user asked) → its last event.
Work = Callable[[Callable[[Event], None], Control], RunEnded]

_STOPS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_STOPPING = b"Stopping after this step, which keeps what is finished. Once more ends at once.\n"
_SHOW_CURSOR = b"\x1b[?25h"
_NICENESS = 10  # a background job of the window must not make the desktop stutter


def run_process(
    recipe: Recipe, options: RunOptions, check: Callable[[], None], *, as_json: bool, stdin_commands: bool
) -> RunEnded:
    """Run a recipe, printing events as JSON lines or as progress for people. Ctrl-C cancels; twice ends at once.

    Of several processes that share the run, the first does so; the others print nothing.

    Args:
        check: as `joined` has it.
    """
    with joined(options.device, check) as ranks:
        if ranks.is_first:
            work = partial(run, recipe, options, ranks=ranks)
            return _as_process(work, options, as_json=as_json, stdin_commands=stdin_commands)
        if stdin_commands:
            os.nice(_NICENESS)
        return _follow(recipe, options, ranks)


def _follow(recipe: Recipe, options: RunOptions, ranks: Ranks) -> RunEnded:
    use_threads(options.threads)
    quiet_libraries()
    assert ranks.signals is not None
    with _cancel_on_signals(ranks.signals.ask_to_cancel), _protocol_output():
        is_finished = follow(recipe, options, ranks)
    return RunEnded(status="finished" if is_finished else "failed", message="")


def trial_process(recipe: Recipe, options: RunOptions, *, as_json: bool, stdin_commands: bool) -> RunEnded:
    """Try rotations for a recipe, in the same way."""
    return _as_process(partial(run_trial, recipe, options), options, as_json=as_json, stdin_commands=stdin_commands)


def sensitivity_process(
    ask: Ask, recipe: Recipe, options: RunOptions, *, as_json: bool, stdin_commands: bool
) -> RunEnded:
    """Measure what rounding each linear alone costs, in the same way."""
    work = partial(run_sensitivity, ask, recipe, options)
    return _as_process(work, options, as_json=as_json, stdin_commands=stdin_commands)


def generation_process(question: Question, options: RunOptions, *, as_json: bool, stdin_commands: bool) -> RunEnded:
    """Have two models answer a prompt, in the same way."""
    work = partial(run_generation, question, options)
    return _as_process(work, options, as_json=as_json, stdin_commands=stdin_commands)


def _as_process(work: Work, options: RunOptions, *, as_json: bool, stdin_commands: bool) -> RunEnded:
    use_threads(options.threads)
    quiet_libraries()
    control = Control()
    with _cancel_on_signals(control.cancel, _STOPPING):
        if as_json:
            if stdin_commands:
                os.nice(_NICENESS)
                threading.Thread(target=_read_commands, args=(control,), daemon=True).start()
            with _protocol_output() as emit:
                return work(emit, control)
        with _heard_or_not(TerminalProgress(options)) as show:
            return work(show, control)


def use_threads(threads: int) -> None:
    """Compute with this many threads; 0 takes OMP_NUM_THREADS, else every core, or this process's part of them."""
    if not threads and place().world_size == 1 and "OMP_NUM_THREADS" in os.environ:
        return  # torch has read it; torchrun sets it for every process, so that among several it says nothing
    cores = (psutil.cpu_count(logical=False) or 1) // place().local_world_size
    torch.set_num_threads(threads or max(1, cores))


@contextlib.contextmanager
def _protocol_output() -> Iterator[Callable[[Event], None]]:
    """Standard output for events alone: whatever else prints goes to standard error instead."""
    sys.stdout.flush()
    descriptor = os.dup(1)
    os.dup2(2, 1)
    lock = threading.Lock()
    is_heard = True

    def emit(event: Event) -> None:
        nonlocal is_heard
        data = event.model_dump_json().encode() + b"\n"
        with lock:
            try:
                while is_heard and data:
                    data = data[os.write(descriptor, data) :]
            except OSError:
                is_heard = False
                _say_unheard()

    try:
        yield emit
    finally:
        os.dup2(descriptor, 1)
        os.close(descriptor)


@contextlib.contextmanager
def _heard_or_not(progress: TerminalProgress) -> Iterator[Callable[[Event], None]]:
    """The terminal's `show` as long as there is a terminal, or whatever else reads what we print."""
    is_heard = True

    def heard_by(show: Callable[[], object]) -> None:
        nonlocal is_heard
        if is_heard:
            try:
                show()
                sys.stdout.flush()
            except (OSError, SystemExit):  # rich ends the program when a pipe breaks
                is_heard = False
                discard_output()
                _say_unheard()

    heard_by(progress.__enter__)
    try:
        yield lambda event: heard_by(lambda: progress.show(event))
    finally:
        heard_by(lambda: progress.__exit__(None, None, None))


def _say_unheard() -> None:
    """A reader that went away must not end hours of work."""
    with contextlib.suppress(OSError):
        os.write(2, b"Nobody reads standard output any more; the run goes on, its journal has everything.\n")


def _read_commands(control: Control) -> None:
    actions = {"pause": control.pause, "resume": control.resume, "cancel": control.cancel}
    for line in sys.stdin:
        with contextlib.suppress(ValueError, AttributeError):
            command = json.loads(line).get("command")
            if command == "detach":
                control.resume()
                _stop_talking()
                return
            if command in actions:
                actions[command]()
    # The window is gone: save and stop rather than go on unseen.
    control.cancel()


def _stop_talking() -> None:
    """Both streams lead nowhere from now on: what a library prints must not meet a pipe that nobody reads.

    The descriptor of the events stays; that nobody reads it is found out at the next one.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)


@contextlib.contextmanager
def _cancel_on_signals(stop: Callable[[], None], words: bytes = b"") -> Iterator[None]:
    """Ctrl-C, a plain kill or a closed terminal: stop at the next report, everything finished is kept.

    The second Ctrl-C ends at once, which no more than a kill harms what is on the disk. `nohup` is respected.
    """

    def cancel(number: int, _frame: FrameType | None) -> None:
        stop()
        # By the system, since a second one must not wait for a long operation to come back to Python.
        signal.signal(number, signal.SIG_DFL)
        # No print: it may be interrupted by itself. Bars have hidden the cursor, and the second time nobody shows it.
        with contextlib.suppress(OSError):
            os.write(2, (_SHOW_CURSOR if os.isatty(2) else b"") + words)

    before = {number: signal.getsignal(number) for number in _STOPS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, cancel)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
