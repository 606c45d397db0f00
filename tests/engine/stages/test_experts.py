"""Rounding experts: the tokens that each one sees, those that see too few, and what others load."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM

from dfrot_engine import RunOptions, make_plan
from dfrot_engine.checkpoint.reader import CheckpointReader, read_block
from dfrot_engine.events import BlockQuantized, Warned
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.hidden_states import HiddenStore
from dfrot_engine.forward.rounded_block import fill_rounded_block
from dfrot_engine.forward.stream import Streams, embed
from dfrot_engine.job import Job
from dfrot_engine.rotations.fold import fold_block
from dfrot_engine.rotations.rotation_set import RotationSet
from dfrot_engine.stages.block_inputs import BlockInputs
from dfrot_engine.stages.running_block import RunningBlock
from tests.engine.architectures.test_moe import MOE_MODELS, pack
from tests.engine.runs import TOKENS, engine_logits, finished, run_tiny, tiny_recipe
from tests.tiny_models import save_tiny_model

#: of logits; what 16 bits for weights do now and then sends a token to another expert
CLOSE = 0.05
EXPERT_DOWN = "mlp.experts.*.down_proj"


def reloaded(output: Path) -> Tensor:
    loaded: Any = AutoModelForCausalLM.from_pretrained(output, dtype=torch.float32)
    with torch.no_grad():
        return loaded(TOKENS, use_cache=False).logits


def dequantized(stored: dict[str, Tensor], linear: str) -> Tensor:
    codes, scale = stored[f"{linear}.codes"].float(), stored[f"{linear}.scale"].float()
    return (codes.unflatten(1, (scale.shape[1], -1)) * scale[..., None]).flatten(1)


@pytest.mark.parametrize("name", MOE_MODELS)
@pytest.mark.parametrize("layout", ["one by one", "packed"])
def test_a_checkpoint_reloads_as_what_was_rounded(name: str, layout: str, tmp_path: Path) -> None:
    """Weights alone, which transformers dequantizes while loading."""
    model = save_tiny_model(name, tmp_path / "model")
    if layout == "packed":
        pack(model)
    recipe = tiny_recipe(model, "w4a16", evaluation=None)
    finished(recipe, tmp_path / "out")
    wanted = engine_logits(recipe, model, tmp_path / "out")
    assert (reloaded(tmp_path / "out") - wanted).norm() < CLOSE * wanted.norm()
    loaded: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    stored = load_file(tmp_path / "out.dfrot" / "quantize" / "00001.safetensors")
    experts = loaded.get_submodule("model.layers.1.mlp.experts")
    for number, (gate_up, down) in enumerate(zip(experts.gate_up_proj, experts.down_proj, strict=True)):
        dense = [dequantized(stored, f"mlp.experts.{number}.{part}_proj") for part in ("gate", "up", "down")]
        # transformers multiplies codes and scales in bfloat16.
        torch.testing.assert_close(gate_up.float(), torch.cat(dense[:2]), rtol=2**-8, atol=0)
        torch.testing.assert_close(down.float(), dense[2], rtol=2**-8, atol=0)
    tensors = load_file(tmp_path / "out" / "model.safetensors")
    parts = {key.rpartition(".")[2] for key in tensors if ".experts." in key}
    assert parts == {"weight_packed", "weight_scale", "weight_shape"}


@pytest.mark.parametrize("preset", ["w8a8", "w4a4"])
def test_experts_of_integers_are_packed_whatever_their_activations(preset: str, tmp_path: Path) -> None:
    """transformers unpacks experts and knows no other integers of theirs; their activations stay at 16 bits."""
    model = save_tiny_model("mixtral", tmp_path / "model")
    recipe = tiny_recipe(model, preset, evaluation=None, rotation__r1__kind="hadamard", rotation__r2__kind="hadamard")
    plan = make_plan(recipe, RunOptions(output_dir=tmp_path / "plan", device="cpu"))
    assert "16 bits" in next(one for one in plan.problems if "activations" in one.field).message
    finished(recipe, tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text())["quantization_config"]
    assert config["ignore"] == ["re:.*(mlp|block_sparse_moe)[.]gate$", "lm_head"]
    own = [
        group for group in config["config_groups"].values() if any("experts" in target for target in group["targets"])
    ]
    assert len(own) == 1
    assert own[0]["format"] == "pack-quantized"
    assert not own[0].get("input_activations")
    # What differs is the rounding of the experts' activations.
    logits, wanted = reloaded(tmp_path / "out"), engine_logits(recipe, model, tmp_path / "out")
    assert (logits - wanted).norm() < (0.1 if preset == "w8a8" else 0.6) * wanted.norm()
    assert "block_sparse_moe.experts.1.w2.weight_packed" in " ".join(load_file(tmp_path / "out" / "model.safetensors"))


def test_experts_of_fp8_reload(tmp_path: Path) -> None:
    model = save_tiny_model("qwen3_moe", tmp_path / "model")
    fp8: dict[str, Any] = {"weights__format": "fp8", "activations__format": "fp8"}
    recipe = tiny_recipe(model, "w8a8", **fp8, evaluation=None, rotation__r1__kind="hadamard")
    finished(recipe, tmp_path / "out")
    logits, wanted = reloaded(tmp_path / "out"), engine_logits(recipe, model, tmp_path / "out")
    assert (logits - wanted).norm() < 0.1 * wanted.norm()


@pytest.mark.parametrize("name", ["mixtral", "qwen2_moe"])
def test_experts_that_are_left_alone_reload(name: str, tmp_path: Path) -> None:
    model = save_tiny_model(name, tmp_path / "model")
    recipe = tiny_recipe(model, "w4a16", evaluation=None, skip=["lm_head", "*.experts.*"])
    finished(recipe, tmp_path / "out")
    wanted = engine_logits(recipe, model, tmp_path / "out")
    assert (reloaded(tmp_path / "out") - wanted).norm() < CLOSE * wanted.norm()


def test_the_folded_model_reloads(tmp_path: Path) -> None:
    model = save_tiny_model("mixtral", tmp_path / "model")
    recipe = tiny_recipe(
        model, "w4a16", weights=None, exports=[{"kind": "rotated-bf16"}], evaluation=None, solver__kind="rtn"
    )
    finished(recipe, tmp_path / "out")
    original: Any = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    with torch.no_grad():
        wanted = original(TOKENS, use_cache=False).logits
    assert (reloaded(tmp_path / "out") - wanted).norm() < 0.1 * wanted.norm()


def running(name: str, tmp_path: Path, solver: str, spread: float) -> tuple[RunningBlock, Any, Tensor, Tensor]:
    """(the last block before anything is rounded, transformers' own layer, the exact and the quantized stream)."""
    # In the precision of what will be written, in which the block computes with everything that is not rounded.
    model = save_tiny_model(name, tmp_path / "model", dtype=torch.bfloat16)
    recipe = tiny_recipe(model, "w4a16", solver__kind=solver, rotation__r1__kind="none", rotation__r2__kind="none")
    job = Job.prepare(recipe, RunOptions(output_dir=tmp_path / "out", device="cpu"), "tiny", model)
    tokens = torch.randint(0, 257, (4, 64), generator=torch.Generator().manual_seed(6))
    with CheckpointReader(model) as reader:
        exact = embed(reader, job.architecture, tokens)
        folded = fold_block(read_block(reader, job.architecture, 1), job.architecture, RotationSet(), 1)
    noise = torch.randn(exact.shape, generator=torch.Generator().manual_seed(7))
    seen = exact + spread * exact.std() * noise
    factory = BlockFactory(model, job.device)
    whole: Any = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    whole.set_experts_implementation("eager")
    streams, states = Streams(exact, seen), HiddenStore()
    inputs = BlockInputs(job, factory, 1, folded, streams, RotationSet(), states, lambda _what: None)
    return RunningBlock(inputs), whole, exact, seen


def in_front_of_experts(whole: Any, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """What transformers' own last layer hands to its experts."""
    got: list[tuple[Tensor, ...]] = []
    handle = whole.get_submodule("model.layers.1.mlp.experts").register_forward_pre_hook(
        lambda _module, args: got.append(args)
    )
    positions = torch.arange(hidden.shape[1])[None]
    with torch.no_grad():
        layer = whole.get_submodule("model.layers.1")
        layer(hidden, position_embeddings=whole.model.rotary_emb(hidden, positions), position_ids=positions)
    handle.remove()
    return got[0][0], got[0][1]


@pytest.mark.parametrize("name", ["qwen2_moe", "qwen3_moe"])
def test_moments_are_those_of_the_tokens_that_are_routed_to_an_expert(name: str, tmp_path: Path) -> None:
    block, whole, _, seen = running(name, tmp_path, "gptq", 0.3)
    rows, chosen = in_front_of_experts(whole, seen)
    experts = whole.get_submodule("model.layers.1.mlp.experts")
    total = 0
    for expert in range(4):
        own = rows[(chosen == expert).any(1)]
        moments = block.moments(f"mlp.experts.{expert}.up_proj")
        assert moments.tokens == len(own)
        torch.testing.assert_close(moments.hessian_II, own.T @ own / len(own), rtol=1e-3, atol=1e-3)
        gate, up = (own @ experts.gate_up_proj[expert].T).chunk(2, dim=1)
        hidden = torch.nn.functional.silu(gate) * up
        moments = block.moments(f"mlp.experts.{expert}.down_proj")
        torch.testing.assert_close(moments.hessian_II, hidden.T @ hidden / len(own), rtol=1e-3, atol=1e-3)
        total += len(own)
    assert total == 2 * len(rows)


def test_both_streams_follow_the_router_of_the_quantized_one(tmp_path: Path) -> None:
    block, whole, exact, seen = running("qwen3_moe", tmp_path, "qronos", 1.0)
    rows, chosen = in_front_of_experts(whole, seen)
    exact_rows, other = in_front_of_experts(whole, exact)
    # The two routers disagree often enough for the pairing to matter.
    assert (chosen.sort().values != other.sort().values).any(1).float().mean() > 0.2
    for expert in range(4):
        own = (chosen == expert).any(1)
        moments = block.moments(f"mlp.experts.{expert}.gate_proj")
        assert moments.cross_II is not None
        wanted = exact_rows[own].T @ rows[own] / own.sum()
        torch.testing.assert_close(moments.cross_II, wanted, rtol=1e-3, atol=1e-3)


def starve(folder: Path, expert: int = 3) -> Path:
    """Its logit is the mean of the others', which is never the largest; a token passes one expert."""
    tensors = load_file(folder / "model.safetensors")
    for name, tensor in tensors.items():
        if name.endswith("mlp.gate.weight"):
            tensor[expert] = (tensor.sum(0) - tensor[expert]) / (len(tensor) - 1)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize("solver", ["gptq", "qronos"])
def test_an_expert_that_no_token_reaches_is_rounded_to_nearest_and_named(solver: str, tmp_path: Path) -> None:
    model = starve(save_tiny_model("qwen3_moe", tmp_path / "model", num_experts_per_tok=1))
    fields: dict[str, Any] = {"calibration__num_samples": 8, "activations__clip_ratio": "search", "exports": []}
    recipe = tiny_recipe(model, "w4a4", **fields, rotation__r1__kind="hadamard", rotation__r2__kind="hadamard")
    events = finished(recipe.with_field("solver.kind", solver), tmp_path / "out")
    warnings = [
        event.message for event in events if isinstance(event, Warned) and "calibration tokens" in event.message
    ]
    assert [message.partition(":")[0] for message in warnings] == ["Block 0", "Block 1"]
    assert all("expert 3 (0 tokens)" in message for message in warnings)
    noted = json.loads((tmp_path / "out.dfrot" / "report.json").read_text())["experts_to_nearest"]
    starved = [(one["block"], one["linears"], one["tokens"], one["inputs"]) for one in noted if one["expert"] == 3]
    gate_up = ["mlp.experts.3.gate_proj", "mlp.experts.3.up_proj"]
    down = ["mlp.experts.3.down_proj"]
    assert starved == [(block, own, 0, size) for block in (0, 1) for own, size in ((gate_up, 48), (down, 64))]
    finished(recipe.with_field("solver.kind", "rtn"), tmp_path / "nearest")
    stored, nearest = (load_file(tmp_path / f"{name}.dfrot/quantize/00001.safetensors") for name in ("out", "nearest"))
    for part in ("codes", "scale"):
        assert torch.equal(stored[f"mlp.experts.3.up_proj.{part}"], nearest[f"mlp.experts.3.up_proj.{part}"])
    assert not torch.equal(stored["mlp.experts.0.up_proj.codes"], nearest["mlp.experts.0.up_proj.codes"])
    assert float(stored["mlp.experts.3.up_proj.input_clip"]) == 1.0


def test_a_run_that_is_stopped_keeps_what_it_noted(tmp_path: Path) -> None:
    model = starve(save_tiny_model("qwen3_moe", tmp_path / "model", num_experts_per_tok=1))
    recipe = tiny_recipe(model, "w4a16", exports=[], solver__kind="gptq", rotation__r1__kind="hadamard")

    def stop(event: Any, control: Any) -> None:
        if isinstance(event, BlockQuantized):
            control.cancel()

    ended, _ = run_tiny(recipe, tmp_path / "out", stop)
    assert ended.status == "cancelled", ended
    finished(recipe, tmp_path / "out")
    noted = json.loads((tmp_path / "out.dfrot" / "report.json").read_text())["experts_to_nearest"]
    assert [one["block"] for one in noted if one["expert"] == 3] == [0, 0, 1, 1]


def test_everything_at_once(tmp_path: Path) -> None:
    """R1 to R4, searched clips, the KV cache and recovery."""
    model = save_tiny_model("qwen2_moe", tmp_path / "model")
    fields: dict[str, Any] = {
        "activations__clip_ratio": "search",
        "kv_cache__clip_ratio": "search",
        "recovery": {"kind": "scales", "steps": 3},
    }
    events = finished(tiny_recipe(model, "w4a4kv4-paper", **fields), tmp_path / "out")
    blocks = [event for event in events if isinstance(event, BlockQuantized)]
    assert len(blocks) == 2
    for block in blocks:
        assert {EXPERT_DOWN, "mlp.shared_expert.up_proj", "self_attn.v_proj"} < set(block.relative_error)
        assert all(0 < error < 0.5 for name, error in block.relative_error.items() if name != "block")
        assert block.recovery is not None
        assert block.recovery[1] <= block.recovery[0]


def test_a_rotation_learned_through_the_model_leaves_routers_alone(tmp_path: Path) -> None:
    model = save_tiny_model("qwen3_moe", tmp_path / "model")
    recipe = tiny_recipe(model, "w4a4", rotation__r1__kind="cayley")
    job = Job.prepare(recipe, RunOptions(output_dir=tmp_path / "out", device="cpu"), "tiny", model)
    factory = BlockFactory(model, job.device)
    calls: list[int] = []

    def quantizer_of(_scheme: object) -> Callable[[Tensor], Tensor]:
        def quantize(rows: Tensor) -> Tensor:
            calls.append(rows.shape[-2])
            return torch.zeros_like(rows)

        return quantize

    with CheckpointReader(model) as reader:
        tensors = read_block(reader, job.architecture, 0)
    turn = torch.eye(job.architecture.hidden_size)
    block = fill_rounded_block(factory, job, 0, tensors, turn, quantizer_of)
    plain = factory.fill(0, fold_block(tensors, job.architecture, RotationSet(), 0, fold_norms=True))
    hidden = torch.randn(1, 16, job.architecture.hidden_size, generator=torch.Generator().manual_seed(1))
    chosen: list[Tensor] = []
    for one in (block, plain):
        one.get_submodule("mlp.experts").register_forward_pre_hook(lambda _module, args: chosen.append(args[1]))
        one.get_submodule("mlp")(hidden)
    # All that linears read is rounded away, and the router chooses as before.
    assert torch.equal(*chosen)
    assert float(block.get_submodule("mlp")(hidden).abs().max()) == 0
    assert calls
