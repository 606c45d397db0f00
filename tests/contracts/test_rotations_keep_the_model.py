"""Every rotation on every architecture leaves the logits alone, in float64."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from dfrot_engine.architectures import ARCHITECTURES, Architecture
from dfrot_engine.architectures.base import Space
from dfrot_engine.checkpoint.reader import CheckpointReader, read_block
from dfrot_engine.forward.attention import KVQuantizer
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.fake_quant import QuantizedLinear, linear_parts, replace_linear
from dfrot_engine.hadamard_orders import HadamardOrder
from dfrot_engine.outer import finish_logits
from dfrot_engine.rotations.fold import fold_block, fold_embedding, fold_head
from dfrot_engine.rotations.orthogonal import keep_mean
from dfrot_engine.rotations.random import HadamardRotation, random_hadamard, random_orthogonal, random_signs
from dfrot_engine.rotations.rotation_set import RotationSet
from tests.contracts.float64_model import float64_rope, reference_logits, use_float64_norms
from tests.tiny_models import R1_MODELS, TINY_MODELS, architecture_in, save_tiny_model, tiny_architecture

R1, BY_BLOCK = ("r1-orthogonal", "r1-hadamard"), ("r4-segments", "channels", "channel-signs", "mlp-scales")
WHICH = ("none", *R1, "r2", "r3", "r4", *BY_BLOCK, "all")
CPU = torch.device("cpu")


def _is_allowed(name: str, which: str) -> bool:
    if which in R1:
        return name in R1_MODELS
    return which not in BY_BLOCK or not tiny_architecture(name).experts_per_token


def test_every_architecture_has_a_tiny_model() -> None:
    assert {model_type for model_type, _ in TINY_MODELS.values()} == set(ARCHITECTURES)


@pytest.mark.parametrize(
    ("name", "which"),
    [(name, which) for name in TINY_MODELS for which in WHICH if _is_allowed(name, which)],
)
def test_logits_stay(name: str, which: str, tmp_path: Path) -> None:
    folder = save_tiny_model(name, tmp_path)
    tokens_BT = torch.randint(0, 257, (2, 24), generator=torch.Generator().manual_seed(1))
    architecture = architecture_in(folder)
    rotations = _rotations(which, architecture)
    with float64_rope():
        difference = _rotated_logits(folder, architecture, rotations, tokens_BT) - reference_logits(folder, tokens_BT)
    assert difference.abs().max() < 1e-9


def test_a_rotation_that_is_not_orthogonal_is_noticed(tmp_path: Path) -> None:
    """The check above can fail."""
    folder = save_tiny_model("llama", tmp_path)
    tokens_BT = torch.randint(0, 257, (1, 16), generator=torch.Generator().manual_seed(1))
    architecture = architecture_in(folder)
    rotations = RotationSet(r1_DD=1.001 * random_orthogonal(architecture.hidden_size, 1))
    difference = _rotated_logits(folder, architecture, rotations, tokens_BT) - reference_logits(folder, tokens_BT)
    assert difference.abs().max() > 1e-6


@pytest.mark.parametrize("name", sorted(set(TINY_MODELS) - set(R1_MODELS)))
def test_r1_is_refused_only_where_it_would_change_the_model(name: str, tmp_path: Path) -> None:
    folder = save_tiny_model(name, tmp_path)
    tokens_BT = torch.randint(0, 257, (1, 16), generator=torch.Generator().manual_seed(1))
    architecture = architecture_in(folder)
    rotations = RotationSet(r1_DD=random_orthogonal(architecture.hidden_size, 1))
    difference = _rotated_logits(folder, architecture, rotations, tokens_BT) - reference_logits(folder, tokens_BT)
    assert difference.abs().max() > 1e-2


@pytest.mark.parametrize("name", ["cohere", "starcoder2"])
def test_where_norms_subtract_the_mean_r1_has_to_leave_it_alone(name: str, tmp_path: Path) -> None:
    folder = save_tiny_model(name, tmp_path)
    tokens_BT = torch.randint(0, 257, (1, 16), generator=torch.Generator().manual_seed(1))
    architecture = architecture_in(folder)
    rotations = RotationSet(r1_DD=random_orthogonal(architecture.hidden_size, 1))
    difference = _rotated_logits(folder, architecture, rotations, tokens_BT) - reference_logits(folder, tokens_BT)
    assert difference.abs().max() > 1e-2


def _rotations(which: str, sizes: Architecture) -> RotationSet:
    """What is asked for; "all" is all that the model allows."""
    everything = which == "all"
    r1 = None
    if which == "r1-orthogonal" or (everything and not sizes.r1_refused):
        r1 = random_orthogonal(sizes.hidden_size, 1)
    elif which == "r1-hadamard":
        r1 = random_hadamard(sizes.hidden_size, 1).matrix()
    heads = range(sizes.num_kv_heads)
    r2 = tuple(
        torch.stack([random_hadamard(sizes.head_size, 10 * block + head).matrix() for head in heads])
        for block in range(sizes.num_blocks)
    )
    width, segment = sizes.intermediate_size, 16
    others = tuple(random_hadamard(one, 5) for one in sizes.mlp_widths if one != width)
    has_experts = sizes.experts_per_token > 0
    is_scaled = sizes.scales_mlp and not has_experts
    blocks = range(sizes.num_blocks)
    segments = tuple(
        torch.stack([random_orthogonal(segment, 100 * block + at) for at in range(width // segment)])
        for block in blocks
    )
    orders = tuple(torch.randperm(width, generator=torch.Generator().manual_seed(block)) for block in blocks)
    scales = tuple(torch.rand(width, generator=torch.Generator().manual_seed(block)).double() + 0.5 for block in blocks)
    blockwise, signs = HadamardRotation(HadamardOrder(1, 16, width // 16), random_signs(width, 6)).split()
    if r1 is not None and sizes.norms_subtract_mean:
        r1 = keep_mean(r1)
    return RotationSet(
        r1_DD=r1,
        r2=r2 if which == "r2" or everything else None,
        r3=random_hadamard(sizes.head_size, 3) if which == "r3" or everything else None,
        r4=blockwise
        if which == "channel-signs"
        else random_hadamard(width, 4)
        if which == "r4" or everything
        else None,
        r4_others=others if which == "r4" or everything else (),
        r4_segments=segments if which == "r4-segments" or (everything and not has_experts) else None,
        channels=orders if which == "channels" or (everything and not has_experts) else None,
        mlp_scales=scales if is_scaled and (which == "mlp-scales" or everything) else None,
        channel_signs=signs if is_scaled and (which == "channel-signs" or everything) else None,
    )


def _rotated_logits(folder: Path, sizes: Architecture, rotations: RotationSet, tokens_BT: Tensor) -> Tensor:
    tensors = load_file(folder / "model.safetensors")
    embedding = tensors[f"{sizes.embedding}.weight"]
    factory = BlockFactory(folder, CPU, torch.float64)
    hidden = fold_embedding(embedding, rotations)[tokens_BT] * sizes.embedding_scale
    for index in range(sizes.num_blocks):
        with CheckpointReader(folder) as reader:
            block = factory.fill(index, fold_block(read_block(reader, sizes, index), sizes, rotations, index))
        for linear in sizes.block_at(index).linears:
            if linear.reads is Space.MLP_HIDDEN:
                weight, bias = linear_parts(block, linear.name)
                online = rotations.online(index, weight.shape[1])
                replace_linear(block, linear.name, QuantizedLinear(weight, bias, None, online))
        hidden = factory.run(use_float64_norms(block), index, hidden, KVQuantizer(rotations.r3))
    head = tensors.get(f"{sizes.head_tensor}.weight", embedding)
    norm = f"{sizes.final_norm.name}."
    parts = {name.removeprefix(norm): tensor for name, tensor in tensors.items() if name.startswith(norm)}
    folded, neutral = fold_head(head, parts, sizes.final_norm, rotations)
    final_norm = use_float64_norms(nn.Sequential(factory.fill_final_norm(neutral)))
    return finish_logits(final_norm(hidden) @ folded.T, sizes)
