"""Runs whose hidden states lie on disk: the same bits as in RAM, nothing left over, and resumed after a kill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from dfrot_engine.events import BlockQuantized, Event, StageAdvanced, Warned
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.progress import Control
from tests.engine.runs import run_tiny, tiny_recipe
from tests.tiny_models import save_tiny_model

# Spilled whole, and one and a half of the streams in RAM: 4 · 64 tokens of width 48 in float32.
BUDGETS = {"disk": 0, "both": 4 * 64 * 48 * 4 * 3 // 2}
#: name → (model, fields); attention's own biases and linears that stay are not what they were in float32.
RECIPES: dict[str, tuple[str, dict[str, Any]]] = {
    "rtn": ("llama-tied", {"solver__kind": "rtn"}),
    "gptq": ("llama-biased", {"solver__kind": "gptq", "skip": ["lm_head", "*.q_proj"]}),
    "qronos": ("llama-tied", {"solver__kind": "qronos", "skip": []}),
    "recovery": ("llama-tied", {"recovery": {"kind": "scales", "steps": 4}}),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model("llama-tied", tmp_path_factory.mktemp("model") / "tiny")


def left_by(output: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """(weights, measured numbers)."""
    report = json.loads((output.with_name(output.name + ".dfrot") / "report.json").read_text())
    numbers = ("perplexity_original", "perplexity_quantized", "kl_divergence", "recovery", "massive_tokens", "loss")
    return load_file(output / "model.safetensors"), {name: report.get(name) for name in numbers}


@pytest.mark.parametrize("kind", RECIPES)
def test_the_budget_changes_no_bit_of_a_run(kind: str, tmp_path: Path) -> None:
    name, fields = RECIPES[kind]
    recipe = tiny_recipe(save_tiny_model(name, tmp_path / "model"), **fields)
    results = {}
    for name, memory in {"ram": "auto", **BUDGETS}.items():
        ended, _ = run_tiny(recipe, tmp_path / name, memory=memory)
        assert ended.status == "finished", ended
        results[name] = left_by(tmp_path / name)
        assert not list((tmp_path / f"{name}.dfrot").rglob("*.states"))
    for name in BUDGETS:
        assert results[name][1] == results["ram"][1]
        for tensor, numbers in results["ram"][0].items():
            assert torch.equal(results[name][0][tensor], numbers), tensor


def test_the_budget_changes_no_bit_of_experts(tmp_path: Path) -> None:
    """Of what is rounded: reloaded, a mixture is measured only where it fits."""
    recipe = tiny_recipe(save_tiny_model("qwen2_moe", tmp_path / "model"), solver__kind="qronos", exports=[])
    blocks = []
    for name, memory in {"ram": "auto", **BUDGETS}.items():
        ended, _ = run_tiny(recipe, tmp_path / name, memory=memory, keep_work=True)
        assert ended.status == "finished", ended
        files = sorted((tmp_path / f"{name}.dfrot" / "quantize").glob("0*.safetensors"))
        blocks.append({f"{path.name} {key}": tensor for path in files for key, tensor in load_file(path).items()})
    assert any("experts.3.down_proj.codes" in name for name in blocks[0])
    for other in blocks[1:]:
        assert other.keys() == blocks[0].keys()
        assert all(torch.equal(other[name].float(), tensor.float()) for name, tensor in blocks[0].items())


def test_a_measured_recipe_spills_too(model: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(model, "w4a4kv4-paper")
    reports = []
    for name, memory in {"ram": "auto", **BUDGETS}.items():
        ended, _ = run_tiny(recipe, tmp_path / name, memory=memory)
        assert ended.status == "finished", ended
        reports.append(json.loads((tmp_path / f"{name}.dfrot" / "report.json").read_text()))
    assert len({(one["perplexity_quantized"], one["kl_divergence"]) for one in reports}) == 1


@pytest.mark.parametrize("memory", BUDGETS.values(), ids=BUDGETS)
def test_a_run_cut_off_inside_a_block_loses_that_block_alone(memory: int, model: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(model, "w4a16")

    class Killed(BaseException):
        pass

    def kill(event: Event, _control: Control) -> None:
        if isinstance(event, StageAdvanced) and event.stage == "quantize" and event.label == "Block 2 of 2, measuring":
            raise Killed

    with pytest.raises(Killed):
        run_tiny(recipe, tmp_path / "cut", kill, memory=memory)
    ended, events = run_tiny(recipe, tmp_path / "cut", memory=memory)
    assert ended.status == "finished", ended
    assert [event.block for event in events if isinstance(event, BlockQuantized)] == [1]
    run_tiny(recipe, tmp_path / "whole", memory=memory)
    cut, whole = left_by(tmp_path / "cut"), left_by(tmp_path / "whole")
    assert cut[1] == whole[1]
    assert all(torch.equal(cut[0][name], tensor) for name, tensor in whole[0].items())


def test_a_run_goes_on_with_smaller_batches(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if more than two sequences did not fit, wherever a block is run, also backwards."""
    recipe = tiny_recipe(model, recovery={"kind": "scales", "steps": 4}, solver__kind="qronos")
    assert run_tiny(recipe, tmp_path / "usual")[0].status == "finished"
    run = BlockFactory.run_with_gradient

    def small(self: BlockFactory, block: Any, index: int, hidden: torch.Tensor, kv: Any = None) -> torch.Tensor:
        output = run(self, block, index, hidden, kv)
        if len(hidden) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return output

    monkeypatch.setattr(BlockFactory, "run_with_gradient", small)
    ended, events = run_tiny(recipe, tmp_path / "small")
    assert ended.status == "finished", ended
    said = [event.message for event in events if isinstance(event, Warned) and "Memory ran out" in event.message]
    assert said == [
        f"Memory ran out: from here on 128 tokens go through a block at once instead of {tokens}."
        for tokens in (256, 256, 192)
    ]
    usual, small_run = left_by(tmp_path / "usual")[1], left_by(tmp_path / "small")[1]
    assert small_run["perplexity_original"] == pytest.approx(usual["perplexity_original"], rel=1e-4)
    assert small_run["perplexity_quantized"] == pytest.approx(usual["perplexity_quantized"], rel=0.02)
    assert small_run["massive_tokens"]["count"] == usual["massive_tokens"]["count"]
