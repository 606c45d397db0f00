"""`dfrot doctor`: what was found on this computer, what is slow or missing, and what mends it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dfrot_engine import __version__
from dfrot_engine.doctor.diagnostics import as_lines
from dfrot_engine.doctor.examine import examine
from dfrot_engine.doctor.finding import FAULTS
from dfrot_engine.standard_output import discard_output, open_standard_streams

HELP = "say what the program finds on this computer, what is slow or missing, and what mends it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", type=Path, default=Path(), help="folder a run would write to (default: this one)")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.set_defaults(command=run)


def add_doctor(commands: Any) -> None:
    add_arguments(commands.add_parser("doctor", help=HELP))


def main(argv: Sequence[str]) -> int:
    """`dfrot doctor` by itself, with nothing but the standard library around it."""
    parser = argparse.ArgumentParser(prog="dfrot doctor", description=HELP)
    add_arguments(parser)
    arguments = parser.parse_args(argv)
    open_standard_streams()
    try:
        status = run(arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # `| head` has what it wanted
        discard_output()
        return 0


def run(arguments: argparse.Namespace) -> int:
    """The exit status: 1 where something the program needs is missing or broken."""
    findings = examine(arguments.output)
    faults = [finding for finding in findings if finding.status in FAULTS]
    if arguments.json:
        report = {"version": __version__, "is_ready": not faults, "findings": [asdict(one) for one in findings]}
        print(json.dumps(report, indent=1))
    else:
        print("\n".join([f"dfrot {__version__}", *as_lines(findings), ""]))
        print(f"{len(faults)} to mend; see above." if faults else "Ready.")
    return int(bool(faults))
