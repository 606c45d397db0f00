"""Attention with R3 and a quantized KV cache, through transformers' own registry: nothing is patched.

A block, or a whole model of transformers, that is run with the keyword ``kv_quantizer`` rotates query and key (R3)
and rounds key and value before attending. A cache keeps keys and values as they were and every pass rounds them again;
each token and head has a scale of its own, so decoding gives what the whole sequence gives at once. Slots of a static
cache that are not written yet round to zero and are masked. `generate` refuses keywords it does not know: decode with
the model's own forward.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from dfrot_engine.rotations.random import HadamardRotation

ATTENTION = "dfrot"


@dataclass(frozen=True)
class KVQuantizer:
    """What happens to query, key and value between RoPE and attention.

    Args:
        r3: rotates each head of query and key; scores are unchanged by it.
        quantize_key, quantize_value: [..., head size] → dequantized, or None to leave them as they are.
    """

    r3: HadamardRotation | None
    quantize_key: Callable[[Tensor], Tensor] | None = None
    quantize_value: Callable[[Tensor], Tensor] | None = None


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    kv_quantizer: KVQuantizer | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """query [B, H, T, S], key and value [B, K, T, S] → ([B, T, H, S], None)."""
    if kv_quantizer is not None:
        if kv_quantizer.r3 is not None:
            query, key = kv_quantizer.r3.apply(query), kv_quantizer.r3.apply(key)
        if kv_quantizer.quantize_key is not None:
            key = kv_quantizer.quantize_key(key)
        if kv_quantizer.quantize_value is not None:
            value = kv_quantizer.quantize_value(value)
    return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)


AttentionInterface.register(ATTENTION, _attend)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)
