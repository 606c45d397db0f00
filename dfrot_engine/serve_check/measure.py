"""Start a runtime's script and read what it says. Imports no torch."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import exp, isfinite
from pathlib import Path
from typing import Any

from dfrot_engine.errors import DFRotError, RunError
from dfrot_engine.resources import serve_check_path
from dfrot_engine.serve_check.environments import clean_variables
from dfrot_engine.verdicts.table import Check

_ERROR = re.compile(r"^(?:\[rank\d+\]: )?([\w.]*(?:Error|Exception|Interrupt)\b.*)")  # vLLM says which process
_LAST_LINES = 3
_LONGEST = 400  # characters of what a runtime says about itself
_LARGEST_NLL = 100.0  # far beyond any vocabulary; its exponential is still a number of JSON


class Refused(RunError):
    """The runtime does not load the folder."""


@dataclass
class Measured:
    """What a runtime made of the windows.

    Args:
        packages: of its environment, name → version.
        load_s, measure_s: seconds.
    """

    packages: dict[str, str] = field(default_factory=dict)
    nll: float = 0.0
    tokens: int = 0
    num_windows: int = 0
    load_s: float | None = None
    measure_s: float = 0.0

    @property
    def perplexity(self) -> float:
        return exp(min(self.nll / self.tokens, _LARGEST_NLL))


def measure(
    check: Check,
    python: Path,
    folder: Path,
    windows: Sequence[Sequence[int]],
    threads: int,
    say: Callable[[int], None],
    *,
    trusts: bool = False,
    in_float32: bool = False,
) -> Measured:
    """Let a runtime load a folder and take every window.

    Args:
        python: of the runtime's environment.
        threads: of the CPU.
        trusts: whether code that lies in the folder may be run, which an R4 needs in transformers.
        in_float32: instead of the precision that the runtime takes by itself.
        say: told the number of finished windows; 0 is that the folder is loaded.
    Raises:
        Refused: it does not load the folder, in its own words.
        RunError: it crashed, or its environment is no longer apart from this program.
    """
    found = Measured()
    with tempfile.TemporaryDirectory(prefix="dfrot-serve-check-") as place:
        tokens_path, log_path = Path(place) / "windows.json", Path(place) / "log"
        tokens_path.write_text(json.dumps([list(map(int, one)) for one in windows]), encoding="utf-8")
        command = script_command(check, python, folder, tokens_path, threads)
        command += ["--trust-remote-code"] if trusts else []
        command += ["--float32"] if in_float32 else []
        with log_path.open("wb") as log, _started(command, check, threads, log) as process:
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    _take(found, json.loads(line), check, say)
                status = process.wait()
            finally:
                process.kill()
        if status or found.num_windows != len(windows):
            raise _broken(check, folder, found, status, log_path.read_text(encoding="utf-8", errors="replace"))
    if not isfinite(found.nll):
        raise RunError(f"{check.name} loaded {folder}, but gives NaN or infinity.", "Use more bits or smaller groups.")
    return found


def script_command(check: Check, python: Path, folder: Path, tokens_path: Path, threads: int) -> list[str]:
    """Isolated: neither the current folder nor PYTHONPATH nor the user's own packages are looked at."""
    return [str(python), "-I", str(serve_check_path()), check.name, str(folder), str(tokens_path), str(threads)]


def _started(command: list[str], check: Check, threads: int, log: Any) -> subprocess.Popen[bytes]:
    variables = clean_variables(OMP_NUM_THREADS=str(threads), HF_HUB_OFFLINE="1", **check.environment)
    try:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=variables)
    except OSError as error:
        message = f"The environment of {check.name} does not start: {error.strerror}."
        raise RunError(message, f"Remove it with `dfrot serve-check --remove {check.name}` and try again.") from None


def _take(found: Measured, said: dict[str, Any], check: Check, say: Callable[[int], None]) -> None:
    if said.get("visible"):
        raise RunError(
            f"The environment of {check.name} can import {', '.join(said['visible'])}, so that it proves nothing.",
            f"Remove it with `dfrot serve-check --remove {check.name}` and try again.",
        )
    if "packages" in said:
        found.packages = said["packages"]
    elif "loaded" in said:
        found.load_s = said["loaded"]
        say(0)
    elif "nll" in said:
        found.nll += said["nll"]
        found.tokens += said["tokens"]
        found.measure_s += said["seconds"]
        found.num_windows += 1
        say(found.num_windows)


def _broken(check: Check, folder: Path, found: Measured, status: int, log: str) -> DFRotError:
    if status < 0:
        name = signal.Signals(-status).name
        message = (
            f"{check.name} was ended by {name} while it was {'measuring' if found.load_s else 'loading'} {folder}."
        )
        remedy = (
            "Most likely memory ran out." if name == "SIGKILL" else "That is a fault of the runtime; report it there."
        )
        return RunError(message, remedy)
    words = last_words(log)
    if found.load_s is None:
        return Refused(f"{check.name} does not load {folder}. It says: {words}")
    return RunError(f"{check.name} loaded {folder} and failed while measuring. It says: {words}")


def last_words(log: str) -> str:
    """The last error of a log, or its last lines."""
    lines = [line.rstrip() for line in log.splitlines() if line.strip()]
    errors = [found[1] for found in map(_ERROR.match, lines) if found]
    words = errors[-1] if errors else " / ".join(lines[-_LAST_LINES:]) or "nothing"
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]}…"
