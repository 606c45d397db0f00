"""Asks the warm process (`warm.py`) for a child and stands for it: `python warm_client.py SOCKET MODULE ARGUMENTS…`.

Imports little, since it is started often.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def connect(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(path)
    return connection


def hand_over(connection: socket.socket, order: Mapping[str, Any], streams: Sequence[int]) -> None:
    """What a child is to do, with its three standard streams."""
    socket.send_fds(connection, [json.dumps(order).encode()], streams)


def answer(connection: socket.socket) -> int:
    """First the child's number, then how it ended; negative when a signal ended it."""
    said = connection.recv(32)
    assert said, "the warm process is gone"
    return int(said)


def main() -> int:
    path, module, *argv = sys.argv[1:]
    connection = connect(path)
    order = {"argv": argv, "stdout": "", "module": module, "environment": dict(os.environ), "folder": str(Path.cwd())}
    # What comes before there is a child waits for it.
    signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)
    hand_over(connection, order, (0, 1, 2))
    child = answer(connection)
    for number in _PASSED_ON:
        signal.signal(number, lambda number, _frame: os.kill(child, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # a pipe ends when the child's end of it is closed
        os.dup2(nothing, stream)
    return answer(connection)


if __name__ == "__main__":
    status = main()
    if status < 0:
        signal.signal(-status, signal.SIG_DFL) if -status != signal.SIGKILL else None
        os.kill(os.getpid(), -status)
    sys.exit(status)
