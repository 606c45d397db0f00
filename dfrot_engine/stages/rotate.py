"""Build or refine every rotation the recipe names, and measure the others on the same tokens."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from dfrot_engine.calibration.errors_by_token import error_series, token_errors
from dfrot_engine.calibration.samplers import RowSample
from dfrot_engine.charts import TOKEN_ERROR, ErrorSeries, TokenErrors
from dfrot_engine.events import (
    ChartSaved,
    MassiveToken,
    MassiveTokensFound,
    Measured,
    StageAdvanced,
    StageStarted,
    Warned,
)
from dfrot_engine.job import Job
from dfrot_engine.progress import Report
from dfrot_engine.recipe import (
    REFINED,
    ActivationScheme,
    FromFile,
    Hadamard,
    NoRotation,
    RandomOrthogonal,
    Recipe,
)
from dfrot_engine.rotation_file import rotation_stamp
from dfrot_engine.rotations import BUILDERS, RotationData, RotationStep
from dfrot_engine.rotations.random import random_hadamard
from dfrot_engine.rotations.rotation_set import RotationSet
from dfrot_engine.stages import calibrate
from dfrot_engine.stages.base import Stage
from dfrot_engine.work_dir import WorkDir

NAME = "rotate"
RESULT = "rotation.json"
_CHARTS = 20  # while a rotation is refined


def run(job: Job, work: WorkDir, fingerprint: str, report: Report) -> None:
    """Leaves `rotations.safetensors`, `rotation.json` and the per-token error chart."""
    r1 = job.recipe.rotation.r1
    steps = r1.steps if isinstance(r1, REFINED) else 1
    report(StageStarted(stage=NAME, steps=steps))
    bench = _Bench(job, work, report) if calibrate.is_needed(job) else None
    losses: list[float] = []
    result: Tensor | None = None
    for step in _r1_steps(job, bench):
        if not losses or step.loss <= min(losses):
            result = step.rotation_DD  # the best one; a refinement may rise a little before it ends
        if isinstance(r1, REFINED):
            losses.append(step.loss)
            report(Measured(name="rotate/loss", step=step.index, value=step.loss))
        report(StageAdvanced(stage=NAME, step=max(1, step.index), steps=steps, label=f"Iteration {step.index}"))
        if bench is not None and step.index % max(1, steps // _CHARTS) == 0:
            bench.measure(r1.kind, result)
    rotations = rotation_set(job, None if isinstance(r1, NoRotation) else result)
    rotations.save(work.rotations, _facts(job, fingerprint))
    if bench is not None:
        bench.measure(r1.kind, result)
        bench.conclude(r1, losses)
    else:
        work.write_json(RESULT, {"kind": r1.kind, "loss": losses})


class _Bench:
    """The sampled tokens, and what every rotation makes of them."""

    def __init__(self, job: Job, work: WorkDir, report: Report) -> None:
        self._work, self._report = work, report
        self._site_names = [norm.name for norm in job.architecture.block.norms]
        self.sample = RowSample.load(work.block_path(calibrate.NAME, calibrate.ROWS))
        rows = self.sample.rows_ND.to(job.device)
        self._on_device = replace(self.sample, rows_ND=rows)
        self.data = RotationData(
            rows,
            self.sample.share_N.to(job.device),
            self.sample.is_massive_N.to(job.device),
            job.recipe.activations or ActivationScheme(),
        )
        self._errors: dict[str, Tensor] = {}
        self._series: dict[str, ErrorSeries] = {}
        if job.recipe.rotation.compare:
            self._measure_rivals(job)

    def _measure_rivals(self, job: Job) -> None:
        seed = getattr(job.recipe.rotation.r1, "seed", 0)
        for section in (NoRotation(), RandomOrthogonal(seed=seed), Hadamard(seed=seed)):
            step = next(iter(BUILDERS[type(section)](section, job.architecture.hidden_size, None)))
            self._add(section.kind, None if isinstance(section, NoRotation) else step.rotation_DD)
        self._save()

    def measure(self, kind: str, rotation_DD: Tensor | None) -> None:
        """Errors under the rotation as it is now, into the chart."""
        self._add(kind, None if kind == "none" else rotation_DD)
        self._save()

    def conclude(self, r1: Any, losses: list[float]) -> None:
        """Write the numbers, complete the massive tokens' errors, and say so when the rotation does not help."""
        summary = {
            kind: {"mean": series.mean, "p999": series.p999, "massive_mean": _known(series.massive_mean)}
            for kind, series in self._series.items()
        }
        self._work.write_json(RESULT, {"kind": r1.kind, "loss": losses, "token_error": summary})
        found = MassiveTokensFound.model_validate(self._work.read_json("massive.json"))
        row_of = {place: row for row, place in enumerate(self._places())}
        tokens = tuple(
            token.model_copy(update={"errors": self._errors_of(row_of[_place(token, self._site_names)])})
            for token in found.tokens
        )
        complete = MassiveTokensFound(count=found.count, rows=found.rows, tokens=tokens)
        self._work.write_json("massive.json", complete.model_dump(mode="json"))
        self._report(complete)
        self._warn_if_useless(r1.kind)

    def _warn_if_useless(self, kind: str) -> None:
        none, own = self._series.get("none"), self._series[kind]
        if none is not None and kind != "none" and own.mean >= none.mean:
            self._report(
                Warned(
                    message=f"The rotation does not help this model: mean token error {own.mean:.4f} with {kind}, "
                    f"{none.mean:.4f} without.",
                    remedy="Consider rotation.r1.kind = 'none'.",
                )
            )

    def _add(self, kind: str, rotation_DD: Tensor | None) -> None:
        errors = token_errors(self._on_device, rotation_DD, self.data.quantize).cpu()
        self._errors[kind], self._series[kind] = errors, error_series(self.sample, errors)

    def _save(self) -> None:
        path = self._work.chart(TOKEN_ERROR)
        TokenErrors(self._series).save(path)
        self._report(ChartSaved(name=TOKEN_ERROR, path=self._work.relative(path)))

    def _places(self) -> Iterator[tuple[int, int, int, int]]:
        sample = self.sample
        columns = (sample.block_N, sample.site_N, sample.sample_N, sample.position_N)
        yield from zip(*(column.tolist() for column in columns), strict=True)

    def _errors_of(self, row: int) -> dict[str, float]:
        return {kind: float(errors[row]) for kind, errors in self._errors.items()}


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None  # JSON has no nan


