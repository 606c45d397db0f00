"""`dfrot runs`: the runs of this computer, and taking some off the list or off the disk."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dfrot_engine.cli_show import STATES
from dfrot_engine.run_delete import Deletion, delete_run, deletion_of
from dfrot_engine.run_index import find_note, forget_note, index_dir
from dfrot_engine.run_list import RunInfo, list_runs
from dfrot_engine.units import duration_text, format_bytes

_PIPE_WIDTH = 160  # names stay on one line


def add_runs(commands: Any) -> None:
    """The subcommand with its own subcommand `remove`."""
    parser = commands.add_parser("runs", help="list the runs of this computer, or remove some")
    parser.add_argument("--json", action="store_true", help="print them as JSON")
    parser.set_defaults(command=_list)
    actions = parser.add_subparsers(metavar="ACTION")
    remove = actions.add_parser("remove", help="take runs off the list")
    remove.add_argument("names", nargs="+", metavar="RUN", help="a name that `dfrot runs` lists, or a run's folder")
    remove.add_argument("--files", action="store_true", help="delete the work folder and what was written as well")
    remove.add_argument("--yes", action="store_true", help="do not ask before files are deleted")
    remove.set_defaults(command=_remove)


def _list(arguments: argparse.Namespace) -> int:
    runs = list_runs(on_skip=lambda sentence: print(f"Note: {sentence}", file=sys.stderr))
    if arguments.json:
        print(json.dumps([run.model_dump(mode="json") for run in runs], indent=1))
    elif runs:
        Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH).print(_table(runs))
    else:
        print(f"No run yet in {index_dir()}. Every run is added when it starts.")
    return 0


def _remove(arguments: argparse.Namespace) -> int:
    notes = [find_note(name) for name in arguments.names]
    for note in dict.fromkeys(notes):
        if not arguments.files:
            forget_note(note.key)
            print(f"{note.key} is off the list; its files stay in {note.work_dir}.")
            continue
        deletion = deletion_of(note)
        print(_what_goes(deletion))
        if arguments.yes or _is_wanted():
            delete_run(deletion)
            print(f"Deleted {note.key}.")
        else:
            print("Nothing was deleted.")
    return 0


def _what_goes(deletion: Deletion) -> str:
    folders = ", ".join(map(str, deletion.folders)) or "nothing but its place on the list"
    size = f" ({format_bytes(deletion.num_bytes)})" if deletion.folders else ""
    return "\n".join((f"To be deleted: {folders}{size}.", *deletion.kept))


def _is_wanted() -> bool:
    try:
        return input("Delete? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _table(runs: Sequence[RunInfo]) -> Table:
    table = Table("Run", "Model", "Recipe", "State", "Perplexity", "KL", "Size", "Started", "Time")
    for run in runs:
        # As text, since names from files are never markup.
        table.add_row(*map(Text, _cells(run)))
    return table


def _cells(run: RunInfo) -> tuple[str, ...]:
    before = "" if run.perplexity_original is None else f"{run.perplexity_original:.2f} → "
    return (
        run.key,
        run.model,
        " · ".join(filter(None, (run.recipe, run.formats, run.rotation))),
        STATES[run.status] + (", can be resumed" if run.can_resume else ""),
        "–" if run.perplexity is None else f"{before}{run.perplexity:.2f}",
        "–" if run.kl_divergence is None else f"{run.kl_divergence:.3g}",
        "–" if run.bytes is None else format_bytes(run.bytes),
        run.started.astimezone().strftime("%Y-%m-%d %H:%M"),
        "–" if run.seconds is None else duration_text(run.seconds),
    )
