"""Phi-3 and Phi-4: Llama's block with q, k, v in one matrix and gate, up in another.

A part of each head passes RoPE by (partial rotary factor), which R3 behind it need not know.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dfrot_engine.architectures.base import Architecture, Block, Linear, Norm, Space
from dfrot_engine.architectures.llama import llama
from dfrot_engine.errors import ModelError

PHI3_BLOCK = Block(
    linears=(
        Linear("self_attn.qkv_proj", reads=Space.RESIDUAL, writes=(Space.QUERY, Space.KEY, Space.VALUE)),
        Linear("self_attn.o_proj", reads=Space.VALUE, writes=Space.RESIDUAL),
        Linear("mlp.gate_up_proj", reads=Space.RESIDUAL, writes=(Space.MLP_GATE, Space.MLP_HIDDEN)),
        Linear("mlp.down_proj", reads=Space.MLP_HIDDEN, writes=Space.RESIDUAL),
    ),
    norms=(
        Norm("input_layernorm", ("self_attn.qkv_proj",)),
        Norm("post_attention_layernorm", ("mlp.gate_up_proj",)),
    ),
)


def phi3(config: dict[str, Any]) -> Architecture:
    """Sizes of Phi-3, Phi-3.5 and Phi-4, dense ones.

    Raises:
        ModelError: RoPE is scaled under the name that the first releases used; transformers fails on it.
    """
    scaling = config.get("rope_scaling")
    if isinstance(scaling, dict) and "su" in (scaling.get("rope_type"), scaling.get("type")):
        raise ModelError(
            "config.json scales RoPE as 'su', an early name of 'longrope' that transformers cannot load.",
            "Download the model's newest revision, or write 'longrope' there.",
            "model.id_or_path",
        )
    return replace(llama(config), block=PHI3_BLOCK)
