"""The real command line in children of one warm process, which saves each of them the seconds of its start.

As a program this file is that process: it does one run, and then forks a child for everyone who connects to its socket
and hands over what the child is to be: module, arguments, environment, folder, standard streams. A child may be told
to kill itself at its n-th file operation, or in the middle of a write that goes beyond a size: there is no other way to
be sure that a kill lands between two operations.

`Warm.engine` is a command for whoever starts processes on their own: a small client (`warm_client.py`) that hands its
own streams over, passes signals on, takes its child with it when it is killed, and ends as the child does.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import runpy
import select
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tests.warm_client import answer, connect, hand_over

_ROOT = Path(__file__).parents[1]
_CLIENT = Path(__file__).with_name("warm_client.py")
_PATIENCE_S = 120.0
_OPERATIONS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
#: What no run imports, but other commands do.
_MORE = ("dfrot_engine.generation.run", "dfrot_engine.trial.run", "dfrot_engine.sensitivity.run", "torch.distributed")


@dataclass(frozen=True)
class Order:
    """What one child does.

    Args:
        argv: of the module.
        stdout, errors: files or pipes that take its standard output and standard error.
        module: what `python -m` would run.
        kill_at: it is killed in front of its n-th file operation below `watched`, counted from 0.
        watched: folder of a run, with its output in "out".
        environment: all variables that are set for it.
        trace: file that takes a line for each of these operations: number, bytes of the journal, operation, path.
        size_limit: the kernel kills it when a file grows beyond this, the write left half done;
            with `survives`, the write fails, as on a full disk.
    """

    argv: tuple[str, ...]
    stdout: str
    errors: str = os.devnull
    module: str = "dfrot_engine"
    watched: str = "/"
    kill_at: int | None = None
    trace: str = ""
    size_limit: int | None = None
    survives: bool = False
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    folder: str = str(_ROOT)


class Warm:
    """The warm process as its user sees it; `start` has one child at a time, `engine` as many as are started.

    Args:
        argv: of a run that the process does itself first, so that all that is imported late is there.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="dfrot-warm-")
        self._path = f"{self._folder.name}/socket"
        self._child: socket.socket | None = None
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
            listening.bind(self._path)
            listening.listen(16)
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(listening.fileno()), *argv],
                stdin=subprocess.PIPE,  # whose end is the end of the process
                stdout=subprocess.DEVNULL,
                pass_fds=[listening.fileno()],
                cwd=_ROOT,
                env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(_ROOT)},
            )

    @property
    def engine(self) -> tuple[str, ...]:
        """Does what `python -m dfrot_engine` does."""
        return self.module("dfrot_engine")

    def module(self, name: str) -> tuple[str, ...]:
        """Does what `python -m NAME` does."""
        return (sys.executable, "-SE", str(_CLIENT), self._path, name)

    def start(self, order: Order) -> int:
        """Returns the child's process number."""
        streams = [
            os.open(os.devnull, os.O_RDONLY),
            *(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) for path in (order.stdout, order.errors)),
        ]
        self._child = connect(self._path)
        hand_over(self._child, asdict(order), streams)
        for stream in streams:
            os.close(stream)
        return self._answer()

    def wait(self) -> int:
        """Its exit status; negative when a signal ended it."""
        status = self._answer()
        assert self._child
        self._child.close()
        self._child = None
        return status

    def run(self, argv: Sequence[str], stdout: Path, **order: Any) -> int:
        self.start(Order(tuple(argv), str(stdout), **order))
        return self.wait()

    def close(self) -> None:
        if self._child is not None:  # a test has failed while it was at work
            self._child.close()
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(20)
        self._folder.cleanup()

    def _answer(self) -> int:
        assert self._child
        heard, _, _ = select.select([self._child], [], [], _PATIENCE_S)
        assert heard, "the child does not end"
        return answer(self._child)


@contextmanager
def warm_process(argv: Sequence[str]) -> Iterator[Warm]:
    warm = Warm(argv)
    try:
        yield warm
    finally:
        warm.close()


class _Child(NamedTuple):
    """Handles of a child: its end, and whoever asked for it."""

    end: int
    asker: socket.socket


def _serve(listening: socket.socket, argv: Sequence[str]) -> None:
    """Until standard input ends. A child is killed when whoever asked for it is gone."""
    from dfrot_engine.cli import main

    assert main(argv) == 0
    for name in _MORE:
        importlib.import_module(name)
    gc.freeze()  # else a collection in a child touches, and so copies, all that was imported
    heard = selectors.DefaultSelector()
    heard.register(sys.stdin, selectors.EVENT_READ)
    heard.register(listening, selectors.EVENT_READ)
    while (key := heard.select()[0][0]).fileobj is not sys.stdin:
        if key.fileobj is listening:
            _take_order(listening, heard)
        elif key.fileobj == key.data.end:
            _tell_end(key.data, heard)
        else:  # nothing is ever said there but that it is closed
            signal.pidfd_send_signal(key.data.end, signal.SIGKILL)
            heard.unregister(key.fileobj)
    for key in heard.get_map().values():
        if key.data and key.fileobj == key.data.end:
            signal.pidfd_send_signal(key.data.end, signal.SIGKILL)


def _take_order(listening: socket.socket, heard: selectors.BaseSelector) -> None:
    asker, _ = listening.accept()
    order, streams, *_ = socket.recv_fds(asker, 1 << 20, 3)
    if not order:  # whoever it was has been killed before it could say anything
        asker.close()
        return
    number = os.fork()
    if number == 0:
        for standard, stream in enumerate(streams):
            os.dup2(stream, standard)
        os.closerange(3, 1 << 10)
        _obey(Order(**json.loads(order)))
    for stream in streams:
        os.close(stream)
    child = _Child(os.pidfd_open(number), asker)
    for handle in child:
        heard.register(handle, selectors.EVENT_READ, child)
    with suppress(OSError):  # it is gone, which is heard next
        asker.send(str(number).encode())


def _tell_end(child: _Child, heard: selectors.BaseSelector) -> None:
    ended = os.waitid(os.P_PIDFD, child.end, os.WEXITED)
    assert ended
    status = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
    for handle in child:
        with suppress(KeyError):  # it may have been closed
            heard.unregister(handle)
    os.close(child.end)
    with suppress(OSError):  # it is gone
        child.asker.send(str(status).encode())
    child.asker.close()


def _obey(order: Order) -> None:
    """In the child; does not return."""
    os.setsid()
    os.environ.clear()
    os.environ.update(order.environment)
    os.chdir(order.folder)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if order.size_limit is not None:
        if not order.survives:
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it
        resource.setrlimit(resource.RLIMIT_FSIZE, (order.size_limit, resource.RLIM_INFINITY))
    if order.trace or order.kill_at is not None:
        sys.addaudithook(_watching(order))
    sys.argv = [order.module, *order.argv]
    status = 0
    try:
        runpy.run_module(order.module, run_name="__main__", alter_sys=True)
    except SystemExit as exit_:
        status = int(exit_.code or 0)
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        status = 1
    finally:
        sys.stdout.flush()
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
    _serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
