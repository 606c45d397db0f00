"""Phi-3's fused matrices: row ranges, and the same numbers as a Llama with a matrix for each space."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM

from dfrot_engine import RunOptions, make_plan
from dfrot_engine.architectures import Architecture, architecture_of
from dfrot_engine.architectures.base import Space
from dfrot_engine.calibration.block_rows import picked_rows
from dfrot_engine.checkpoint.reader import CheckpointReader
from dfrot_engine.events import BlockQuantized
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.stream import embed, run_block
from dfrot_engine.outer import final_norm_parts
from dfrot_engine.rotations.fold import fold_block
from dfrot_engine.rotations.random import random_hadamard, random_orthogonal
from dfrot_engine.rotations.rotation_set import RotationSet
from tests.engine.plan.conftest import BASE, found
from tests.engine.runs import run_tiny, tiny_recipe
from tests.tiny_models import save_tiny_model

CPU = torch.device("cpu")
EIGHT_BITS = {"format": "int8", "group_size": 16}
QKV, GATE_UP = "self_attn.qkv_proj", "mlp.gate_up_proj"
#: fused → what Llama has in its place, with its rows
PARTS = {
    QKV: {"self_attn.q_proj": 64, "self_attn.k_proj": 32, "self_attn.v_proj": 32},
    GATE_UP: {"mlp.gate_proj": 96, "mlp.up_proj": 96},
}
TOKENS = torch.randint(0, 257, (3, 24), generator=torch.Generator().manual_seed(5))


def table(folder: Path) -> Architecture:
    return architecture_of(json.loads((folder / "config.json").read_text()))


def change_config(folder: Path, **changes: Any) -> None:
    """None takes a key out."""
    config = json.loads((folder / "config.json").read_text()) | changes
    kept = {key: value for key, value in config.items() if value is not None or key not in changes}
    (folder / "config.json").write_text(json.dumps(kept))


@pytest.fixture(scope="module")
def fused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without what Llama does not have."""
    folder = tmp_path_factory.mktemp("fused") / "tiny"
    return save_tiny_model("phi3", folder, sliding_window=None, partial_rotary_factor=1.0)