def _place(token: MassiveToken, site_names: list[str]) -> tuple[int, int, int, int]:
    return token.block, site_names.index(token.site), token.sample, token.position


def _r1_steps(job: Job, bench: _Bench | None) -> Iterator[RotationStep]:
    section = job.recipe.rotation.r1
    return BUILDERS[type(section)](section, job.architecture.hidden_size, bench.data if bench else None)


def rotation_set(job: Job, r1_DD: Tensor | None) -> RotationSet:
    """R1, float64 or None, with the recipe's R2, R3 and R4."""
    architecture, rotation = job.architecture, job.recipe.rotation
    seed = getattr(rotation.r1, "seed", 0)
    return RotationSet(
        r1_DD=r1_DD,
        r2=None if isinstance(rotation.r2, NoRotation) else _r2(job, rotation.r2.seed),
        r3=random_hadamard(architecture.head_size, seed + 3) if rotation.r3 else None,
        r4=random_hadamard(architecture.intermediate_size, seed + 4) if rotation.r4 else None,
    )


def _r2(job: Job, seed: int) -> tuple[Tensor, ...]:
    sizes = job.architecture
    return tuple(
        torch.stack(
            [
                random_hadamard(sizes.head_size, seed * 1_000_003 + block * 1_009 + head).matrix()
                for head in range(sizes.num_kv_heads)
            ]
        )
        for block in range(sizes.num_blocks)
    )


def _facts(job: Job, fingerprint: str) -> dict[str, str]:
    return {
        "model": job.model_id,
        "revision": job.recipe.model.revision,
        "recipe": job.recipe.to_toml(),
        "fingerprint": fingerprint,
    }


def _settings(recipe: Recipe) -> tuple[object, ...]:
    r1 = recipe.rotation.r1
    stamp = rotation_stamp(r1.path) if isinstance(r1, FromFile) else ""
    return recipe.rotation, recipe.activations, stamp


STAGE = Stage(NAME, _settings, lambda _job: True, run)
