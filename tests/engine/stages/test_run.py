"""The main path on tiny models: every preset, every rotation, what is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from dfrot_engine.charts import ActivationMap, TokenErrors
from dfrot_engine.checkpoint.reader import CheckpointReader
from dfrot_engine.events import (
    BlockQuantized,
    Event,
    Measured,
    StageAdvanced,
    Warned,
)
from dfrot_engine.progress import Control
from dfrot_engine.recipe import preset_names
from dfrot_engine.stages import rotate
from tests.engine.runs import run_tiny, tiny_recipe
from tests.tiny_models import save_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model("llama-tied", tmp_path_factory.mktemp("model") / "tiny")


def report_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report.json").read_text())


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_ends_with_a_report(preset: str, model: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    recipe = tiny_recipe(model, preset)
    if preset == "w4a4-r4":
        recipe = recipe.with_field("rotation.r4.block_size", 32)
    ended, events = run_tiny(recipe, output)
    assert ended.status == "finished", ended
    report = report_of(output.with_name("out.dfrot"))
    assert report["perplexity_original"] > 1
    assert report["perplexity_quantized"] > 1
    assert 0 <= report["kl_divergence"] < 1
    assert 0 < report["top1_agreement"] <= 1
    assert set(report["stages"]) >= {"load", "calibrate", "rotate", "quantize", "evaluate"}
    assert all(stage["seconds"] >= 0 and stage["peak_bytes"] > 1e7 for stage in report["stages"].values())
    assert report["loss"][-1] < report["loss"][0]
    assert [event.block for event in events if isinstance(event, BlockQuantized)] == [0, 1]
    is_written = preset != "w4a4kv4-paper"
    assert ("perplexity_engine" in report) is is_written
    if is_written:
        assert report_of(output) == report
        # The folder is loaded in its own 16 bits, which decide over many a code of four bits.
        apart = 0.1 if preset.startswith("w4a4") else 0.02
        assert report["perplexity_engine"] == pytest.approx(report["perplexity_quantized"], rel=apart)
        assert report["perplexity_engine"] != report["perplexity_quantized"]


@pytest.mark.parametrize(
    ("scheme", "limit"),
    [
        ({"weights__format": "int4", "weights__symmetric": True}, 1e-6),
        ({"weights__format": "int8"}, 1e-6),
        ({"weights__granularity": "per-channel"}, 1e-6),
    ],
)
def test_reloaded_weights_are_the_stored_codes(scheme: dict, limit: float, model: Path, tmp_path: Path) -> None:
    """What transformers decompresses is codes times scale of our own block files."""
    output = tmp_path / "out"
    ended, _ = run_tiny(tiny_recipe(model, "w4a16", **scheme), output, keep_work=True)
    assert ended.status == "finished", ended
    stored = load_file(output.with_name("out.dfrot") / "quantize" / "00000.safetensors")
    codes, scale = stored["mlp.down_proj.codes"].float(), stored["mlp.down_proj.scale"].float()
    expected = (codes.unflatten(1, (scale.shape[1], -1)) * scale[..., None]).flatten(1)
    loaded = AutoModelForCausalLM.from_pretrained(output, dtype=torch.float32)
    with torch.no_grad():
        loaded(torch.zeros(1, 2, dtype=torch.long))
    actual = loaded.get_submodule("model.layers.0.mlp.down_proj").weight
    assert isinstance(actual, torch.Tensor)
    assert (actual.float() - expected).abs().max() <= limit * expected.abs().max()


def test_fp8_reloads_as_it_was_stored(model: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    recipe = tiny_recipe(model, "w8a8").with_field("weights.format", "fp8").with_field("activations.format", "fp8")
    ended, _ = run_tiny(recipe, output, keep_work=True)
    assert ended.status == "finished", ended
    report = report_of(output)
    assert report["perplexity_quantized"] == pytest.approx(report["perplexity_original"], rel=0.05)
    assert report["kl_divergence"] < 0.05
    assert "loaded by transformers" in report["protocol"]["measured"]
    config = json.loads((output / "config.json").read_text())["quantization_config"]
    assert config["format"] == "float-quantized"
    stored = load_file(output.with_name("out.dfrot") / "quantize" / "00000.safetensors")
    codes, scale = stored["mlp.down_proj.codes"], stored["mlp.down_proj.scale"]
    with CheckpointReader(output) as reader:
        written = reader.tensor("model.layers.0.mlp.down_proj.weight")
    assert written.dtype is torch.float8_e4m3fn
    assert torch.equal(written.float(), codes.float())
    loaded = AutoModelForCausalLM.from_pretrained(output, dtype=torch.float32)
    with torch.no_grad():
        loaded(torch.zeros(1, 2, dtype=torch.long))
    actual = loaded.get_submodule("model.layers.0.mlp.down_proj").weight
    expected = codes.float() * scale.float()
    assert isinstance(actual, torch.Tensor)
    assert (actual.float() - expected).abs().max() <= 1e-6 * expected.abs().max()


@pytest.fixture(scope="module")
def wide_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its columns hold whole groups of 32."""
    return save_tiny_model("llama-tied", tmp_path_factory.mktemp("wide") / "tiny", hidden_size=64)


