"""What the pages say about a run, in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from dfrot_engine import Recipe
from dfrot_engine.units import duration_text
from dfrot_gui.quantities import about_text, format_bytes
from dfrot_gui.run_parts import Curve, StageState
from dfrot_gui.run_progress import elapsed_s
from dfrot_gui.run_state import RunState
from dfrot_gui.theme import series_label
from dfrot_gui.translation import mark, num, tr

STAGE_TITLES = {
    "load": mark("Load"),
    "calibrate": mark("Calibrate"),
    "rotate": mark("Rotate"),
    "quantize": mark("Quantize"),
    "export": mark("Export"),
    "prove": mark("Prove"),
    "evaluate": mark("Evaluate"),
}


class Pace(NamedTuple):
    """How the pace of a stage is told: by its steps a second or seconds a step, and how far it is."""

    fast: str
    slow: str
    position: str


BLOCKS = Pace(mark("{pace:.1f} block/s"), mark("{pace:.1f} s/block"), mark("block {step:,} of {steps:,}"))
PACES = {"rotate": Pace(mark("{pace:.1f} it/s"), mark("{pace:.1f} s/it"), mark("iteration {step:,} of {steps:,}"))}
STEP = mark("step {step:,} of {steps:,}")
PEAK, GPU_PEAK = mark("peak {size}"), mark("GPU, peak {size}")
NoteRole = Literal["small", "good", "bad"]


@dataclass(frozen=True)
class Kpi:
    """One number of the run page."""

    value: str
    note: str
    role: NoteRole = "small"


def recipe_line(recipe: Recipe | None, state: RunState) -> str:
    """ "SmolLM2-135M · W4 A4 KV4 · DFRot"."""
    model = state.model or (recipe.model.id_or_path if recipe else "")
    parts = [model.rstrip("/").rsplit("/", 1)[-1]]
    if recipe:
        parts += [recipe.formats, series_label(recipe.rotation.r1.kind)]
    return " · ".join(part for part in parts if part)


def level_text(perplexity: float) -> str:
    """ "12.34", "62,733"."""
    return num(f"{perplexity:.2f}" if perplexity < 1_000 else f"{perplexity:,.0f}")


def stage_line(state: RunState) -> str:
    """What is being done right now."""
    if state.status == "stopping":
        return tr("Stopping: the work so far is being saved")
    if state.status == "paused":
        return tr("Paused")
    if state.is_pause_requested:
        return tr("Pausing after this step")
    title = tr(STAGE_TITLES.get(state.stage, state.stage.capitalize()))
    return ": ".join(part for part in (title, state.label) if part)


def time_line(state: RunState, now: datetime, left_s: float | None) -> str:
    """ "4 min 12 s elapsed · about 5 min left"."""
    parts = [tr("{duration} elapsed", duration=duration_text(elapsed_s(state, now)))] if state.started else []
    if left_s is not None and state.status == "running":
        parts.append(tr("{duration} left", duration=about_text(left_s)))
    return "  ·  ".join(parts)


def _loss_text(loss: float) -> str:
    """ "9,537.2", "5,444,100"; powers of ten only where the digits would not fit."""
    return num(f"{loss:,.0f}" if 1e5 <= loss < 1e10 else f"{loss:,.5g}")


def loss_kpi(state: RunState) -> Kpi:
    curve = state.loss
    if curve.lowest is None:
        return Kpi("–", tr("nothing refined yet"))
    best, first = curve.lowest.value, curve[0].value
    if len(curve) == 1 or first <= 0:
        return Kpi(_loss_text(best), tr("at the start"))
    change = 100 * (best / first - 1)
    return Kpi(
        _loss_text(best),
        tr("{change:+.0f} % since start", change=change).replace("-", "−"),
        "good" if change < -0.5 else "small",
    )


def massive_kpi(state: RunState) -> Kpi:
    if state.massive is None:
        return Kpi("–", tr("not searched yet"))
    share = 100 * state.massive.count / max(1, state.massive.rows)
    return Kpi(
        num(f"{state.massive.count:,}"), tr("{share:.2g} % of {rows:,} rows", share=share, rows=state.massive.rows)
    )


def memory_kpi(state: RunState) -> Kpi:
    name = "memory/gpu" if "memory/gpu" in state.curves else "memory/ram"
    curve = state.curves.get(name, Curve())
    if curve.highest is None:
        return Kpi("–", tr(PEAK, size=format_bytes(state.peak_bytes)) if state.peak_bytes else tr("not measured yet"))
    template = GPU_PEAK if name == "memory/gpu" else PEAK
    peak = max(curve.highest.value, _stage_peak(state, name))
    return Kpi(format_bytes(curve[-1].value), tr(template, size=format_bytes(peak)))


def _stage_peak(state: RunState, name: str) -> float:
    return max((stage.peak_bytes for stage in state.stages), default=0) if name == "memory/ram" else 0.0


def speed_kpi(state: RunState) -> Kpi:
    """Pace of the running stage; after the run, of its blocks."""
    if not state.is_active and state.blocks:
        seconds = sum(block.seconds for block in state.blocks.values()) / len(state.blocks)
        return Kpi(tr(BLOCKS.slow, pace=seconds), tr("mean of quantizing"))
    stage = next((one for one in state.stages if one.name == state.stage), None)
    if stage is None or state.last_heard is None:
        return Kpi("–", tr("not started yet"))
    words = PACES.get(stage.name, BLOCKS)
    per_second = stage.steps_per_second(state.last_heard)
    if per_second is None or stage.name in ("load", "export"):
        return Kpi("–", _steps_text(stage, STEP))
    value = tr(words.fast, pace=per_second) if per_second >= 1 else tr(words.slow, pace=1 / per_second)
    return Kpi(value, _steps_text(stage, words.position))


def _steps_text(stage: StageState, template: str) -> str:
    return tr(template, step=stage.step, steps=stage.steps) if stage.steps else tr("under way")
