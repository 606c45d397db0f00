"""Two processes come to what one comes to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from dfrot_engine.events import BlockQuantized, Event
from dfrot_engine.progress import Control
from dfrot_engine.recipe import Recipe
from tests.engine.distributed.processes import assert_same, start_pair, tensors
from tests.engine.runs import run_tiny, tiny_recipe
from tests.tiny_models import save_tiny_model
from tests.warm import Warm

_RTN = {"solver.kind": "rtn"}
# Strongly damped: the second moments of few tokens make much of the order of additions. With the usual damping, one
# process alone moves a third of the codes of Qronos on some processors when its batches have another size.
_GPTQ, _QRONOS = ({"solver.kind": kind, "solver.damping": 0.5} for kind in ("gptq", "qronos"))
_DFROT = {"rotation.r1.kind": "dfrot"}


class _Case(NamedTuple):
    model: str
    preset: str
    fields: dict[str, Any]
    moved: float = 0.005  # share of codes that may differ


CASES = {
    "w4a16-gptq": _Case("llama", "w4a16", _GPTQ | _DFROT | {"calibration.num_samples": 5}),
    "w4a8-qronos": _Case("llama", "w4a8", _QRONOS | {"skip": [], "rotation.r2.kind": "descent"}),
    "w8a8-rtn": _Case("llama-tied", "w8a8", _RTN | {"exports": []}),
    "w4a4kv4-r3-r4": _Case("llama", "w4a4kv4-paper", _GPTQ),
    "nvfp4": _Case("llama", "w4a4", _RTN | {"weights.format": "nvfp4", "activations.format": "nvfp4", "exports": []}),
    "mixture": _Case("qwen2_moe", "w4a8", _QRONOS | {"calibration.num_samples": 6}, moved=0.02),
    "mixture-searched": _Case(
        "mixtral",
        "w4a8",
        _RTN
        | {
            "activations.clip_ratio": "search",
            "exports": [],
            "calibration.num_samples": 3,
            "calibration.seq_len": 1024,
        },
    ),
    "searched": _Case(
        "llama",
        "w4a4kv4-paper",
        _GPTQ | {"activations.clip_ratio": "search", "kv_cache.clip_ratio": "search", "skip": []},
    ),
    "recovery": _Case(
        # Adam's first steps are as long for a gradient of nearly nothing as for any other.
        "llama",
        "w4a8",
        _GPTQ | {"recovery": {"kind": "scales", "steps": 2}, "calibration.num_samples": 5},
        moved=0.05,
    ),
    "recovery-lora": _Case(
        "llama",
        "w4a8",
        _GPTQ | {"recovery": {"kind": "lora", "steps": 2, "rank": 4}, "calibration.num_samples": 5},
        moved=0.05,
    ),
}


@pytest.fixture(scope="module")
def folder(warm: Warm, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All cases run, by one process and by two, each kind in a folder."""
    root = tmp_path_factory.mktemp("ranks")
    orders = []
    for name, case in CASES.items():
        model = root / "models" / case.model
        if not model.exists():
            save_tiny_model(case.model, model, intermediate_size=128, max_position_embeddings=1024)
        recipe = tiny_recipe(
            model, case.preset, **{key.replace(".", "__"): value for key, value in case.fields.items()}
        )
        ended, _ = run_tiny(recipe, root / "one" / name, keep_work=True, keep_rotations=False)
        assert ended.status == "finished", ended
        orders.append(_order(recipe, root / "two" / name))
    # One of them has been begun by a process alone.
    stopped, _ = run_tiny(_recipe_of(orders[0]), root / "two" / "w4a16-gptq", _stop, keep_rotations=False)
    assert stopped.status == "cancelled"
    (root / "cases.json").write_text(json.dumps(orders))
    arguments = [str(root / "cases.json")]
    for process in start_pair(warm.module("tests.engine.distributed.driver"), arguments, arguments):
        said, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors
        assert not said
    return root


def _order(recipe: Recipe, output: Path) -> dict[str, Any]:
    options = {"output_dir": str(output), "device": "cpu", "keep_work": True, "keep_rotations": False, "ranks": 2}
    return {"recipe": recipe.model_dump(mode="json"), "options": options}


def _recipe_of(order: dict[str, Any]) -> Recipe:
    return Recipe.parse(order["recipe"])


def _stop(event: Event, control: Control) -> None:
    if isinstance(event, BlockQuantized):
        control.cancel()


@pytest.mark.parametrize("name", CASES)
def test_two_processes_come_to_the_same(folder: Path, name: str):
    assert_same(folder / "one" / name, folder / "two" / name, moved=CASES[name].moved)


def test_samples_and_rotation_are_the_same(folder: Path):
    # A run that the first block of was done by one process; its calibration came from there.
    one, two = (folder / kind / "w4a8-qronos" for kind in ("one", "two"))
    before, after = tensors(one, "calibrate/rows.safetensors"), tensors(two, "calibrate/rows.safetensors")
    assert torch.equal(before["rows/sample_N"], after["rows/sample_N"])
    assert torch.equal(before["rows/position_N"], after["rows/position_N"])
    torch.testing.assert_close(after["rows/rows_ND"], before["rows/rows_ND"], rtol=1e-4, atol=1e-5)
    before, after = tensors(one, "rotations.safetensors"), tensors(two, "rotations.safetensors")
    torch.testing.assert_close(after["rotations/R1"], before["rotations/R1"], rtol=1e-3, atol=1e-3)


def test_few_tokens_are_judged_together(folder: Path):
    reports = [json.loads((folder / kind / "mixture" / "report.json").read_text()) for kind in ("one", "two")]
    assert reports[0]["experts_to_nearest"] == reports[1]["experts_to_nearest"]


@pytest.mark.parametrize("name", ["recovery", "recovery-lora"])
def test_recovery_gains_the_same(folder: Path, name: str):
    one, two = (json.loads((folder / kind / f"{name}.dfrot" / "recovery.json").read_text()) for kind in ("one", "two"))
    assert one["after"][0] < one["before"][0]
    assert two["before"] == pytest.approx(one["before"], rel=1e-3)
    assert two["after"] == pytest.approx(one["after"], rel=1e-3)


def test_nobody_leaves_a_folder_behind(folder: Path):
    assert not list(folder.glob("two/*.dfrot/ranks/*"))
