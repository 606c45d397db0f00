"""Checks and environments as text for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dfrot_engine.serve_check.environments import Environment
from dfrot_engine.serve_check.types import REFERENCE_WORDS, ServeCheck
from dfrot_engine.units import duration_text, format_bytes


def print_check(found: ServeCheck, console: Console) -> None:
    """A row for each number, the verdict in a sentence."""
    table = Table("Perplexity", "", "Difference")
    own = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    own += "; in float32" if found.in_float32 else ""
    table.add_row(f"{found.runtime} ({own})", f"{found.perplexity:.3f}", "", style="bold")
    for name, value in found.references.items():
        difference = f"{100 * (found.perplexity / value - 1):+.2f} %"
        table.add_row(REFERENCE_WORDS[name], f"{value:.3f}", difference)
    console.print(table)
    console.print(
        f"{found.tokens:,} tokens of '{found.dataset}' in {found.num_windows} windows of {found.seq_len:,}; "
        f"loaded in {duration_text(found.load_s)}, measured in {duration_text(found.measure_s)}.",
        soft_wrap=True,
    )
    if found.expected:
        console.print(f"The table of runtimes says: {found.expected}. {found.reason}", soft_wrap=True, markup=False)
    for sentence in (*found.notes, sentence_of(found)):
        console.print(sentence, soft_wrap=True, markup=False)


def sentence_of(found: ServeCheck) -> str:
    """The outcome for people."""
    against = REFERENCE_WORDS[found.compared_with]
    said = f"{found.runtime} differs by {100 * found.difference:+.2f} % from {against}"
    return f"{said}, {'within' if found.is_within else 'beyond'} the {100 * found.limit:.0f} % allowed."


def lines_of(found: ServeCheck) -> list[str]:
    """The numbers and what stands behind them, a sentence each."""
    own = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    lines = [f"{found.runtime} ({own}): perplexity {found.perplexity:.3f}."]
    lines += [
        f"Compared with {REFERENCE_WORDS[name]}, {value:.3f}: {100 * (found.perplexity / value - 1):+.2f} %."
        for name, value in found.references.items()
    ]
    text = f"{found.tokens:,} tokens of '{found.dataset}' in {found.num_windows} windows of {found.seq_len:,}."
    said = [f"The table of runtimes says: {found.expected}. {found.reason}"] if found.expected else []
    return [*lines, text, *said, *found.notes]


def print_environments(found: Sequence[Environment], console: Console) -> None:
    table = Table("Runtime", "State", "Size", "Packages", "Folder")
    for env in found:
        about = "about " if env.state == "missing" else ""
        packages = ", ".join(package for step in env.check.steps for package in step)
        size = f"{about}{format_bytes(env.num_bytes)}"
        table.add_row(*map(Text, (env.check.name, env.state, size, packages, str(env.folder))))
    console.print(table)
