"""Environments of runtimes: each with its own packages, made on request, never half. Imports no torch.

A note in the folder says how far it has come. It says "unfinished" before the first package is written and "ready"
after the last, so that what an interruption leaves is never taken for whole.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from platformdirs import user_cache_path

from dfrot_engine.errors import DFRotError, DiskError, RunError
from dfrot_engine.units import format_bytes
from dfrot_engine.verdicts.table import Check, Runtime, facts
from dfrot_engine.whole_file import write_text

NOTE = "dfrot-environment.json"
LOG = "dfrot-pip.log"
State = Literal["missing", "unfinished", "outdated", "ready"]
#: Runs one command, its output appended to a log file; raises CalledProcessError when it fails.
Installer = Callable[[Sequence[str], Path], None]

_NO_NETWORK = (
    "NewConnectionError",
    "NameResolutionError",
    "ConnectTimeoutError",
    "Network is unreachable",
    "Temporary failure in name resolution",
    "ProxyError",
)


@dataclass(frozen=True)
class Environment:
    """One runtime's, made or not."""

    runtime: Runtime
    check: Check
    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def state(self) -> State:
        """ "outdated": the table names other packages than those that are in it."""
        note = self.note()
        if note is None:
            return "missing"
        if note.get("state") != "ready" or not self.python.exists():
            return "unfinished"
        return "ready" if note.get("packages") == _packages(self.check) else "outdated"

    @property
    def num_bytes(self) -> int:
        """On the disk; what the table expects while there is nothing."""
        if not self.folder.is_dir():
            return self.check.num_bytes
        return sum(path.lstat().st_size for path in self.folder.rglob("*"))

    def note(self) -> dict[str, Any] | None:
        try:
            found = json.loads((self.folder / NOTE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None


def runtime_names() -> tuple[str, ...]:
    """Of the runtimes that can be started here."""
    return tuple(runtime.check.name for runtime in facts().runtimes if runtime.check)


def environments(chosen: Path | None = None) -> tuple[Environment, ...]:
    """Every runtime's.

    Args:
        chosen: the folder they lie in; the app's cache if None.
    """
    root = (chosen or user_cache_path("dfrot") / "runtimes").expanduser().absolute()
    pairs = [(runtime, runtime.check) for runtime in facts().runtimes]
    return tuple(Environment(runtime, check, root / check.name) for runtime, check in pairs if check)


def environment(name: str, chosen: Path | None = None) -> Environment:
    return next(one for one in environments(chosen) if one.check.name == name)


def install(command: Sequence[str], log: Path) -> None:
    """Run a command of pip or venv."""
    with log.open("ab") as output:
        subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=clean_variables(), check=True
        )


def clean_variables(**more: str) -> dict[str, str]:
    """This process's variables without those that lead Python to other packages."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return kept | more


def make_environment(env: Environment, say: Callable[[str], None], installer: Installer = install) -> None:
    """Install a runtime, in place of what an interruption or another version left.

    Raises:
        DFRotError: no room, no network, no such package, or a folder that is not ours.
    """
    with _only_one(env):
        if env.state == "ready":  # another process has made it while we waited
            return
        _refuse_foreign(env)
        _ensure_room(env)
        shutil.rmtree(env.folder, ignore_errors=True)
        env.folder.mkdir(parents=True)
        note = {"packages": _packages(env.check), "python": sys.version.split()[0]}
        write_text(env.folder / NOTE, json.dumps(note | {"state": "unfinished"}, indent=1))
        log = env.folder / LOG
        for label, command in _commands(env):
            say(label)
            try:
                installer(command, log)
            except (subprocess.CalledProcessError, OSError) as error:
                raise _failure(env, label, log) from error
        write_text(env.folder / NOTE, json.dumps(note | {"state": "ready"}, indent=1))


def remove_environment(env: Environment) -> int:
    """Delete one; returns the bytes that were freed.

    Raises:
        DiskError: there is none, it is in use, or the folder is not ours.
    """
    if not env.folder.exists():
        raise DiskError(f"There is no environment for {env.check.name} in {env.folder.parent}.", "See --list.")
    with _only_one(env):
        _refuse_foreign(env)
        freed = env.num_bytes
        write_text(env.folder / NOTE, json.dumps({"state": "unfinished"}))  # should the removal be interrupted
        try:
            shutil.rmtree(env.folder)
        except OSError as error:
            raise DiskError(f"{env.folder} cannot be removed: {error.strerror}.", "Check its permissions.") from None
    return freed


def base_python() -> str:
    """What makes environments.

    Raises:
        RunError: the app is a bundle, and there is no Python beside it.
    """
    if not getattr(sys, "frozen", False):
        return sys.executable
    found = shutil.which("python3")
    if found is None:
        raise RunError("There is no Python here to make an environment with.", "Install Python 3.11, 3.12 or 3.13.")
    return found


def _packages(check: Check) -> list[list[str]]:
    return [list(step) for step in check.steps] + [[f"-{name}" for name in check.without]]


def _commands(env: Environment) -> Iterator[tuple[str, list[str]]]:
    """(what is being done, the command), in order."""
    # Into the folder that holds the note, which --clear would take away.
    yield "making the environment", [base_python(), "-m", "venv", str(env.folder)]
    pip = [str(env.python), "-I", "-m", "pip", "--disable-pip-version-check", "--no-input"]
    for step in env.check.steps:
        yield f"installing {', '.join(step)}", [*pip, "install", *step]
    if env.check.without:
        yield f"uninstalling {', '.join(env.check.without)}", [*pip, "uninstall", "--yes", *env.check.without]


@contextmanager
def _only_one(env: Environment) -> Iterator[None]:
    try:
        env.folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(env.folder.with_name(f".{env.folder.name}.lock"))
        lock.acquire(timeout=0)
    except Timeout:
        message = f"Another process is making or removing {env.folder}."
        raise DiskError(message, "Wait until it has ended, and try again.") from None
    except OSError as error:
        message = f"{env.folder.parent} cannot be used: {error.strerror}."
        raise DiskError(message, "Choose another folder with --envs-folder.") from None
    try:
        yield
    finally:
        lock.release()


def _refuse_foreign(env: Environment) -> None:
    if env.folder.exists() and env.note() is None and any(env.folder.iterdir()):
        message = f"{env.folder} is there, but was not made by this program."
        raise DiskError(message, "Move it away, or choose another folder with --envs-folder.")


def _ensure_room(env: Environment) -> None:
    free = shutil.disk_usage(env.folder.parent).free
    if env.check.num_bytes > free:
        raise DiskError(
            f"{env.runtime.name} needs about {format_bytes(env.check.num_bytes)} in {env.folder.parent}, where "
            f"{format_bytes(free)} are free.",
            "Free some space, or choose another folder with --envs-folder.",
        )


def _failure(env: Environment, label: str, log: Path) -> DFRotError:
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    if "ensurepip" in text and not env.python.with_name("pip").exists():
        message = "This Python cannot make environments: ensurepip is missing."
        return RunError(message, "On Debian and Ubuntu: sudo apt-get install python3-venv.")
    if any(word in text for word in _NO_NETWORK):
        message = f"{env.runtime.name} cannot be installed: pip does not reach its index."
        return RunError(message, "Check the network connection, and try again.")
    if "No space left on device" in text:
        return DiskError(f"The disk of {env.folder} is full.", "Free some space, and try again.")
    errors = [line.removeprefix("ERROR: ") for line in text.splitlines() if line.startswith("ERROR: ")]
    why = (errors or text.splitlines() or ["it said nothing"])[-1].rstrip(".")
    message = f"{env.runtime.name} cannot be installed; {label} failed: {why}."
    return RunError(message, f"The whole log is {log}.")