@pytest.fixture(scope="module")
def split(fused: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model as a Llama."""
    folder = tmp_path_factory.mktemp("split")
    tensors = load_file(fused / "model.safetensors")
    for prefix in ("model.layers.0.", "model.layers.1."):
        for linear, parts in PARTS.items():
            rows = tensors.pop(f"{prefix}{linear}.weight").split(list(parts.values()))
            tensors |= {f"{prefix}{part}.weight": own.clone() for part, own in zip(parts, rows, strict=True)}
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text((fused / "config.json").read_text())
    change_config(folder, model_type="llama", architectures=["LlamaForCausalLM"])
    return folder


def test_the_llama_is_the_same_model(fused: Path, split: Path) -> None:
    one, other = (AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64) for folder in (fused, split))
    assert torch.allclose(one(TOKENS).logits, other(TOKENS).logits, atol=1e-6)


def test_rows_lie_one_space_after_the_other(fused: Path) -> None:
    sizes = table(fused)
    qkv, _, gate_up, down = sizes.block.linears
    assert dict(sizes.row_ranges(qkv)) == {
        Space.QUERY: slice(0, 64),
        Space.KEY: slice(64, 96),
        Space.VALUE: slice(96, 128),
    }
    assert dict(sizes.row_ranges(gate_up)) == {Space.MLP_GATE: slice(0, 96), Space.MLP_HIDDEN: slice(96, 192)}
    assert sizes.row_ranges(down) == ((Space.RESIDUAL, slice(0, 48)),)
    assert sizes.linear_shape(qkv) == (128, 48)


def test_folding_gives_the_rows_that_a_llama_gets(fused: Path, split: Path) -> None:
    sizes = table(fused)
    rotations = RotationSet(
        r1_DD=random_orthogonal(48, 1),
        r2=tuple(torch.stack([random_orthogonal(16, 10 * block + head) for head in range(2)]) for block in range(2)),
        r4=random_hadamard(96, 4),
        channels=tuple(torch.randperm(96, generator=torch.Generator().manual_seed(block)) for block in range(2)),
    )
    for index in range(2):
        with CheckpointReader(fused) as one, CheckpointReader(split) as other:
            whole = fold_block(one.block(sizes.block_prefix(index)), sizes, rotations, index)
            parts = fold_block(other.block(sizes.block_prefix(index)), table(split), rotations, index)
        for name, tensor in whole.items():
            linear = name.removesuffix(".weight")
            wanted = torch.cat([parts[f"{part}.weight"] for part in PARTS.get(linear, (linear,))])
            assert torch.allclose(tensor.double(), wanted.double(), atol=1e-12), name


def test_r2_and_r4_learn_from_the_rows_that_a_llama_gives(fused: Path, split: Path) -> None:
    one, other = (rows_of(folder) for folder in (fused, split))
    assert one.keys() == other.keys()
    assert one["value"].shape == (40, 32)
    for name, rows in one.items():
        # Stored in bfloat16, so that a last bit of float32 may show.
        assert torch.allclose(rows.float(), other[name].float(), rtol=1e-2, atol=1e-4), name


def rows_of(folder: Path) -> dict[str, Tensor]:
    sizes, factory = table(folder), BlockFactory(folder, CPU)
    with CheckpointReader(folder) as reader:
        block = factory.fill(0, reader.block(sizes.block_prefix(0)))
        hidden = embed(reader, sizes, TOKENS)
    generator = torch.Generator().manual_seed(0)
    counts = {"num_tokens": TOKENS.numel(), "value_rows": 40, "hidden_rows": 30}
    with picked_rows(block, sizes, **counts, generator=generator) as rows:
        run_block(factory, block, 0, hidden)
    return rows


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"num_key_value_heads": 1},
            "'model.layers.0.self_attn.qkv_proj.weight' has the shape 128 × 48, but config.json implies 96 × 48",
        ),
        ({"intermediate_size": 64}, "'model.layers.0.mlp.gate_up_proj.weight' has the shape 192 × 48"),
        ({"head_dim": None}, "qkv_proj.weight' has the shape 128 × 48, but config.json implies 96 × 48 (3 more"),
        ({"model_type": "llama"}, "The checkpoint lacks 'model.layers.0.self_attn.q_proj.weight'"),
        ({"model_type": "phi4mm"}, "'phi4mm' is not supported"),
        ({"rope_scaling": {"type": "su"}}, "scales RoPE as 'su'"),
    ],
)
def test_the_plan_refuses_what_does_not_fit(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    folder = save_tiny_model("phi3", tmp_path / "model")
    recipe = BASE.with_field("model.id_or_path", str(folder)).with_field("weights.group_size", 16)
    options = RunOptions(output_dir=tmp_path / "out", device="cpu")
    assert make_plan(recipe, options).errors == ()
    change_config(folder, **changes)
    assert words in found(make_plan(recipe, options), "model.id_or_path").message


def test_exceptions_name_the_fused_matrix(tmp_path: Path) -> None:
    folder = save_tiny_model("phi3", tmp_path / "model")
    recipe = BASE.with_field("model.id_or_path", str(folder)).with_field("weights.group_size", 16)
    recipe = recipe.with_field("overrides", [{"linears": "*.qkv_proj", "weights": EIGHT_BITS}])
    options = RunOptions(output_dir=tmp_path / "out", device="cpu")
    assert make_plan(recipe, options).problems == ()
    recipe = recipe.with_field("overrides", [{"linears": "*.v_proj", "weights": EIGHT_BITS}])
    assert "matches no linear" in found(make_plan(recipe, options), "overrides.0.linears").message


#: as published checkpoints of Phi-3 write it
PUBLISHED = {
    "rope_parameters": None,
    "rope_theta": 10_000.0,
    "original_max_position_embeddings": 32,
    "rope_scaling": {"type": "longrope", "short_factor": [1.0, 1.5, 2.0], "long_factor": [1.0, 4.0, 16.0]},
}


@pytest.mark.parametrize(
    ("name", "changes"),
    [("phi3", {}), ("phi3-longrope", {}), ("phi3-longrope", PUBLISHED)],
    ids=["window", "longrope", "published"],
)
def test_streamed_block_by_block_it_is_the_whole_model(name: str, changes: dict[str, Any], tmp_path: Path) -> None:
    """Longer than the window of 8, and below and above the 32 tokens from which LongRoPE takes its other factors."""
    folder = save_tiny_model(name, tmp_path)
    change_config(folder, **changes)
    whole: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    sizes, factory = table(folder), BlockFactory(folder, CPU)
    for length in (20, 48, 20):
        tokens = torch.randint(0, 257, (2, length), generator=torch.Generator().manual_seed(length))
        with CheckpointReader(folder) as reader, torch.no_grad():
            hidden = embed(reader, sizes, tokens)
            for index in range(sizes.num_blocks):
                block = factory.fill(index, reader.block(sizes.block_prefix(index)))
                hidden = run_block(factory, block, index, hidden)
            hidden = factory.fill_final_norm(final_norm_parts(sizes, reader))(hidden)
            expected = whole.model(tokens, use_cache=False).last_hidden_state
        assert (hidden - expected).norm() < 1e-4 * expected.norm()


@pytest.mark.parametrize("solver", ["gptq", "qronos"])
def test_everything_rounded_with_every_rotation(solver: str, tmp_path: Path) -> None:
    """R1 to R4, the KV cache, searched clips and recovery in one run; with the paper's four bits on a random model."""
    folder = save_tiny_model("phi3", tmp_path / "model")
    fields: dict[str, Any] = {
        "solver__kind": solver,
        "activations__clip_ratio": "search",
        "kv_cache__clip_ratio": "search",
        "recovery": {"kind": "scales", "steps": 4},
    }
    ended, events = run_tiny(tiny_recipe(folder, "w4a4kv4-paper", **fields), tmp_path / "out")
    assert ended.status == "finished", ended
    blocks = [event for event in events if isinstance(event, BlockQuantized)]
    assert len(blocks) == 2
    for block in blocks:
        assert set(block.relative_error) == {QKV, "self_attn.o_proj", GATE_UP, "mlp.down_proj", "block"}
        assert all(0 < error < 0.5 for name, error in block.relative_error.items() if name != "block")
