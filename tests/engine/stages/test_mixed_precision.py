"""Exceptions of every kind in one recipe, the head among them: plan, run, export, reload."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM

from dfrot_engine import Recipe, RunOptions, make_plan
from dfrot_engine.architectures import architecture_of
from dfrot_engine.checkpoint.reader import CheckpointReader
from dfrot_engine.events import StageAdvanced
from dfrot_engine.job import Job
from dfrot_engine.outer import fold_outer
from dfrot_engine.quantizers.activations import activation_quantizer
from dfrot_engine.recipe import ActivationScheme
from dfrot_engine.rotations.rotation_set import RotationSet
from tests.engine.runs import TOKENS, engine_logits, run_tiny, tiny_recipe
from tests.tiny_models import save_tiny_model

INT8 = {"format": "int8", "granularity": "per-channel"}
INT4 = {"format": "int4", "group_size": 16}
#: later wins: the first block's down_proj goes back to four bits
MIXED: list[dict[str, Any]] = [
    {"linears": "*.down_proj", "weights": INT8},
    {"linears": "model.layers.0.*", "weights": INT8},
    {"linears": "model.layers.2.*", "weights": INT8},
    {"linears": "lm_head", "weights": INT8},
    {"linears": "model.layers.0.mlp.down_proj", "weights": INT4},
]


@pytest.fixture(scope="module", params=["llama-tied", "qwen3", "phi3"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(request.param, tmp_path_factory.mktemp("model") / "tiny", num_hidden_layers=3)


def mixed(model: Path, preset: str = "w4a16", **fields: Any) -> Recipe:
    return tiny_recipe(model, preset, **({"overrides": MIXED, "skip": [], "evaluation": None} | fields))


def finished(recipe: Recipe, output: Path) -> Path:
    """The output folder of a run that ended well; its work folder stays."""
    ended, _ = run_tiny(recipe, output, keep_work=True)
    assert ended.status == "finished", ended
    return output


def outer_of(output: Path) -> dict[str, Tensor]:
    return load_file(output.with_name(f"{output.name}.dfrot") / "quantize" / "outer.safetensors")


def reloaded(output: Path) -> Tensor:
    loaded: Any = AutoModelForCausalLM.from_pretrained(output, dtype=torch.float32)
    with torch.no_grad():
        return loaded(TOKENS, use_cache=False).logits


def relative_error(actual: Tensor, expected: Tensor) -> float:
    return float((actual - expected).norm() / expected.norm())


def test_later_exceptions_win(model: Path) -> None:
    recipe = mixed(model)

    def fmt(linear: str) -> str | None:
        weights = recipe.schemes(linear).weights
        return weights.format if weights else None

    assert [fmt(f"model.layers.{index}.mlp.down_proj") for index in range(3)] == ["int4", "int8", "int8"]
    assert [fmt(f"model.layers.{index}.mlp.up_proj") for index in range(3)] == ["int8", "int4", "int8"]
    assert fmt("lm_head") == "int8"
    turned = recipe.with_field("overrides", MIXED[::-1])
    weights = turned.schemes("model.layers.0.mlp.down_proj").weights
    assert weights is not None
    assert weights.format == "int8"


@pytest.mark.parametrize("preset", ["w4a16", "w8a8", "w4a8"])
def test_the_export_is_what_the_engine_runs(preset: str, model: Path, tmp_path: Path) -> None:
    recipe = mixed(model, preset)
    output = finished(recipe, tmp_path / "out")
    expected = engine_logits(recipe, model, output)
    assert relative_error(reloaded(output), expected) < 1e-3


def test_fused_linears_take_exceptions_by_their_own_name(tmp_path: Path) -> None:
    model = save_tiny_model("phi3", tmp_path / "model")
    exceptions = [{"linears": "*.qkv_proj", "weights": INT8}, {"linears": "*.0.mlp.gate_up_proj", "weights": INT8}]
    recipe = mixed(model, overrides=exceptions, skip=["lm_head"])
    output = finished(recipe, tmp_path / "out")
    quantization = json.loads((output / "config.json").read_text())["quantization_config"]
    bits = {
        name: one["weights"]["num_bits"] for one in quantization["config_groups"].values() for name in one["targets"]
    }
    assert bits == {
        "re:.*self_attn[.]qkv_proj$": 8,
        "re:.*self_attn[.]o_proj$": 4,
        "model.layers.0.mlp.gate_up_proj": 8,
        "model.layers.1.mlp.gate_up_proj": 4,
        "re:.*mlp[.]down_proj$": 4,
    }
    assert relative_error(reloaded(output), engine_logits(recipe, model, output)) < 1e-3


def test_the_checkpoint_holds_codes_of_the_head(model: Path, tmp_path: Path) -> None:
    recipe = mixed(model)
    output = finished(recipe, tmp_path / "out")
    stored = outer_of(output)
    assert set(stored) == {"embedding", "final_norm", "head.codes", "head.scale"}
    assert stored["head.codes"].dtype is torch.int8
    assert stored["head.scale"].shape == (384, 1)
    config = json.loads((output / "config.json").read_text())
    quantization = config["quantization_config"]
    assert config["tie_word_embeddings"] is False
    assert "lm_head" not in quantization["ignore"]
    assert [group["weights"]["num_bits"] for group in quantization["config_groups"].values()].count(8) == 1
    targets = {name: group for group in quantization["config_groups"].values() for name in group["targets"]}
    assert targets["lm_head"]["weights"]["num_bits"] == 8
    assert targets["model.layers.0.mlp.down_proj"]["weights"]["num_bits"] == 4
    with CheckpointReader(output) as reader:
        assert "lm_head.weight" not in reader.headers
        assert {"lm_head.weight_packed", "lm_head.weight_scale", "lm_head.weight_shape"} <= set(reader.headers)


def test_the_head_is_rounded_from_the_folded_weight(model: Path, tmp_path: Path) -> None:
    """Half a step at most off the float64 fold, not off its 16-bit copy."""
    overrides = [{"linears": "lm_head", "weights": INT8 | {"clip_ratio": 1.0}}]
    recipe = mixed(model, overrides=overrides, solver={"kind": "rtn"})
    output = finished(recipe, tmp_path / "out")
    job = Job.prepare(recipe, RunOptions(output_dir=output, device="cpu"), "tiny", model)
    rotations = RotationSet.load(output.with_name("out.dfrot") / "rotations.safetensors")
    with CheckpointReader(model) as reader:
        head = fold_outer(job, reader, rotations)["head"]
    stored = outer_of(output)
    scale = stored["head.scale"].double()
    steps = (head / scale - stored["head.codes"]).abs()
    inside = (head / scale).abs() < 127
    assert float(steps[inside].max()) < 0.5 + 1e-4


@pytest.mark.parametrize("symmetric", [True, False])
def test_the_heads_input_is_rounded_too(symmetric: bool, model: Path, tmp_path: Path) -> None:
    """The engine's forward, against the head written out; clipped, so that no value lies between two codes."""
    activations = {"format": "int4", "symmetric": symmetric, "clip_ratio": 0.9}
    head = {"linears": "lm_head", "weights": INT4 | {"symmetric": symmetric}, "activations": activations}
    recipe = mixed(model, "w4a16", overrides=[head], exports=[])
    output = finished(recipe, tmp_path / "out")
    plain = recipe.with_field("overrides", [head | {"activations": None}])
    stored = outer_of(output)
    assert ("head.zero_point" in stored) is not symmetric
    codes = stored["head.codes"].float().unflatten(1, (-1, 16))
    codes = codes if symmetric else codes - stored["head.zero_point"].float()[..., None]
    weight = (codes * stored["head.scale"].float()[..., None]).flatten(1)
    exact_input = torch.linalg.lstsq(weight, engine_logits(plain, model, output).flatten(0, 1).T).solution.T
    expected = activation_quantizer(ActivationScheme.model_validate(activations))(exact_input) @ weight.T
    assert relative_error(engine_logits(recipe, model, output).flatten(0, 1), expected) < 1e-3
    assert relative_error(exact_input @ weight.T, expected) > 0.02


