"""GGUF files of tiny models: what is in them, what transformers makes of them, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from gguf import GGMLQuantizationType, GGUFReader, quants
from transformers import AutoModelForCausalLM, GgufConfig

from dfrot_engine.evaluation.models import LogitsOf, original_logits, quantized_logits, reloaded_logits
from dfrot_engine.exporters.gguf_blocks import interleaved_rows
from dfrot_engine.job import Job
from dfrot_engine.options import RunOptions
from dfrot_engine.quantizers.weight import QuantizedWeight
from dfrot_engine.recipe import Recipe
from dfrot_engine.rotations.rotation_set import RotationSet
from dfrot_engine.work_dir import WorkDir
from tests.engine.exporters.tokenizers_of import trained_tokenizer
from tests.engine.runs import run_tiny, tiny_recipe
from tests.tiny_models import save_tiny_model

CPU = torch.device("cpu")
EXPORTS = [
    {"kind": "gguf"},
    {"kind": "gguf-f16", "subfolder": "f16"},
    {"kind": "gguf-q8_0", "subfolder": "q8_0"},
]
TOKENS = torch.randint(3, 380, (2, 48), generator=torch.Generator().manual_seed(0))
#: What is written for each: the head and down_proj get codes of their own.
MODELS: dict[str, dict[str, Any]] = {
    "llama": {"attention_bias": True, "mlp_bias": True},
    "llama-rope-scaled": {},
    "mistral": {"sliding_window": None},
    "qwen2": {},
    "qwen3": {},
}


class Made(NamedTuple):
    """A finished run with its work folder."""

    output: Path
    recipe: Recipe
    job: Job
    work: WorkDir

    def stored(self, block: int, linear: str) -> QuantizedWeight:
        tensors, _ = self.work.load_block("quantize", f"{block:05}")
        return QuantizedWeight(
            tensors[f"{linear}.codes"], tensors[f"{linear}.scale"], tensors.get(f"{linear}.zero_point"), "int8"
        )


def gguf_model(name: str, folder: Path, **changes: Any) -> Path:
    save_tiny_model(name, folder, hidden_size=64, **MODELS.get(name, {}) | changes)
    trained_tokenizer("smollm").save_pretrained(folder)
    return folder


def gguf_recipe(model: Path, **fields: Any) -> Recipe:
    """Int4 in groups of 32, the head too; down_proj int8."""
    recipe = tiny_recipe(model, "w4a16", weights__group_size=32, rotation__r1__kind="hadamard", **fields)
    down = {"linears": "*.down_proj", "weights": {"format": "int8", "group_size": 32}}
    return recipe.with_field("exports", EXPORTS).with_field("skip", []).with_field("overrides", [down])


def made_by(recipe: Recipe, folder: Path) -> Made:
    output = folder / "out"
    ended, _ = run_tiny(recipe, output, keep_work=True)
    assert ended.status == "finished", ended
    options = RunOptions(output_dir=output, device="cpu")
    job = Job.prepare(recipe, options, "tiny", Path(recipe.model.id_or_path))
    return Made(output, recipe, job, WorkDir(output.with_name("out.dfrot")))


@pytest.fixture(scope="module", params=MODELS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp(request.param)
    return made_by(gguf_recipe(gguf_model(request.param, folder / "tiny")), folder)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gguf_model("llama", tmp_path_factory.mktemp("llama") / "tiny")


def tensors_of(folder: Path) -> dict[str, tuple[torch.Tensor, GGMLQuantizationType]]:
    path = next(folder.glob("*.gguf"))
    return {
        one.name: (torch.from_numpy(quants.dequantize(one.data, one.tensor_type).copy()), one.tensor_type)
        for one in GGUFReader(path).tensors
    }


def largest_difference(ours: LogitsOf, theirs: LogitsOf) -> float:
    pairs = [(ours(window), theirs(window)) for window in range(len(TOKENS))]
    return max(float((one - other).norm() / other.norm()) for one, other in pairs)


def test_the_file_is_the_quantized_model(made: Made) -> None:
    engine = quantized_logits(made.job, made.work, RotationSet.load(made.work.rotations), TOKENS)
    assert largest_difference(reloaded_logits(made.output, TOKENS, CPU), engine) < 1e-5


def test_folded_files_are_the_original(made: Made) -> None:
    exact = original_logits(made.job, TOKENS, lambda _index: None)
    assert largest_difference(reloaded_logits(made.output / "f16", TOKENS, CPU), exact) < 2e-3
    assert 2e-3 < largest_difference(reloaded_logits(made.output / "q8_0", TOKENS, CPU), exact) < 0.05


def test_types_and_codes(made: Made) -> None:
    """Codes come back bit for bit, rows of q and k where llama.cpp wants them."""
    tensors = tensors_of(made.output)
    kinds = {name: kind.name for name, (_, kind) in tensors.items()}
    assert kinds["blk.0.attn_q.weight"] == kinds["output.weight"] == "Q4_0"
    assert kinds["blk.1.ffn_down.weight"] == "Q8_0"
    assert kinds["token_embd.weight"] == "F16"
    assert kinds["output_norm.weight"] == kinds["blk.0.attn_norm.weight"] == "F32"
    assert torch.equal(tensors["blk.1.ffn_down.weight"][0], made.stored(1, "mlp.down_proj").dequantize())
    query = made.stored(0, "self_attn.q_proj").dequantize()
    is_llama = made.job.architecture.model_type in ("llama", "mistral")
    rows = interleaved_rows(len(query), 4) if is_llama else torch.arange(len(query))
    assert torch.equal(tensors["blk.0.attn_q.weight"][0], query[rows])
    folded = {kind.name for name, (_, kind) in tensors_of(made.output / "q8_0").items() if name.endswith("_q.weight")}
    assert folded == {"Q8_0"}


def test_what_stands_beside_the_file(made: Made) -> None:
    names = {path.name for path in made.output.iterdir()}
    assert names >= {"tiny-Q4_0.gguf", "config.json", "tokenizer.json", "dfrot.json", "recipe.toml", "report.json"}
    assert {path.name for path in made.output.glob("*/*.gguf")} == {"tiny-F16.gguf", "tiny-Q8_0.gguf"}
    report = json.loads((made.output / "report.json").read_text(encoding="utf-8"))
    assert report["protocol"]["measured"] == "gguf, loaded by transformers"
    assert 0 < report["kl_divergence"] < 0.2
    assert report["output_bytes"]["gguf"] == (made.output / "tiny-Q4_0.gguf").stat().st_size


def test_keys_alone_describe_the_model(llama: Path, tmp_path: Path) -> None:
    """transformers reads the file without config.json, which our own measuring leans on."""
    made = made_by(gguf_recipe(llama).with_field("evaluation", None), tmp_path)
    path = (made.output / "f16" / "tiny-F16.gguf").rename(tmp_path / "alone.gguf")
    model: Any = AutoModelForCausalLM.from_pretrained(
        tmp_path, gguf_file=path.name, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
    )
    config = model.config
    assert (config.head_dim, config.num_key_value_heads, config.max_position_embeddings) == (16, 2, 512)
    assert config.tie_word_embeddings is False


def test_a_written_file_is_a_model_like_any_other(llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its tokenizer's keys are copied, whatever they are."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    plain = gguf_model("llama", tmp_path / "plain", attention_bias=False, mlp_bias=False)
    only = [{"kind": "gguf-f16"}]
    first = made_by(gguf_recipe(plain).with_field("exports", only).with_field("evaluation", None), tmp_path)
    source = next(first.output.glob("*.gguf"))
    recipe = gguf_recipe(plain).with_field("model.id_or_path", str(source)).with_field("exports", only)
    ended, _ = run_tiny(recipe.with_field("evaluation", None), tmp_path / "again")
    assert ended.status == "finished", ended
    before, after = GGUFReader(source).fields, GGUFReader(next((tmp_path / "again").glob("*.gguf"))).fields
    keys = [name for name in before if name.startswith("tokenizer.")]
    assert "tokenizer.ggml.merges" in keys
    assert all(before[name].contents() == after[name].contents() for name in keys)


def test_asymmetric_codes(llama: Path, tmp_path: Path) -> None:
    """Q4_1: minima in float16 instead of zero-points."""
    recipe = gguf_recipe(llama, weights__symmetric=False).with_field("exports", EXPORTS[:1])
    made = made_by(recipe.with_field("overrides", []), tmp_path)
    tensors = tensors_of(made.output)
    assert tensors["blk.0.ffn_up.weight"][1].name == "Q4_1"
    weight = made.stored(0, "mlp.up_proj")
    error = (tensors["blk.0.ffn_up.weight"][0] - weight.dequantize()).abs().max()
    assert error < weight.scale_OG.float().max() / 136
    engine = quantized_logits(made.job, made.work, RotationSet.load(made.work.rotations), TOKENS)
    assert largest_difference(reloaded_logits(made.output, TOKENS, CPU), engine) < 5e-3


def test_scales_become_float16_and_the_weights_are_rounded_again(llama: Path, tmp_path: Path) -> None:
    """A run that measured alone has scales of the model's own precision; its blocks are not used."""
    measured = gguf_recipe(llama).with_field("exports", [])
    output = tmp_path / "out"
    run_tiny(measured, output, keep_work=True)
    work = WorkDir(output.with_name("out.dfrot"))
    assert work.load_block("quantize", "00000")[0]["mlp.up_proj.scale"].dtype is torch.bfloat16
    run_tiny(measured.with_field("exports", EXPORTS[:1]), output, keep_work=True)
    assert work.load_block("quantize", "00000")[0]["mlp.up_proj.scale"].dtype is torch.float16


def test_a_file_that_does_not_fit_into_memory_is_measured_by_the_engine(llama: Path, tmp_path: Path) -> None:
    """Block by block, as nobody loads a GGUF file."""
    recipe = gguf_recipe(llama).with_field("exports", EXPORTS[:1])
    whole, _ = run_tiny(recipe, tmp_path / "whole")
    streamed, _ = run_tiny(recipe, tmp_path / "streamed", memory=1)
    assert whole.status == streamed.status == "finished"
    reports = [json.loads((tmp_path / name / "report.json").read_text()) for name in ("whole", "streamed")]
    assert reports[1]["protocol"]["measured"] == "the engine's quantized forward"
    assert reports[1]["kl_divergence"] == pytest.approx(reports[0]["kl_divergence"], rel=1e-4)
