"""Verdicts as text for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dfrot_engine.verdicts.types import LOADS, Verdict

_COLORS = {"loads": "green", "loads-differently": "yellow", "refused": "red", "not-tried": "dim"}


def print_verdicts(verdicts: Sequence[Verdict], console: Console) -> None:
    """A row for each verdict, this computer's in bold, and how to start what loads."""
    if not verdicts:
        return
    exports = dict.fromkeys(verdict.export for verdict in verdicts)
    for export in exports:
        rows = [verdict for verdict in verdicts if verdict.export == export]
        table = Table("Will it load?", "On", export, "Bits", "Why", box=None, pad_edge=False)
        for one in rows:
            color = _COLORS[one.outcome]
            where = f"{one.generation}, this computer" if one.is_this_computer else one.generation
            cells = (one.runtime, where, f"[{color}]{one.words}[/]", one.bits, escape(one.full_reason))
            table.add_row(*cells, style="bold" if one.is_this_computer else "")
        console.print(table)
        for one in rows:
            if one.outcome in LOADS and "\n" not in one.command:
                console.print(f"  {one.runtime} on {one.generation}: {one.command}", soft_wrap=True, markup=False)
    console.print("Where each fact comes from, versions and Python code: --json.", style="dim")
