"""Two outputs of one kind are told apart wherever they are named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dfrot_engine.marker import FAILED
from tests.engine.proof.test_proof import before_proof, flip_byte, rows_of, small_recipe
from tests.engine.runs import run_tiny
from tests.tiny_models import save_tiny_model

EXPORTS = [{"kind": "compressed-tensors"}, {"kind": "compressed-tensors", "subfolder": "again"}]
LABELS = ["compressed-tensors", "compressed-tensors in again"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model("llama-tied", tmp_path_factory.mktemp("model") / "m")


def test_each_has_its_own_rows_folder_and_size(model: Path, tmp_path: Path) -> None:
    ended, events = run_tiny(small_recipe(model, exports=EXPORTS), tmp_path / "out")
    assert ended.status == "finished", ended
    rows = rows_of(events)
    assert {label: [row.check for row in rows if row.output == label] for label in LABELS} == {
        label: ["files", "tensors"] for label in LABELS
    }
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["outputs"] == dict(zip(LABELS, map(str, (tmp_path / "out", tmp_path / "out" / "again")), strict=True))
    assert len(set(report["output_bytes"].values())) == 1
    assert all(size > 0 for size in report["output_bytes"].values())
    assert (tmp_path / "out" / "again" / "config.json").is_file()


def test_what_is_wrong_with_one_leaves_the_other_alone(model: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    damage = before_proof(lambda: flip_byte(output / "again", "model.norm.weight"))
    ended, _ = run_tiny(small_recipe(model, exports=EXPORTS), output, damage)
    assert ended.status == "failed"
    assert f"written as {LABELS[1]} failed" in ended.message
    assert (output / "again" / FAILED).is_file()
    assert not (output / FAILED).exists()
    assert (output / "config.json").is_file()
