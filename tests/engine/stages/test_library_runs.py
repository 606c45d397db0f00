"""What runs leave in the rotation library, and runs that take it from there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from dfrot_engine.events import Event, Logged, Measured, Warned
from dfrot_engine.library import ENVIRONMENT, RotationEntry, list_rotations
from dfrot_engine.recipe import Recipe
from dfrot_engine.stages import rotate
from tests.engine.runs import run_tiny, tiny_recipe
from tests.tiny_models import save_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model("llama-tied", tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(autouse=True)
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "library"))
    return tmp_path / "library"


def finished(recipe: Recipe, output: Path, **options: Any) -> list[Event]:
    ended, events = run_tiny(recipe, output, **options)
    assert ended.status == "finished", ended
    return events


def only_rotated(recipe: Recipe) -> Recipe:
    """Without what comes after the rotation, as far as it can be left out."""
    return recipe.with_field("exports", []).with_field("evaluation", None)


def losses(events: list[Event]) -> list[float]:
    return [event.value for event in events if isinstance(event, Measured) and event.name == "rotate/loss"]


def kept(model: Path, tmp_path: Path, **fields: Any) -> RotationEntry:
    finished(tiny_recipe(model, **fields), tmp_path / "first")
    return list_rotations()[0]


def test_a_run_leaves_one_entry_that_says_all(model: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(model, rotation__r1__seed=3)
    events = finished(recipe, tmp_path / "out")
    (entry,) = list_rotations()
    assert (entry.model, entry.revision, entry.kind, entry.seed) == ("tiny", "", "dfrot", 3)
    assert (entry.hidden_size, entry.num_blocks, entry.head_size, entry.recipe_name) == (48, 2, 16, "w4a4")
    assert (entry.loss_start, entry.loss_end) == (losses(events)[0], min(losses(events)))
    assert 0 < (entry.token_error_mean or 0) < 1
    recipe.save(tmp_path / "recipe.toml")
    assert entry.recipe == (tmp_path / "recipe.toml").read_text()
    saved = load_file(tmp_path / "out.dfrot" / "rotations.safetensors")
    assert all(torch.equal(tensor, saved[name]) for name, tensor in load_file(entry.path).items())
    assert any(isinstance(event, Logged) and entry.name in event.message for event in events)


def test_two_runs_two_entries_and_none_twice(model: Path, tmp_path: Path) -> None:
    finished(tiny_recipe(model), tmp_path / "a")
    finished(tiny_recipe(model, rotation__r1__kind="whip"), tmp_path / "b")
    assert {entry.kind for entry in list_rotations()} == {"dfrot", "whip"}
    finished(tiny_recipe(model), tmp_path / "a")
    finished(tiny_recipe(model), tmp_path / "c")
    assert len(list_rotations()) == 2


@pytest.mark.parametrize("kind", ["none", "random-orthogonal", "hadamard"])
def test_what_a_seed_brings_back_is_not_kept(kind: str, model: Path, tmp_path: Path, library: Path) -> None:
    finished(tiny_recipe(model, rotation__r1__kind=kind, rotation__compare=False), tmp_path / "out")
    assert not library.exists()


def test_keeping_can_be_switched_off(model: Path, tmp_path: Path, library: Path) -> None:
    finished(tiny_recipe(model), tmp_path / "out", keep_rotations=False)
    assert not library.exists()


def test_a_library_that_cannot_be_written_only_warns(model: Path, tmp_path: Path, library: Path) -> None:
    library.write_text("a file is where the folder should be")
    events = finished(tiny_recipe(model), tmp_path / "out")
    (warning,) = [event for event in events if isinstance(event, Warned) and "library" in event.message]
    assert str(library) in warning.message
    assert str(tmp_path / "out.dfrot" / "rotations.safetensors") in warning.remedy
    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_r1_from_the_library_gives_the_same_checkpoint(model: Path, tmp_path: Path) -> None:
    entry = kept(model, tmp_path)
    own = {"kind": "from-file", "path": entry.reference}
    finished(tiny_recipe(model).with_field("rotation.r1", own), tmp_path / "second")
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("first", "second"))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert len(list_rotations()) == 1, "a rotation from a file is not learned"


@pytest.mark.parametrize("kind", ["dfrot", "descent", "whip"])
def test_a_warm_start_begins_below_a_cold_one(kind: str, model: Path, tmp_path: Path) -> None:
    settings = {"rotation__r1__kind": kind, "rotation__compare": False, "rotation__r1__steps": 30}
    cold = losses(finished(only_rotated(tiny_recipe(model, **settings)), tmp_path / "first"))
    (entry,) = list_rotations()
    warm = tiny_recipe(model, **settings, rotation__r1__start="from-file", rotation__r1__start_path=entry.reference)
    again = losses(finished(only_rotated(warm), tmp_path / "warm"))
    assert again[0] == pytest.approx(min(cold), rel=1e-6)
    assert again[0] < cold[0]
    assert min(again) <= again[0]


@pytest.mark.parametrize(
    "r1",
    [{"kind": "from-file", "path": "{}"}, {"kind": "whip", "start": "from-file", "start_path": "{}"}],
    ids=["from-file", "start"],
)
def test_another_file_of_the_same_name_is_another_stage(r1: dict[str, str], tmp_path: Path) -> None:
    own = tmp_path / "own.safetensors"
    recipe = Recipe().with_field("rotation.r1", {key: text.format(own) for key, text in r1.items()})
    found: list[str] = []
    for size in (4, 4, 5):
        if not found or size != 4:
            save_file({"R1": torch.eye(size)}, own)
        found.append(rotate.STAGE.fingerprint(recipe, "before"))
    assert found[0] == found[1] != found[2]
