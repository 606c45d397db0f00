"""What the window knows of a run, folded from events. No Qt, no files but the journal."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from dfrot_engine import (
    BlockQuantized,
    ChartSaved,
    DFRotError,
    Evaluated,
    Event,
    GenerationFinished,
    Logged,
    MassiveTokensFound,
    Measured,
    PauseChanged,
    Proved,
    RemainingTime,
    RotationTried,
    RunEnded,
    RunStarted,
    SensitivityFinished,
    ServeChecked,
    StageAdvanced,
    StageFinished,
    StageStarted,
    TextWritten,
    TrialFinished,
    Warned,
    read_events,
)
from dfrot_engine.proof.types import TITLES
from dfrot_engine.work_lock import is_in_use
from dfrot_gui.run_parts import (
    ChartFile,
    Curve,
    LogLine,
    Point,
    RunState,
    StageState,
    StageStatus,
    StageWarning,
    Status,
)

__all__ = ["MAX_LOG_LINES", "RunState", "Status", "fold", "replay", "with_request"]

MAX_LOG_LINES = 2_000
CUT_OFF = "The run was cut off before it ended."
CUT_OFF_REMEDY = "Resume it: everything finished so far is kept."


def fold(state: RunState, event: Event) -> RunState:
    """The state after one more event; neither argument is modified."""
    return replace(_FOLDS[type(event)](state, event), last_heard=event.time)


def replay(work_dir: Path) -> RunState:
    """The state of a past run from its journal; one that was cut off reads "interrupted", none at all "idle".

    One that a process is at work on is as active as its journal says.
    """
    state = RunState()
    # A damaged line ends the journal; what came before it is still worth showing.
    with suppress(DFRotError):
        for event in read_events(work_dir):
            state = fold(state, event)
    if state.is_active and not is_in_use(work_dir):
        return replace(
            state,
            status="interrupted",
            message=CUT_OFF,
            remedy=CUT_OFF_REMEDY,
        )
    return state


def with_request(state: RunState, command: str) -> RunState:
    """The state right after the user asked to "pause", "resume" or "cancel", before the engine answers."""
    if command == "cancel":
        return replace(state, status="stopping", is_pause_requested=False)
    return replace(state, is_pause_requested=command == "pause")


def _run_started(state: RunState, event: RunStarted) -> RunState:
    is_same = state.model in ("", event.model) and state.recipe_name in ("", event.recipe_name)
    old = state if is_same else RunState()
    new = RunState(
        status="stopping" if state.status == "stopping" else "running",
        run_id=event.run_id,
        recipe_name=event.recipe_name,
        model=event.model,
        device=event.device,
        output_dir=event.output_dir,
        num_blocks=event.num_blocks,
        stages=tuple(StageState(name) for name in event.stages),
        is_pause_requested=state.is_pause_requested,
        curves={name: curve for name, curve in old.curves.items() if not name.startswith("memory/")},
        blocks=old.blocks,
        massive=old.massive,
        charts={name: chart for name, chart in old.charts.items() if chart.stage in event.stages},
        evaluated=old.evaluated if "evaluate" in event.stages else (),
        proof=old.proof if "prove" in event.stages else (),
        warnings=tuple(one for one in old.warnings if one.stage in event.stages),
        log=old.log,
        started=event.time,
    )
    return _logged(new, event.time, "run", f"{event.model} with recipe {event.recipe_name} on {event.device}")


def _stage_started(state: RunState, event: StageStarted) -> RunState:
    """A stage that runs anew replaces what an earlier run of it left."""
    stage = event.stage
    started = replace(_stage(state, stage), status="running", step=0, steps=event.steps, started=event.time)
    new = replace(
        _with_stage(state, started),
        stage=stage,
        label="",
        curves={name: curve for name, curve in state.curves.items() if not name.startswith(f"{stage}/")},
        charts={name: chart for name, chart in state.charts.items() if chart.stage != stage},
        evaluated=() if stage == "evaluate" else state.evaluated,
        proof=() if stage in ("export", "prove") else state.proof,
        warnings=tuple(one for one in state.warnings if one.stage != stage),
    )
    return _logged(new, event.time, stage, "started")


def _stage_advanced(state: RunState, event: StageAdvanced) -> RunState:
    before = _stage(state, event.stage)
    # Blocks that an earlier run left are reported in one leap; they took no time now.
    skipped = event.step - 1 if before.step == 0 and event.step > 1 else before.skipped_steps
    after = replace(
        before,
        status="running",
        step=event.step,
        steps=event.steps,
        skipped_steps=skipped,
        started=before.started or event.time,
    )
    return replace(_with_stage(state, after), stage=event.stage, label=event.label or state.label)


def _stage_finished(state: RunState, event: StageFinished) -> RunState:
    status: StageStatus = "reused" if event.reused else "done"
    after = replace(_stage(state, event.stage), status=status, seconds=event.seconds, peak_bytes=event.peak_bytes)
    text = "kept from an earlier run" if event.reused else f"finished in {event.seconds:,.1f} s"
    return _logged(_with_stage(state, after), event.time, event.stage, text)


def _measured(state: RunState, event: Measured) -> RunState:
    curve, step = state.curves.get(event.name, Curve()), event.step
    if event.name.startswith("memory/") and state.started:
        # Stages count their own seconds; the run's never start over.
        step = int((event.time - state.started).total_seconds())
    elif curve and step <= curve[-1].step:
        curve = Curve([point for point in curve if point.step < step])
    return replace(state, curves={**state.curves, event.name: curve.appended(Point(step, event.value))})


def _remaining_time(state: RunState, event: RemainingTime) -> RunState:
    since = event.time - (state.started or event.time)
    return replace(state, left_s=event.seconds, left_since_s=since.total_seconds() - state.paused_s)


def _block_quantized(state: RunState, event: BlockQuantized) -> RunState:
    return replace(state, blocks={**(state.blocks if event.block else {}), event.block: event})


def _chart_saved(state: RunState, event: ChartSaved) -> RunState:
    return replace(state, charts={**state.charts, event.name: ChartFile(event.path, state.stage, event.time)})


def _evaluated(state: RunState, event: Evaluated) -> RunState:
    # Against itself the original has a divergence of 0 and an agreement of 1: nothing to tell.
    has_baseline = event.baseline is not None and event.metric == "perplexity"
    original = f" (original {event.baseline:.5g})" if has_baseline else ""
    text = f"{event.metric.replace('_', ' ')} {event.value:.5g}{original}"
    return _logged(replace(state, evaluated=(*state.evaluated, event)), event.time, "evaluate", text)


def _proved(state: RunState, event: Proved) -> RunState:
    row = event.row
    text = f"{TITLES[row.check]} ({row.output or 'model'}): {row.verdict}. {row.note}".strip()
    new = replace(state, proof=(*state.proof, row))
    return _logged(new, event.time, "prove", text, is_warning=row.passed is False)


def _text_written(state: RunState, event: TextWritten) -> RunState:
    text = state.written.get(event.side, "") + event.text
    return replace(state, written={**state.written, event.side: text})


def _warned(state: RunState, event: Warned) -> RunState:
    text = f"Warning: {event.message} {event.remedy}".strip()
    warning = StageWarning(state.stage, event.message, event.remedy)
    state = replace(state, warnings=(*state.warnings, warning))
    return _logged(state, event.time, state.stage or "run", text, is_warning=True)


def _pause_changed(state: RunState, event: PauseChanged) -> RunState:
    pause_s = (event.time - state.paused_since).total_seconds() if state.paused_since and not event.paused else 0.0
    status: Status = "stopping" if state.status == "stopping" else "paused" if event.paused else "running"
    stage = _stage(state, state.stage)
    return replace(
        _with_stage(state, replace(stage, paused_s=stage.paused_s + pause_s)) if state.stage else state,
        status=status,
        is_pause_requested=event.paused and status == "paused",
        paused_since=event.time if event.paused else None,
        paused_s=state.paused_s + pause_s,
    )


def _run_ended(state: RunState, event: RunEnded) -> RunState:
    new = replace(
        state,
        status=event.status,
        is_pause_requested=False,
        message=event.message,
        remedy=event.remedy,
        field=event.field,
        outputs=event.outputs,
    )
    return _logged(new, event.time, "run", f"{event.message} {event.remedy}".strip() or event.status)


def _stage(state: RunState, name: str) -> StageState:
    return next((stage for stage in state.stages if stage.name == name), StageState(name))


def _with_stage(state: RunState, new: StageState) -> RunState:
    if all(stage.name != new.name for stage in state.stages):
        return replace(state, stages=(*state.stages, new))
    return replace(state, stages=tuple(new if stage.name == new.name else stage for stage in state.stages))


def _logged(state: RunState, time: datetime, stage: str, message: str, is_warning: bool = False) -> RunState:
    return replace(state, log=state.log.appended(LogLine(time, stage, message, is_warning), keep=MAX_LOG_LINES))


_FOLDS: dict[type, Callable[[RunState, Any], RunState]] = {
    RunStarted: _run_started,
    StageStarted: _stage_started,
    StageAdvanced: _stage_advanced,
    StageFinished: _stage_finished,
    Measured: _measured,
    RemainingTime: _remaining_time,
    BlockQuantized: _block_quantized,
    MassiveTokensFound: lambda state, event: replace(state, massive=event),
    ChartSaved: _chart_saved,
    Evaluated: _evaluated,
    Proved: _proved,
    RotationTried: lambda state, event: replace(state, tried=(*state.tried, event.row)),
    TrialFinished: lambda state, event: replace(state, trial=event.result),
    SensitivityFinished: lambda state, event: replace(state, sensitivity=event.result),
    TextWritten: _text_written,
    GenerationFinished: lambda state, event: replace(state, generation=event.result),
    ServeChecked: lambda state, event: replace(state, served=event.result),
    Warned: _warned,
    Logged: lambda state, event: _logged(state, event.time, event.stage, event.message),
    PauseChanged: _pause_changed,
    RunEnded: _run_ended,
}
