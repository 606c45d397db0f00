"""A trial from its recipe to its result: plan, load, read the original, try every rotation, recommend."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

from dfrot_engine.checkpoint.reader import CheckpointReader
from dfrot_engine.events import (
    Event,
    RotationTried,
    RunEnded,
    StageAdvanced,
    StageStarted,
    TrialFinished,
)
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.job import Job
from dfrot_engine.options import RunOptions
from dfrot_engine.plan import Plan
from dfrot_engine.plan_estimates import Workload
from dfrot_engine.progress import Control, Report
from dfrot_engine.recipe import Cayley, Hadamard, NoRotation, Recipe
from dfrot_engine.rotation_names import rotation_name
from dfrot_engine.run import LOAD, load_job
from dfrot_engine.side_run import ending, finishing, plan_without_output, say_started
from dfrot_engine.stages import calibrate
from dfrot_engine.stages.rotate_inner import learns_by_block
from dfrot_engine.trial.advice import notes, recommend, sentence
from dfrot_engine.trial.budget import Budget, plan_trial
from dfrot_engine.trial.candidates import candidates, trial_recipe
from dfrot_engine.trial.measure import Bench, Say, try_rotation
from dfrot_engine.trial.sample import TrialSample, sample_original
from dfrot_engine.trial.types import TrialResult, TrialRow

COMPARE = "compare"
_STEPS = 100  # of the progress, for each rotation


def run_trial(recipe: Recipe, options: RunOptions, emit: Callable[[Event], None], control: Control) -> RunEnded:
    """Try rotations for a recipe and say everything through `emit`; nothing is written.

    Returns:
        The last event, which was emitted; `trial_finished` stands before it when the trial came to an end.
    """
    return ending(lambda report: TrialFinished(result=_try_all(recipe, options, report)), emit, control, what="trial")


def _try_all(recipe: Recipe, options: RunOptions, report: Report) -> TrialResult:
    short = trial_recipe(recipe)
    plan, work = _plan(short, options)
    budget = plan_trial(work, candidates(short))
    say_started(plan, recipe, options, (LOAD, calibrate.NAME, COMPARE), report)
    with finishing(LOAD, report):
        job = load_job(plan, short, options, report)
    factory = BlockFactory(job.model_dir, job.device)
    with CheckpointReader(job.model_dir) as reader:
        with finishing(calibrate.NAME, report):
            sample = sample_original(job, budget, factory, reader, report)
        with finishing(COMPARE, report):
            rows = list(_compare(Bench(job, sample, factory, reader), budget, report))
    return _result(job, recipe, budget, sample, rows)


def _compare(bench: Bench, budget: Budget, report: Report) -> Iterator[TrialRow]:
    count = len(budget.sections)
    report(StageStarted(stage=COMPARE, steps=_STEPS * count))
    for number, section in enumerate(budget.sections):
        say = _sayer(number, count, section.kind, report)
        say(0.0, "building")
        row = try_rotation(bench, section, say)
        report(RotationTried(row=row))
        say(1.0, "measured")
        yield row


def _plan(short: Recipe, options: RunOptions) -> tuple[Plan, Workload]:
    """Raises:
    RecipeError: the recipe does not fit the model, rounds nothing, or R1 cannot be folded.
    """
    # Whether R1 may be rotated at all is only looked at for a recipe that does; one that is left out is no matter.
    rotation = short.rotation
    if isinstance(rotation.r1, NoRotation | Cayley):
        rotation = rotation.model_copy(update={"r1": Hadamard()})
    rotated = short.model_copy(update={"rotation": rotation})
    plan, work = plan_without_output(rotated, options, "a rotation could make better")
    return plan, replace(work, recipe=short)


def _sayer(number: int, count: int, kind: str, report: Report) -> Say:
    def say(share: float, what: str) -> None:
        step = _STEPS * number + round(_STEPS * share)
        label = f"{rotation_name(kind)}: {what}"
        report(StageAdvanced(stage=COMPARE, step=step, steps=_STEPS * count, label=label))

    return say


def _result(job: Job, recipe: Recipe, budget: Budget, sample: TrialSample, rows: list[TrialRow]) -> TrialResult:
    num_blocks = job.architecture.num_blocks
    most = {section.kind: section.steps for section in budget.sections if section.kind in budget.cut_short}
    found = notes(
        rows,
        massive_count=sample.massive_count,
        read_blocks=budget.read_blocks,
        num_blocks=num_blocks,
        is_cut_short=any(row.steps >= most.get(row.kind, math.inf) for row in rows),
    )
    if budget.left_out:
        names = ", ".join(map(rotation_name, budget.left_out))
        found = (*found, f"Left out, since it takes longer than a trial: {names}.")
    if learns_by_block(recipe.rotation):
        found = (*found, "R2 and R4 stood at their random start, the same for all; a run refines them.")
    return TrialResult(
        model=job.model_id,
        recipe_name=recipe.name,
        rows=tuple(rows),
        recommended=recommend(rows).kind,
        sentence=sentence(rows),
        notes=found,
        tokens=sample.tokens,
        blocks=budget.blocks,
        read_blocks=budget.read_blocks,
        num_blocks=num_blocks,
        massive_count=sample.massive_count,
        places=sample.places,
    )
