"""`dfrot push`: an output folder to the Hugging Face Hub."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from dfrot_engine.errors import DFRotError
from dfrot_engine.events import Event, RunEnded, StageAdvanced


def add_push(commands: Any) -> None:
    parser = commands.add_parser("push", help="upload an output folder to the Hugging Face Hub")
    parser.add_argument("folder", type=Path, help="output folder of a run")
    parser.add_argument("--repo", required=True, metavar="USER/NAME", help="repository; made if it is not there")
    parser.add_argument("--public", action="store_true", help="make the repository public (default: private)")
    parser.add_argument("--yes", action="store_true", help="replace the files of a repository without asking")
    parser.add_argument("--unproven", action="store_true", help="push also what was not proved, or failed its proof")
    parser.add_argument("--json", action="store_true", help="print events as JSON lines")
    parser.set_defaults(command=_push)


def _push(arguments: argparse.Namespace) -> int:
    from dfrot_engine.checkpoint.hub_push import push_folder

    report = _print_json if arguments.json else _print
    try:
        push_folder(
            arguments.folder.expanduser(),
            arguments.repo,
            report,
            private=not arguments.public,
            replace=arguments.yes or _agrees(arguments),
            unproven=arguments.unproven,
        )
    except DFRotError as error:
        if not arguments.json:
            raise
        report(RunEnded(status="failed", message=error.message, remedy=error.remedy))
        return 1
    except KeyboardInterrupt:
        report(
            RunEnded(status="cancelled", message="Stopped.", remedy="Push again; what has arrived is not sent again.")
        )
        return 130
    return 0


def _agrees(arguments: argparse.Namespace) -> bool:
    """Asks whether files that are there may go; nobody is asked where nobody could answer."""
    if arguments.json or not sys.stdin.isatty():
        return False
    from huggingface_hub import HfApi

    from dfrot_engine.checkpoint.hub_errors import CLIENT_ERRORS, endpoint
    from dfrot_engine.checkpoint.hub_push import files_there

    try:
        there = files_there(HfApi(endpoint=endpoint(), library_name="dfrot"), arguments.repo)
    except CLIENT_ERRORS:  # said by the push itself
        return False
    if not there:
        return False
    answer = input(f"{arguments.repo} already holds {len(there)} files. Replace them all? [y/N] ")
    return answer.strip().lower() in ("y", "yes")


def _print_json(event: Event) -> None:
    print(event.model_dump_json(), flush=True)


def _print(event: Event) -> None:
    if isinstance(event, StageAdvanced):
        print(f"{event.step:3} %  {event.label}", flush=True)
    elif isinstance(event, RunEnded):
        print(" ".join(filter(None, (event.message, event.remedy))), flush=True)
