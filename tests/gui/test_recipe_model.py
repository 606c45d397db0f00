from __future__ import annotations

from pathlib import Path

import pytest

from dfrot_engine import DFRotError, Problem, Recipe
from dfrot_engine.recipe import DFRot
from dfrot_gui.recipe_model import RecipeModel
from tests.gui.fakes import FakePlanner

ERROR = Problem(field="calibration.num_samples", severity="error", message="Too many.", remedy="Take 4.")
WARNING = ERROR.model_copy(update={"severity": "warning"})


def planned(qtbot, model: RecipeModel) -> None:
    qtbot.waitUntil(lambda: model.plan is not None and not model.is_planning)


def test_begins_with_the_default_preset(recipe_model: RecipeModel) -> None:
    assert recipe_model.recipe == Recipe.preset("w4a4")


def test_set_changes_one_field_and_plans_again(qtbot, recipe_model: RecipeModel, planner: FakePlanner) -> None:
    with qtbot.waitSignal(recipe_model.plan_changed):
        recipe_model.set("calibration.num_samples", 32)
    assert planner.asked[-1][0].calibration.num_samples == 32


def test_quick_edits_are_planned_once(qtbot, recipe_model: RecipeModel, planner: FakePlanner) -> None:
    for seed in range(1, 8):
        recipe_model.set("calibration.seed", seed)
    planned(qtbot, recipe_model)
    assert [recipe.calibration.seed for recipe, _ in planner.asked] == [7]


def test_a_refused_value_is_a_problem_of_its_field(qtbot, recipe_model: RecipeModel) -> None:
    recipe_model.set("weights.clip_ratio", 7.0)
    assert [problem.field for problem in recipe_model.problems] == ["weights.clip_ratio"]
    assert not recipe_model.can_start
    recipe_model.set("weights.clip_ratio", 0.9)
    planned(qtbot, recipe_model)
    assert recipe_model.problems == ()
    assert recipe_model.can_start


@pytest.mark.parametrize(("problem", "can_start"), [(ERROR, False), (WARNING, True)])
def test_only_errors_keep_a_run_from_starting(
    qtbot, recipe_model: RecipeModel, planner: FakePlanner, problem: Problem, can_start: bool
) -> None:
    planner.problems = (problem,)
    recipe_model.plan_now()
    planned(qtbot, recipe_model)
    assert recipe_model.can_start is can_start


def test_cannot_start_while_the_plan_is_older_than_the_recipe(qtbot, recipe_model: RecipeModel) -> None:
    recipe_model.plan_now()
    planned(qtbot, recipe_model)
    recipe_model.set("calibration.seed", 5)
    assert not recipe_model.can_start


def test_a_plan_that_fails_becomes_a_problem(qtbot, tmp_path: Path) -> None:
    def fail(recipe, options):
        raise DFRotError("No such model.", "Check the name.", "model.id_or_path")

    model = RecipeModel(fail, tmp_path)
    with qtbot.waitSignal(model.plan_changed):
        model.plan_now()
    assert model.problems[0].message == "No such model."
    assert not model.can_start


def test_undo_and_redo(recipe_model: RecipeModel) -> None:
    recipe_model.set("calibration.seed", 1)
    recipe_model.set("calibration.seed", 2)
    recipe_model.set("calibration.num_samples", 3)
    recipe_model.undo()
    assert recipe_model.recipe.calibration.num_samples == 8
    recipe_model.undo()
    assert recipe_model.recipe.calibration.seed == 0
    assert not recipe_model.can_undo
    recipe_model.redo()
    recipe_model.redo()
    assert recipe_model.recipe.calibration.num_samples == 3
    assert not recipe_model.can_redo


def test_a_preset_keeps_the_model(recipe_model: RecipeModel) -> None:
    recipe_model.set_model("Qwen/Qwen3-0.6B")
    recipe_model.set_preset("w8a8")
    assert recipe_model.recipe.model.id_or_path == "Qwen/Qwen3-0.6B"
    assert recipe_model.recipe.name == "w8a8"


def test_the_proposed_folder_follows_model_and_preset(recipe_model: RecipeModel) -> None:
    recipe_model.set_model("Qwen/Qwen3-0.6B")
    recipe_model.set_preset("w8a8")
    assert recipe_model.options.output_dir.name == "Qwen3-0.6B-w8a8"


def test_a_chosen_folder_stays(recipe_model: RecipeModel, tmp_path: Path) -> None:
    recipe_model.set("options.output_dir", tmp_path / "mine")
    recipe_model.set_preset("w8a8")
    assert recipe_model.options.output_dir == tmp_path / "mine"


def test_another_folder_takes_back_the_permission_to_replace(recipe_model: RecipeModel, tmp_path: Path) -> None:
    recipe_model.set("options.overwrite", True)
    recipe_model.set("options.output_dir", tmp_path / "other")
    assert not recipe_model.options.overwrite


def test_settings_of_a_rotation_come_back(recipe_model: RecipeModel) -> None:
    recipe_model.set_rotation("dfrot")
    recipe_model.set("rotation.r1.steps", 17)
    recipe_model.set_rotation("none")
    recipe_model.set_rotation("dfrot")
    rotation = recipe_model.recipe.rotation.r1
    assert isinstance(rotation, DFRot)
    assert rotation.steps == 17


def test_settings_of_a_scheme_come_back(recipe_model: RecipeModel) -> None:
    recipe_model.set("weights.group_size", 32)
    recipe_model.set_format("weights", None)
    assert recipe_model.recipe.weights is None
    recipe_model.set_format("weights", "int8")
    assert recipe_model.recipe.weights is not None
    assert (recipe_model.recipe.weights.group_size, recipe_model.recipe.weights.format) == (32, "int8")


def test_values_by_dotted_name(recipe_model: RecipeModel) -> None:
    assert recipe_model.value("rotation.r1.kind") == "descent"
    assert recipe_model.value("kv_cache.format") is None
    assert recipe_model.value("options.device") == "auto"
