"""Recovery by low-rank factors: closer to the original, nothing else touched, and PEFT computes as the engine does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from dfrot_engine.evaluation.folder import evaluate_folder
from dfrot_engine.stages import export as export_stage
from tests.engine.runs import TOKENS, engine_logits, finished
from tests.engine.stages.recovery import Runs, blocks_of, recipe_of, report_of
from tests.tiny_models import save_tiny_model

LORA: dict[str, Any] = {"recovery__kind": "lora", "recovery__steps": 40, "recovery__rank": 4}
LORA |= {"recovery__learning_rate": 1e-2}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model("llama-biased", tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def runs(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(model, tmp_path_factory.mktemp("runs"))


@pytest.mark.parametrize(
    ("preset", "fields"), [("w4a4", {}), ("w4a16", {"solver__kind": "gptq"}), ("w4a4kv4-paper", {})]
)
def test_factors_bring_the_model_closer(preset: str, fields: dict[str, Any], runs: Runs) -> None:
    without, recovered = report_of(runs(preset, **fields)), report_of(runs(preset, **fields, **LORA))
    assert recovered["kl_divergence"] < 0.9 * without["kl_divergence"]
    errors = list(zip(recovered["recovery"]["before"], recovered["recovery"]["after"], strict=True))
    assert len(errors) == 2
    assert 0 < errors[0][1] < errors[0][0]
    assert errors[1][1] <= errors[1][0]


def test_the_first_block_gains_factors_and_nothing_else(runs: Runs) -> None:
    without, recovered = blocks_of(runs())[0], blocks_of(runs(**LORA))[0]
    assert all(torch.equal(without[name], recovered[name]) for name in without)
    linears = {name.removesuffix(".codes") for name in without if name.endswith(".codes")}
    assert len(linears) == 7
    assert recovered.keys() - without.keys() == {f"{name}.lora_{part}" for name in linears for part in "AB"}
    shapes = {part: tuple(recovered[f"mlp.down_proj.lora_{part}"].shape) for part in "AB"}
    codes_OI = without["mlp.down_proj.codes"]
    assert shapes == {"A": (4, codes_OI.shape[1]), "B": (codes_OI.shape[0], 4)}


@pytest.mark.parametrize("preset", ["w4a16", "w4a4", "w8a8"])
def test_peft_computes_what_the_engine_does(preset: str, runs: Runs) -> None:
    recipe, output = recipe_of(runs.model, preset, **LORA), runs(preset, **LORA)
    loaded: Any = AutoModelForCausalLM.from_pretrained(output, dtype=torch.float32)
    loaded(TOKENS)  # packed linears are dense from their first forward on, and PEFT wants them dense
    adapted: Any = PeftModel.from_pretrained(loaded, str(output / "adapter"))
    assert not [name for name, part in adapted.named_parameters() if "lora_B" in name and not part.any()]
    with torch.no_grad():
        together = adapted(TOKENS).logits
        with adapted.disable_adapter():
            alone = adapted(TOKENS).logits
    engine = engine_logits(recipe, runs.model, output)
    largest = engine.abs().max()
    assert (together - engine).abs().max() <= 1e-4 * largest
    assert (alone - engine).abs().max() > 1e-2 * largest


def test_both_perplexities_are_reported_and_say_what_they_are(runs: Runs) -> None:
    output = runs(**LORA)
    report = report_of(output)
    assert report["protocol"]["measured"] == "compressed-tensors, loaded by transformers with the adapter beside it"
    assert report["perplexity_without_adapter"] != report["perplexity_quantized"]
    protocol = {"dataset": report["recipe"]["evaluation"]["dataset"], "num_windows": report["protocol"]["num_windows"]}
    seq_len = report["protocol"]["seq_len"]
    measured = evaluate_folder(output, original=None, seq_len=seq_len, device="cpu", **protocol)
    assert measured["perplexity_quantized"] == pytest.approx(report["perplexity_quantized"], rel=1e-6)
    assert "with its adapter" in measured["protocol"]["measured"]


def test_the_adapter_reaches_a_folder_that_cannot_be_renamed(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one that a disk is mounted at, whose files are copied."""

    def refuse(_draft: Path, _folder: Path) -> None:
        raise OSError(export_stage._NO_RENAME[0], "another disk")

    renamed = runs(**LORA)
    monkeypatch.setattr(export_stage, "_rename", refuse)
    (tmp_path / "copied").mkdir()
    finished(recipe_of(runs.model, **LORA), tmp_path / "copied")
    name = "adapter/adapter_model.safetensors"
    assert (tmp_path / "copied" / name).read_bytes() == (renamed / name).read_bytes()
    assert (tmp_path / "copied/adapter/adapter_config.json").is_file()


def test_experts_get_none_and_the_rest_does(tmp_path: Path) -> None:
    model = save_tiny_model("qwen3_moe", tmp_path / "tiny")
    recipe = recipe_of(model, "w4a16", **LORA)
    finished(recipe, tmp_path / "out")
    names = {name for name in blocks_of(tmp_path / "out")[0] if name.endswith(".lora_A")}
    assert names == {f"self_attn.{which}_proj.lora_A" for which in "qkvo"}
    config = json.loads((tmp_path / "out/adapter/adapter_config.json").read_text())
    assert sorted(config["target_modules"]) == [f"self_attn.{which}_proj" for which in "koqv"]
