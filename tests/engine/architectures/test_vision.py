"""Models that see: both ways of naming their tensors, what stays as it is, and what others load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CONFIG_MAPPING, AutoModelForImageTextToText

from dfrot_engine import ModelError, RunOptions, make_plan
from dfrot_engine.architectures import architecture_of
from dfrot_engine.cli import main
from tests.engine.checkpoint.folders import CONFIG
from tests.engine.plan.conftest import BASE, found
from tests.engine.runs import run_tiny, tiny_recipe
from tests.tiny_models import R1_MODELS, architecture_in, save_tiny_model, tiny_architecture
from tests.tiny_vision import VISION_MODELS, picture_inputs

#: published names → transformers' own
RENAMED = {
    "language_model.lm_head.": "lm_head.",
    "language_model.model.": "model.language_model.",
    "multi_modal_projector.": "model.multi_modal_projector.",
    "vision_tower.": "model.vision_tower.",
}
RENAMED_QWEN = {"model.": "model.language_model.", "visual.": "model.visual."}
TWO_LAYOUTS: dict[str, dict[str, str]] = {
    "gemma3": RENAMED,
    "llava": RENAMED,
    "llava-qwen2-tied": RENAMED,
    "mistral3": RENAMED,
    "qwen2_vl": RENAMED_QWEN,
    "qwen2_5_vl": RENAMED_QWEN,
}


def rename(folder: Path, names: dict[str, str]) -> Path:
    tensors = load_file(folder / "model.safetensors")
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        old = next((old for old in names if name.startswith(old)), "")
        renamed[names.get(old, "") + name.removeprefix(old)] = tensor
    assert renamed.keys() != tensors.keys()
    save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@torch.no_grad()
def seen(folder: Path, name: str) -> Tensor:
    model: Any = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    inputs = {key: one.float() if one.is_floating_point() else one for key, one in picture_inputs(name).items()}
    return model(**inputs, use_cache=False).logits


@pytest.mark.parametrize("export", ["compressed-tensors", "rotated-bf16"])
@pytest.mark.parametrize(
    ("name", "is_renamed"), [(name, False) for name in VISION_MODELS] + [(name, True) for name in TWO_LAYOUTS]
)
def test_others_load_it_and_see_the_same(name: str, is_renamed: bool, export: str, tmp_path: Path) -> None:
    folder = save_tiny_model(name, tmp_path / "model", dtype=torch.bfloat16)
    if is_renamed:
        rename(folder, TWO_LAYOUTS[name])
    before = seen(folder, name)
    r1 = "hadamard" if name in R1_MODELS else "none"
    recipe = tiny_recipe(folder, "w8a8", rotation__r1__kind=r1, exports=[{"kind": export}], evaluation=None)
    ended, _ = run_tiny(recipe, tmp_path / "out")
    assert ended.status == "finished", ended
    after = seen(tmp_path / "out", name)
    assert (after - before).norm() < 0.1 * before.norm()
    _check_files(folder, tmp_path / "out", is_quantized=export == "compressed-tensors")


def _check_files(folder: Path, output: Path, *, is_quantized: bool) -> None:
    sizes = architecture_in(folder)
    original, written = load_file(folder / "model.safetensors"), load_file(output / "model.safetensors")
    beside = {name for name in original if not sizes.is_own(name)}
    assert {name for name in written if not sizes.is_own(name)} == beside
    assert any("vision" in name or "visual" in name for name in beside)
    rotated = {name for name in beside if not torch.equal(original[name], written[name])}
    writers = () if sizes.r1_refused else sizes.writers
    assert rotated == {name for name in beside if name.rpartition(".")[0] in writers}
    assert all(written[name].dtype == original[name].dtype for name in beside)
    assert any(name.endswith("weight_scale") for name in written) is is_quantized
    config = json.loads((output / "config.json").read_text())
    assert config["tie_word_embeddings"] is config["text_config"]["tie_word_embeddings"] is False


@pytest.mark.parametrize("name", ["llava", "qwen3_vl"])
def test_exceptions_for_one_block_reach_it_under_every_name(name: str, tmp_path: Path) -> None:
    folder = save_tiny_model(name, tmp_path / "model")
    prefix = architecture_in(folder).block_prefix(0)
    exception = {"linears": f"{prefix}mlp.down_proj", "weights": {"format": "int8", "granularity": "per-channel"}}
    recipe = tiny_recipe(folder, "w4a16", overrides=[exception], rotation__r1__kind="hadamard", skip=[])
    ended, _ = run_tiny(recipe, tmp_path / "out")
    assert ended.status == "finished", ended
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert "loaded by transformers" in report["protocol"]["measured"]
    measured = report["kl_divergence"]
    recipe = recipe.with_field("exports", [])
    run_tiny(recipe, tmp_path / "own")
    own = json.loads((tmp_path / "own.dfrot" / "report.json").read_text())["kl_divergence"]
    assert measured == pytest.approx(own, rel=0.05)
    written = load_file(tmp_path / "out" / "model.safetensors")
    assert f"{architecture_in(folder).head_tensor}.weight_packed" in written


def test_the_head_is_left_alone_under_its_name_in_recipes(tmp_path: Path) -> None:
    """Files call it language_model.lm_head."""
    folder = save_tiny_model("llava", tmp_path / "model")
    ended, _ = run_tiny(tiny_recipe(folder, "w8a8", rotation__r1__kind="none", evaluation=None), tmp_path / "out")
    assert ended.status == "finished", ended
    assert "language_model.lm_head.weight_scale" not in load_file(tmp_path / "out" / "model.safetensors")


@pytest.mark.parametrize(
    ("model_type", "text_type"),
    [
        ("gemma3", "gemma3_text"),
        ("llava", "llama"),
        ("llava", "mistral"),
        ("smolvlm", "llama"),
        ("mistral3", "mistral"),
    ],
)
def test_sizes_a_config_leaves_out_are_those_of_the_text_models_class(model_type: str, text_type: str) -> None:
    sizes = architecture_of({"model_type": model_type, "text_config": {"model_type": text_type}})
    own = CONFIG_MAPPING[text_type]()
    assert (sizes.vocab_size, sizes.hidden_size, sizes.intermediate_size) == (
        own.vocab_size,
        own.hidden_size,
        own.intermediate_size,
    )
    assert (sizes.num_blocks, sizes.num_heads, sizes.num_kv_heads) == (
        own.num_hidden_layers,
        own.num_attention_heads,
        own.num_key_value_heads,
    )
    assert sizes.head_size == (getattr(own, "head_dim", None) or own.hidden_size // own.num_attention_heads)
    assert sizes.max_length == own.max_position_embeddings


def test_sizes_may_lie_flat_where_the_class_takes_them_so() -> None:
    flat = CONFIG | {"model_type": "qwen2_vl", "vision_config": {"model_type": "qwen2_vl"}}
    assert architecture_of(flat).hidden_size == CONFIG["hidden_size"]
    assert architecture_of(flat | {"tie_word_embeddings": True}).tied
    with pytest.raises(ModelError, match="'hidden_size'"):
        architecture_of(flat | {"model_type": "qwen3_vl"})


def test_a_projector_that_is_not_there_is_noticed(tmp_path: Path) -> None:
    folder = save_tiny_model("llava", tmp_path / "model")
    rename(folder, {"multi_modal_projector.linear_2.": "multi_modal_projector.last."})
    recipe = BASE.with_field("model.id_or_path", str(folder))
    problem = found(make_plan(recipe, RunOptions(output_dir=tmp_path / "out", device="cpu")), "model.id_or_path")
    assert "lacks 'multi_modal_projector.linear_2.weight'" in problem.message


def test_tasks_of_text_are_refused(tmp_path: Path) -> None:
    folder = save_tiny_model("llava", tmp_path / "model")
    recipe = BASE.with_field("model.id_or_path", str(folder)).with_field("evaluation.tasks", ["arc_easy"])
    plan = make_plan(recipe, RunOptions(output_dir=tmp_path / "out", device="cpu"))
    messages = [problem.message for problem in plan.problems if problem.field == "evaluation.tasks"]
    assert any("this one sees" in message for message in messages)


def test_what_lies_beside_the_text_model_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = save_tiny_model("qwen2_5_vl", tmp_path / "model")
    assert main(["show", str(folder)]) == 0
    num_beside = sum(name.startswith("visual.") for name in load_file(folder / "model.safetensors"))
    words = f"{num_beside} tensors beside the text model stay as they are, but for visual.merger.mlp.2, which R1 turns."
    assert words in capsys.readouterr().out


def test_text_models_that_are_not_known_are_refused() -> None:
    with pytest.raises(ModelError, match="text model 'opt' inside 'llava' is not supported") as caught:
        architecture_of({"model_type": "llava", "text_config": {"model_type": "opt"}})
    assert "llama, mistral, qwen2" in caught.value.remedy


def test_files_that_hold_a_head_are_not_tied_by_a_default() -> None:
    config = {"model_type": "mistral3", "text_config": CONFIG | {"model_type": "mistral"}}
    text = "language_model.model.embed_tokens.weight"
    assert architecture_of(config, {text}).tied
    assert not architecture_of(config, {text, "language_model.lm_head.weight"}).tied
    assert tiny_architecture("llava").head == "lm_head"
