"""The one command before every commit: ``python -m tests.check``. ``--fast`` leaves the sample model's tests out."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FAST = ("-m", "not sample")

LINT_IMPORTS = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"

# Beside all others from the beginning: it takes a minute of one core, while another would be idle.
BESIDE = ("-m", "pyright", "--pythonpath", sys.executable)

CHECKS: dict[str, tuple[str, ...]] = {
    "ruff check": ("-m", "ruff", "check", "."),
    "ruff format": ("-m", "ruff", "format", "--check", "."),
    "lint-imports": ("-c", LINT_IMPORTS),
    # Last, so that its own summary is all but the last thing on the screen.
    # A process for each core, each with one thread.
    "pytest": ("-m", "pytest", "-n", "logical", "--maxprocesses", "4", "--dist", "worksteal"),
}


def main() -> int:
    """Run every check, also after a failure; 1 if any failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.check", description=__doc__)
    parser.add_argument("--fast", action="store_true", help="leave out the tests that run the 135M sample model")
    fast = parser.parse_args().fast

    verdicts: dict[str, str] = {}
    with ThreadPoolExecutor(1) as beside:
        pyright = beside.submit(timed, BESIDE, subprocess.PIPE)
        for name, command in CHECKS.items():
            print(f"== {name}", flush=True)
            verdicts[name], _ = timed((*command, *FAST) if fast and name == "pytest" else command)
            print(f"== {name} {verdicts[name]}\n" if name != "pytest" else "", flush=True)
        verdicts["pyright"], said = pyright.result()
    print(f"== pyright\n{said}")
    print("; ".join(f"{name} {verdict}" for name, verdict in verdicts.items()))
    return int(any("FAILED" in verdict for verdict in verdicts.values()))


def timed(command: tuple[str, ...], output: int | None = None) -> tuple[str, str]:
    """(verdict, what it printed, where that goes to a pipe)."""
    # The pyright wheel would ask the npm registry whether there is a newer one.
    environment = os.environ | {"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    started = time.monotonic()
    line = (sys.executable, *command)
    done = subprocess.run(line, cwd=ROOT, env=environment, stdout=output, text=True, check=False)
    verdict = "ok" if done.returncode == 0 else f"FAILED ({done.returncode})"
    return f"{verdict} in {time.monotonic() - started:.1f} s", done.stdout or ""


if __name__ == "__main__":
    sys.exit(main())
