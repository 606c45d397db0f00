"""How much a trial takes on, from sizes alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfrot_engine.architectures import architecture_of
from dfrot_engine.checkpoint.facts import ModelFacts
from dfrot_engine.plan_estimates import Workload
from dfrot_engine.plan_linears import planned_linears
from dfrot_engine.recipe import Recipe
from dfrot_engine.trial.budget import Budget, plan_trial, spread
from dfrot_engine.trial.candidates import candidates, trial_options, trial_recipe


def budget(width: int, blocks: int, **fields: object) -> Budget:
    recipe = Recipe.preset("w4a4")
    for name, value in fields.items():
        recipe = recipe.with_field(name.replace("__", "."), value)
    recipe = trial_recipe(recipe)
    config = {
        "model_type": "llama",
        "hidden_size": width,
        "intermediate_size": 3 * width,
        "num_hidden_layers": blocks,
        "num_attention_heads": width // 64,
        "vocab_size": 32_000,
        "max_position_embeddings": 2_048,
    }
    architecture = architecture_of(config)
    facts = ModelFacts(
        id="a/b",
        revision="",
        config=config,
        headers={},
        files=(),
        folder=Path("/models"),
        download_bytes=0,
        license="",
        gated=False,
    )
    options = trial_options("cpu", 2)
    work = Workload(recipe, options, facts, architecture, planned_linears(recipe, architecture))
    return plan_trial(work, candidates(recipe))


def test_a_small_model_is_read_whole() -> None:
    found = budget(576, 30)
    assert found.read_blocks == 30
    assert found.blocks == (2, 7, 12, 17, 22, 27)
    assert found.left_out == ()
    assert found.cut_short == ("dfrot", "descent")
    assert {section.kind: getattr(section, "steps", 0) for section in found.sections} == {
        "none": 0,
        "random-orthogonal": 0,
        "hadamard": 0,
        "dfrot": 30,
        "descent": 80,
    }


def test_a_large_model_is_read_in_part_and_wide_refinements_are_left_out() -> None:
    found = budget(4_096, 32)
    assert 1 <= found.read_blocks < 32
    assert 1 <= len(found.blocks) <= found.read_blocks
    assert all(block < found.read_blocks for block in found.blocks)
    assert set(found.left_out) == {"dfrot", "descent"}
    assert [section.kind for section in found.sections] == ["none", "random-orthogonal", "hadamard"]


def test_steps_of_the_recipe_are_never_raised() -> None:
    found = budget(576, 4, rotation__r1__steps=3)
    assert next(section.steps for section in found.sections if section.kind == "descent") == 3
    assert found.cut_short == ("dfrot",)


@pytest.mark.parametrize(("count", "blocks", "chosen"), [(1, 1, (0,)), (2, 2, (0, 1)), (5, 30, (3, 9, 15, 21, 27))])
def test_blocks_are_spread(count: int, blocks: int, chosen: tuple[int, ...]) -> None:
    assert spread(count, blocks) == chosen
