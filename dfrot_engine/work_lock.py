"""Who has a work folder: a lock that dies with its process, and a note of who holds it. Imports no torch."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from dfrot_engine.errors import DiskError
from dfrot_engine.outside_files import read_json
from dfrot_engine.whole_file import write_text
from dfrot_engine.work_names import LOCK, OWNER

_PATIENCE_S = 0.3  # somebody who only looks whether it is locked holds it for an instant


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Keep other runs out of the folder, which is created if it is missing.

    Raises:
        DiskError: it cannot be written, or another run is using it.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(root / LOCK)
        lock.acquire(timeout=_PATIENCE_S, poll_interval=0.05)
    except Timeout:
        remedy = "Wait for it, stop it, or choose another output folder."
        raise DiskError(f"Another run is using {root}{_words(owner(root))}.", remedy, "options.output_dir") from None
    except OSError as error:
        raise unusable(root, error) from None
    try:
        write_text(root / OWNER, json.dumps(_myself(), indent=1))
        yield
    finally:
        lock.release()


def is_in_use(root: Path) -> bool:
    """Whether a run holds the folder right now."""
    if not (root / LOCK).is_file():
        return False
    lock = FileLock(root / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:  # a folder that may only be read
        return False
    lock.release()
    return False


def owner(root: Path) -> dict[str, Any]:
    """What the last run noted about itself: "pid", "host", "since" and "cwd"; empty if nothing is known."""
    try:
        found = read_json(root / OWNER)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def ask_to_stop(root: Path) -> bool:
    """Ask the process that holds the folder to stop after its step, as Ctrl-C does; False if it is not ours to ask."""
    noted = owner(root)
    pid = noted.get("pid")
    if not isinstance(pid, int) or pid <= 1 or noted.get("host") != socket.gethostname() or not is_in_use(root):
        return False
    try:
        os.kill(pid, signal.SIGTERM)
    except OSError:
        return False
    return True


def unusable(root: Path, error: OSError) -> DiskError:
    return DiskError(
        f"The work folder {root} cannot be used: {error.strerror}.", "Choose another folder.", "options.output_dir"
    )


def _myself() -> dict[str, Any]:
    since = datetime.now(UTC).isoformat(" ", "seconds")
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": since, "cwd": os.environ.get("PWD", "")}


def _words(noted: dict[str, Any]) -> str:
    known = noted.get("pid") and noted.get("host")
    return f": process {noted['pid']} on {noted['host']}, since {noted.get('since')}" if known else ""
