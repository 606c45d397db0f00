"""Llama and the models that share its block: Llama 2/3, SmolLM, Mistral, Granite and others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dfrot_engine.architectures.base import Architecture, Block, Linear, Norm, Space
from dfrot_engine.architectures.config_values import config_factor, config_int

LLAMA_BLOCK = Block(
    linears=(
        Linear("self_attn.q_proj", reads=Space.RESIDUAL, writes=Space.QUERY),
        Linear("self_attn.k_proj", reads=Space.RESIDUAL, writes=Space.KEY),
        Linear("self_attn.v_proj", reads=Space.RESIDUAL, writes=Space.VALUE),
        Linear("self_attn.o_proj", reads=Space.VALUE, writes=Space.RESIDUAL),
        Linear("mlp.gate_proj", reads=Space.RESIDUAL, writes=Space.MLP_GATE),
        Linear("mlp.up_proj", reads=Space.RESIDUAL, writes=Space.MLP_HIDDEN),
        Linear("mlp.down_proj", reads=Space.MLP_HIDDEN, writes=Space.RESIDUAL),
    ),
    norms=(
        Norm("input_layernorm", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
        Norm("post_attention_layernorm", ("mlp.gate_proj", "mlp.up_proj")),
    ),
)


def llama(config: dict[str, Any]) -> Architecture:
    """Sizes of a Llama-shaped model; the head size is read, and only derived when the config leaves it out."""
    hidden_size = config_int(config, "hidden_size")
    num_heads = config_int(config, "num_attention_heads")
    return Architecture(
        model_type=str(config["model_type"]),
        num_blocks=config_int(config, "num_hidden_layers", largest=10_000),
        hidden_size=hidden_size,
        num_heads=num_heads,
        num_kv_heads=config_int(config, "num_key_value_heads", num_heads),
        head_size=config_int(config, "head_dim", hidden_size // num_heads),
        intermediate_size=config_int(config, "intermediate_size"),
        vocab_size=config_int(config, "vocab_size"),
        max_length=config_int(config, "max_position_embeddings", 2048, largest=1_000_000_000),
        # Leaving the key out means what the model class defaults to: untied for every Llama-shaped class.
        tied=bool(config.get("tie_word_embeddings", False)),
        block=LLAMA_BLOCK,
    )


def smollm3(config: dict[str, Any]) -> Architecture:
    """Some layers have no RoPE; their class ties head and embedding unless the config says otherwise."""
    return llama({"tie_word_embeddings": True} | config)


def granite(config: dict[str, Any]) -> Architecture:
    """Embeddings are scaled and logits divided outside the blocks; what blocks add is scaled inside them."""
    return replace(
        llama(config),
        embedding_scale=config_factor(config, "embedding_multiplier"),
        logits_scale=1 / config_factor(config, "logits_scaling"),
    )


def arcee(config: dict[str, Any]) -> Architecture:
    """The MLP has no gate: squared ReLU stands between up_proj and down_proj."""
    attention, down_proj = LLAMA_BLOCK.linears[:4], LLAMA_BLOCK.linears[-1]
    block = Block(
        linears=(*attention, Linear("mlp.up_proj", reads=Space.RESIDUAL, writes=Space.MLP_GATE), down_proj),
        norms=(LLAMA_BLOCK.norms[0], Norm("post_attention_layernorm", ("mlp.up_proj",))),
    )
    return replace(llama(config), block=block)
