"""The one command before every commit: ``python -m tests.check``. ``--fast`` leaves the sample model's tests out."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FAST = ("-m", "not sample")

LINT_IMPORTS = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"

CHECKS: dict[str, tuple[str, ...]] = {
    "ruff check": ("-m", "ruff", "check", "."),
    "ruff format": ("-m", "ruff", "format", "--check", "."),
    "pyright": ("-m", "pyright", "--pythonpath", sys.executable),
    "lint-imports": ("-c", LINT_IMPORTS),
    # Last, so that its own summary is the last thing on the screen but one line.
    # A process for each core, each with one thread.
    "pytest": ("-m", "pytest", "-n", "logical", "--maxprocesses", "4", "--dist", "worksteal"),
}


def main() -> int:
    """Run every check, also after a failure; 1 if any failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.check", description=__doc__)
    parser.add_argument("--fast", action="store_true", help="leave out the tests that run the 135M sample model")
    fast = parser.parse_args().fast

    verdicts: dict[str, str] = {}
    for name, command in CHECKS.items():
        print(f"== {name}", flush=True)
        started = time.monotonic()
        status = run((*command, *FAST) if fast and name == "pytest" else command)
        verdict = "ok" if status == 0 else f"FAILED ({status})"
        verdicts[name] = f"{name} {verdict} in {time.monotonic() - started:.1f} s"
        print(f"== {verdicts[name]}\n" if name != "pytest" else "", flush=True)
    print("; ".join(verdicts.values()))
    return int(any("FAILED" in verdict for verdict in verdicts.values()))


def run(command: tuple[str, ...]) -> int:
    # The pyright wheel would ask the npm registry whether there is a newer one.
    environment = os.environ | {"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    return subprocess.run((sys.executable, *command), cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
