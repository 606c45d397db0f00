"""`dfrot rotations`: what is in the rotation library, and removing from it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dfrot_engine.library import RotationEntry, delete_rotation, library_dir, list_rotations

_PIPE_WIDTH = 140  # names stay on one line


def add_rotations(commands: Any) -> None:
    """The subcommand with its own subcommand `remove`."""
    parser = commands.add_parser("rotations", help="list the learned rotations that runs have left, or remove some")
    parser.add_argument("--model", default="", help="only those of models with this in their name")
    parser.add_argument("--json", action="store_true", help="print them as JSON")
    parser.set_defaults(command=_list)
    actions = parser.add_subparsers(metavar="ACTION")
    remove = actions.add_parser("remove", help="remove rotations from the library")
    remove.add_argument("names", nargs="+", metavar="NAME", help="a name, or the eight characters at its end")
    remove.set_defaults(command=_remove)


def _list(arguments: argparse.Namespace) -> int:
    entries = list_rotations(model=arguments.model, on_skip=lambda note: print(f"Note: {note}", file=sys.stderr))
    if arguments.json:
        print(json.dumps([_facts(entry) for entry in entries], indent=1))
    elif entries:
        _console().print(_table(entries))
    else:
        what = f"No rotation of a model like '{arguments.model}'" if arguments.model else "No rotation yet"
        print(f"{what} in {library_dir()}. Runs that learn a rotation add it.")
    return 0


def _remove(arguments: argparse.Namespace) -> int:
    for name in arguments.names:
        print(f"Removed {delete_rotation(name)}")
    return 0


def _console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def _table(entries: Sequence[RotationEntry]) -> Table:
    table = Table("Name", "R1", "Loss", "Token error", "Recipe", "Seed", "Made")
    table.columns[0].overflow = "fold"
    for entry in entries:
        gain, error = entry.loss_gain, entry.token_error_mean
        cells = (
            entry.name,
            f"{entry.hidden_size:,}",
            "–" if gain is None else f"{-100 * gain:+.0f} %",
            "–" if error is None else f"{error:.4f}",
            entry.recipe_name,
            "–" if entry.seed is None else str(entry.seed),
            entry.created.astimezone().strftime("%Y-%m-%d %H:%M"),
        )
        # As text, since names from files are never markup.
        table.add_row(*map(Text, cells))
    return table


def _facts(entry: RotationEntry) -> dict[str, Any]:
    return {"name": entry.name} | entry.model_dump(mode="json") | {"loss_gain": entry.loss_gain}
