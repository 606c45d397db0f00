"""Mixtures of experts: Llama's attention, and experts behind a router in the place of the MLP.

Files hold the experts' matrices one by one or packed into one tensor for all of them; the tables name them one by one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from dfrot_engine.architectures.base import Architecture, Block, Linear, Norm, Space
from dfrot_engine.architectures.config_values import config_int
from dfrot_engine.architectures.llama import LLAMA_BLOCK, llama
from dfrot_engine.errors import ModelError

MOST_EXPERTS = 4_096
_ATTENTION = tuple(linear for linear in LLAMA_BLOCK.linears if linear.name.startswith("self_attn."))
_MLP = tuple(linear for linear in LLAMA_BLOCK.linears if linear.name.startswith("mlp."))

#: What the classes take where a config leaves it out.
_MIXTRAL: dict[str, Any] = {"num_experts": 8, "num_experts_per_tok": 2}
_QWEN2: dict[str, Any] = {
    "num_experts": 60,
    "num_experts_per_tok": 4,
    "moe_intermediate_size": 1408,
    "shared_expert_intermediate_size": 5632,
}
_QWEN3: dict[str, Any] = {"num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768}
_OLMOE: dict[str, Any] = {"num_experts": 64, "num_experts_per_tok": 8}

#: Mixtral's publisher calls the experts' matrices w1, w3 and w2.
_MIXTRAL_NAMES = (("mlp", "block_sparse_moe"), ("gate_proj", "w1"), ("up_proj", "w3"), ("down_proj", "w2"))


def mixtral(config: dict[str, Any]) -> Architecture:
    sizes = llama(config)
    return replace(_sparse(config, _MIXTRAL, sizes.intermediate_size), stored_as=_MIXTRAL_NAMES)


def olmoe(config: dict[str, Any]) -> Architecture:
    """q/k norms span all heads, in front of RoPE.

    Raises:
        ModelError: the model clamps queries, keys and values.
    """
    if config.get("clip_qkv") is not None:
        raise ModelError(
            "The model clamps queries, keys and values (clip_qkv), which no rotation of them can pass.",
            "Choose another model.",
            "model.id_or_path",
        )
    return _sparse(config, _OLMOE, llama(config).intermediate_size)


def qwen2_moe(config: dict[str, Any]) -> Architecture:
    """A shared expert that every token passes stands beside the routed ones, behind a gate of its own."""
    config = _QWEN2 | config
    return _qwen(config, _QWEN2, shared=config_int(config, "shared_expert_intermediate_size"))


def qwen3_moe(config: dict[str, Any]) -> Architecture:
    """q/k norms in each head, in front of RoPE."""
    return _qwen(_QWEN3 | config, _QWEN3)


def _qwen(config: dict[str, Any], defaults: dict[str, Any], shared: int = 0) -> Architecture:
    """Blocks named in `mlp_only_layers`, and those that `decoder_sparse_step` passes over, are dense."""
    sizes = _sparse(config, defaults, config_int(config, "moe_intermediate_size"), shared)
    dense, step = config.get("mlp_only_layers") or (), config_int(config, "decoder_sparse_step", 1)
    is_sparse = [index not in dense and (index + 1) % step == 0 for index in range(sizes.num_blocks)]
    if all(is_sparse):
        return sizes
    # The experts carry their width; what has none of its own is as wide as the dense blocks.
    return replace(
        sizes,
        intermediate_size=config_int(config, "intermediate_size"),
        own_blocks=tuple(sizes.block if sparse else LLAMA_BLOCK for sparse in is_sparse),
    )


def _sparse(config: dict[str, Any], defaults: dict[str, Any], width: int, shared: int = 0) -> Architecture:
    """A model whose blocks all have experts.

    Raises:
        ModelError: the number of experts makes no sense.
    """
    key = "num_local_experts" if "num_local_experts" in config else "num_experts"
    count = config_int(config, key, defaults["num_experts"], largest=MOST_EXPERTS)
    chosen = config_int(config, "num_experts_per_tok", defaults["num_experts_per_tok"], largest=count)
    block = _sparse_block(count, width, shared)
    return replace(llama(config), intermediate_size=width, block=block, experts_per_token=chosen)


def _sparse_block(count: int, width: int, shared: int) -> Block:
    """
    Args:
        shared: channels of the expert that every token passes; 0 if there is none.
    """
    routers = [Linear("mlp.gate", reads=Space.RESIDUAL, writes=Space.ROUTING, width=count)]
    linears = list(_ATTENTION)
    if shared:
        routers.append(Linear("mlp.shared_expert_gate", reads=Space.RESIDUAL, writes=Space.ROUTING, width=1))
        linears += _mlp("mlp.shared_expert.", shared)
    for number in range(count):
        linears += _mlp(f"mlp.experts.{number}.", width, expert=number)
    before_attention, before_mlp = LLAMA_BLOCK.norms
    feeds = tuple(one.name for one in (*routers, *linears[len(_ATTENTION) :]) if one.reads is Space.RESIDUAL)
    norms = (before_attention, Norm(before_mlp.name, feeds))
    return Block(tuple(linears), norms, routers=tuple(routers))


def _mlp(prefix: str, width: int, expert: int | None = None) -> Iterable[Linear]:
    return [replace(linear, name=linear.name.replace("mlp.", prefix), width=width, expert=expert) for linear in _MLP]
