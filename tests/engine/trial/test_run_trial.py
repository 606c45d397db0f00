"""Trials of tiny models: the table, the recommendation, stopping, recipes that cannot be tried."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from dfrot_engine.events import Event, RotationTried, RunEnded, StageAdvanced, TrialFinished
from dfrot_engine.progress import Control
from dfrot_engine.recipe import Recipe
from dfrot_engine.trial.candidates import trial_options
from dfrot_engine.trial.run import run_trial
from dfrot_engine.trial.types import TrialResult
from tests.engine.runs import tiny_recipe
from tests.tiny_models import save_tiny_model

KINDS = ["none", "random-orthogonal", "hadamard", "dfrot", "descent"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model("llama-tied", tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def outliers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with two residual channels far larger than the others, which rotations are for."""
    folder = save_tiny_model("llama-tied", tmp_path_factory.mktemp("model") / "outliers")
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["model.embed_tokens.weight"][:, 5] += 40
    tensors["model.embed_tokens.weight"][:, 17] -= 25
    save_file(tensors, path, metadata={"format": "pt"})
    return folder


def trial(
    recipe: Recipe, on_event: Callable[[Event, Control], None] = lambda _event, _control: None
) -> tuple[RunEnded, list[Event]]:
    events: list[Event] = []
    control = Control()

    def emit(event: Event) -> None:
        events.append(event)
        on_event(event, control)

    return run_trial(recipe, trial_options("cpu"), emit, control), events


def result_of(recipe: Recipe) -> TrialResult:
    ended, events = trial(recipe)
    assert ended.status == "finished", ended
    assert events[-1] is ended
    last = events[-2]
    assert isinstance(last, TrialFinished)
    assert [event.row for event in events if isinstance(event, RotationTried)] == list(last.result.rows)
    return last.result


def test_rotations_are_recommended_where_channels_stand_out(outliers: Path) -> None:
    result = result_of(tiny_recipe(outliers, overrides=[]))
    assert [row.kind for row in result.rows] == KINDS
    error = {row.kind: row.block_error for row in result.rows}
    assert error["hadamard"] < 0.8 * error["none"]
    assert result.recommended != "none"
    assert result.sentence.startswith("Use ")
    assert all(row.token_error is not None and 0 < row.token_error.mean < 1 for row in result.rows)
    assert result.blocks == (0, 1)
    assert (result.read_blocks, result.num_blocks, result.tokens) == (2, 2, 2 * 64)
    assert result.massive_count == 0
    assert any("No token is massive" in note for note in result.notes)


def test_the_same_trial_gives_the_same_numbers(model: Path) -> None:
    first, second = (result_of(tiny_recipe(model)) for _ in range(2))
    assert [row.block_error for row in first.rows] == [row.block_error for row in second.rows]
    assert [row.token_error for row in first.rows] == [row.token_error for row in second.rows]


def test_a_model_that_r1_cannot_pass_is_not_tried(tmp_path: Path) -> None:
    model = save_tiny_model("olmo2", tmp_path / "model")
    ended, _ = trial(tiny_recipe(model, rotation__r1__kind="none"))
    assert ended.status == "failed"
    assert "norms behind attention and MLP" in ended.message


def test_do_not_rotate_is_an_answer(tmp_path: Path) -> None:
    """Activations stay as they are, and the weights lie on the grid as they come: every rotation takes them off it."""
    folder = save_tiny_model("llama-tied", tmp_path / "model")
    path = folder / "model.safetensors"
    tensors = load_file(path)
    for name, tensor in tensors.items():
        if "layers" in name:
            tensors[name] = torch.ones_like(tensor) if tensor.ndim == 1 else tensor.sign() * 0.1
    save_file(tensors, path, metadata={"format": "pt"})
    settings: dict[str, Any] = {"weights__clip_ratio": 1.0, "rotation__r2": {"kind": "none"}}
    result = result_of(tiny_recipe(folder, "w4a16", **settings))
    assert result.recommended == "none"
    assert result.sentence.startswith("Do not rotate this model for this recipe: ")
    error = {row.kind: row.block_error for row in result.rows}
    assert all(error["none"] < error[kind] for kind in KINDS[1:])
    assert all(row.token_error is None for row in result.rows)


