"""The real command line in children that are killed: one warm process forks them, which saves seconds of start-up.

As a program this file is that process. It takes one JSON order a line and answers with the child's number, then with
how it ended. A child may be told to kill itself at its n-th file operation, or in the middle of a write that goes
beyond a size: there is no other way to be sure that a kill lands between two operations.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[3]
_PATIENCE_S = 120.0
_OPERATIONS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@dataclass(frozen=True)
class Order:
    """What one child does.

    Args:
        argv: of `dfrot`.
        stdout, errors: files or pipes that take its standard output and standard error.
        kill_at: it is killed in front of its n-th file operation below `watched`, counted from 0.
        watched: folder of a run, with its output in "out".
        environment: variables that are set for it.
        trace: file that takes a line for each of these operations: number, bytes of the journal, operation, path.
        size_limit: the kernel kills it when a file grows beyond this, the write left half done;
            with `survives`, the write fails, as on a full disk.
    """

    argv: tuple[str, ...]
    stdout: str
    errors: str = os.devnull
    watched: str = "/"
    kill_at: int | None = None
    trace: str = ""
    size_limit: int | None = None
    survives: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


class Warm:
    """The warm process as its user sees it; one child at a time.

    Args:
        argv: of a run that the process does itself first, so that all that is imported late is there.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        self._child: int | None = None
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(_ROOT)},
        )

    def start(self, order: Order) -> int:
        """Returns the child's process number."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(asdict(order)) + "\n")
        self._process.stdin.flush()
        self._child = self._answer()
        return self._child

    def wait(self) -> int:
        """Its exit status; negative when a signal ended it."""
        status = self._answer()
        self._child = None
        return status

    def run(self, argv: Sequence[str], stdout: Path, **order: Any) -> int:
        self.start(Order(tuple(argv), str(stdout), **order))
        return self.wait()

    def close(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        if self._child is not None:  # a test has failed while it was at work
            os.kill(self._child, signal.SIGKILL)
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()

    def _answer(self) -> int:
        assert self._process.stdout
        # Nothing is ever held back: one answer at a time.
        heard, _, _ = select.select([self._process.stdout], [], [], _PATIENCE_S)
        assert heard, "the child does not end"
        line = self._process.stdout.readline()
        assert line, "the warm process is gone"
        return int(line)


@contextmanager
def warm_process(argv: Sequence[str]) -> Iterator[Warm]:
    warm = Warm(argv)
    try:
        yield warm
    finally:
        warm.close()


def _serve(argv: Sequence[str]) -> None:
    from dfrot_engine.cli import main

    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    assert main(argv) == 0
    gc.freeze()  # else a collection in a child touches, and so copies, all that was imported
    for line in sys.stdin:
        order = Order(**json.loads(line))
        child = os.fork()
        if child == 0:
            _obey(order)
        answers.write(f"{child}\n")
        _, status = os.waitpid(child, 0)
        answers.write(f"{os.waitstatus_to_exitcode(status)}\n")


def _obey(order: Order) -> None:
    """In the child; does not return."""
    from dfrot_engine.cli import main

    os.setsid()
    os.environ.update(order.environment)
    for target, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, order.stdout, os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (2, order.errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        handle = os.open(path, flags)
        os.dup2(handle, target)
        os.close(handle)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if order.size_limit is not None:
        if not order.survives:
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it
        resource.setrlimit(resource.RLIMIT_FSIZE, (order.size_limit, resource.RLIM_INFINITY))
    if order.trace or order.kill_at is not None:
        sys.addaudithook(_watching(order))
    status = 1
    try:
        status = main(order.argv)
        sys.stdout.flush()
    except SystemExit as exit_:
        status = int(exit_.code or 0)
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
    finally:
        sys.stderr.flush()
        os._exit(status)


def _watching(order: Order) -> Any:
    """An audit hook that sees every operation on files just before it happens."""
    trace = os.open(order.trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND) if order.trace else -1
    journal = Path(order.watched) / "out.dfrot" / "events.jsonl"
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event not in _OPERATIONS or not _is_watched(event, arguments, order.watched):
            return
        if order.kill_at is not None and count >= order.kill_at:  # two threads may count at the same time
            os.kill(os.getpid(), signal.SIGKILL)
        if trace >= 0:
            said = journal.stat().st_size if journal.exists() else 0
            os.write(trace, json.dumps([count, said, event, str(arguments[0])]).encode() + b"\n")
        count += 1

    return hook


def _is_watched(event: str, arguments: tuple[Any, ...], watched: str) -> bool:
    path = arguments[0]
    if isinstance(path, int) or not str(path).startswith(watched):
        # rmtree works with names relative to an open folder.
        return event in ("os.remove", "os.rmdir") and not str(path).startswith("/")
    return event != "open" or bool(arguments[2] & _WRITES)


if __name__ == "__main__":
    _serve(sys.argv[1:])
