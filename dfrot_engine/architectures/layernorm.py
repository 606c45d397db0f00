"""StarCoder 2 and Cohere's Command R and R7B, whose norms subtract the mean.

StarCoder 2's norms and linears have biases. Cohere runs attention and MLP beside each other; its RoPE turns neighbours
instead of halves, and Cohere 2 leaves it out in layers that see the whole text, all in front of R3.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dfrot_engine.architectures.base import Architecture, Block, Linear, Norm, Space
from dfrot_engine.architectures.config_values import config_factor
from dfrot_engine.architectures.llama import LLAMA_BLOCK, llama

_ATTENTION, _MLP = (norm.feeds for norm in LLAMA_BLOCK.norms)
STARCODER2_BLOCK = Block(
    linears=(
        *LLAMA_BLOCK.linears[:4],
        Linear("mlp.c_fc", reads=Space.RESIDUAL, writes=Space.MLP_GATE),
        Linear("mlp.c_proj", reads=Space.MLP_HIDDEN, writes=Space.RESIDUAL),
    ),
    norms=(LLAMA_BLOCK.norms[0], Norm("post_attention_layernorm", ("mlp.c_fc",))),
)
COHERE_BLOCK = Block(linears=LLAMA_BLOCK.linears, norms=(Norm("input_layernorm", _ATTENTION + _MLP),))

#: What the classes take where a config leaves it out.
_TIED: dict[str, Any] = {"tie_word_embeddings": True}


def starcoder2(config: dict[str, Any]) -> Architecture:
    return replace(llama(_TIED | config), block=STARCODER2_BLOCK, norms_subtract_mean=True)


def cohere(config: dict[str, Any]) -> Architecture:
    return replace(
        llama(_TIED | config),
        block=COHERE_BLOCK,
        norms_subtract_mean=True,
        logits_scale=config_factor({"logit_scale": 0.0625} | config, "logit_scale"),
    )
