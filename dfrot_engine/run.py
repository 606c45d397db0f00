"""The main path: plan, then load → calibrate → rotate → quantize → export → prove → evaluate, each resumable."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import torch

from dfrot_engine.card.card import write_cards
from dfrot_engine.checkpoint import source
from dfrot_engine.distributed import Ranks
from dfrot_engine.errors import Cancelled, DFRotError, DiskError, RecipeError
from dfrot_engine.events import (
    Event,
    Measured,
    RunEnded,
    RunStarted,
    StageAdvanced,
    StageFinished,
    StageStarted,
    Warned,
)
from dfrot_engine.exporters.limits import file_problems
from dfrot_engine.follow import dismiss, joined_job, lead
from dfrot_engine.job import Job, changed_files, choose_device
from dfrot_engine.memory import PeakMemory, return_freed_memory, set_imports_aside
from dfrot_engine.options import RunOptions
from dfrot_engine.plan import Plan, make_plan
from dfrot_engine.progress import Control, Report, cancellable
from dfrot_engine.recipe import Recipe
from dfrot_engine.run_errors import explained, is_own_mistake
from dfrot_engine.run_index import ENVIRONMENT, keep_note, note_of
from dfrot_engine.run_report import outputs_are_there, write_report
from dfrot_engine.stages import calibrate, evaluate, export, prove, quantize, rotate
from dfrot_engine.stages.base import Stage
from dfrot_engine.time_left import with_remaining_time
from dfrot_engine.work_dir import WorkDir

LOAD = "load"
REPORTED = "report"
STAGES = (calibrate.STAGE, rotate.STAGE, quantize.STAGE, export.STAGE, prove.STAGE, evaluate.STAGE)
_SOURCE = "source.json"
_MEMORY_EVERY_S = 1.0


def run(
    recipe: Recipe, options: RunOptions, emit: Callable[[Event], None], control: Control, ranks: Ranks | None = None
) -> RunEnded:
    """Run a recipe to its end and say everything through `emit`; errors of the user become the last event.

    Args:
        ranks: the processes that share the run, of which this is the first.
    Returns:
        The last event, which was emitted and stands in the journal.
    """
    set_imports_aside()
    try:
        plan = make_plan(recipe, options)
        plan.raise_problems()
        with WorkDir.open(options.work_path) as work:
            return _run_in(work, plan, recipe, options, emit, control, ranks or Ranks())
    except DFRotError as error:
        ended = ended_by(error)
        emit(ended)
        return ended


def _run_in(
    work: WorkDir,
    plan: Plan,
    recipe: Recipe,
    options: RunOptions,
    emit: Callable[[Event], None],
    control: Control,
    ranks: Ranks,
) -> RunEnded:
    """Inside the locked work folder: everything said is also written to the journal."""

    def journal(event: Event) -> None:
        work.append_event(event)
        emit(event)

    report = ranks.interrupting(cancellable(journal, control))
    ranks.on_cancel(control.cancel)
    try:
        _save_inputs(work, recipe, options)
        _start(plan, recipe, options, report)
        _note_run(plan, recipe, options, report)
        for problem in plan.problems:
            report(Warned(message=problem.message, remedy=problem.remedy))
        job = _load(plan, recipe, options, work, report, ranks)
        _run_stages(job, work, with_remaining_time(report, plan.stages))
        write_report(job, work)
        if not work.is_done(REPORTED, _last_fingerprint(job)):  # the user may have edited the card since
            write_cards(job, work)
        work.mark_done(REPORTED, _last_fingerprint(job))
        if not options.keep_work:
            work.drop_intermediate_files()
        outputs = tuple(str(export.output_folder(job, one)) for one in recipe.exports)
        ended = RunEnded(status="finished", message="Finished.", outputs=outputs)
    except Exception as error:
        ended = ended_by(ranks.cause(explained(error, options)))
        if is_own_mistake(error):
            _say_last(work, ended, emit)
            raise
    _say_last(work, ended, emit)
    return ended


def _say_last(work: WorkDir, ended: RunEnded, emit: Callable[[Event], None]) -> None:
    """Where the disk has no room for one more line the journal ends early, which reads as interrupted."""
    with contextlib.suppress(DiskError):
        work.append_event(ended)
    emit(ended)


def ended_by(error: DFRotError) -> RunEnded:
    status = "cancelled" if isinstance(error, Cancelled) else "failed"
    return RunEnded(status=status, message=error.message, remedy=error.remedy, field=error.field)


def _save_inputs(work: WorkDir, recipe: Recipe, options: RunOptions) -> None:
    work.write_text("recipe.toml", recipe.to_toml())
    work.write_text("options.json", options.model_dump_json(indent=1))


def _start(plan: Plan, recipe: Recipe, options: RunOptions, report: Report) -> None:
    assert plan.model is not None
    names = [estimate.stage for estimate in plan.stages]
    report(
        RunStarted(
            run_id=uuid.uuid4().hex[:12],
            recipe_name=recipe.name,
            model=plan.model.id,
            stages=tuple(names),
            num_blocks=plan.model.num_blocks,
            device=choose_device(options.device).type,
            output_dir=str(options.output_dir),
        )
    )


def _note_run(plan: Plan, recipe: Recipe, options: RunOptions, report: Report) -> None:
    """Put the run on this computer's list; a list that cannot be written costs no more than a warning."""
    assert plan.model is not None
    try:
        keep_note(note_of(plan.model.id, recipe, options))
    except DiskError as error:
        remedy = f"Make room there, or name another folder in the variable {ENVIRONMENT}; the run goes on."
        report(Warned(message=f"The run is not on the list of runs: {error.message}", remedy=remedy))


