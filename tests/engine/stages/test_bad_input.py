"""Whatever goes wrong ends as a sentence with a remedy, and nothing that was there is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file, save_file

from dfrot_engine import run as main_path
from dfrot_engine.events import Event, StageStarted
from dfrot_engine.progress import Control
from dfrot_engine.recipe import Recipe
from tests.engine.runs import run_tiny, tiny_recipe
from tests.tiny_models import save_tiny_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_tiny_model("llama", tmp_path / "tiny")


def assert_fails(recipe: Recipe, output: Path, *words: str, **options: Any) -> None:
    ended, _ = run_tiny(recipe, output, **options)
    assert ended.status == "failed"
    assert ended.remedy
    for word in words:
        assert word in f"{ended.message} {ended.remedy}"


def test_nan_in_the_weights_names_block_and_site(model: Path, tmp_path: Path) -> None:
    tensors = load_file(model / "model.safetensors")
    tensors["model.layers.0.mlp.down_proj.weight"][0, 0] = float("nan")
    save_file(tensors, model / "model.safetensors", {"format": "pt"})
    assert_fails(tiny_recipe(model), tmp_path / "out", "Block 1", "input_layernorm", "NaN")
    assert not (tmp_path / "out").exists()


def test_text_too_short(model: Path, tmp_path: Path) -> None:
    text = tmp_path / "short.txt"
    text.write_text("Too little. " * 10)
    recipe = tiny_recipe(model, calibration__dataset=str(text))
    assert_fails(recipe, tmp_path / "out", "Lower the number or the length")


def test_occupied_output_is_left_alone(model: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "thesis.txt").write_text("years of work")
    assert_fails(tiny_recipe(model), output, "not empty")
    assert (output / "thesis.txt").read_text() == "years of work"


def test_unsupported_architecture_is_named(model: Path, tmp_path: Path) -> None:
    config = (model / "config.json").read_text().replace('"llama"', '"mamba2"')
    (model / "config.json").write_text(config)
    assert_fails(tiny_recipe(model), tmp_path / "out", "mamba2", "llama")


def test_a_tensor_that_does_not_fit(model: Path, tmp_path: Path) -> None:
    tensors = load_file(model / "model.safetensors")
    tensors["model.layers.1.self_attn.q_proj.weight"] = torch.zeros(3, 3)
    save_file(tensors, model / "model.safetensors", {"format": "pt"})
    assert_fails(tiny_recipe(model), tmp_path / "out", "q_proj")


def test_a_work_folder_in_use(model: Path, tmp_path: Path) -> None:
    (tmp_path / "out.dfrot").mkdir()
    with FileLock(tmp_path / "out.dfrot" / "lock"):
        assert_fails(tiny_recipe(model), tmp_path / "out", "Another run")


def test_a_file_where_the_output_should_be(model: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    assert_fails(tiny_recipe(model), tmp_path / "out", "out")
    assert (tmp_path / "out").read_text() == "a file"


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), "seq_len"),
        (MemoryError(), "--memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes."), "--memory"),
        (OSError(28, "No space left on device"), "No space left"),
    ],
)
def test_running_out_says_what_to_lower_and_resumes(
    error: BaseException, word: str, model: Path, tmp_path: Path
) -> None:
    def fail_once(event: Event, _control: Control) -> None:
        if isinstance(event, StageStarted) and event.stage == "quantize":
            raise error

    ended, _ = run_tiny(tiny_recipe(model), tmp_path / "out", fail_once)
    assert ended.status == "failed"
    assert word in f"{ended.message} {ended.remedy}"
    assert not (tmp_path / "out").exists()
    again, _ = run_tiny(tiny_recipe(model), tmp_path / "out")
    assert again.status == "finished"


def test_damaged_work_files_are_made_again(model: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(model)

    def stop(event: Event, control: Control) -> None:
        if isinstance(event, StageStarted) and event.stage == "export":
            control.cancel()

    run_tiny(recipe, tmp_path / "out", stop)
    (tmp_path / "out.dfrot" / "stages.json").write_text("{broken")
    ended, _ = run_tiny(recipe, tmp_path / "out")
    assert ended.status == "finished", ended


def test_stages_follow_the_plan() -> None:
    assert [stage.name for stage in main_path.STAGES] == [
        "calibrate",
        "rotate",
        "quantize",
        "export",
        "prove",
        "evaluate",
    ]