@pytest.mark.parametrize("weights", [INT4, {"format": "int8", "granularity": "per-channel"}])
def test_asymmetric_weights_alone_are_made_dense_while_loading(
    weights: dict[str, Any], model: Path, tmp_path: Path
) -> None:
    """transformers does not unpack zero-points otherwise."""
    recipe = mixed(model, "w4a16", weights=weights | {"symmetric": False}, overrides=[], skip=["lm_head"])
    output = finished(recipe, tmp_path / "out")
    config = json.loads((output / "config.json").read_text())["quantization_config"]
    assert config["dequantize"] is True
    assert config["config_groups"]["group_0"]["weights"]["symmetric"] is False
    # The dense weights are rounded to bfloat16, the checkpoint's dtype.
    assert relative_error(reloaded(output), engine_logits(recipe, model, output)) < 0.01
    symmetric = finished(mixed(model, "w4a16", overrides=[], skip=["lm_head"]), tmp_path / "symmetric")
    assert "dequantize" not in json.loads((symmetric / "config.json").read_text())["quantization_config"]


def test_a_head_left_alone_stays_as_it_was(model: Path, tmp_path: Path) -> None:
    output = finished(mixed(model, skip=["lm_head"]), tmp_path / "out")
    assert set(outer_of(output)) == {"embedding", "final_norm", "head"}
    assert outer_of(output)["head"].dtype is torch.bfloat16
    assert "lm_head" in json.loads((output / "config.json").read_text())["quantization_config"]["ignore"]


def test_rotated_bf16_leaves_the_head_unquantized(model: Path, tmp_path: Path) -> None:
    exports = [{"kind": "compressed-tensors"}, {"kind": "rotated-bf16", "subfolder": "bf16"}]
    output = finished(mixed(model, exports=exports), tmp_path / "out")
    with CheckpointReader(output / "bf16") as reader:
        assert reader.tensor("lm_head.weight").dtype is torch.bfloat16
    original: Any = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    with torch.no_grad():
        assert relative_error(reloaded(output / "bf16"), original(TOKENS).logits) < 0.02


def test_the_plan_says_the_bytes_that_are_written(model: Path, tmp_path: Path) -> None:
    recipe = mixed(model)
    options = RunOptions(output_dir=tmp_path / "out", device="cpu")
    plan = make_plan(recipe, options)
    assert plan.errors == ()
    config = json.loads((model / "config.json").read_text())
    count = len(architecture_of(config).linear_names()) + 1  # the head
    assert f"{count} linears" in next(stage.summary for stage in plan.stages if stage.stage == "quantize")
    finished(recipe, tmp_path / "out")
    with CheckpointReader(tmp_path / "out") as reader:
        written = sum(header.num_bytes for name, header in reader.headers.items() if not name.endswith("weight_shape"))
    assert plan.outputs[0].bytes == written


def test_the_run_says_that_it_is_at_the_head(model: Path, tmp_path: Path) -> None:
    _, events = run_tiny(mixed(model, exports=[]), tmp_path / "out")
    labels = [event.label for event in events if isinstance(event, StageAdvanced) and event.stage == "quantize"]
    assert labels[0] == "Embedding and head"