def _load(plan: Plan, recipe: Recipe, options: RunOptions, work: WorkDir, report: Report, ranks: Ranks) -> Job:
    started = time.monotonic()
    with PeakMemory() as memory:
        job = load_job(plan, recipe, options, report, ranks)
        for problem in file_problems(recipe, job.model_dir):
            raise RecipeError(problem.message, problem.remedy, problem.field)
    seconds = time.monotonic() - started
    _note_source(job, work, report)
    work.mark_done(LOAD, job.model_fingerprint, seconds=seconds, peak_bytes=memory.peak_bytes)
    report(StageFinished(stage=LOAD, seconds=seconds, peak_bytes=memory.peak_bytes))
    return job


def _note_source(job: Job, work: WorkDir, report: Report) -> None:
    """Leaves `source.json`; says which files of the same model are others than those the folder was begun with."""
    before = work.read_json(_SOURCE) or {}
    changed = changed_files(before.get("files", {}), job.model_files)
    if changed and before.get("folder") == str(job.model_dir):
        report(
            Warned(
                message=f"{', '.join(changed)} in {job.model_dir} changed since this run was begun, "
                "so that everything is calculated anew.",
                remedy="If that is not meant, stop, put the old files back with their times, and run the same again.",
            )
        )
    work.write_json(_SOURCE, {"folder": str(job.model_dir), "files": dict(job.model_files)})


def load_job(plan: Plan, recipe: Recipe, options: RunOptions, report: Report, ranks: Ranks | None = None) -> Job:
    """Make the model's files local: nothing to do, a download, or a conversion from GGUF."""
    assert plan.model is not None
    report(StageStarted(stage=LOAD, steps=100))

    def progress(done: int, total: int, label: str) -> None:
        report(StageAdvanced(stage=LOAD, step=100 * done // max(1, total), steps=100, label=label))

    def fetch(recipe: Recipe) -> Path:
        return source.fetch(recipe.model, progress)

    return joined_job(recipe, options, plan.model.id, fetch, ranks or Ranks())


def _run_stages(job: Job, work: WorkDir, report: Report) -> None:
    fingerprint = job.model_fingerprint
    finished = _is_finished(job, work)
    for stage in STAGES:
        fingerprint = stage.fingerprint(job.recipe, fingerprint)
        if finished or (work.is_done(stage.name, fingerprint) and _is_still_there(stage, job)):
            report(StageFinished(stage=stage.name, reused=True, **work.facts(stage.name)))
        elif stage.is_needed(job):
            _run_stage(stage, job, work, fingerprint, report)
    dismiss(job.ranks)


def _run_stage(stage: Stage, job: Job, work: WorkDir, fingerprint: str, report: Report) -> None:
    started = time.monotonic()
    # The report tells of all stages' files, so it is to be written anew as well.
    work.forget(stage.name, REPORTED)
    lead(stage, fingerprint, job.ranks)
    return_freed_memory(cycles=True)
    with PeakMemory() as memory:
        stage.run(job, work, fingerprint, _with_memory(report, memory))
    job.check_model_files()
    seconds = time.monotonic() - started
    work.mark_done(stage.name, fingerprint, seconds=seconds, peak_bytes=memory.peak_bytes)
    report(StageFinished(stage=stage.name, seconds=seconds, peak_bytes=memory.peak_bytes))


def _with_memory(report: Report, memory: PeakMemory) -> Report:
    """A report that adds the memory in use about once a second."""
    started = last = time.monotonic()

    def report_with_memory(event: Event) -> None:
        nonlocal last
        report(event)
        now = time.monotonic()
        if now - last >= _MEMORY_EVERY_S:
            last = now
            step = round(now - started)
            report(Measured(name="memory/ram", step=step, value=memory.current_bytes, unit="bytes"))
            if torch.cuda.is_initialized():
                used = torch.cuda.memory_reserved()
                report(Measured(name="memory/gpu", step=step, value=used, unit="bytes"))

    return report_with_memory


def _last_fingerprint(job: Job) -> str:
    fingerprint = job.model_fingerprint
    for stage in STAGES:
        fingerprint = stage.fingerprint(job.recipe, fingerprint)
    return fingerprint


def _is_finished(job: Job, work: WorkDir) -> bool:
    """Whether this very run ended well before, its outputs still in place; its intermediate files may be gone."""
    return work.is_done(REPORTED, _last_fingerprint(job)) and outputs_are_there(job)


def _is_still_there(stage: Stage, job: Job) -> bool:
    return stage.name != export.NAME or outputs_are_there(job)
