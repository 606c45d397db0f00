from __future__ import annotations

from functools import partial

import pytest
import torch

from dfrot_engine.recipe import Descent, DFRot
from dfrot_engine.rotations import BUILDERS
from dfrot_engine.rotations.data import RotationData, RotationStep
from dfrot_engine.rotations.descent import descend
from dfrot_engine.rotations.losses import rounding_loss
from dfrot_engine.rotations.random import random_orthogonal
from tests.engine.rotations.planted import WIDTH, planted


def loss_of(data: RotationData, weight, rotation) -> float:
    return float((weight * rounding_loss(data.rows_ND @ rotation.float(), data.scheme)[0]).sum())


def run(data: RotationData, weight, **settings) -> list[RotationStep]:
    settings = {"steps": 60, "batch_rows": 512, "learning_rate": 0.02, "seed": 0} | settings
    loss = partial(rounding_loss, scheme=data.scheme)
    return list(descend(data.rows_ND, weight, random_orthogonal(WIDTH, 0), loss, **settings))


@pytest.mark.parametrize("symmetric", [True, False])
def test_the_loss_it_tells_is_that_of_all_rows(symmetric: bool) -> None:
    data = planted(symmetric=symmetric)
    steps = run(data, data.share_N)
    for step in (steps[0], steps[-1]):
        assert step.loss == pytest.approx(loss_of(data, data.share_N, step.rotation_DD), rel=0.1)


def test_the_last_step_is_the_best() -> None:
    data = planted()
    steps = run(data, data.share_N, learning_rate=0.5)
    assert steps[-1].loss == min(step.loss for step in steps)
    assert [step.index for step in steps] == list(range(0, 61, 10))


def test_ends_lower_than_the_alternation() -> None:
    data = planted()
    refined = list(BUILDERS[DFRot](DFRot(massive_weight=10.0), WIDTH, data))[-1]
    section = Descent(massive_weight=10.0, steps=150, batch_rows=512, learning_rate=0.02)
    descended = list(BUILDERS[Descent](section, WIDTH, data))[-1]
    weight = data.weight(10.0, refined.rotation_DD)
    assert loss_of(data, weight, descended.rotation_DD) < 0.95 * loss_of(data, weight, refined.rotation_DD)


def test_after_dfrot_goes_on_where_that_ended() -> None:
    section = Descent(start="dfrot", steps=60, batch_rows=512)
    steps = list(BUILDERS[Descent](section, WIDTH, planted()))
    descended = list(BUILDERS[Descent](Descent(steps=60, batch_rows=512), WIDTH, planted()))
    assert steps[0].loss == pytest.approx(descended[0].loss)
    assert steps[-1].loss == min(step.loss for step in steps)
    assert steps[-1].index == 60


def test_seeds_draw_other_batches() -> None:
    data = planted()
    first, other = (run(data, data.share_N, seed=seed)[-1].rotation_DD for seed in (0, 1))
    assert not torch.equal(first, other)


def test_rows_are_left_as_they_were() -> None:
    data = planted()
    before = data.rows_ND.clone()
    run(data, data.share_N, steps=5)
    assert torch.equal(data.rows_ND, before)
