"""Clip ratios of activations and of the KV cache that a run searches: chosen, stored, used everywhere, reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from dfrot_engine import Recipe, RunOptions
from dfrot_engine.evaluation.models import quantized_logits
from dfrot_engine.events import BlockQuantized, Event, Logged, StageAdvanced
from dfrot_engine.forward import quantized_block
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.fake_quant import QuantizedLinear
from dfrot_engine.job import Job
from dfrot_engine.progress import Control
from dfrot_engine.quantizers.activations import activation_quantizer
from dfrot_engine.quantizers.static_clipping import RATIOS
from dfrot_engine.recipe import ActivationScheme, KVCacheScheme
from dfrot_engine.report_file import read_report
from dfrot_engine.rotations.rotation_set import RotationSet
from dfrot_engine.work_dir import WorkDir
from tests.engine.runs import run_tiny, tiny_recipe
from tests.tiny_models import save_tiny_model

TOKENS = torch.randint(0, 257, (2, 40), generator=torch.Generator().manual_seed(4))
SEARCHED: dict[str, Any] = {
    "activations": {"format": "int4", "clip_ratio": "search"},
    "kv_cache": {"format": "int3", "clip_ratio": "search"},
    "overrides": [],
    "rotation__r1__kind": "hadamard",
    "rotation__r3": True,
    "exports": [],
}
INPUTS = ("q_proj", "k_proj", "v_proj"), ("o_proj",), ("gate_proj", "up_proj"), ("down_proj",)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model("llama-tied", tmp_path_factory.mktemp("model") / "tiny")


def searched(model: Path, **fields: Any) -> Recipe:
    return tiny_recipe(model, "w4a4", **(SEARCHED | fields))


def finished(recipe: Recipe, output: Path) -> tuple[WorkDir, list[Event]]:
    ended, events = run_tiny(recipe, output, keep_work=True)
    assert ended.status == "finished", ended
    return WorkDir(output.with_name(f"{output.name}.dfrot")), events


def clips_of(work: WorkDir, name: str) -> dict[str, Tensor]:
    stored = load_file(work.root / "quantize" / f"{name}.safetensors")
    return {key: tensor for key, tensor in stored.items() if key.endswith("_clip")}


def logits_of(recipe: Recipe, work: WorkDir, model: Path) -> Tensor:
    job = Job.prepare(recipe, RunOptions(output_dir=work.root, device="cpu"), "tiny", model)
    logits = quantized_logits(job, work, RotationSet.load(work.rotations), TOKENS)
    return torch.stack([logits(window) for window in range(len(TOKENS))])


@pytest.mark.parametrize("solver", ["rtn", "gptq", "qronos"])
def test_every_solver_runs_with_searched_clips(solver: str, model: Path, tmp_path: Path) -> None:
    recipe = searched(model, solver__kind=solver)
    work, events = finished(recipe, tmp_path / "out")
    for index in range(2):
        clips = clips_of(work, f"{index:05}")
        linears = {key.removesuffix(".input_clip").rpartition(".")[2]: clips[key] for key in clips if "input" in key}
        assert set(clips) - {"kv.key_clip", "kv.value_clip"} == {key for key in clips if key.endswith(".input_clip")}
        assert set(linears) == {name for names in INPUTS for name in names}
        assert all(len({float(linears[name]) for name in names}) == 1 for names in INPUTS)
        assert all(one.dtype is torch.float32 and float(one) in RATIOS for one in clips.values())
    ratios = [float(ratio) for index in range(2) for ratio in clips_of(work, f"{index:05}").values()]
    assert min(ratios) < 1.0
    report = read_report(work.root)
    assert report is not None
    found = report["clip_ratios"]
    assert set(found) == {key.removesuffix(".input_clip").removesuffix("_clip") for key in clips_of(work, "00000")}
    assert found["kv.key"]["ratios"] == pytest.approx(
        [float(clips_of(work, f"{index:05}")["kv.key_clip"]) for index in range(2)], abs=1e-4
    )
    lines = [event.message for event in events if isinstance(event, Logged) and event.stage == "quantize"]
    assert len(lines) == 1
    assert lines[0].startswith("Clip ratios found: ")
    assert all(kind in lines[0] for kind in ("activations", "keys", "values"))


def test_the_stored_numbers_are_what_the_engine_runs(model: Path, tmp_path: Path) -> None:
    """The same stored weights under other ratios: 1.0 for all is the scheme with 1.0, bit for bit."""
    recipe = searched(model)
    work, _ = finished(recipe, tmp_path / "out")
    found = logits_of(recipe, work, model)
    fields = {"activations__clip_ratio": 1.0, "kv_cache__clip_ratio": 1.0}
    fixed = searched(model, **fields)
    unclipped = logits_of(fixed, work, model)
    assert (found - unclipped).norm() > 0.01 * unclipped.norm()
    for index in range(2):
        stored, facts = work.load_block("quantize", f"{index:05}")
        ones = {key: torch.ones_like(one) if key.endswith("_clip") else one for key, one in stored.items()}
        work.save_block("quantize", f"{index:05}", ones, facts["fingerprint"])
    assert torch.equal(logits_of(recipe, work, model), unclipped)


def test_measured_lower_than_unclipped(model: Path, tmp_path: Path) -> None:
    """Weights left alone: what the first linears compute is off by the search's own criterion, or nearly."""
    plain = {"weights": None, "kv_cache": None, "rotation__r3": False}
    _, clipped = finished(searched(model, **plain), tmp_path / "searched")
    _, whole = finished(searched(model, **plain, activations__clip_ratio=1.0), tmp_path / "whole")
    errors = [
        next(event.relative_error["self_attn.q_proj"] for event in events if isinstance(event, BlockQuantized))
        for events in (clipped, whole)
    ]
    assert errors[0] < errors[1]


