"""Runs, trials, plans and reports as text for people."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from statistics import fmean
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from dfrot_engine.events import (
    Event,
    GenerationFinished,
    Logged,
    MassiveTokensFound,
    Measured,
    Proved,
    RemainingTime,
    RunEnded,
    RunStarted,
    SensitivityFinished,
    StageAdvanced,
    StageFinished,
    StageStarted,
    TrialFinished,
    Warned,
)
from dfrot_engine.generation.text import print_answers
from dfrot_engine.options import RunOptions
from dfrot_engine.plan_types import Plan
from dfrot_engine.proof.table import print_proof
from dfrot_engine.proof.types import TITLES, ProofRow
from dfrot_engine.report_file import read_report
from dfrot_engine.rotation_names import rotation_name
from dfrot_engine.sensitivity.table import print_sensitivity
from dfrot_engine.stages.note_clips import clip_words
from dfrot_engine.trial.types import TrialResult
from dfrot_engine.units import about_text, duration_text, format_bytes
from dfrot_engine.verdicts.text import print_verdicts


def quiet_libraries() -> None:
    """No progress bars and notices of libraries between our own lines."""
    import datasets
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    datasets.disable_progress_bars()
    logging.getLogger("compressed_tensors").setLevel(logging.ERROR)


class TerminalProgress:
    """One bar for each stage while a run, a trial or a sensitivity pass goes on, and the table at its end."""

    def __init__(self, options: RunOptions) -> None:
        self._options = options
        self._console = Console(highlight=False)
        self._bars = Progress(
            TextColumn("{task.fields[stage]:<10}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[label]:<34}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=self._console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._running = TaskID(0)
        self._has_found = False
        self._has_table = False

    def __enter__(self) -> TerminalProgress:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def show(self, event: Event) -> None:
        match event:
            case RunStarted():
                where = f" → {event.output_dir}" if event.output_dir else ""
                recipe = f" · {event.recipe_name}" if event.recipe_name else ""
                self._print(f"[bold]{event.model}[/]{recipe} · {event.device}{where}")
            case StageStarted():
                self._running = self._bars.add_task("", stage=event.stage, label="", left="", total=event.steps)
                self._tasks[event.stage] = self._running
            case StageAdvanced():
                self._bars.update(
                    self._tasks[event.stage], completed=event.step, total=event.steps, label=event.label[:34]
                )
            case Measured(name="rotate/loss") | RemainingTime():
                self._note(event)
            case StageFinished():
                self._finish(event)
            case MassiveTokensFound():
                self._found(event)
            case TrialFinished():
                self._has_table = True
                self._bars.stop()
                print_trial(event.result, self._console)
            case SensitivityFinished():
                self._has_table = True
                self._bars.stop()
                print_sensitivity(event.result, self._console)
            case GenerationFinished():
                self._has_table = True
                self._bars.stop()
                print_answers(event.result, self._console)
            case Proved() | Logged() | Warned():
                self._tell(event)
            case RunEnded():
                self._end(event)
            case _:
                pass

    def _tell(self, event: Proved | Logged | Warned) -> None:
        if isinstance(event, Proved):
            row = event.row
            if row.passed is False:
                words = f"{TITLES[row.check]}, {row.output or 'model'}: {row.note}"
                self._print(f"[red]{escape(words)}[/]")
        elif isinstance(event, Warned):
            self._print(f"[yellow]Note:[/] {escape(f'{event.message} {event.remedy}')}")
        elif event.stage == "measure":
            self._print(escape(event.message))

    def _print(self, text: str) -> None:
        self._bars.console.print(text, soft_wrap=True)

    def _found(self, event: MassiveTokensFound) -> None:
        # The event comes again once the tokens' errors are measured.
        if not self._has_found:
            self._has_found = True
            self._print(f"{event.count:,} massive tokens among {event.rows:,} (block, site, token) places")

    def _note(self, event: Measured | RemainingTime) -> None:
        if isinstance(event, RemainingTime):
            self._bars.update(self._running, left=f"{about_text(event.seconds)} left")
        else:
            self._bars.update(self._tasks["rotate"], label=f"iteration {event.step}, loss {event.value:.5g}")

    def _finish(self, event: StageFinished) -> None:
        if event.reused:
            self._print(f"{event.stage}: done before, reused")
            return
        task = self._tasks[event.stage]
        total = self._bars.tasks[self._bars.task_ids.index(task)].total
        label = f"{event.seconds:.1f} s, peak {format_bytes(event.peak_bytes)}"
        self._bars.update(task, completed=total, label=label, left="")
        self._bars.stop_task(task)

    def _end(self, event: RunEnded) -> None:
        self._bars.stop()
        if event.status != "finished":
            self._print(f"[red]{escape(event.message)}[/] {escape(event.remedy)}")
            return
        # What is no run leaves no report; its table has been printed.
        report = None if self._has_table else read_report(self._options.work_path)
        if report is not None:
            print_report(report, self._console)


def print_tasks(report: Mapping[str, Any], console: Console) -> None:
    """The tasks of lm-evaluation-harness before and after, with their standard errors and examples."""
    table = Table("Task", "Version", "Metric", "Examples", "Before", "After")
    for row in report["tasks"]:
        numbers = [_with_error(row[side], row[f"{side}_stderr"]) for side in ("original", "quantized")]
        table.add_row(row["task"], row["version"], row["metric"], f"{row['num_examples']:,}", *numbers)
    console.print(table)
    protocol = report["task_protocol"]
    console.print(f"{protocol['harness']}, ± standard error; measured: {protocol['measured']}.", soft_wrap=True)


def _with_error(value: float, stderr: float | None) -> str:
    return f"{value:.4f}" if stderr is None else f"{value:.4f} ± {stderr:.4f}"


def print_plan(plan: Plan) -> None:
    """What a run would do, and what stands in its way."""
    console = Console(highlight=False)
    if plan.model is not None:
        model = plan.model
        console.print(
            f"[bold]{model.id}[/]: {model.architecture}, {model.num_parameters / 1e6:,.1f} M parameters, "
            f"{model.num_blocks} blocks × {model.hidden_size}, {model.dtype}, {format_bytes(model.bytes)}; "
            f"Hadamard {model.hadamard_order}",
            soft_wrap=True,
        )
    table = Table("Stage", "What", "Peak memory", "Disk", "Time")
    for stage in plan.stages:
        seconds = "" if stage.seconds is None else duration_text(stage.seconds)
        table.add_row(
            stage.stage, stage.summary, format_bytes(stage.peak_memory_bytes), format_bytes(stage.disk_bytes), seconds
        )
    if plan.stages:
        console.print(table)
    for output in plan.outputs:
        console.print(f"{output.name}: {output.folder}, about {format_bytes(output.bytes)}", soft_wrap=True)
    for problem in plan.problems:
        color = "red" if problem.severity == "error" else "yellow"
        console.print(
            f"[{color}]{problem.severity}[/] {problem.field}: {escape(f'{problem.message} {problem.remedy}')}",
            soft_wrap=True,
        )
    print_verdicts(plan.verdicts, console)


def print_report(report: Mapping[str, Any], console: Console | None = None) -> None:
    """The before/after table of a finished run, its token errors, and where the files are."""
    console = console or Console(highlight=False)
    if "perplexity_quantized" in report:
        print_numbers(report, console)
    if report.get("tasks"):
        print_tasks(report, console)
    if report.get("proof"):
        print_proof([ProofRow.model_validate(row) for row in report["proof"]], console)
    errors = report.get("token_error", {})
    if errors:
        table = Table("Relative error of a token's activations", "Mean", "99.9 %", "Massive tokens")
        for kind, numbers in errors.items():
            massive = numbers.get("massive_mean")
            table.add_row(
                rotation_name(kind),
                f"{numbers['mean']:.4f}",
                f"{numbers['p999']:.4f}",
                "–" if massive is None else f"{massive:.4f}",
            )
        console.print(table)
    if "recovery" in report:
        before, after = (fmean(report["recovery"][which]) for which in ("before", "after"))
        console.print(f"Recovery: held-out error of what a block adds {before:.1%} → {after:.1%}, mean of the blocks.")
    if report.get("clip_ratios"):
        console.print(clip_words(report["clip_ratios"]), soft_wrap=True)
    seconds = sum(stage.get("seconds", 0.0) for stage in report.get("stages", {}).values())
    peak = max((stage.get("peak_bytes", 0) for stage in report.get("stages", {}).values()), default=0)
    console.print(f"Took {duration_text(seconds)}, peak memory {format_bytes(peak)}.")
    for kind, folder in report.get("outputs", {}).items():
        size = format_bytes(report.get("output_bytes", {}).get(kind, 0))
        console.print(f"{kind} ({size}): {folder}", soft_wrap=True)


def print_trial(result: TrialResult, console: Console | None = None) -> None:
    """The table of a trial, the recommended rotation in bold, and the recommendation in words."""
    console = console or Console(highlight=False)
    table = Table("Rotation R1", "Block error", "Token error", "99.9 %", "Massive tokens", "Time")
    for row in result.rows:
        errors = row.token_error
        numbers = (errors.mean, errors.p999, errors.massive_mean) if errors else (None, None, None)
        table.add_row(
            rotation_name(row.kind),
            f"{100 * row.block_error:.2f} %",
            *("–" if number is None else f"{number:.4f}" for number in numbers),
            duration_text(row.seconds),
            style="bold" if row.kind == result.recommended else "",
        )
    console.print(table)
    blocks = ", ".join(str(block + 1) for block in result.blocks)
    console.print(
        f"Block error: how far what a block adds is off, mean over {result.tokens:,} tokens and the blocks {blocks}. "
        f"R2, R3 and R4 are the recipe's. {result.massive_count:,} of {result.places:,} places are massive.",
        soft_wrap=True,
    )
    for sentence in (result.sentence, *result.notes):
        console.print(sentence, style="bold" if sentence == result.sentence else "", soft_wrap=True)


def print_numbers(numbers: Mapping[str, Any], console: Console | None = None) -> None:
    """Perplexity, KL divergence and agreement with their protocol."""
    console = console or Console(highlight=False)
    protocol = numbers["protocol"]
    table = Table("", "Before", "After")
    original = numbers.get("perplexity_original")
    table.add_row(
        "Perplexity", "–" if original is None else f"{original:.3f}", f"{numbers['perplexity_quantized']:.3f}"
    )
    if "perplexity_engine" in numbers:
        table.add_row("The same by the engine's own forward", "–", f"{numbers['perplexity_engine']:.3f}")
    if "kl_divergence" in numbers:
        table.add_row("KL divergence (nats per token)", "0", f"{numbers['kl_divergence']:.4f}")
        table.add_row("Same most likely next token", "100 %", f"{100 * numbers['top1_agreement']:.1f} %")
    console.print(table)
    console.print(
        f"{protocol['tokens']:,} tokens of '{protocol['dataset']}' in {protocol['num_windows']} windows of "
        f"{protocol['seq_len']:,}; measured: {protocol['measured']}.",
        soft_wrap=True,
    )
