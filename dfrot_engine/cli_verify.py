"""`dfrot verify`: whether an output folder is still what its run wrote."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dfrot_engine.errors import DFRotError
from dfrot_engine.events import Proved, RunEnded
from dfrot_engine.proof.types import ProofRow
from dfrot_engine.stdin_stop import add_stdin_stop, interrupt_on_stdin


def add_verify(commands: Any) -> None:
    parser = commands.add_parser("verify", help="check that an output folder is still what its run wrote")
    parser.add_argument("folder", type=Path, help="output folder of a run")
    parser.add_argument("--work", type=Path, help="the run's work folder (default: OUTPUT.dfrot)")
    parser.add_argument(
        "--json", action="store_true", help="print the rows as JSON; with --stdin-commands as events, one a line"
    )
    add_stdin_stop(parser)
    parser.set_defaults(command=_verify)


def _verify(arguments: argparse.Namespace) -> int:
    """0 where everything that could be checked is right, else 1."""
    from rich.console import Console

    from dfrot_engine.proof.table import print_proof
    from dfrot_engine.proof.types import failures
    from dfrot_engine.proof.verify import verify_folder

    folder = arguments.folder.expanduser()
    found = verify_folder(folder, arguments.work.expanduser() if arguments.work else None)
    if arguments.stdin_commands:
        return _say_all(found)
    rows = list(found)
    if arguments.json:
        print(json.dumps([row.model_dump(mode="json") for row in rows], indent=1))
    else:
        print_proof(rows, Console(highlight=False, width=None if sys.stdout.isatty() else 140))
    return 1 if failures(rows) else 0


def _say_all(rows: Iterable[ProofRow]) -> int:
    """For the window: each row as an event as soon as it is known, then how it ended."""
    interrupt_on_stdin()
    try:
        is_right = True
        for row in rows:
            _say(Proved(row=row))
            is_right &= row.passed is not False
    except DFRotError as error:
        _say(RunEnded(status="failed", message=error.message, remedy=error.remedy))
        return 1
    except KeyboardInterrupt:
        _say(RunEnded(status="cancelled", message="Stopped."))
        return 130
    _say(RunEnded(status="finished", message="Checked."))
    return 0 if is_right else 1


def _say(event: Proved | RunEnded) -> None:
    print(event.model_dump_json(), flush=True)
