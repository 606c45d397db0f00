"""Mixtures of experts: both layouts of their files, blocks that differ, routing as transformers does it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

from dfrot_engine import RunOptions, make_plan
from dfrot_engine.architectures import Architecture, architecture_of
from dfrot_engine.architectures.base import Space
from dfrot_engine.checkpoint.reader import CheckpointReader, read_block
from dfrot_engine.cli import main
from dfrot_engine.errors import ModelError
from dfrot_engine.exporters.packed_experts import pack_experts
from dfrot_engine.forward.block import BlockFactory
from tests.contracts.float64_model import use_float64_norms
from tests.engine.checkpoint.folders import CONFIG
from tests.engine.plan.conftest import BASE, found
from tests.tiny_models import TINY_MODELS, save_tiny_model, tiny_architecture

CPU = torch.device("cpu")
MOE_MODELS = tuple(name for name in TINY_MODELS if tiny_architecture(name).experts_per_token)


def table(folder: Path) -> Architecture:
    return architecture_of(json.loads((folder / "config.json").read_text()))


def pack(folder: Path) -> Path:
    """Write the file again as transformers holds it in memory."""
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert any(tensor.ndim == 3 for tensor in tensors.values())
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def blocks_of(folder: Path) -> list[dict[str, Tensor]]:
    sizes = table(folder)
    with CheckpointReader(folder) as reader:
        blocks = [read_block(reader, sizes, index) for index in range(sizes.num_blocks)]
        return [{name: tensor.clone() for name, tensor in block.items()} for block in blocks]


@pytest.mark.parametrize("name", MOE_MODELS)
def test_packed_files_are_the_same_model(name: str, tmp_path: Path) -> None:
    one_by_one = blocks_of(save_tiny_model(name, tmp_path / "model"))
    packed = blocks_of(pack(tmp_path / "model"))
    for mine, other in zip(one_by_one, packed, strict=True):
        assert mine.keys() == other.keys()
        assert all(torch.equal(mine[key], other[key]) for key in mine)


@pytest.mark.parametrize("name", MOE_MODELS)
def test_what_is_packed_for_export_is_what_transformers_packs(name: str, tmp_path: Path) -> None:
    folder = save_tiny_model(name, tmp_path / "model")
    one_by_one = blocks_of(folder)
    stored = load_file(pack(folder) / "model.safetensors")
    for index, block in enumerate(one_by_one):
        for key, tensor in pack_experts(block).items():
            assert torch.equal(stored[f"model.layers.{index}.{key}"], tensor), key


@pytest.mark.parametrize("name", MOE_MODELS)
def test_the_plan_reads_either_layout(name: str, tmp_path: Path) -> None:
    folder = save_tiny_model(name, tmp_path / "model", dtype=torch.bfloat16)
    recipe = BASE.with_field("model.id_or_path", str(folder)).with_field("weights.group_size", 16)
    recipe = recipe.with_field("calibration.num_samples", 8)
    options = RunOptions(output_dir=tmp_path / "out", device="cpu")
    plan = make_plan(recipe, options)
    assert plan.problems == ()
    packed = make_plan(recipe.with_field("model.id_or_path", str(pack(folder))), options)
    assert packed.errors == ()
    assert plan.model is not None
    assert packed.model is not None
    assert packed.model.num_parameters == plan.model.num_parameters
    assert packed.outputs[0].bytes == plan.outputs[0].bytes


def test_packed_experts_that_do_not_fit_the_config(tmp_path: Path) -> None:
    folder = pack(save_tiny_model("qwen3_moe", tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    for changes, words in (
        ({"num_local_experts": 5}, "lacks 'model.layers.0.mlp.experts.4.gate_proj.weight'"),
        ({"moe_intermediate_size": 32}, "has the shape 64 × 48, but config.json implies 32 × 48"),
    ):
        (folder / "config.json").write_text(json.dumps(config | changes))
        recipe = BASE.with_field("model.id_or_path", str(folder)).with_field("weights.group_size", 16)
        plan = make_plan(recipe, RunOptions(output_dir=tmp_path / "out", device="cpu"))
        assert words in found(plan, "model.id_or_path").message


@pytest.mark.parametrize("name", MOE_MODELS)
def test_a_block_is_transformers_own_in_float64(name: str, tmp_path: Path) -> None:
    """Our experts, with the same router, give its very numbers; also where several tokens share an expert."""
    folder = save_tiny_model(name, tmp_path / "model")
    whole: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()
    whole.set_experts_implementation("eager")
    sizes, factory = table(folder), BlockFactory(folder, CPU, torch.float64)
    hidden = torch.randn(2, 24, sizes.hidden_size, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    for index, tensors in enumerate(blocks_of(folder)):
        block = use_float64_norms(factory.fill(index, tensors))
        assert not list(block.buffers())
        mlp = use_float64_norms(whole.model.layers[index]).get_submodule("mlp")
        with torch.no_grad():
            assert (block.get_submodule("mlp")(hidden) - mlp(hidden)).abs().max() < 1e-12


def test_blocks_that_config_json_says_are_dense() -> None:
    sizes = {"model_type": "qwen3_moe", "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 96}
    for changes, sparse in (
        ({}, [True, True]),
        ({"mlp_only_layers": [0]}, [False, True]),
        ({"decoder_sparse_step": 2}, [False, True]),
        ({"mlp_only_layers": [1], "decoder_sparse_step": 2}, [False, False]),
    ):
        architecture = architecture_of(CONFIG | sizes | changes)
        blocks = [architecture.block_at(index) for index in range(2)]
        assert [bool(block.routers) for block in blocks] == sparse
        widths = {
            (linear.expert is not None, architecture.linear_shape(linear)[1])
            for block in blocks
            for linear in block.linears
            if linear.reads is Space.MLP_HIDDEN
        }
        # Dense MLPs are as wide as intermediate_size says, experts as moe_intermediate_size says.
        assert widths <= {(False, 128), (True, 96)}
        assert len(widths) == len(set(sparse))
        assert set(architecture.mlp_widths) == {width for _, width in widths}


def test_what_configs_leave_out_is_what_their_classes_take() -> None:
    for model_type in ("mixtral", "qwen2_moe", "qwen3_moe", "olmoe"):
        own = CONFIG_MAPPING[model_type]()
        architecture = architecture_of(CONFIG | {"model_type": model_type, "intermediate_size": own.intermediate_size})
        experts = [linear for linear in architecture.block.linears if linear.expert is not None]
        assert len({linear.expert for linear in experts}) == own.num_experts
        assert architecture.experts_per_token == own.num_experts_per_tok
        assert experts[0].width == getattr(own, "moe_intermediate_size", own.intermediate_size)


@pytest.mark.parametrize("value", [0, -1, 10**6, True, "4"])
def test_numbers_of_experts_that_make_no_sense(value: object) -> None:
    with pytest.raises(ModelError, match="num_experts"):
        architecture_of(CONFIG | {"model_type": "olmoe", "num_experts": value})
    with pytest.raises(ModelError, match="num_experts_per_tok"):
        architecture_of(CONFIG | {"model_type": "olmoe", "num_experts": 4, "num_experts_per_tok": 5})


def test_models_whose_tensors_fit_no_table_say_why() -> None:
    with pytest.raises(ModelError, match="learned sinks"):
        architecture_of(CONFIG | {"model_type": "gpt_oss"})
    with pytest.raises(ModelError, match="clip_qkv"):
        architecture_of(CONFIG | {"model_type": "olmoe", "clip_qkv": 8.0})


def test_experts_are_shown_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = save_tiny_model("qwen3_moe-mixed", tmp_path / "model")
    assert main(["show", str(folder), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    linears = {linear["name"]: linear for linear in shown["linears"]}
    experts = linears["mlp.experts.*.down_proj"]
    assert (experts["count"], experts["num_blocks"], experts["shape"]) == (3, 1, [48, 64])
    assert (linears["mlp.down_proj"]["num_blocks"], linears["self_attn.q_proj"]["num_blocks"]) == (1, 2)
    assert [name for name, linear in linears.items() if not linear["is_rounded"]] == ["mlp.gate"]
    assert shown["kept"] == ["self_attn.k_norm.weight", "self_attn.q_norm.weight"]
    assert main(["show", str(folder)]) == 0
    words = capsys.readouterr().out
    assert "mlp.experts.*.down_proj (3 a block, in 1 of 2 blocks)" in words
    assert "mlp.gate (in 1 of 2 blocks, never rounded)" in words
