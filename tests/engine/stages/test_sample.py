"""The science on a real model: the 135M sample."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dfrot_engine.calibration.errors_by_token import token_errors
from dfrot_engine.calibration.samplers import RowSample
from dfrot_engine.job import Job
from dfrot_engine.options import RunOptions
from dfrot_engine.recipe import Recipe
from dfrot_engine.rotations.dfrot import RotationStep, refine
from dfrot_engine.rotations.random import random_hadamard, random_orthogonal
from dfrot_engine.stages import calibrate
from dfrot_engine.work_dir import WorkDir
from tests.engine.runs import run_tiny

pytestmark = [pytest.mark.sample, pytest.mark.timeout(600)]
WIDTH = 576


def paper_quantizer(values: Tensor) -> Tensor:
    """Symmetric 4-bit with max|x| on code 7, as in the paper."""
    scale = values.abs().amax(-1, keepdim=True).clamp(min=1e-9) / 7
    return (values / scale).round() * scale


@pytest.fixture(scope="module")
def rows(sample_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> RowSample:
    """Short sequences, so that massive tokens (each first token) are about 1 % of all, as in the paper's data."""
    recipe = Recipe.preset("w4a4")
    for field, value in (("num_samples", 48), ("seq_len", 64)):
        recipe = recipe.with_field(f"calibration.{field}", value)
    recipe = recipe.with_field("rotation.r1.sample_rows", 12_000)
    output = tmp_path_factory.mktemp("sample") / "out"
    with WorkDir.open(output.with_name("out.dfrot")) as work:
        job = Job.prepare(recipe, RunOptions(output_dir=output), "sample", sample_folder)
        calibrate.run(job, work, "fingerprint", lambda _event: None)
        return RowSample.load(work.block_path(calibrate.NAME, calibrate.ROWS))


def refined(rows: RowSample, start: Tensor, gamma: float, steps: int) -> list[RotationStep]:
    weight = rows.share_N * torch.where(rows.is_massive_N, gamma**2, 1.0)
    return list(refine(rows.rows_ND, weight, start, paper_quantizer, steps=steps))


def massive_error(rows: RowSample, rotation: Tensor) -> float:
    return float(token_errors(rows, rotation, paper_quantizer)[rows.is_massive_N].mean())


def test_massive_tokens_are_found_without_a_constant_of_the_model(rows: RowSample) -> None:
    share = float(rows.share_N[rows.is_massive_N].sum() / rows.share_N.sum())
    assert 0.002 < share < 0.02
    assert (rows.position_N[rows.is_massive_N] == 0).float().mean() > 0.9
    # Almost all of a massive token's energy lies in one coordinate: √576 = 24 is all there is.
    assert rows.rows_ND[rows.is_massive_N].abs().amax(1).median() > 23


def test_hadamard_beats_orthogonal_on_massive_tokens(rows: RowSample) -> None:
    hadamard = massive_error(rows, random_hadamard(WIDTH, 0).matrix())
    assert hadamard < 0.6 * massive_error(rows, random_orthogonal(WIDTH, 0))


@pytest.mark.parametrize(
    ("start", "least_gain"),
    [(random_hadamard(WIDTH, 0).matrix(), 0.25), (random_orthogonal(WIDTH, 0), 0.40)],
    ids=["from Hadamard", "from orthogonal"],
)
def test_dfrot_lowers_the_weighted_loss(rows: RowSample, start: Tensor, least_gain: float) -> None:
    """At γ = 10. The Hadamard of order 36 · 16 starts with little error on massive tokens, so there is less to gain."""
    steps = refined(rows, start, gamma=10.0, steps=25)
    assert steps[-1].loss < (1 - least_gain) * steps[0].loss
    assert massive_error(rows, steps[-1].rotation_DD) < 0.5 * massive_error(rows, start)


def test_w8a8_keeps_the_model(tmp_path: Path) -> None:
    recipe = Recipe.preset("w8a8")
    for field, value in {
        "rotation.r1.steps": 5,
        "rotation.r1.sample_rows": 4_096,
        "calibration.num_samples": 2,
        "calibration.seq_len": 256,
        "evaluation.seq_len": 256,
        "evaluation.num_windows": 4,
    }.items():
        recipe = recipe.with_field(field, value)
    ended, _ = run_tiny(recipe, tmp_path / "out")
    assert ended.status == "finished", ended
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["perplexity_quantized"] < 1.05 * report["perplexity_original"]
    assert report["top1_agreement"] > 0.9
