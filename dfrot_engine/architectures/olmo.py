"""OLMo 2 and 3: linears read the residual stream itself, and norms stand behind attention and MLP only.

Their q/k norms span all heads, in front of RoPE.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dfrot_engine.architectures.base import Architecture, Block
from dfrot_engine.architectures.gemma import R1_REFUSED
from dfrot_engine.architectures.llama import LLAMA_BLOCK, llama

OLMO2_BLOCK = Block(linears=LLAMA_BLOCK.linears, norms=(), bare=tuple(norm.feeds for norm in LLAMA_BLOCK.norms))


def olmo2(config: dict[str, Any]) -> Architecture:
    return replace(llama(config), block=OLMO2_BLOCK, r1_refused=R1_REFUSED)