@pytest.mark.parametrize(
    "rotation",
    [
        {"r1__kind": "none", "r2__kind": "none", "compare": True},
        {"r1__kind": "hadamard", "r4__kind": "hadamard"},
        {"r1__kind": "dfrot"},
        {"r1__kind": "descent", "r2__kind": "descent", "r4": {"kind": "block-descent", "block_size": 32}},
        {"r1__kind": "whip"},
        {"r1__kind": "cayley"},
    ],
    ids=lambda rotation: rotation["r1__kind"],
)
@pytest.mark.parametrize("name", ["fp8", "nvfp4", "mxfp4"])
def test_floating_point_formats_are_measured_under_every_rotation(
    name: str, rotation: dict[str, Any], wide_model: Path, tmp_path: Path
) -> None:
    fields: dict[str, Any] = {f"rotation__{field}": value for field, value in ({"compare": False} | rotation).items()}
    fields |= {"weights__format": name, "activations__format": name, "exports": []}
    ended, events = run_tiny(tiny_recipe(wide_model, None, **fields), tmp_path / "out")
    assert ended.status == "finished", ended
    report = report_of(tmp_path / "out.dfrot")
    assert report["perplexity_quantized"] == pytest.approx(report["perplexity_original"], rel=0.5)
    blocks = [event for event in events if isinstance(event, BlockQuantized)]
    limit = 0.05 if name == "fp8" else 0.2
    assert all(0 < event.relative_error["self_attn.q_proj"] < limit for event in blocks)


def test_blocks_of_nvfp4_are_stored_and_read_bit_for_bit(model: Path, tmp_path: Path) -> None:
    fields = {"weights__format": "nvfp4", "activations__format": "nvfp4", "kv_cache__format": "fp8", "exports": []}
    ended, events = run_tiny(tiny_recipe(model, **fields), tmp_path / "out", keep_work=True)
    assert ended.status == "finished", ended
    stored = load_file(tmp_path / "out.dfrot" / "quantize" / "00000.safetensors")
    parts = {part: stored[f"mlp.down_proj.{part}"] for part in ("codes", "scale", "global_scale")}
    assert parts["codes"].dtype is parts["scale"].dtype is torch.float8_e4m3fn
    assert parts["global_scale"].dtype is torch.float32
    assert parts["codes"].float().abs().unique().tolist() == [0, 0.5, 1, 1.5, 2, 3, 4, 6]
    # Codes take half a byte in a checkpoint, a scale of 16 columns one.
    linears = sum(tensor.numel() for name, tensor in stored.items() if name.endswith(".codes"))
    others = sum(tensor.nbytes for name, tensor in stored.items() if not name.endswith((".codes", "scale")))
    size = next(event.bytes for event in events if isinstance(event, BlockQuantized))
    inputs = sum(tensor.nbytes for name, tensor in stored.items() if name.endswith(".input_global_scale"))
    assert inputs == 6 * 4  # those of down_proj have 8 bits
    assert size == linears // 2 + linears // 16 + 7 * 4 + inputs + others


