"""R2 and R4 learned in a whole run of a tiny model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from dfrot_engine.events import StageFinished, Warned
from dfrot_engine.progress import Control
from dfrot_engine.recipe import Recipe
from dfrot_engine.report_file import read_report
from dfrot_engine.rotations.rotation_set import RotationSet
from tests.engine.runs import run_tiny, tiny_recipe
from tests.tiny_models import save_tiny_model

R2 = {"kind": "descent", "steps": 20, "sample_rows": 128, "batch_rows": 64}
R4 = {"kind": "block-descent", "block_size": 32, "steps": 20, "sample_rows": 128, "batch_rows": 64}


def learned_recipe(model: Path, **changes: Any) -> Recipe:
    fields: dict[str, Any] = {
        "exports": [],
        "overrides": [],
        "rotation__r1__kind": "hadamard",
        "rotation__r2": R2,
        "rotation__r4": R4 | {"permute": True},
    }
    return tiny_recipe(model, **(fields | changes))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_tiny_model("llama", tmp_path / "model")


@pytest.mark.parametrize("name", ["llama", "phi3"])
def test_everything_learned(name: str, tmp_path: Path) -> None:
    model = save_tiny_model(name, tmp_path / "model")
    ended, _ = run_tiny(learned_recipe(model), tmp_path / "out", keep_work=True)
    assert ended.status == "finished", ended.message
    report = read_report(tmp_path / "out.dfrot")
    assert report is not None
    for part in ("r2", "r4"):
        losses = report["inner_loss"][part]
        assert len(losses) == 2
        assert all(after <= before for before, after in losses)
        assert any(after < 0.99 * before for before, after in losses)
    rotations = RotationSet.load(tmp_path / "out.dfrot" / "rotations.safetensors")
    assert rotations.r2 is not None
    assert rotations.r4_segments is not None
    assert rotations.channels is not None
    assert sorted(rotations.channels[1].tolist()) == list(range(96))


def test_a_run_that_only_learns_r4_samples_nothing_else(model: Path, tmp_path: Path) -> None:
    recipe = learned_recipe(model, rotation__compare=False, rotation__r2={"kind": "none"})
    ended, _ = run_tiny(recipe, tmp_path / "out", keep_work=True)
    assert ended.status == "finished", ended.message
    with safe_open(tmp_path / "out.dfrot" / "calibrate" / "00000.safetensors", "pt") as file:
        assert "hidden" in file.keys()  # noqa: SIM118 (not a mapping)
        assert "attended" not in file.keys()  # noqa: SIM118 (not a mapping)


def test_stopped_between_blocks_goes_on_to_the_same_rotations(model: Path, tmp_path: Path) -> None:
    def stop(event: Any, control: Control) -> None:
        if getattr(event, "label", "") == "R2, R4 and scales: block 1 of 2":
            control.cancel()

    recipe = learned_recipe(model)
    assert run_tiny(recipe, tmp_path / "a", stop, keep_work=True)[0].status == "cancelled"
    ended, events = run_tiny(recipe, tmp_path / "a", keep_work=True)
    assert ended.status == "finished"
    assert any(isinstance(event, StageFinished) and event.reused for event in events)
    run_tiny(recipe, tmp_path / "b", keep_work=True)
    resumed, whole = (RotationSet.load(tmp_path / f"{name}.dfrot" / "rotations.safetensors") for name in "ab")
    for one, other in zip(resumed.r4_segments or (), whole.r4_segments or (), strict=True):
        assert one.equal(other)


def test_a_refined_r4_lowers_the_error_of_down_proj(model: Path, tmp_path: Path) -> None:
    errors = {}
    for name, r4 in (
        ("none", {"kind": "none"}),
        ("blocks", {"kind": "block-hadamard", "block_size": 32}),
        ("learned", R4),
    ):
        recipe = learned_recipe(model, rotation__r4=r4, weights=None)
        _, events = run_tiny(recipe, tmp_path / name)
        found = [event.relative_error["mlp.down_proj"] for event in events if event.event == "block_quantized"]
        errors[name] = sum(found)
    assert errors["learned"] < errors["none"]


@pytest.mark.parametrize("r4", ["none", "hadamard"])
def test_scales_are_learned_and_folded(r4: str, model: Path, tmp_path: Path) -> None:
    changes = {"rotation__r1__kind": "hadamard", "rotation__r2": {"kind": "none"}, "rotation__r4": {"kind": r4}}
    errors = {}
    for name in ("none", "search"):
        recipe = learned_recipe(model, **changes, rotation__mlp_scaling={"kind": name})
        ended, events = run_tiny(recipe, tmp_path / name, keep_work=True)
        assert ended.status == "finished", ended.message
        found = [event.relative_error["mlp.down_proj"] for event in events if event.event == "block_quantized"]
        errors[name] = sum(found)
    assert errors["search"] < 1.02 * errors["none"]
    rotations = RotationSet.load(tmp_path / "search.dfrot" / "rotations.safetensors")
    assert rotations.mlp_scales is not None
    assert [scale.shape for scale in rotations.mlp_scales] == [(96,), (96,)]
    report = read_report(tmp_path / "search.dfrot")
    assert report is not None
    assert all(after <= before for before, after in report["inner_loss"]["mlp_scales"])


@pytest.mark.parametrize("name", ["arcee", "mixtral"])
def test_a_preset_that_scales_fits_models_that_cannot_be_scaled(name: str, tmp_path: Path) -> None:
    recipe = tiny_recipe(save_tiny_model(name, tmp_path / "model"), "w8a8")
    assert recipe.rotation.mlp_scaling.kind == "search"
    ended, events = run_tiny(recipe, tmp_path / "out", keep_work=True)
    assert ended.status == "finished", ended.message
    assert any("stay as they are" in event.message for event in events if isinstance(event, Warned))
    assert RotationSet.load(tmp_path / "out.dfrot" / "rotations.safetensors").mlp_scales is None
    ended, events = run_tiny(recipe, tmp_path / "out", keep_work=True)
    assert ended.status == "finished", ended.message
    assert all(event.reused for event in events if isinstance(event, StageFinished) and event.stage == "quantize")


def test_scales_are_learned_anew_for_other_weights(model: Path, tmp_path: Path) -> None:
    recipe = learned_recipe(model, rotation__mlp_scaling={"kind": "search"})
    run_tiny(recipe, tmp_path / "out", keep_work=True)
    _, events = run_tiny(recipe.with_field("weights.format", "int8"), tmp_path / "out", keep_work=True)
    assert "rotate" not in {event.stage for event in events if isinstance(event, StageFinished) and event.reused}
