"""Build or refine every rotation the recipe names, and measure the others on the same tokens."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from dfrot_engine.calibration.errors_by_token import error_series, token_errors
from dfrot_engine.calibration.samplers import RowSample
from dfrot_engine.charts import TOKEN_ERROR, ErrorSeries, TokenErrors
from dfrot_engine.checkpoint.reader import CheckpointReader
from dfrot_engine.checkpoint.tokenizer import Tokenizer
from dfrot_engine.events import (
    ChartSaved,
    Logged,
    MassiveToken,
    MassiveTokensFound,
    Measured,
    StageAdvanced,
    StageStarted,
    Warned,
)
from dfrot_engine.forward.network_loss import NetworkLoss
from dfrot_engine.job import Job
from dfrot_engine.library import ENVIRONMENT, RotationFacts, keep_rotation, library_dir
from dfrot_engine.progress import Report
from dfrot_engine.recipe import (
    REFINED,
    THROUGH_MODEL,
    ActivationScheme,
    BlockHadamard,
    Hadamard,
    NoRotation,
    RandomOrthogonal,
    Recipe,
    ScaleSearch,
)
from dfrot_engine.rotation_file import named_rotations, rotation_stamp
from dfrot_engine.rotations import RotationData, RotationStep, r1_steps
from dfrot_engine.site_charts import SITE_ERRORS, SiteErrors
from dfrot_engine.stages import calibrate
from dfrot_engine.stages.base import Stage
from dfrot_engine.stages.cell_errors import CellBook, site_readers
from dfrot_engine.stages.rotate_inner import learns_by_block, refined_inner
from dfrot_engine.work_dir import WorkDir

NAME = "rotate"
RESULT = "rotation.json"
MASSIVE = "massive.json"
_CHARTS = 20  # while a rotation is refined


def run(job: Job, work: WorkDir, fingerprint: str, report: Report) -> None:
    """Leaves `rotations.safetensors`, `rotation.json`, `massive.json` and the per-token error chart."""
    r1 = job.recipe.rotation.r1
    steps = r1.steps if isinstance(r1, REFINED) else 1
    blocks = job.architecture.num_blocks if learns_by_block(job.recipe.rotation) else 0
    report(StageStarted(stage=NAME, steps=steps + blocks))
    bench = _Bench(job, work, report) if job.recipe.rotation.sample_rows else None
    losses: list[float] = []
    result: Tensor | None = None
    for step in _r1_steps(job, bench, report):
        if not losses or step.loss <= min(losses):
            result = step.rotation_DD  # the best one; a refinement may rise a little before it ends
        if isinstance(r1, REFINED):
            losses.append(step.loss)
            report(Measured(name="rotate/loss", step=step.index, value=step.loss))
        label = f"Iteration {step.index}"
        report(StageAdvanced(stage=NAME, step=max(1, step.index), steps=steps + blocks, label=label))
        if bench is not None and step.index % max(1, steps // _CHARTS) == 0:
            bench.measure(r1.kind, result)
    if bench is not None:
        bench.measure(r1.kind, result)
        bench.measure_cells(r1.kind, result)

    def advance(block: int) -> None:
        label = f"R2, R4 and scales: block {block} of {blocks}"
        report(StageAdvanced(stage=NAME, step=steps + block, steps=steps + blocks, label=label))

    r1_DD = None if isinstance(r1, NoRotation) else result
    rotations, by_block = refined_inner(job, work, fingerprint, r1_DD, advance)
    facts = _facts(job, fingerprint, losses, bench)
    rotations.save(work.rotations, facts.to_metadata())
    numbers = {"kind": r1.kind, "loss": losses, "inner_loss": by_block}
    if bench is not None:
        numbers["token_error"] = bench.conclude(r1)
    work.write_json(RESULT, numbers)
    if job.options.keep_rotations and job.recipe.rotation.is_learned:
        _keep(work.rotations, facts, report)


class _Bench:
    """The sampled tokens, and what every rotation makes of them."""

    def __init__(self, job: Job, work: WorkDir, report: Report) -> None:
        self._work, self._report = work, report
        self._site_names = list(job.architecture.block.sites())
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
        self._readers = site_readers(job.architecture.block)
        self._cells = CellBook(job, work, self.data.quantize, report)
        if job.recipe.rotation.compare:
            self._measure_rivals(job)

    def _measure_rivals(self, job: Job) -> None:
        seed = getattr(job.recipe.rotation.r1, "seed", 0)
        for section in (NoRotation(), RandomOrthogonal(seed=seed), Hadamard(seed=seed)):
            step = next(r1_steps(section, job.architecture, None))
            self._add(section.kind, step.rotation_DD)
            self.measure_cells(section.kind, step.rotation_DD)
        self._save()

    def measure(self, kind: str, rotation_DD: Tensor | None) -> None:
        """Errors under the rotation as it is now, into the chart."""
        self._add(kind, rotation_DD)
        self._save()

    def measure_cells(self, kind: str, rotation_DD: Tensor | None) -> None:
        """The same for every token of the activation map."""
        self._cells.add(kind, None if kind == "none" else rotation_DD)

    def mean_error(self, kind: str) -> float | None:
        """Mean relative error of a token under a rotation that was measured."""
        return _known(self._series[kind].mean)

    def conclude(self, r1: Any) -> dict[str, dict[str, float | None]]:
        """Complete the massive tokens' errors, and say so when the rotation does not help; errors by rotation."""
        summary = {
            kind: {"mean": series.mean, "p999": series.p999, "massive_mean": _known(series.massive_mean)}
            for kind, series in self._series.items()
        }
        found = MassiveTokensFound.model_validate(self._work.read_json(calibrate.MASSIVE))
        row_of = {place: row for row, place in enumerate(self._places())}
        tokens = tuple(
            token.model_copy(update={"errors": self._errors_of(row_of[_place(token, self._site_names)])})
            for token in found.tokens
        )
        complete = MassiveTokensFound(count=found.count, rows=found.rows, tokens=tokens)
        self._work.write_json(MASSIVE, complete.model_dump(mode="json"))
        self._report(complete)
        self._warn_if_useless(r1.kind)
        if found.count == 0 and isinstance(r1, REFINED):
            self._warn_without_massive(summary)
        return summary

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

    def _warn_without_massive(self, summary: dict[str, dict[str, float | None]]) -> None:
        means = ", ".join(f"{kind} {numbers['mean']:.4f}" for kind, numbers in summary.items())
        self._report(
            Warned(
                message="This model shows no massive tokens on the calibration text, so γ has no effect and a "
                f"refinement for them gains little. Mean token error: {means}.",
                remedy="Compare with rotation.r1.kind = 'hadamard', which takes no time.",
            )
        )

    def _add(self, kind: str, rotation_DD: Tensor | None) -> None:
        errors = token_errors(self._on_device, None if kind == "none" else rotation_DD, self.data.quantize).cpu()
        self._errors[kind], self._series[kind] = errors, error_series(self.sample, errors)

    def _save(self) -> None:
        columns = ("share_N", "is_massive_N", "block_N", "site_N")
        by_site = SiteErrors(
            self._readers,
            {kind: errors.numpy() for kind, errors in self._errors.items()},
            **{name: getattr(self.sample, name).numpy() for name in columns},
        )
        for name, chart in ((TOKEN_ERROR, TokenErrors(self._series)), (SITE_ERRORS, by_site)):
            path = self._work.chart(name)
            chart.save(path)
            self._report(ChartSaved(name=name, path=self._work.relative(path)))

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


