"""The rows of a proof as text for people."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dfrot_engine.proof.types import TITLES, ProofRow


def print_proof(rows: Iterable[ProofRow], console: Console) -> None:
    """One line for each thing that was checked."""
    table = Table("Proof", "Of", "Found", "Limit", "")
    for row in rows:
        style = "red" if row.passed is False else ""
        table.add_row(
            TITLES[row.check], row.output or "model", shown(row.figure), shown(row.limit), row.verdict, style=style
        )
    console.print(table)
    for row in rows:
        if row.passed is not True and row.note:
            console.print(escape(f"{TITLES[row.check]}: {row.note}"), soft_wrap=True)


def shown(figure: float | None) -> str:
    """ "0", "0.0012", "1.4e-06"."""
    if figure is None:
        return "–"
    return f"{figure:.3g}"
