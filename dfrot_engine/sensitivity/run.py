"""A sensitivity pass from its recipe to its result: plan, load, one linear at a time, compare, propose."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

import psutil

from dfrot_engine.checkpoint.reader import CheckpointReader
from dfrot_engine.checkpoint.source import inspect
from dfrot_engine.checkpoint.tokenizer import Tokenizer
from dfrot_engine.events import (
    Event,
    Logged,
    RunEnded,
    SensitivityFinished,
    StageAdvanced,
    StageStarted,
    Warned,
)
from dfrot_engine.exporters.limits import export_problems
from dfrot_engine.formats import FORMATS
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.quantized_block import block_schemes
from dfrot_engine.job import Job
from dfrot_engine.options import RunOptions
from dfrot_engine.plan_estimates import Workload
from dfrot_engine.plan_linears import planned_linears
from dfrot_engine.progress import Control, Report
from dfrot_engine.recipe import LEARNED, NoRotation, Recipe
from dfrot_engine.rotations import r1_steps
from dfrot_engine.rotations.rotation_set import RotationSet
from dfrot_engine.run import LOAD, load_job
from dfrot_engine.sensitivity.budget import Source, cost_of, num_passes, sources_of
from dfrot_engine.sensitivity.measure import Bench, Say, divergences, rounded_streams, streams_of
from dfrot_engine.sensitivity.proposal import average_bits, num_weights, propose, raisable, with_proposal
from dfrot_engine.sensitivity.settings import refuse, short_recipe
from dfrot_engine.sensitivity.types import KV_CACHE, Ask, Proposal, SensitivityResult, SensitivityRow
from dfrot_engine.side_run import ending, finishing, plan_without_output, say_started
from dfrot_engine.stages.calibrate import calibration_tokens
from dfrot_engine.stages.rotate_inner import given_inner, learns_by_block
from dfrot_engine.units import about_text, format_bytes

MEASURE = "measure"


def run_sensitivity(
    ask: Ask, recipe: Recipe, options: RunOptions, emit: Callable[[Event], None], control: Control
) -> RunEnded:
    """Measure what rounding each linear alone costs and say everything through `emit`.

    Returns:
        The last event, which was emitted; `sensitivity_finished` stands before it when the pass came to an end.
    """
    return ending(
        lambda report: SensitivityFinished(result=_measure_all(ask, recipe, options, report)),
        emit,
        control,
        what="pass",
    )


def _measure_all(ask: Ask, recipe: Recipe, options: RunOptions, report: Report) -> SensitivityResult:
    short = short_recipe(recipe, ask)
    plan, work = plan_without_output(short, options, "that one linear could suffer from more than another")
    refuse(ask, work)
    sources = sources_of(work)
    say_started(plan, recipe, options, (LOAD, MEASURE), report)
    _say_cost(work, sources, ask, report)
    with finishing(LOAD, report):
        job = load_job(plan, short, options, report)
    with finishing(MEASURE, report), CheckpointReader(job.model_dir) as reader:
        say = _sayer(num_passes(sources, job.architecture.num_blocks), ask, job, report)
        tokens_BT = calibration_tokens(job, Tokenizer.load(job.model_dir))
        bench = Bench(job, BlockFactory(job.model_dir, job.device), reader, starting_rotations(job), tokens_BT)
        rows = _rows(job, sources, divergences(bench, streams_of(bench, sources, say), say))
        proposal = None if ask.bits is None else _proposal(ask, bench, work, rows, say)
    if proposal is not None and ask.out is not None:
        with_proposal(recipe, proposal).save(ask.out)
        proposal = proposal.model_copy(update={"out": str(ask.out)})
    return _result(bench, work, recipe, rows, proposal)


def starting_rotations(job: Job) -> RotationSet:
    """The recipe's, at their random start where they are learned."""
    section = job.recipe.rotation.r1
    step = next(r1_steps(section, job.architecture, None))
    r1_DD = None if isinstance(section, NoRotation) else step.rotation_DD
    return replace(given_inner(job), r1_DD=r1_DD).to(job.device)


def _rows(job: Job, sources: Sequence[Source], kl: Sequence[float]) -> list[SensitivityRow]:
    rows: list[SensitivityRow] = []
    for source, value in zip(sources, kl, strict=True):
        name = job.architecture.block_prefix(source.block) + source.linear
        bits = None if source.linear == KV_CACHE else _bits(job, source)
        rows.append(SensitivityRow(block=source.block, linear=source.linear, name=name, kl=value, bits=bits))
    return rows