def _r1_steps(job: Job, bench: _Bench | None, report: Report) -> Iterator[RotationStep]:
    section, sizes = job.recipe.rotation.r1, job.architecture
    data = bench.data if bench else None
    if not isinstance(section, THROUGH_MODEL):
        yield from r1_steps(section, sizes, data)
        return
    assert data is not None, "learned rotations are calibrated"
    tokens_BT = calibrate.calibration_tokens(job, Tokenizer.load(job.model_dir))
    between = partial(_say_block, job, section.steps, report)
    with CheckpointReader(job.model_dir) as reader:
        network = NetworkLoss(job, reader, tokens_BT, kind=section.loss, between=between)
        yield from r1_steps(section, sizes, replace(data, network=network))


def _say_block(job: Job, steps: int, report: Report, finished: int, index: int) -> None:
    blocks = job.architecture.num_blocks
    label = f"Iteration {min(finished + 1, steps)}, block {index + 1} of {blocks}"
    inner = blocks if learns_by_block(job.recipe.rotation) else 0
    report(StageAdvanced(stage=NAME, step=max(1, finished), steps=steps + inner, label=label))


def _facts(job: Job, fingerprint: str, losses: list[float], bench: _Bench | None) -> RotationFacts:
    r1, sizes = job.recipe.rotation.r1, job.architecture
    return RotationFacts(
        model=job.model_id,
        revision=_commit(job.model_dir),
        recipe=job.recipe.to_toml(),
        recipe_name=job.recipe.name,
        fingerprint=fingerprint,
        kind=r1.kind,
        seed=getattr(r1, "seed", None),
        created=datetime.now(UTC).replace(microsecond=0),
        hidden_size=sizes.hidden_size,
        num_blocks=sizes.num_blocks,
        head_size=sizes.head_size,
        loss_start=_known(losses[0]) if losses else None,
        loss_end=_known(min(losses)) if losses else None,
        token_error_mean=bench.mean_error(r1.kind) if bench else None,
    )


def _commit(model_dir: Path) -> str:
    """The Hub's cache names a snapshot's folder by its commit; "" for other folders."""
    return model_dir.name if model_dir.parent.name == "snapshots" else ""


def _keep(path: Path, facts: RotationFacts, report: Report) -> None:
    """Add the rotations to the library; a library that cannot be written costs the run nothing but a warning."""
    try:
        entry = keep_rotation(path, facts)
    except OSError as error:
        message = f"The rotation was not added to the library in {library_dir()}: {error.strerror or error}."
        remedy = f"Make room there, or name another folder in the variable {ENVIRONMENT}; the rotation is in {path}."
        report(Warned(message=message, remedy=remedy))
    else:
        report(Logged(stage=NAME, message=f"The rotation is in the library as {entry.stem}."))


def _settings(recipe: Recipe) -> tuple[object, ...]:
    rotation = recipe.rotation
    stamps = [rotation_stamp(path) for path in named_rotations(rotation).values()]
    # R1 is learned with the recipe's one scheme; other rotations, and R1 through the model, see each linear's own.
    exceptions = [(one.linears, one.activations) for one in recipe.overrides if one.activations]
    sees_linears = isinstance(rotation.r1, THROUGH_MODEL) or learns_by_block(rotation)
    own = (recipe.skip, recipe.kv_cache, exceptions) if sees_linears else ()
    if isinstance(rotation.mlp_scaling, ScaleSearch):
        own += (recipe.weights, [(one.linears, one.weights) for one in recipe.overrides if one.weights])
    if isinstance(rotation.r4, BlockHadamard):
        own += ("signs are folded",)  # earlier versions left them to be applied at run time
    return rotation, recipe.activations, stamps, *own


STAGE = Stage(NAME, _settings, lambda _job: True, run)
