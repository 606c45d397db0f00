"""`dfrot verify`: whether an output folder is still what its run wrote."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any


def add_verify(commands: Any) -> None:
    parser = commands.add_parser("verify", help="check that an output folder is still what its run wrote")
    parser.add_argument("folder", type=Path, help="output folder of a run")
    parser.add_argument("--work", type=Path, help="the run's work folder (default: OUTPUT.dfrot)")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.set_defaults(command=_verify)


def _verify(arguments: argparse.Namespace) -> int:
    """0 where everything that could be checked is right, else 1."""
    from rich.console import Console

    from dfrot_engine.proof.table import print_proof
    from dfrot_engine.proof.types import failures
    from dfrot_engine.proof.verify import verify_folder

    folder = arguments.folder.expanduser()
    rows = list(verify_folder(folder, arguments.work.expanduser() if arguments.work else None))
    if arguments.json:
        print(json.dumps([row.model_dump(mode="json") for row in rows], indent=1))
    else:
        print_proof(rows, Console(highlight=False, width=None if sys.stdout.isatty() else 140))
    return 1 if failures(rows) else 0
