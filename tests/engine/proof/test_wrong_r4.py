"""An R4 at run time that is not the one in the weights is caught, also where activations have so few codes that noise
alone moves the model far."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dfrot_engine.events import RunEnded
from dfrot_engine.marker import read_marker
from dfrot_engine.proof import safetensors_files
from dfrot_engine.proof.types import ProofRow
from tests.engine.proof.test_proof import PLAIN, before_proof, rows_of, said
from tests.engine.runs import run_tiny, tiny_recipe
from tests.tiny_models import save_tiny_model

CODE = "modeling_rotated.py"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model("llama-tied", tmp_path_factory.mktemp("model") / "m", hidden_size=64)


def unsealed(folder: Path, *names: str) -> None:
    """As if the files had been written so: their hashes are not known."""
    marker = read_marker(folder)
    for name in names:
        del marker["files"][name]
    (folder / "dfrot.json").write_text(json.dumps(marker))


def scheme_of(config: dict[str, Any]) -> dict[str, Any]:
    return config["rotation_config"]["config_groups"]["R4"]


def other_blocks(config: dict[str, Any]) -> None:
    scheme_of(config)["head_dim"] = 16


def first_block_alone(config: dict[str, Any]) -> None:
    for place in scheme_of(config)["apply"]:
        place["targets"] = [r"re:model[.]layers[.]0[.]mlp[.]down_proj$"]


def nowhere(config: dict[str, Any]) -> None:
    scheme_of(config)["apply"] = []


def run_damaged(
    model: Path, output: Path, damage: Callable[[dict[str, Any]], None], **fields: Any
) -> tuple[RunEnded, list[ProofRow]]:
    def change() -> None:
        path = output / "config.json"
        config = json.loads(path.read_text())
        damage(config)
        path.write_text(json.dumps(config))
        unsealed(output, "config.json")

    recipe = tiny_recipe(model, "w4a4-r4", **PLAIN, solver__kind="rtn", rotation__r4__block_size=32, **fields)
    ended, events = run_tiny(recipe, output, before_proof(change))
    return ended, rows_of(events)


@pytest.mark.parametrize("damage", [other_blocks, first_block_alone, nowhere])
def test_another_r4_is_heard_in_what_the_model_says(
    damage: Callable[[dict[str, Any]], None], model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the program itself were wrong about what it should have written."""
    monkeypatch.setattr(safetensors_files, "wrong_rotation", lambda *_: [])
    ended, rows = run_damaged(model, tmp_path / "out", damage, proof="full")
    assert ended.status == "failed"
    failed = [row for row in rows if row.passed is False]
    assert {row.check for row in failed} == {"reload"}
    sharp = [row for row in failed if "activations left as they are" in row.what]
    assert len(sharp) == 2
    assert all(row.figure is not None and row.limit is not None and row.figure > 10 * row.limit for row in sharp)


@pytest.mark.parametrize("damage", [other_blocks, first_block_alone, nowhere])
def test_another_r4_is_seen_in_the_files(damage: Callable[[dict[str, Any]], None], model: Path, tmp_path: Path) -> None:
    ended, _ = run_damaged(model, tmp_path / "out", damage, proof="quick")
    assert ended.status == "failed"
    assert "config.json describes another R4 in rotation_config" in said(ended, tmp_path / "out")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda config: config.pop("auto_map"), "does not name the code"),
        (lambda config: config["quantization_config"].pop("transform_config"), "another R4 in quantization_config"),
        (
            lambda config: [group.pop("needs_trust_remote_code", "") for group in groups_of(config)],
            "would let a loader leave R4 out",
        ),
    ],
)
def test_what_other_loaders_read_of_r4_is_checked(
    damage: Callable[[dict[str, Any]], None], words: str, model: Path, tmp_path: Path
) -> None:
    ended, _ = run_damaged(model, tmp_path / "out", damage, proof="quick")
    assert words in said(ended, tmp_path / "out")


def groups_of(config: dict[str, Any]) -> list[dict[str, Any]]:
    return list(config["quantization_config"]["config_groups"].values())


def test_other_code_in_the_folder_is_seen(model: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"

    def change() -> None:
        code = output / CODE
        code.write_text(code.read_text().replace("left - right", "left + right"))
        unsealed(output, CODE)

    recipe = tiny_recipe(model, "w4a4-r4", **PLAIN, solver__kind="rtn", rotation__r4__block_size=32)
    ended, _ = run_tiny(recipe, output, before_proof(change))
    assert ended.status == "failed"
    assert f"{CODE} is not the code that applies R4" in said(ended, output)
