"""Attention with R3 and a quantized KV cache, through transformers' own registry: nothing is patched.

A block, or a whole model of transformers, that is run with the keyword ``kv_quantizer`` rotates query and key (R3)
and rounds key and value before attending. A cache keeps keys and values as they were and every pass rounds them again;
each token and head has a scale of its own, so decoding gives what the whole sequence gives at once. Slots of a static
cache that are not written yet round to zero and are masked. `generate` refuses keywords it does not know: decode with
the model's own forward.

transformers' sdpa refuses models that cap attention scores; here they are computed in plain steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from dfrot_engine.rotations.random import HadamardRotation

ATTENTION = "dfrot"

_CAPPED_QUERIES = 512  # at once, since scores of all tokens with all others are kept


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
    softcap: float | None = None,
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
    if softcap is not None:
        return _attend_capped(query, key, value, attention_mask, softcap, kwargs["scaling"]), None
    return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)


def _attend_capped(
    query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, softcap: float, scaling: float
) -> Tensor:
    """softmax(c · tanh(scores / c)) · value; the mask is True where a query sees a key, None where it is causal."""
    key, value = (heads.repeat_interleave(query.shape[1] // heads.shape[1], dim=1) for heads in (key, value))
    num_queries, num_keys = query.shape[2], key.shape[2]
    if attention_mask is None:
        # A single query without a mask is the newest token and sees every key.
        ones = torch.ones(num_queries, num_keys, dtype=torch.bool, device=query.device)
        attention_mask = (ones if num_queries == 1 else ones.tril())[None, None]
    parts: list[Tensor] = []
    masks = attention_mask[..., :num_keys].split(_CAPPED_QUERIES, dim=2)
    for part, mask in zip(query.split(_CAPPED_QUERIES, dim=2), masks, strict=True):
        scores = softcap * torch.tanh(part @ key.transpose(2, 3) * (scaling / softcap))
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        shares = scores.softmax(-1, dtype=torch.promote_types(scores.dtype, torch.float32))
        parts.append(shares.to(value.dtype) @ value)
    return torch.cat(parts, dim=2).transpose(1, 2).contiguous()


AttentionInterface.register(ATTENTION, _attend)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)
