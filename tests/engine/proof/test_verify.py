"""`dfrot verify` on output folders, with their work folder and without."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from dfrot_engine.cli import main
from dfrot_engine.errors import ModelError
from dfrot_engine.marker import change_marker, file_hash, read_marker
from dfrot_engine.proof.verify import verify_folder
from tests.engine.proof.test_proof import PLAIN, flip_byte
from tests.engine.runs import run_tiny, tiny_recipe
from tests.tiny_models import save_tiny_model


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run whose work folder holds everything."""
    folder = tmp_path_factory.mktemp("kept")
    model = save_tiny_model("llama-tied", folder / "tiny")
    exports = [{"kind": "compressed-tensors"}, {"kind": "rotated-bf16", "subfolder": "bf16"}]
    ended, _ = run_tiny(tiny_recipe(model, "w8a8", **PLAIN, exports=exports), folder / "out", keep_work=True)
    assert ended.status == "finished", ended
    return folder


@pytest.fixture
def run(kept: Path, tmp_path: Path) -> Path:
    """A copy of its output, beside a copy of its work folder."""
    shutil.copytree(kept / "out", tmp_path / "out")
    shutil.copytree(kept / "out.dfrot", tmp_path / "out.dfrot")
    return tmp_path / "out"


def test_a_sound_folder_passes(run: Path) -> None:
    for folder in (run, run / "bf16"):
        assert [(row.check, row.passed) for row in verify_folder(folder)] == [("files", True), ("tensors", True)]


def test_a_flipped_byte_is_found_without_the_work_folder(run: Path) -> None:
    shutil.rmtree(run.with_name("out.dfrot"))
    flip_byte(run, "model.layers.0.mlp.up_proj.weight")
    files, tensors = verify_folder(run)
    assert files.passed is False
    assert "model.safetensors has changed" in files.note
    assert tensors.passed is None
    assert "no work folder" in tensors.note


@pytest.mark.parametrize("subfolder", ["", "bf16"])
def test_a_tensor_is_named_also_where_the_hashes_were_changed_too(subfolder: str, run: Path) -> None:
    folder = run / subfolder
    flip_byte(folder, "model.layers.1.input_layernorm.weight", 0)
    hashes = read_marker(folder)["files"] | {"model.safetensors": file_hash(folder / "model.safetensors")}
    change_marker(folder, {"files": hashes})
    files, tensors = verify_folder(folder)
    assert files.passed is True
    assert tensors.passed is False
    assert "'model.layers.1.input_layernorm.weight' differs in 1 of" in tensors.note


def test_a_missing_file_is_found(run: Path) -> None:
    (run / "tokenizer.json").unlink()
    assert "tokenizer.json is missing" in next(iter(verify_folder(run))).note


def test_another_recipes_work_folder_proves_nothing(run: Path) -> None:
    path = run.with_name("out.dfrot") / "recipe.toml"
    path.write_text(path.read_text().replace("seed = 0", "seed = 1"))
    assert "another recipe" in [row.note for row in verify_folder(run)][1]


def test_a_card_may_be_edited(run: Path) -> None:
    (run / "README.md").write_text("my own words")
    assert all(row.passed for row in verify_folder(run))


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"dfrot[.]json"):
        list(verify_folder(tmp_path))


def test_the_command_line_verifies(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(run), "--json"]) == 0
    assert [row["passed"] for row in json.loads(capsys.readouterr().out)] == [True, True]
    flip_byte(run, "model.norm.weight")
    assert main(["verify", str(run)]) == 1
    assert "'model.norm.weight' differs" in capsys.readouterr().out
