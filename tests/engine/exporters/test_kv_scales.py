"""A static KV cache in a checkpoint: measured once, and the same numbers wherever the files are loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dfrot_engine import Recipe, RunOptions
from dfrot_engine.evaluation.models import load_checkpoint, logits_of, quantized_logits, reloaded_logits
from dfrot_engine.evaluation.streamed import streamed_logits
from dfrot_engine.forward.room import Room
from dfrot_engine.job import Job
from dfrot_engine.quantizers.activations import activation_quantizer
from dfrot_engine.recipe import KVCacheScheme
from dfrot_engine.rotations.rotation_set import RotationSet
from dfrot_engine.work_dir import WorkDir
from tests.engine.runs import run_tiny, tiny_recipe
from tests.tiny_models import R1_MODELS, save_tiny_model, tiny_architecture

CPU = torch.device("cpu")
TOKENS = torch.randint(0, 257, (2, 40), generator=torch.Generator().manual_seed(4))
#: Attention with projections apart and in one, norms of queries and keys, capped scores, experts.
FAMILIES = ("llama-tied", "qwen3", "phi3", "gemma2", "mixtral", "starcoder2-unbiased")
STATIC = {"format": "fp8", "granularity": "per-tensor"}


def kv_recipe(model: Path, name: str) -> Recipe:
    r1 = "hadamard" if name in R1_MODELS else "none"
    fields = {"rotation__r1__kind": r1, "rotation__r2__kind": "hadamard", "kv_cache": STATIC, "evaluation": None}
    return tiny_recipe(model, "w8a8", activations=None, **fields)


@pytest.fixture(scope="module", params=FAMILIES)
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Recipe, Path]:
    """Family, what a run wrote, its recipe and its model."""
    root = tmp_path_factory.mktemp("kv")
    model = save_tiny_model(request.param, root / "model")
    recipe = kv_recipe(model, request.param)
    ended, _ = run_tiny(recipe, root / "out", keep_work=True)
    assert ended.status == "finished", ended
    return request.param, root / "out", recipe, model


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    return {name: one for path in sorted(folder.glob("*.safetensors")) for name, one in load_file(path).items()}


def test_the_files_say_what_vllm_reads(written: tuple[str, Path, Recipe, Path]) -> None:
    name, folder, _, _ = written
    scheme = json.loads((folder / "config.json").read_text())["quantization_config"]["kv_cache_scheme"]
    wanted = {"num_bits": 8, "type": "float", "symmetric": True, "strategy": "tensor", "dynamic": False}
    assert {key: scheme[key] for key in wanted} == wanted
    tensors = tensors_of(folder)
    for index in range(tiny_architecture(name).num_blocks):
        for part in ("k_scale", "v_scale"):
            scale = tensors[f"model.layers.{index}.self_attn.{part}"]
            assert scale.shape == (1,)
            assert scale > 0


def test_transformers_rounds_keys_and_values_as_the_engine_does(written: tuple[str, Path, Recipe, Path]) -> None:
    name, folder, recipe, model = written
    job = Job.prepare(recipe, RunOptions(output_dir=folder, device="cpu"), "tiny", model)
    work = WorkDir(folder.with_name("out.dfrot"))
    own = quantized_logits(job, work, RotationSet.load(work.rotations), TOKENS)
    plain_job = Job.prepare(recipe.model_copy(update={"kv_cache": None}), job.options, "tiny", model)
    plain = quantized_logits(plain_job, work, RotationSet.load(work.rotations), TOKENS)
    loaded = logits_of(load_checkpoint(folder, CPU, torch.float32), TOKENS)
    for window in range(len(TOKENS)):
        wrong_T = (loaded(window) - own(window)).norm(dim=-1)
        unrounded_T = (loaded(window) - plain(window)).norm(dim=-1)
        # A code that flips is a part of what rounding does, and a token that goes to other experts then is most of it:
        # so the tokens' median. Experts are unpacked to 16 bits.
        assert float(wrong_T.median()) < (0.5 if name == "mixtral" else 0.25) * float(unrounded_T.median())


def test_block_by_block_is_the_same(written: tuple[str, Path, Recipe, Path]) -> None:
    name, folder, _, _ = written
    if name == "mixtral":
        pytest.skip("experts are not streamed")
    whole = reloaded_logits(folder, TOKENS, CPU)
    streamed = streamed_logits(folder, tiny_architecture(name), TOKENS, CPU, Room.unlimited(), lambda _index: None)
    for window in range(len(TOKENS)):
        assert torch.equal(streamed(window), whole(window))


def test_the_scale_follows_the_largest_key_and_value(tmp_path: Path) -> None:
    model = save_tiny_model("llama-tied", tmp_path / "model")
    fields = {"rotation__r1__kind": "none", "rotation__r2__kind": "none", "weights": None, "exports": []}
    recipe = tiny_recipe(model, "w8a8", activations=None, kv_cache=STATIC, evaluation=None, **fields)
    halved = recipe.with_field("kv_cache.clip_ratio", 0.5)
    found = {}
    for name, one in {"whole": recipe, "half": halved}.items():
        ended, _ = run_tiny(one, tmp_path / name, keep_work=True)
        assert ended.status == "finished", ended
        stored, _ = WorkDir(tmp_path / f"{name}.dfrot").load_block("quantize", "00000")
        found[name] = stored
    for part in ("kv.key_scale", "kv.value_scale"):
        assert found["half"][part] == found["whole"][part] / 2
        assert 0 < float(found["whole"][part]) < 1
    assert found["whole"]["kv.key_scale"] != found["whole"]["kv.value_scale"]


def test_what_is_larger_than_calibration_saw_is_cut_off() -> None:
    quantize = activation_quantizer(KVCacheScheme.model_validate(STATIC), static_scale=torch.tensor(0.25))
    values = torch.tensor([[0.25, 100.0, 112.0, 500.0], [-1e4, 0.0, 0.3, -0.25]])
    assert quantize(values).tolist() == [[0.25, 96.0, 112.0, 112.0], [-112.0, 0.0, 0.3125, -0.25]]
