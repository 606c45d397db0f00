"""A tiny model folder, and plans for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dfrot_engine import Plan, Problem, Recipe, RunOptions, make_plan
from dfrot_engine.recipe import Evaluation, WeightScheme
from tests.engine.checkpoint.folders import save_model

BASE = Recipe(weights=WeightScheme(group_size=32), evaluation=Evaluation(seq_len=128)).with_field(
    "calibration.seq_len", 128
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_model(tmp_path / "model")


@pytest.fixture
def options(tmp_path: Path) -> RunOptions:
    return RunOptions(output_dir=tmp_path / "output", device="cpu")


@pytest.fixture
def plan(model: Path, options: RunOptions) -> Callable[..., Plan]:
    """Plans BASE for the tiny model with some recipe fields set ("rotation.r4", True) and options changed."""

    def make(*fields: tuple[str, Any], recipe: Recipe = BASE, **changes: Any) -> Plan:
        recipe = recipe.with_field("model.id_or_path", str(model))
        for field, value in fields:
            recipe = recipe.with_field(field, value)
        return make_plan(recipe, options.model_copy(update=changes))

    return make


def found(plan: Plan, field: str) -> Problem:
    """The one problem of a field."""
    problems = [problem for problem in plan.problems if problem.field == field]
    assert len(problems) == 1, plan.problems
    assert problems[0].remedy
    return problems[0]
