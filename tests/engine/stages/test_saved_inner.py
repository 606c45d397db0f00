"""R2 and R4 taken from what an earlier run saved."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from dfrot_engine.options import RunOptions
from dfrot_engine.plan import make_plan
from dfrot_engine.recipe import Recipe
from dfrot_engine.rotations.rotation_set import RotationSet
from tests.engine.runs import run_tiny, tiny_recipe
from tests.tiny_models import save_tiny_model

FAST = {"steps": 10, "sample_rows": 128, "batch_rows": 64}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_tiny_model("llama", tmp_path / "model")


@pytest.fixture
def learned(model: Path, tmp_path: Path) -> Path:
    """The file of a run that learned R2 and R4."""
    recipe = tiny_recipe(
        model,
        exports=[],
        overrides=[],
        evaluation=None,
        rotation__r1__kind="hadamard",
        rotation__r2={"kind": "descent", **FAST},
        rotation__r4={"kind": "block-descent", "block_size": 32, "permute": True, **FAST},
    )
    ended, _ = run_tiny(without_evaluation(recipe), tmp_path / "first")
    assert ended.status == "finished", ended.message
    return tmp_path / "first.dfrot" / "rotations.safetensors"


def without_evaluation(recipe: Recipe) -> Recipe:
    return recipe.with_field("evaluation", None)


def saved(model: Path, path: Path) -> Recipe:
    file = {"kind": "from-file", "path": str(path)}
    recipe = tiny_recipe(model, exports=[], rotation__r1__kind="hadamard", rotation__r2=file, rotation__r4=file)
    return without_evaluation(recipe)


def test_both_are_used_as_they_are(model: Path, learned: Path, tmp_path: Path) -> None:
    ended, _ = run_tiny(saved(model, learned), tmp_path / "second")
    assert ended.status == "finished", ended.message
    before, after = (RotationSet.load(path) for path in (learned, tmp_path / "second.dfrot" / "rotations.safetensors"))
    for name in ("r2", "r4_segments", "channels"):
        for one, other in zip(getattr(before, name), getattr(after, name), strict=True):
            assert one.equal(other)
    assert before.r4 is not None
    assert after.r4 is not None
    assert before.r4.signs.equal(after.r4.signs)


@pytest.mark.parametrize("part", ["r2", "r4"])
def test_a_file_of_another_model_is_refused(model: Path, tmp_path: Path, part: str) -> None:
    r2, r4 = ([torch.eye(8, dtype=torch.float64)[None] for _ in range(2)] for _ in range(2))
    RotationSet(r2=tuple(r2), r4_segments=tuple(r4)).save(tmp_path / "other.safetensors", {})
    made = make_plan(saved(model, tmp_path / "other.safetensors"), RunOptions(output_dir=tmp_path / "out"))
    problem = next(one for one in made.errors if one.field == f"rotation.{part}.path")
    assert f"holds no {part.upper()}" in problem.message


def test_a_missing_file_is_refused(model: Path, tmp_path: Path) -> None:
    made = make_plan(saved(model, tmp_path / "none.safetensors"), RunOptions(output_dir=tmp_path / "out"))
    assert {"rotation.r2.path", "rotation.r4.path"} <= {one.field for one in made.errors}


@pytest.mark.parametrize("part", ["R2.1", "R4.segments.0", "R4.channels.1"])
def test_a_file_that_was_changed_is_refused(model: Path, learned: Path, tmp_path: Path, part: str) -> None:
    """Nothing behind would notice: the checkpoint would only talk garbage."""
    with safe_open(learned, "pt") as file:
        names, metadata = list(file.keys()), file.metadata()
        tensors = {name: file.get_tensor(name) for name in names}
    tensors[part] = tensors[part] // 2 if "channels" in part else tensors[part] * 1.01
    save_file(tensors, tmp_path / "changed.safetensors", metadata)
    ended, _ = run_tiny(saved(model, tmp_path / "changed.safetensors"), tmp_path / "out")
    assert (ended.status, "not orthogonal" in ended.message) == ("failed", True)
    assert ended.field.startswith("rotation.r")


def test_folded_signs_are_used_as_they_are(model: Path, tmp_path: Path) -> None:
    r4 = {"kind": "block-hadamard", "block_size": 32}
    recipe = tiny_recipe(model, exports=[], rotation__r1__kind="hadamard", rotation__r4=r4)
    run_tiny(without_evaluation(recipe), tmp_path / "first")
    first, second = (tmp_path / f"{name}.dfrot" / "rotations.safetensors" for name in ("first", "second"))
    run_tiny(saved(model, first), tmp_path / "second")
    before, after = RotationSet.load(first), RotationSet.load(second)
    assert before.channel_signs is not None
    assert after.channel_signs is not None
    assert set(before.channel_signs.tolist()) == {-1.0, 1.0}
    assert before.channel_signs.equal(after.channel_signs)
    assert after.r4 is not None
    assert after.r4.signs.eq(1).all()
    RotationSet(r2=before.r2, r4=before.r4, channel_signs=before.channel_signs * 2).save(tmp_path / "changed", {})
    (tmp_path / "changed").rename(tmp_path / "changed.safetensors")
    ended, _ = run_tiny(saved(model, tmp_path / "changed.safetensors"), tmp_path / "third")
    assert (ended.status, "not orthogonal" in ended.message) == ("failed", True)
