"""Runs side by side: what their recipes differ in, their numbers, and what their charts are drawn from. No Qt."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dfrot_engine import DFRotError, Recipe, RunInfo
from dfrot_engine.charts import TOKEN_ERROR, ErrorSeries, TokenErrors
from dfrot_engine.units import duration_text
from dfrot_gui.quantities import format_bytes
from dfrot_gui.run_model import read_past_run
from dfrot_gui.run_state import RunState
from dfrot_gui.run_tables import Table
from dfrot_gui.run_words import level_text
from dfrot_gui.translation import mark, num, tr

LETTERS = "ABCDEF"
LEAST, MOST = 2, len(LETTERS)
NOTHING = "–"
# Relative; the last bits of a forward differ between machines.
SAME_ORIGINAL = 0.002
# Says which form a recipe has, not what it does.
_NOT_SETTINGS = ("version",)


@dataclass(frozen=True)
class ComparedRun:
    """One of the runs, under a letter.

    Args:
        errors: of its own rotation; None where they were not measured.
    """

    letter: str
    info: RunInfo
    recipe: Recipe | None
    state: RunState
    errors: ErrorSeries | None


def load_runs(infos: Sequence[RunInfo]) -> tuple[ComparedRun, ...]:
    """Read the journals and charts of two to six runs; slow for long ones."""
    return tuple(_load(letter, info) for letter, info in zip(LETTERS, infos, strict=False))


def _load(letter: str, info: RunInfo) -> ComparedRun:
    past = read_past_run(info.work_dir)
    chart = past.state.charts.get(TOKEN_ERROR)
    errors: ErrorSeries | None = None
    if chart is not None and past.recipe is not None:
        try:
            errors = TokenErrors.load(info.work_dir / chart.path).series.get(past.recipe.rotation.r1.kind)
        except DFRotError:
            errors = None  # the run can still be compared by its numbers
    return ComparedRun(letter, info, past.recipe, past.state, errors)


def settings_table(runs: Sequence[ComparedRun]) -> Table:
    """The recipe's fields in which the runs differ, and those alone."""
    flat = [_flat(run.recipe.model_dump(mode="json")) if run.recipe else {} for run in runs]
    fields = [field for field in dict.fromkeys(name for one in flat for name in one) if field not in _NOT_SETTINGS]
    rows = [(field, *(one.get(field, NOTHING) for one in flat)) for field in fields]
    return Table((tr("Setting"), *(run.letter for run in runs)), tuple(row for row in rows if len(set(row[1:])) > 1))


def _flat(value: Any, name: str = "") -> dict[str, str]:
    """Dotted names → words; a list of plain values is one of them."""
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
        items = ((str(number), one) for number, one in enumerate(value))
    else:
        return {name: _words(value)}
    return {
        field: words for key, one in items for field, words in _flat(one, f"{name}.{key}" if name else str(key)).items()
    }


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return tr("yes") if value else tr("no")
    if isinstance(value, list):
        return ", ".join(map(_words, value)) or NOTHING
    if isinstance(value, float):
        return num(f"{value:g}")
    return NOTHING if value is None or value == "" else str(value)


def _metric(name: str, text: Callable[[float], str]) -> Callable[[ComparedRun], str]:
    def words(run: ComparedRun) -> str:
        found = run.state.metric(name)
        return NOTHING if found is None else text(found.value)

    return words


def _error(name: str) -> Callable[[ComparedRun], str]:
    def words(run: ComparedRun) -> str:
        value = getattr(run.errors, name) if run.errors else math.nan
        return num(f"{value:.4f}") if math.isfinite(value) else NOTHING

    return words


def _original(run: ComparedRun) -> str:
    return NOTHING if run.info.perplexity_original is None else level_text(run.info.perplexity_original)


def _last_block(run: ComparedRun) -> str:
    errors = run.state.block_errors
    value = errors[max(errors)].get("block") if errors else None
    return NOTHING if value is None else num(f"{value:.4f}")


NUMBERS: dict[str, Callable[[ComparedRun], str]] = {
    mark("Perplexity"): _metric("perplexity", level_text),
    mark("Perplexity of the original"): _original,
    mark("KL divergence"): _metric("kl_divergence", lambda value: num(f"{value:.4g}")),
    mark("Same top choice"): _metric("top1_agreement", lambda value: num(f"{100 * value:.1f} %")),
    mark("Mean token error"): _error("mean"),
    mark("Massive tokens' error"): _error("massive_mean"),
    mark("Error behind the last block"): _last_block,
    mark("Size"): lambda run: NOTHING if run.info.bytes is None else format_bytes(run.info.bytes),
    mark("Time"): lambda run: NOTHING if run.info.seconds is None else duration_text(run.info.seconds),
    mark("Peak memory"): lambda run: format_bytes(run.state.peak_bytes) if run.state.peak_bytes else NOTHING,
}


def is_measured_alike(runs: Sequence[ComparedRun]) -> bool:
    """Whether perplexities may be compared: the original has the same one in each, so text and windows are the same."""
    originals = [run.info.perplexity_original for run in runs if run.info.perplexity_original is not None]
    return not originals or max(originals) <= (1 + SAME_ORIGINAL) * min(originals)


def numbers_table(runs: Sequence[ComparedRun]) -> Table:
    """What was measured, a row each; what no run has measured is left out."""
    rows = [(tr(title), *(words(run) for run in runs)) for title, words in NUMBERS.items()]
    shown = tuple(row for row in rows if any(value != NOTHING for value in row[1:]))
    return Table((tr("Number"), *(run.letter for run in runs)), shown)
