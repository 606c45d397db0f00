"""Problems with the model and the texts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from dfrot_engine import Plan, RecipeError, RunOptions, make_plan
from tests.engine.checkpoint.folders import save_model
from tests.engine.plan.conftest import BASE, found
from tests.tiny_models import R1_MODELS, TINY_MODELS, save_tiny_model


def test_model_that_is_not_there(options: RunOptions) -> None:
    made = make_plan(BASE.with_field("model.id_or_path", "/no/such/model"), options)
    assert made.model is None
    assert (made.stages, made.outputs) == ((), ())
    assert found(made, "model.id_or_path").severity == "error"
    with pytest.raises(RecipeError, match="no folder or file"):
        made.raise_problems()


def test_other_problems_are_said_even_without_a_model(tmp_path: Path) -> None:
    recipe = BASE.with_field("model.id_or_path", "/no/such/model").with_field("calibration.dataset", "nonsense")
    occupied = tmp_path / "full"
    occupied.mkdir()
    (occupied / "file").touch()
    fields = {problem.field for problem in make_plan(recipe, RunOptions(output_dir=occupied, device="cpu")).errors}
    assert fields == {"model.id_or_path", "calibration.dataset", "options.output_dir"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "mamba"}, "'mamba' is not supported"),
        ({"model_type": "mystery", "auto_map": {"AutoModel": "evil.Evil"}}, "'mystery' is not supported"),
        ({"hidden_size": -1}, "'hidden_size' is -1"),
        ({"hidden_size": "64"}, "'hidden_size' is '64'"),
        ({"num_key_value_heads": 3}, "cannot share 3 KV heads"),
        ({"quantization_config": {"quant_method": "gptq"}}, "already quantized"),
    ],
)
def test_configs_that_are_refused(options: RunOptions, model: Path, changes: dict[str, Any], words: str) -> None:
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | changes))
    made = make_plan(BASE.with_field("model.id_or_path", str(model)), options)
    assert words in found(made, "model.id_or_path").message


@pytest.mark.parametrize("name", TINY_MODELS)
def test_every_architecture_is_planned(name: str, tmp_path: Path, options: RunOptions) -> None:
    folder = save_tiny_model(name, tmp_path / "model")
    recipe = BASE.with_field("model.id_or_path", str(folder)).with_field("weights.group_size", 8)
    made = make_plan(recipe.with_field("rotation.r1.kind", "none"), options)
    assert made.errors == ()
    assert made.model is not None
    assert made.model.num_blocks == 2
    rotated = make_plan(recipe.with_field("rotation.r1.kind", "hadamard"), options)
    if name in R1_MODELS:
        assert rotated.errors == ()
    else:
        assert "norms behind attention and MLP" in found(rotated, "rotation.r1.kind").message
        assert "R2 and R4 still help" in found(rotated, "rotation.r1.kind").remedy


def test_linear_that_is_missing(plan: Callable[..., Plan], model: Path) -> None:
    save_model(model, leave_out=("model.layers.1.mlp.up_proj.weight", "model.norm.weight"))
    message = found(plan(), "model.id_or_path").message
    assert "lacks 'model.layers.1.mlp.up_proj.weight' (1 more" in message


def test_linear_of_another_shape(plan: Callable[..., Plan], model: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"intermediate_size": 96}))
    message = found(plan(), "model.id_or_path").message
    assert "has the shape 128 × 64, but config.json implies 96 × 64" in message


def test_linear_that_is_no_float(plan: Callable[..., Plan], model: Path) -> None:
    tensors = load_file(model / "model.safetensors")
    name = "model.layers.0.self_attn.q_proj.weight"
    tensors[name] = tensors[name].astype(np.int8)
    save_file(tensors, model / "model.safetensors")
    assert "stored as I8" in found(plan(), "model.id_or_path").message


@pytest.mark.parametrize("purpose", ["calibration", "evaluation"])
@pytest.mark.parametrize(("dataset", "words"), [("nonsense", "no dataset"), ("/no/text.txt", "does not exist")])
def test_texts_that_are_not_there(plan: Callable[..., Plan], purpose: str, dataset: str, words: str) -> None:
    assert words in found(plan((f"{purpose}.dataset", dataset)), f"{purpose}.dataset").message


def test_texts_that_are_too_short(plan: Callable[..., Plan], tmp_path: Path) -> None:
    path = tmp_path / "short.txt"
    path.write_text("x" * 1000)
    assert "1,000 bytes" in found(plan(("calibration.dataset", str(path))), "calibration.num_samples").message
    assert plan(("calibration.dataset", str(path)), ("calibration.num_samples", 7)).errors == ()
    path.write_text("x" * 127)
    assert found(plan(("evaluation.dataset", str(path))), "evaluation.seq_len").severity == "error"


def test_measuring_on_the_calibration_text(plan: Callable[..., Plan], tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("x" * 10_000)
    same = [("calibration.dataset", str(path)), ("evaluation.dataset", str(path.parent / "." / path.name))]
    assert found(plan(*same), "evaluation.dataset").severity == "warning"
    assert plan(("calibration.dataset", "wikitext-2"), ("evaluation.dataset", "wikitext-2")).problems == ()
