"""Gemma 1, 2 and 3 (text): norms multiply by 1 + weight, embeddings by √hidden size.

Gemma 2 and 3 have norms behind attention and MLP too, whose gains lie between what blocks add and the residual stream.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from dfrot_engine.architectures.base import Architecture, Block, Norm
from dfrot_engine.architectures.config_values import config_factor
from dfrot_engine.architectures.llama import LLAMA_BLOCK, llama
from dfrot_engine.errors import ModelError

R1_REFUSED = "R1 cannot pass this model's norms behind attention and MLP."

#: What the classes take where a config leaves it out.
_DEFAULTS: dict[str, Any] = {"head_dim": 256, "tie_word_embeddings": True}

_ATTENTION, _MLP = (norm.feeds for norm in LLAMA_BLOCK.norms)
GEMMA_BLOCK = replace(LLAMA_BLOCK, norms=tuple(replace(norm, offset=1.0) for norm in LLAMA_BLOCK.norms))
# Between these two stands post_attention_layernorm, behind o_proj; post_feedforward_layernorm ends the block.
GEMMA2_BLOCK = Block(
    linears=LLAMA_BLOCK.linears,
    norms=(
        Norm("input_layernorm", _ATTENTION, offset=1.0),
        Norm("pre_feedforward_layernorm", _MLP, offset=1.0),
    ),
)


def gemma(config: dict[str, Any]) -> Architecture:
    """Sizes of a Gemma model.

    Raises:
        ModelError: the model attends to later tokens too, or its sizes make no sense.
    """
    if config.get("use_bidirectional_attention"):
        raise ModelError(
            "The model attends to later tokens too; it makes embeddings and writes no text.",
            "Choose a model that writes text.",
            "model.id_or_path",
        )
    sizes = llama(_DEFAULTS | config)
    return replace(
        sizes,
        block=GEMMA_BLOCK,
        final_norm=replace(sizes.final_norm, offset=1.0),
        embedding_scale=math.sqrt(sizes.hidden_size),
    )


def gemma2(config: dict[str, Any]) -> Architecture:
    """Attention scores and logits are capped; the scores' cap lies in the block."""
    return _with_post_norms({"final_logit_softcapping": 30.0} | config)


def gemma3(config: dict[str, Any]) -> Architecture:
    """q/k norms and two bases of RoPE, both inside the block."""
    return _with_post_norms(config)


def _with_post_norms(config: dict[str, Any]) -> Architecture:
    is_capped = config.get("final_logit_softcapping") is not None
    return replace(
        gemma(config),
        block=GEMMA2_BLOCK,
        logits_softcap=config_factor(config, "final_logit_softcapping") if is_capped else None,
        r1_refused=R1_REFUSED,
    )