def test_a_block_runs_each_ratio_where_it_belongs(model: Path, tmp_path: Path) -> None:
    recipe = searched(model)
    work, _ = finished(recipe, tmp_path / "out")
    job = Job.prepare(recipe, RunOptions(output_dir=tmp_path, device="cpu"), "tiny", model)
    stored, _ = work.load_block("quantize", "00000")
    stored |= {"mlp.down_proj.input_clip": torch.tensor(0.5), "kv.key_clip": torch.tensor(0.6)}
    stored |= {"kv.value_clip": torch.tensor(0.7)}
    rotations = RotationSet.load(work.rotations)
    block = quantized_block.fill_quantized_block(BlockFactory(model, job.device), job, 0, stored, rotations)
    kv = quantized_block.kv_quantizer(job, rotations, stored)
    x = torch.randn(5, 16, generator=torch.Generator().manual_seed(0))
    down = block.get_submodule("mlp.down_proj")
    assert isinstance(down, QuantizedLinear)
    assert kv is not None

    def fixed(ratio: float, scheme: type[ActivationScheme | KVCacheScheme], fmt: str) -> Tensor:
        return activation_quantizer(scheme.model_validate({"format": fmt, "clip_ratio": ratio}))(x)

    for quantize, expected in (
        (down.quantize_input, fixed(0.5, ActivationScheme, "int4")),
        (kv.quantize_key, fixed(0.6, KVCacheScheme, "int3")),
        (kv.quantize_value, fixed(0.7, KVCacheScheme, "int3")),
    ):
        assert quantize is not None
        assert torch.allclose(quantize(x), expected, rtol=1e-6, atol=0)


def test_a_stopped_run_goes_on_with_the_same_numbers(model: Path, tmp_path: Path) -> None:
    def on_event(event: Event, control: Control) -> None:
        if isinstance(event, StageAdvanced) and event.stage == "quantize" and event.step >= 1:
            control.cancel()

    recipe = searched(model, solver__kind="gptq")
    straight, _ = finished(recipe, tmp_path / "straight")
    stopped, _ = run_tiny(recipe, tmp_path / "out", on_event, keep_work=True)
    assert stopped.status == "cancelled"
    work, events = finished(recipe, tmp_path / "out")
    assert [event.block for event in events if isinstance(event, BlockQuantized)] == [1]
    for name in ("00000", "00001"):
        ours, theirs = (load_file(one.root / "quantize" / f"{name}.safetensors") for one in (work, straight))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert torch.equal(logits_of(recipe, work, model), logits_of(recipe, straight, model))
    assert work.read_json("clips.json") == straight.read_json("clips.json")


@pytest.mark.parametrize("solver", ["rtn", "gptq"])
def test_the_heads_input_is_searched_behind_the_last_block(solver: str, model: Path, tmp_path: Path) -> None:
    recipe = searched(model, skip=[], solver__kind=solver)
    work, _ = finished(recipe, tmp_path / "out")
    assert float(clips_of(work, "outer")["head.input_clip"]) in RATIOS
    whole = searched(model, skip=[], solver__kind=solver, overrides=[{"linears": "lm_head", "activations": {}}])
    assert not torch.equal(logits_of(recipe, work, model), logits_of(whole, work, model))


def test_exceptions_search_for_themselves(model: Path, tmp_path: Path) -> None:
    """Linears of one input with other schemes have ratios of their own; those with a number keep it."""
    exceptions = [
        {"linears": "*.k_proj", "activations": {"format": "int3", "clip_ratio": "search"}},
        {"linears": "*.0.mlp.down_proj", "activations": {"format": "int8"}},
    ]
    work, _ = finished(searched(model, overrides=exceptions, kv_cache=None), tmp_path / "out")
    first, second = (clips_of(work, name) for name in ("00000", "00001"))
    assert float(first["self_attn.k_proj.input_clip"]) < float(first["self_attn.q_proj.input_clip"])
    assert second.keys() - first.keys() == {"mlp.down_proj.input_clip"}
    assert not any(key.startswith("kv.") for key in first)
    report = read_report(work.root)
    assert report is not None
    assert report["clip_ratios"]["mlp.down_proj"]["ratios"][0] is None


def test_an_export_leaves_them_out(model: Path, tmp_path: Path) -> None:
    """The KV cache may be searched beside an export, which does not carry it."""
    recipe = searched(model, activations__clip_ratio=1.0, exports=[{"kind": "compressed-tensors"}])
    finished(recipe, tmp_path / "out")
    assert not any("clip" in key for key in load_file(tmp_path / "out" / "model.safetensors"))


@pytest.mark.parametrize("kind", ["dfrot", "descent", "whip", "cayley"])
def test_rotations_are_learned_for_the_whole_range(kind: str, model: Path, tmp_path: Path) -> None:
    rotations = [
        load_file(finished(searched(model, rotation__r1__kind=kind, **fields), tmp_path / name)[0].rotations)["R1"]
        for name, fields in (("searched", {}), ("whole", {"activations__clip_ratio": 1.0}))
    ]
    assert torch.equal(*rotations)