def test_rotated_bf16_is_the_same_model(model: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(model, "w8a8").with_field(
        "exports", [{"kind": "compressed-tensors"}, {"kind": "rotated-bf16", "subfolder": "bf16"}]
    )
    ended, _ = run_tiny(recipe, tmp_path / "out")
    assert ended.status == "finished", ended
    tokens = torch.randint(0, 257, (2, 32), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        rotated = AutoModelForCausalLM.from_pretrained(tmp_path / "out" / "bf16", dtype=torch.float32)(tokens).logits
        original = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)(tokens).logits
    assert (rotated - original).norm() / original.norm() < 0.02
    with CheckpointReader(tmp_path / "out" / "bf16") as reader:
        assert reader.tensor("model.embed_tokens.weight").dtype is torch.bfloat16
        assert not torch.allclose(
            reader.tensor("model.embed_tokens.weight").float(),
            load_file(model / "model.safetensors")["model.embed_tokens.weight"],
        )


def test_charts_hold_every_rotation_on_the_same_tokens(model: Path, tmp_path: Path) -> None:
    run_tiny(tiny_recipe(model), tmp_path / "out")
    work = tmp_path / "out.dfrot"
    errors = TokenErrors.load(work / "charts" / "token_error.npz").series
    assert list(errors) == ["none", "random-orthogonal", "hadamard", "dfrot"]
    assert {series.rank[-1] for series in errors.values()} == {4 * 64 * 2 * 2}  # tokens · blocks · sites
    assert all((series.error[:-1] >= series.error[1:]).all() for series in errors.values())
    chart = ActivationMap.load(work / "charts" / "activation_map.npz")
    assert chart.value.shape == (2, 64)
    assert len(chart.tokens) == 64


@pytest.mark.parametrize("kind", ["householder", "descent", "whip", "cayley"])
def test_learned_rotations_run(kind: str, model: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(model, rotation__r1__kind=kind, rotation__compare=False)
    ended, events = run_tiny(recipe, tmp_path / "out")
    assert ended.status == "finished", ended
    assert list(TokenErrors.load(tmp_path / "out.dfrot" / "charts" / "token_error.npz").series) == [kind]
    losses = [event for event in events if isinstance(event, Measured) and event.name == "rotate/loss"]
    assert bool(losses) is (kind != "householder")


def test_learning_through_the_model_stops_inside_an_iteration(model: Path, tmp_path: Path) -> None:
    heard: list[str] = []

    def on_event(event: Event, control: Control) -> None:
        if isinstance(event, StageAdvanced) and event.stage == "rotate":
            heard.append(event.label)
            if event.label.startswith("Iteration 2, block 1"):
                control.cancel()

    recipe = tiny_recipe(model, rotation__r1__kind="cayley", rotation__compare=False)
    ended, events = run_tiny(recipe, tmp_path / "out", on_event)
    assert ended.status == "cancelled"
    assert heard[-2:] == ["Iteration 1, block 1 of 2", "Iteration 2, block 1 of 2"]
    assert [event.step for event in events if isinstance(event, Measured) and event.name == "rotate/loss"] == [0]


def test_learning_through_the_model_depends_on_exceptions_for_activations(model: Path) -> None:
    def fingerprint(**fields: Any) -> str:
        return rotate.STAGE.fingerprint(tiny_recipe(model, **fields), "")

    cayley = {"rotation__r1__kind": "cayley"}
    activations = [{"linears": "*.k_proj", "activations": {"format": "int8"}}]
    weights = [{"linears": "*.k_proj", "weights": {"format": "int8"}}]
    base = fingerprint(**cayley, overrides=[])
    assert fingerprint(**cayley, overrides=weights) == base
    assert fingerprint(**cayley, overrides=activations) != base
    assert fingerprint(overrides=activations) == fingerprint(overrides=[])


def test_a_rotation_from_a_file_is_taken_as_it_is(model: Path, tmp_path: Path) -> None:
    run_tiny(tiny_recipe(model, rotation__r1__kind="hadamard"), tmp_path / "first")
    made = tmp_path / "first.dfrot" / "rotations.safetensors"
    recipe = tiny_recipe(model, rotation__r1__kind="from-file", rotation__r1__path=str(made))
    ended, _ = run_tiny(recipe, tmp_path / "second")
    assert ended.status == "finished", ended
    assert torch.allclose(
        load_file(tmp_path / "second.dfrot" / "rotations.safetensors")["R1"], load_file(made)["R1"], atol=1e-12
    )


def test_a_model_without_massive_tokens_is_told_so(model: Path, tmp_path: Path) -> None:
    """Random weights have none; the sentence carries the numbers that a choice needs."""
    _, events = run_tiny(tiny_recipe(model), tmp_path / "out")
    said = [event.message for event in events if isinstance(event, Warned) and "no massive tokens" in event.message]
    assert len(said) == 1
    assert all(f"{kind} 0." in said[0] for kind in ("none", "random-orthogonal", "hadamard", "dfrot"))


def test_a_random_rotation_needs_no_such_word(model: Path, tmp_path: Path) -> None:
    _, events = run_tiny(tiny_recipe(model, rotation__r1__kind="hadamard"), tmp_path / "out")
    assert not [event for event in events if isinstance(event, Warned) and "massive" in event.message]
