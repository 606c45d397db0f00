"""How an engine process ended that did not say so itself, in plain sentences; and how to make sure it is gone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from dataclasses import dataclass
from typing import Literal

from dfrot_gui.translation import mark, tr

RESUME = mark("Resume the run: everything finished so far is kept.")


@dataclass(frozen=True)
class Ending:
    status: Literal["cancelled", "failed"]
    message: str
    remedy: str


def describe_exit(returncode: int, again: str = RESUME) -> Ending:
    """A return code as subprocess gives it (negative: the signal) → what to tell the user.

    Args:
        again: what to do when the engine could not say why it ended.
    """
    again = tr(again)
    if returncode == 130:
        return Ending("cancelled", tr("Stopped."), again)
    if returncode == -signal.SIGKILL:
        return Ending(
            "failed",
            tr("The engine was killed, probably because the computer ran out of memory."),
            tr("Close other programs or choose fewer or shorter samples. {again}", again=again),
        )
    if returncode == -getattr(signal, "SIGBUS", 7):
        return Ending(
            "failed",
            tr("The engine crashed (SIGBUS): a file it was reading became shorter, or its disk failed."),
            tr("See that nothing writes to the model's folder. {again}", again=again),
        )
    if returncode < 0:
        return Ending("failed", tr("The engine crashed ({signal_name}).", signal_name=_signal_name(-returncode)), again)
    if returncode == 2:
        return Ending(
            "failed", tr("The engine did not accept the recipe or its options."), tr("See the last lines below.")
        )
    return Ending(
        "failed", tr("The engine ended without a word (exit code {returncode}).", returncode=returncode), again
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return tr("signal {number}", number=number)


def has_exited(child: subprocess.Popen[bytes]) -> bool:
    """Whether the child is done, without reaping it, so that its number stays its own."""
    if child.returncode is not None:
        return True
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def kill_group(child: subprocess.Popen[bytes]) -> None:
    """End the child and all it started. Only for a child with a session of its own that is not reaped yet."""
    assert child.returncode is None
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
