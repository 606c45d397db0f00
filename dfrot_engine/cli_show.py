"""`dfrot show`: what a run has come to, or what a model's headers say."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dfrot_engine.errors import DFRotError
from dfrot_engine.recipe import ModelSource
from dfrot_engine.report_file import read_report
from dfrot_engine.run_record import RunRecord, StageRecord, read_run, work_folder_of
from dfrot_engine.units import duration_text, format_bytes, format_parameters

if TYPE_CHECKING:
    from dfrot_engine.model_table import LinearFacts, ModelTable, NormFacts

_PIPE_WIDTH = 140  # names stay on one line


def add_show(commands: Any) -> None:
    parser = commands.add_parser("show", help="show a run, finished or not, or the table of a model")
    parser.add_argument(
        "what", metavar="RUN | MODEL", help="a run's output or work folder; or a Hub id, folder, GGUF file, or 'sample'"
    )
    parser.add_argument(
        "--json", action="store_true", help="print the run with its report, or the model's table, as JSON"
    )
    parser.set_defaults(command=_show)


def _show(arguments: argparse.Namespace) -> int:
    folder = Path(arguments.what).expanduser()
    work_dir = work_folder_of(folder)
    run = read_run(work_dir) if work_dir else None
    # An earlier run's report may still lie there.
    report = read_report(folder) or (read_report(work_dir) if work_dir else None)
    report = report if run is None or run.status == "finished" else None
    if run is None and report is None:
        return _show_model(arguments.what, folder, as_json=arguments.json)
    if arguments.json:
        print(json.dumps((report or {}) | ({"run": run.model_dump(mode="json")} if run else {}), indent=1))
        return 0
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    if run is not None:
        _print_run(run, console)
    if report is not None:
        from dfrot_engine.terminal import print_report

        print_report(report, console)
    return 0


STATES = {
    "finished": "Finished",
    "cancelled": "Stopped",
    "failed": "Failed",
    "killed": "Killed",
    "running": "Still going on",
    "gone": "Its folder is gone",
}


def _print_run(run: RunRecord, console: Console) -> None:
    def say(text: str) -> None:
        console.print(Text(text), soft_wrap=True)

    say(f"{run.model} · {run.recipe} · {run.device} → {run.output_dir}")
    where = f" in {run.where}" if run.where else ""
    times = f", the last of {run.starts} starts," if run.starts > 1 else ""
    begun = run.started.astimezone().isoformat(" ", "seconds")
    say(f"{STATES[run.status]}{where}. Started {begun}{times} and at work for {duration_text(run.seconds)}.")
    if run.status != "finished" and run.message:
        say(f"{run.message} {run.remedy}".strip())
    _print_rows(console, ("Stage", "State", "Steps", "Time", "Peak memory"), map(_stage_cells, run.stages))
    if run.status != "finished":
        for metric, value in run.numbers.items():
            say(f"{metric.replace('_', ' ')}: {value:.5g}")
    for warning in run.warnings:
        say(f"Note: {warning}")
    if run.resume:
        say(f"Everything finished so far is kept. To go on:\n{run.resume}")


def _stage_cells(stage: StageRecord) -> tuple[str, ...]:
    steps = f"{stage.step:,} of {stage.steps:,}" if stage.steps else ""
    seconds = "" if stage.status == "waiting" else duration_text(stage.seconds)
    return stage.name, stage.status, steps, seconds, format_bytes(stage.peak_bytes) if stage.peak_bytes else ""


def _show_model(what: str, folder: Path, *, as_json: bool) -> int:
    # A work folder holds safetensors, too.
    if folder.is_dir() and not any(next(folder.glob(name), None) for name in ("config.json", "*.gguf")):
        raise DFRotError(
            f"There is no run in {folder}, and no model.",
            "Give the output folder or the work folder of a run, or a folder with config.json.",
        )
    from dfrot_engine.model_table import model_table

    table = model_table(ModelSource(id_or_path=what))
    if as_json:
        print(table.model_dump_json(indent=1))
    else:
        _print_model(table, Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH))
    return 1 if table.problems else 0


def _print_model(table: ModelTable, console: Console) -> None:
    model = table.summary
    console.print(Text(f"{model.id}: {_summary(table)}"), soft_wrap=True)
    console.print(
        f"{model.num_blocks} blocks × {model.hidden_size:,}; {model.num_heads} heads of {model.head_size} on "
        f"{model.num_kv_heads} KV heads; MLP {model.intermediate_size:,}; vocabulary {model.vocab_size:,}",
        soft_wrap=True,
    )
    heads = ("Linear", "Reads", "Writes", "Shape", "Bias")
    _print_rows(console, heads, (_linear_cells(linear, model.num_blocks) for linear in table.linears))
    _print_rows(console, ("Norm", "Feeds", "Gain"), map(_norm_cells, table.norms))
    rotations = ((one.name, one.turns, one.hadamard_order, one.refused or "can be used") for one in table.rotations)
    _print_rows(console, ("Rotation", "Turns", "Hadamard matrix", "This model"), rotations)
    tied = "shares its weight with the embedding" if model.tied else "has a weight of its own"
    console.print(f"The head {tied}.")
    if table.kept:
        console.print(Text(f"Stays in place in each block: {', '.join(table.kept)}."), soft_wrap=True)
    if table.num_beside:
        turned = f", but for {', '.join(table.writers)}, which R1 turns" if table.writers else ""
        console.print(
            Text(f"{table.num_beside} tensors beside the text model stay as they are{turned}."), soft_wrap=True
        )
    for problem in table.problems:
        console.print(Text(f"Refused: {problem.message} {problem.remedy}"), style="red", soft_wrap=True)


def _summary(table: ModelTable) -> str:
    model = table.summary
    license_words = f", license {table.license}" if table.license else ""
    return (
        f"{model.architecture} ({table.model_type}), {format_parameters(model.num_parameters)} parameters, "
        f"{model.dtype}, {format_bytes(model.bytes)}{license_words}"
    )


def _print_rows(console: Console, titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = Table(*titles)
    for cells in rows:
        # As text, since names from files are never markup.
        table.add_row(*map(Text, cells))
    console.print(table)


def _linear_cells(linear: LinearFacts, num_blocks: int) -> tuple[str, ...]:
    notes = [f"{linear.count} a block"] if linear.count > 1 else []
    notes += [f"in {linear.num_blocks} of {num_blocks} blocks"] if 0 < linear.num_blocks < num_blocks else []
    notes += [] if linear.is_rounded else ["never rounded"]
    name = f"{linear.name} ({', '.join(notes)})" if notes else linear.name
    fused = len(linear.writes) > 1
    writes = ", ".join(f"{one.space} ({one.rows:,} rows)" if fused else one.space for one in linear.writes)
    rows, columns = linear.shape
    return name, linear.reads, writes, f"{rows:,} × {columns:,}", "yes" if linear.has_bias else "–"


def _norm_cells(norm: NormFacts) -> tuple[str, ...]:
    return norm.name, ", ".join(norm.feeds), f"{norm.offset:g} + weight" if norm.offset else "weight"
