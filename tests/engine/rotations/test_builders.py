"""Contracts of every entry of BUILDERS."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from dfrot_engine.errors import RecipeError, RunError
from dfrot_engine.recipe import LEARNED, REFINED, Cayley, Descent, DFRot, FromFile, Hadamard, Householder, Whip
from dfrot_engine.rotations import BUILDERS, RotationData, RotationStep, r1_steps
from dfrot_engine.rotations.orthogonal import keep_mean
from dfrot_engine.rotations.random import random_orthogonal
from tests.engine.rotations.planted import WIDTH, data_of, deviation, planted
from tests.tiny_models import tiny_architecture

SMALL: dict[type, dict[str, Any]] = {
    DFRot: {"steps": 20},
    Descent: {"steps": 40, "batch_rows": 512, "learning_rate": 0.02},
    Whip: {"steps": 40, "batch_rows": 512, "learning_rate": 0.02},
    Cayley: {"steps": 40, "learning_rate": 0.02},
}
STARTS = [(kind, start) for kind in (DFRot, Descent, Whip, Cayley) for start in ("hadamard", "random-orthogonal")]
STARTS += [(Descent, "householder"), (Descent, "dfrot")]


@pytest.fixture(params=BUILDERS, ids=lambda kind: kind.__name__)
def section(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param is FromFile:
        path = tmp_path / "own.safetensors"
        save_file({"R1": random_orthogonal(WIDTH, 5).contiguous()}, path)
        return FromFile(path=str(path))
    return request.param(**SMALL.get(request.param, {}))


def build(section: Any, data: RotationData | None) -> list[RotationStep]:
    return list(BUILDERS[type(section)](section, WIDTH, data))


@pytest.mark.parametrize("symmetric", [True, False])
def test_every_step_is_orthogonal(section: Any, symmetric: bool) -> None:
    steps = build(section, planted(symmetric=symmetric))
    assert steps[0].index == 0
    assert all(before.index < after.index for before, after in itertools.pairwise(steps))
    for step in steps:
        assert step.rotation_DD.dtype == torch.float64
        assert deviation(step.rotation_DD) <= 1e-10


def test_same_input_same_rotation(section: Any) -> None:
    first, again = (build(section, planted())[-1].rotation_DD for _ in range(2))
    assert torch.equal(first, again)


def test_only_learned_ones_need_data(section: Any) -> None:
    if not isinstance(section, LEARNED):
        assert deviation(build(section, None)[-1].rotation_DD) <= 1e-10


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize(
    "rows",
    [
        torch.zeros(10, WIDTH),
        torch.ones(10, WIDTH),
        torch.ones(1, WIDTH) * torch.linspace(-1, 2, WIDTH),
        torch.randn(WIDTH // 2, WIDTH, generator=torch.Generator().manual_seed(1)),
        torch.eye(WIDTH)[:1] * 1e4,
    ],
    ids=["zeros", "constant", "one token", "fewer tokens than dimensions", "one huge coordinate"],
)
def test_degenerate_rows_leave_a_rotation(section: Any, rows: Tensor, symmetric: bool) -> None:
    for is_massive in (False, True):
        data = data_of(rows, torch.full((len(rows),), is_massive), symmetric=symmetric)
        last = build(section, data)[-1]
        assert last.loss < float("inf")
        assert deviation(last.rotation_DD) <= 1e-10


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize(("kind", "start"), STARTS)
def test_refined_loss_falls(kind: Any, start: str, symmetric: bool) -> None:
    steps = build(kind(start=start, **SMALL[kind]), planted(symmetric=symmetric))
    # Σexp(−|y|) has a range of a few percent at a given norm.
    assert steps[-1].loss < (0.998 if kind is Whip else 0.99) * steps[0].loss
    assert steps[-1].index <= SMALL[kind]["steps"]


@pytest.mark.parametrize("kind", [kind for kind in REFINED if "massive_weight" in kind.model_fields])
def test_massive_weight_can_be_found(kind: Any) -> None:
    data = planted()
    steps = build(kind(massive_weight="auto", **SMALL[kind]), data)
    gamma = data.balance(steps[0].rotation_DD)
    same = build(kind(massive_weight=gamma, **SMALL[kind]), data)
    assert torch.equal(steps[-1].rotation_DD, same[-1].rotation_DD)


def test_auto_weight_lets_both_kinds_of_tokens_lose_the_same() -> None:
    data, rotation = planted(), random_orthogonal(WIDTH, 0)
    error = (data.quantize(data.rows_ND @ rotation.float()) - data.rows_ND @ rotation.float()).square().sum(1)
    loss = error * data.weight("auto", rotation)
    assert float(loss[data.is_massive_N].sum()) == pytest.approx(float(loss[~data.is_massive_N].sum()), rel=1e-4)
    assert data_of(data.rows_ND).balance(rotation) == 1.0


def test_damaged_rows_are_named() -> None:
    rows = torch.ones(10, WIDTH)
    rows[3, 7] = float("nan")
    rows[5, 0] = float("inf")
    with pytest.raises(RunError, match="2 of 10 sampled activation rows contain NaN or infinity, the first is row 3"):
        data_of(rows)


def build_for_layer_norm(section: Any, data: RotationData | None) -> list[RotationStep]:
    return list(r1_steps(section, replace(tiny_architecture("starcoder2"), hidden_size=WIDTH), data))


@pytest.mark.parametrize("kind", [kind for kind in BUILDERS if kind not in (FromFile, Householder)])
def test_where_norms_subtract_the_mean_every_step_leaves_it_alone(kind: Any) -> None:
    data = centred(planted())
    ones_D = torch.ones(WIDTH, dtype=torch.float64)
    for step in build_for_layer_norm(kind(**SMALL.get(kind, {})), data):
        assert deviation(step.rotation_DD) <= 1e-10
        assert (step.rotation_DD @ ones_D - ones_D).abs().max() < 1e-12


@pytest.mark.parametrize("kind", [DFRot, Descent, Whip, Cayley])
def test_refinements_go_on_where_the_mean_stays(kind: Any) -> None:
    """Every step of theirs keeps it by itself, so that the loss they report is that of the rotation they hand on."""
    steps = build(kind(**SMALL[kind]), replace(centred(planted()), keeps_mean=True))
    assert steps[-1].loss < (0.998 if kind is Whip else 0.99) * steps[0].loss
    for step in steps:
        assert (step.rotation_DD - keep_mean(step.rotation_DD)).abs().max() < 1e-5


def test_a_saved_rotation_that_moves_the_mean_is_refused(tmp_path: Path) -> None:
    own, kept = random_orthogonal(WIDTH, 5), keep_mean(random_orthogonal(WIDTH, 5))
    for name, rotation in (("own", own), ("kept", kept)):
        save_file({"R1": rotation.contiguous()}, tmp_path / f"{name}.safetensors")
    with pytest.raises(RecipeError, match="moves the mean") as caught:
        build_for_layer_norm(FromFile(path=str(tmp_path / "own.safetensors")), None)
    assert caught.value.field == "rotation.r1.path"
    used = build_for_layer_norm(FromFile(path=str(tmp_path / "kept.safetensors")), None)[0].rotation_DD
    assert (used - kept).abs().max() < 1e-12
    start = Descent(start="from-file", start_path=str(tmp_path / "own.safetensors"), **SMALL[Descent])
    assert (build_for_layer_norm(start, centred(planted()))[0].rotation_DD - kept).abs().max() < 1e-10


def test_hadamard_still_spreads_every_coordinate_where_it_keeps_the_mean() -> None:
    plain, kept = (steps[0].rotation_DD for steps in (build(Hadamard(), None), build_for_layer_norm(Hadamard(), None)))
    # Only the coordinate that the matrix would turn into the mean becomes a random vector.
    largest = kept.abs().amax(1).sort().values * WIDTH**0.5
    assert largest[-2] < 1.5
    assert largest[-1] < 4.0
    for rotation in (torch.eye(WIDTH, dtype=torch.float64), -plain, -torch.eye(WIDTH, dtype=torch.float64)):
        assert deviation(keep_mean(rotation)) <= 1e-10
        assert (keep_mean(rotation).sum(1) - 1).abs().max() < 1e-12


def centred(data: RotationData) -> RotationData:
    return replace(data, rows_ND=data.rows_ND - data.rows_ND.mean(1, keepdim=True))