def _bits(job: Job, source: Source) -> int | None:
    """Of the weights; None for several, or none."""
    schemes, table = block_schemes(job, source.block), job.architecture.block_at(source.block)
    own = [one.weights for name, one in schemes.items() if table.named(name).kind == source.linear]
    bits = {None if weights is None else FORMATS[weights.format].bits for weights in own}
    return bits.pop() if len(bits) == 1 else None


def _proposal(ask: Ask, bench: Bench, work: Workload, rows: Sequence[SensitivityRow], say: Say) -> Proposal:
    assert ask.bits is not None
    kl = {row.name: row.kl for row in rows}
    proposal = propose(kl, work.linears, work.architecture, ask.bits)
    if not ask.check:
        return proposal
    recipes = (bench.job.recipe, with_proposal(bench.job.recipe, proposal))
    before, after = divergences(bench, rounded_streams(bench, recipes, say), say)
    return proposal.model_copy(update={"kl_before": before, "kl_after": after})


def _result(
    bench: Bench, work: Workload, recipe: Recipe, rows: Sequence[SensitivityRow], proposal: Proposal | None
) -> SensitivityResult:
    by_kind: dict[str, float] = defaultdict(float)
    by_block = [0.0] * bench.job.architecture.num_blocks
    for row in rows:
        by_kind[row.linear] += row.kl
        by_block[row.block] += row.kl
    num_samples, seq_len = bench.tokens_BT.shape
    return SensitivityResult(
        model=bench.job.model_id,
        recipe_name=recipe.name,
        rows=tuple(sorted(rows, key=lambda row: -row.kl)),
        by_kind=dict(sorted(by_kind.items(), key=lambda item: -item[1])),
        by_block=tuple(by_block),
        notes=_notes(bench.job, recipe, proposal),
        tokens=num_samples * (seq_len - 1),
        num_samples=num_samples,
        seq_len=seq_len,
        linears=tuple(dict.fromkeys(row.linear for row in rows)),
        raisable=raisable({row.name: row.kl for row in rows}, work.linears, work.architecture),
        average_bits=average_bits(work.linears),
        num_weights=num_weights(work.linears),
        proposal=proposal,
    )


def _notes(job: Job, recipe: Recipe, proposal: Proposal | None) -> tuple[str, ...]:
    found: list[str] = []
    if isinstance(recipe.rotation.r1, LEARNED):
        found.append("R1 was a random Hadamard rotation; a run learns its own.")
    if learns_by_block(recipe.rotation):
        found.append("R2 and R4 stood at their random start; a run refines them.")
    if recipe.solver.kind != "rtn":
        found.append(f"Weights were rounded to nearest; a run uses {recipe.solver.kind}.")
    if proposal is not None:
        proposed = with_proposal(recipe, proposal)
        problems = export_problems(proposed, planned_linears(proposed, job.architecture), inspect(recipe.model))
        found += [f"{one.message} {one.remedy}" for one in problems if one.severity == "error"]
    return tuple(found)


def _say_cost(work: Workload, sources: Sequence[Source], ask: Ask, report: Report) -> None:
    cost = cost_of(work, sources, check=ask.check)
    message = (
        f"{len(sources):,} linears and caches, one at a time, on {work.calibration_tokens:,} tokens: "
        f"{about_text(cost.seconds)} and {format_bytes(cost.bytes)} of memory."
    )
    report(Logged(stage=MEASURE, message=message))
    available = psutil.virtual_memory().available
    if cost.bytes > available:
        message = f"Only {format_bytes(available)} of memory are free, and about {format_bytes(cost.bytes)} are needed."
        report(Warned(message=message, remedy="Lower --num-samples or --seq-len, or close other programs."))


def _sayer(total: int, ask: Ask, job: Job, report: Report) -> Say:
    steps = total + (3 * job.architecture.num_blocks if ask.bits is not None and ask.check else 0)
    report(StageStarted(stage=MEASURE, steps=steps))
    done = 0

    def say(passes: int, label: str) -> None:
        nonlocal done
        done += passes
        report(StageAdvanced(stage=MEASURE, step=done, steps=steps, label=label))

    return say
