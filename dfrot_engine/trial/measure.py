"""Build one rotation and measure what rounding loses under it: token by token, and block by block."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from dfrot_engine.calibration.errors_by_token import error_series, token_errors
from dfrot_engine.checkpoint.reader import CheckpointReader, read_block
from dfrot_engine.errors import RunError
from dfrot_engine.events import Event
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.hidden_states import HiddenStore
from dfrot_engine.forward.quantized_block import fill_quantized_block, kv_quantizer
from dfrot_engine.forward.stream import Streams, run_block
from dfrot_engine.job import Job
from dfrot_engine.recipe import REFINED, ActivationScheme
from dfrot_engine.rotation_names import rotation_name
from dfrot_engine.rotations import RotationData, r1_steps
from dfrot_engine.rotations.fold import fold_block
from dfrot_engine.rotations.rotation_set import RotationSet
from dfrot_engine.stages.rotate_inner import given_inner
from dfrot_engine.stages.round_block import round_block
from dfrot_engine.trial.sample import TrialSample
from dfrot_engine.trial.types import TokenError, TrialRow

#: (share of this rotation's work that is done, what is being done)
Say = Callable[[float, str], None]

_REFINING = 0.6  # share of the time of a rotation that is refined


@dataclass(frozen=True)
class Bench:
    """What every rotation of a trial is measured with."""

    job: Job
    sample: TrialSample
    factory: BlockFactory
    reader: CheckpointReader

    def rotation_data(self) -> RotationData:
        rows, device = self.sample.rows, self.job.device
        return RotationData(
            rows.rows_ND.to(device),
            rows.share_N.to(device),
            rows.is_massive_N.to(device),
            self.job.recipe.activations or ActivationScheme(),
        )


def try_rotation(bench: Bench, section: Any, say: Say) -> TrialRow:
    """Build the rotation of a section of R1 and measure it.

    Args:
        say: called a few times a second; what it raises ends the work.
    Raises:
        RecipeError: the rotation's file cannot be used.
        RunError: the rounded blocks give NaN or infinity.
    """
    started = time.monotonic()
    data = bench.rotation_data()
    r1_DD, steps = _build(bench, section, data, say)
    tokens = _token_error(bench, r1_DD, data) if bench.job.recipe.activations is not None else None
    rotations = replace(given_inner(bench.job), r1_DD=r1_DD).to(bench.job.device)
    begun = _REFINING if isinstance(section, REFINED) else 0.0
    errors: list[float] = []
    for number, index in enumerate(bench.sample.passed):
        done = begun + (1 - begun) * number / len(bench.sample.passed)
        errors.append(_block_error(bench, index, rotations, _block_sayer(say, done, index)))
    error = sum(errors) / len(errors)
    if not math.isfinite(error):
        raise RunError(
            f"Rounded blocks give NaN or infinity with {rotation_name(section.kind)}.",
            "Use more bits or a smaller group size.",
        )
    seconds = time.monotonic() - started
    return TrialRow(kind=section.kind, token_error=tokens, block_error=error, seconds=seconds, steps=steps)


def _block_sayer(say: Say, done: float, index: int) -> Callable[[str], None]:
    return lambda what: say(done, f"block {index + 1}, {what}")


def _build(bench: Bench, section: Any, data: RotationData, say: Say) -> tuple[Tensor | None, int]:
    """(the best rotation of all steps, None for no rotation; steps taken)."""
    losses: list[float] = []
    best: Tensor | None = None
    steps = section.steps if isinstance(section, REFINED) else 0
    last = 0
    for step in r1_steps(section, bench.job.architecture, data):
        if not losses or step.loss <= min(losses):
            best = step.rotation_DD
        losses.append(step.loss)
        last = step.index
        if steps:
            say(_REFINING * step.index / steps, f"iteration {step.index} of {steps}")
    return (None if section.kind == "none" else best), last


def _token_error(bench: Bench, r1_DD: Tensor | None, data: RotationData) -> TokenError:
    on_device = replace(bench.sample.rows, rows_ND=data.rows_ND)
    errors = token_errors(on_device, r1_DD, data.quantize).cpu()
    series = error_series(bench.sample.rows, errors)
    massive = series.massive_mean if math.isfinite(series.massive_mean) else None
    return TokenError(mean=series.mean, p999=series.p999, massive_mean=massive)


def _block_error(bench: Bench, index: int, rotations: RotationSet, say: Callable[[str], None]) -> float:
    """Mean over the tokens of ‖Δ̂ − Δ‖/‖Δ‖, Δ being what the block adds to a token.

    Each token counts alike: massive ones are hundreds of times larger and would be all that a norm of everything sees.
    """
    job, factory = bench.job, bench.factory
    say("folding")
    tensors = read_block(bench.reader, job.architecture, index)
    folded = fold_block({name: one.to(job.device) for name, one in tensors.items()}, job.architecture, rotations, index)
    before, after = (_rotated(hidden, rotations.r1_DD) for hidden in bench.sample.passed[index])
    streams = Streams(before, before)
    stored = round_block(job, factory, index, folded, streams, rotations, HiddenStore(), say, _quiet).stored
    block = fill_quantized_block(factory, job, index, stored, rotations)
    say("measuring")
    kv = kv_quantizer(job, rotations, stored)
    output = run_block(factory, block, index, before, kv, between=lambda: say("measuring"))
    error_BT, update_BT = (output - after).norm(dim=-1), (after - before).norm(dim=-1)
    return float((error_BT / update_BT.clamp(min=1e-12)).mean())


def _quiet(_event: Event) -> None:
    pass


def _rotated(hidden_BTD: Tensor, r1_DD: Tensor | None) -> Tensor:
    if r1_DD is None:
        return hidden_BTD
    return (hidden_BTD.to(r1_DD.device, torch.float64) @ r1_DD).to(hidden_BTD)