def test_a_recipes_own_kind_is_tried_too(model: Path, tmp_path: Path) -> None:
    result = result_of(tiny_recipe(model, **{"rotation__r1__kind": "whip", "rotation__r3": True, "rotation__r4": True}))
    assert [row.kind for row in result.rows] == [*KINDS, "whip"]
    assert result.rows[-1].steps > 0


def test_a_rotation_learned_through_the_model_is_left_out(model: Path) -> None:
    fields = {"rotation__r1__kind": "cayley", "rotation__r2": {"kind": "descent"}, "rotation__r4": {"kind": "hadamard"}}
    result = result_of(tiny_recipe(model, **fields))
    assert [row.kind for row in result.rows] == KINDS
    assert any("Left out" in note and "Cayley" in note for note in result.notes)
    assert any("R2 and R4 stood at their random start" in note for note in result.notes)


@pytest.mark.parametrize("kind", ["block-hadamard", "block-descent"])
def test_r4_in_blocks_is_the_same_for_all(model: Path, kind: str) -> None:
    result = result_of(tiny_recipe(model, rotation__r4={"kind": kind, "block_size": 32}))
    assert [row.kind for row in result.rows] == KINDS


def test_searched_clips_are_part_of_what_is_tried(model: Path) -> None:
    whole, searched = (
        result_of(
            tiny_recipe(model, "w4a4kv4-paper", weights=None, activations__clip_ratio=ratio, kv_cache__clip_ratio=ratio)
        )
        for ratio in (1.0, "search")
    )
    assert sum(row.block_error for row in searched.rows) < sum(row.block_error for row in whole.rows)


def test_a_kv_cache_alone_is_reason_enough(model: Path) -> None:
    recipe = tiny_recipe(model, "w4a4kv4-paper", weights=None, activations=None)
    errors = [row.block_error for row in result_of(recipe).rows]
    assert all(0 < error < 0.5 for error in errors)


@pytest.mark.parametrize("stage", ["calibrate", "compare"])
def test_a_stop_lands_everywhere(model: Path, stage: str) -> None:
    def stop(event: Event, control: Control) -> None:
        if isinstance(event, StageAdvanced) and event.stage == stage:
            control.cancel()

    ended, events = trial(tiny_recipe(model), stop)
    assert ended.status == "cancelled"
    assert ended.remedy == ""
    assert events[-1] is ended
    assert sum(isinstance(event, StageAdvanced) and event.stage == stage for event in events) == 1
    assert not any(isinstance(event, TrialFinished) for event in events)


@pytest.mark.parametrize("only_head", [False, True])
def test_a_recipe_that_rounds_nothing_is_refused(only_head: bool, model: Path) -> None:
    """Of the blocks, which is where a trial looks."""
    overrides = [{"linears": "lm_head", "weights": {"format": "int8", "group_size": 16}}] if only_head else []
    fields = {"weights": None, "activations": None, "overrides": overrides, "skip": []}
    ended, events = trial(tiny_recipe(model, "w4a4", **fields))
    assert ended.status == "failed"
    assert ended.field == "weights"
    assert "rounds nothing" in ended.message
    assert events == [ended]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"weights__group_size": 7_000}, "weights.group_size"),
        ({"model__id_or_path": "/nowhere/at/all"}, "model.id_or_path"),
        ({"calibration__dataset": "/nowhere.txt"}, "calibration.dataset"),
    ],
)
def test_problems_of_the_plan_end_it(model: Path, fields: dict[str, Any], field: str) -> None:
    ended, _ = trial(tiny_recipe(model, **fields))
    assert ended.status == "failed"
    assert ended.field == field
    assert ended.remedy


def test_exports_and_folders_are_no_matter(model: Path) -> None:
    """compressed-tensors cannot carry R4; a trial writes nothing."""
    recipe = tiny_recipe(model, rotation__r4=True)
    assert recipe.exports
    assert result_of(recipe).rows
