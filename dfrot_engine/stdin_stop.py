"""Stopping a command that computes nothing, and so needs no `Control`, by a line on its standard input."""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import threading


def add_stdin_stop(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--stdin-commands",
        action="store_true",
        help='stop at a {"command": "cancel"} line on standard input, and at its end',
    )


def interrupt_on_stdin() -> None:
    """From now on, raise KeyboardInterrupt in the main thread when the window asks for a stop, or is gone."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have had it ignored
    threading.Thread(target=_wait, daemon=True).start()


def _wait() -> None:
    for line in sys.stdin:
        with contextlib.suppress(ValueError, AttributeError):
            if json.loads(line).get("command") == "cancel":
                break
    # To this very thread, since it may be waiting for the network.
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
