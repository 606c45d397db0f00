"""Which of several processes this one is, and starting the others on this computer. Imports no torch."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from dfrot_engine.errors import RunError

_PATIENCE_S = 20.0  # for the others to notice that the run is over


class Place(NamedTuple):
    """Numbers of this process among all that share a run, and among those of this computer; torchrun's own."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1


def place() -> Place:
    """As torchrun, or `other_ranks`, has told this process; a process that nobody told anything is alone."""
    alone = Place()
    return Place(*(int(os.environ.get(name.upper(), str(number))) for name, number in alone._asdict().items()))


@contextlib.contextmanager
def other_ranks(number: int, arguments: Sequence[str]) -> Iterator[Callable[[], None]]:
    """Make this process the first of so many on this computer, and start the others with the same command line.

    They stand in this process's group, so that a Ctrl-C or a kill of the group reaches all. When the context closes
    they have ended.

    Args:
        arguments: of the engine's command line.
    Yields:
        What to call while they are awaited; raises a RunError when one of them has ended.
    """
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    places = [Place(rank, number, rank, number) for rank in range(number)]
    others: list[subprocess.Popen[bytes]] = []
    before = dict(os.environ)
    try:
        for one in places[1:]:
            command = [*_engine(), *arguments]
            environment = before | address | _variables(one)
            others.append(subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=2))
        os.environ |= address | _variables(places[0])
        yield lambda: _check(others)
    finally:
        os.environ.clear()
        os.environ |= before
        for process in others:
            _end(process)


def _variables(one: Place) -> dict[str, str]:
    return {name.upper(): str(number) for name, number in one._asdict().items()}


def _engine() -> list[str]:
    """A frozen app is its own engine."""
    frozen = getattr(sys, "frozen", False)
    return [sys.executable, "--engine"] if frozen else [sys.executable, "-m", "dfrot_engine"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _check(others: Sequence[subprocess.Popen[bytes]]) -> None:
    """Raises:
    RunError: one has ended; the rest of them is told to, since they wait in vain.
    """
    ended = [(rank, process.poll()) for rank, process in enumerate(others, 1)]
    for rank, status in ended:
        if status is not None:
            for process in others:
                process.terminate()
            raise RunError(
                f"Process {rank} of this run ended before it had begun, with exit status {status}.",
                "Look at what it left on standard error. A status of -9 means that it was killed, often for memory.",
            )


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
