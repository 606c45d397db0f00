"""The main path on every architecture: as others load it, as the engine measures it, as solvers see it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from dfrot_engine.checkpoint.tokenizer import Tokenizer
from dfrot_engine.events import BlockQuantized
from dfrot_engine.forward.hidden_states import HiddenStore
from dfrot_engine.job import Job
from dfrot_engine.options import RunOptions
from dfrot_engine.stages.calibrate import calibration_tokens
from tests.engine.runs import run_tiny, tiny_recipe
from tests.tiny_models import R1_MODELS, TINY_MODELS, save_tiny_model, tiny_architecture


def report_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report.json").read_text())


@pytest.mark.parametrize("name", TINY_MODELS)
def test_every_architecture_loads_with_transformers_alone(name: str, tmp_path: Path) -> None:
    """8 bits lose next to nothing, so a wrong fold, a wrong scale or a missing tensor would show."""
    folder = save_tiny_model(name, tmp_path / "model")
    allowed = {} if name in R1_MODELS else {"rotation__r1__kind": "none"}
    ended, _ = run_tiny(tiny_recipe(folder, "w8a8", **allowed), tmp_path / "out")
    assert ended.status == "finished", ended
    report = report_of(tmp_path / "out")
    assert report["perplexity_quantized"] == pytest.approx(report["perplexity_original"], rel=0.05)
    assert report["kl_divergence"] < 0.05
    assert "measured" in report["protocol"]
    assert "loaded by transformers" in report["protocol"]["measured"]


@pytest.mark.parametrize("name", TINY_MODELS)
def test_every_architecture_is_measured_with_every_rotation_it_allows(name: str, tmp_path: Path) -> None:
    """Learned R2 and R4 and an 8-bit KV cache, by the engine's own forward."""
    sizes = tiny_architecture(name)
    takes_blocks = sizes.intermediate_size % 32 == 0 and sizes.experts_per_token == 0
    fields: dict[str, Any] = {
        "rotation__r1__kind": "hadamard" if name in R1_MODELS else "none",
        "rotation__r2__kind": "descent",
        "rotation__r3": True,
        "rotation__r4": {"kind": "block-descent", "block_size": 32} if takes_blocks else {"kind": "hadamard"},
        "kv_cache": {"format": "int8"},
        "solver__kind": "gptq",
        "skip": ["lm_head"],
        "exports": [],
    }
    recipe = tiny_recipe(save_tiny_model(name, tmp_path / "model"), "w8a8", **fields)
    ended, events = run_tiny(recipe, tmp_path / "out")
    assert ended.status == "finished", ended
    report = report_of(tmp_path / "out.dfrot")
    assert report["perplexity_quantized"] == pytest.approx(report["perplexity_original"], rel=0.05)
    assert report["kl_divergence"] < 0.05
    blocks = [event for event in events if isinstance(event, BlockQuantized)]
    # A token that the router sends to another expert counts with all of its output: of OLMoE's 256 some 20 do, and
    # make up nearly half of the squared error.
    limit = 0.25 if sizes.experts_per_token else 0.15
    assert all(event.relative_error["block"] < limit for event in blocks)


@pytest.mark.parametrize("name", ["gemma", "granite"])
def test_solvers_see_the_stream_as_the_model_scales_it(name: str, tmp_path: Path) -> None:
    folder = save_tiny_model(name, tmp_path / "model")
    recipe = tiny_recipe(folder, "w8a8", rotation__r1__kind="none", rotation__r2__kind="none", exports=[])
    ended, _ = run_tiny(recipe, tmp_path / "out", keep_work=True)
    assert ended.status == "finished", ended
    states = tmp_path / "out.dfrot" / "quantize"
    kept = HiddenStore(states).kept(json.loads((states / "kept.json").read_text())["fingerprint"])
    assert kept is not None
    exact = kept.streams["exact"][:]
    job = Job.prepare(recipe, RunOptions(output_dir=tmp_path / "out", device="cpu"), "tiny", folder)
    tokens_BT = calibration_tokens(job, Tokenizer.load(folder))[: len(exact)]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    seen: list[torch.Tensor] = []
    model.get_submodule("model.norm").register_forward_pre_hook(lambda _norm, args: seen.append(args[0]))
    with torch.no_grad():
        model(tokens_BT, use_cache=False)
    assert (exact - seen[0]).norm() < 1e-2 * seen[0].norm()
