"""Reference and rotated models in full float64: transformers' norms compute in float32, so they are swapped here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from transformers.models.cohere import modeling_cohere
from transformers.models.cohere2 import modeling_cohere2

from dfrot_engine.forward.attention import ATTENTION
from dfrot_engine.forward.fake_quant import replace_linear
from tests.tiny_models import load_float64


class Float64RMSNorm(nn.Module):
    def __init__(self, gain: Tensor, eps: float) -> None:
        super().__init__()
        self.gain, self.eps = gain.double(), eps

    def forward(self, x: Tensor) -> Tensor:
        return self.gain * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps)


class Float64MeanFreeNorm(Float64RMSNorm):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - x.mean(-1, keepdim=True))


class Float64Router(nn.Module):
    """Logits of all experts → shares of the most likely ones, without a detour by float32."""

    def __init__(self, router: Any) -> None:
        super().__init__()
        self.weight, self.top_k = router.weight, router.top_k
        self.is_norm = getattr(router, "norm_topk_prob", True)  # Mixtral always does

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits = hidden @ self.weight.T
        share, chosen = logits.softmax(-1).topk(self.top_k, dim=-1)
        return logits, share / share.sum(-1, keepdim=True) if self.is_norm else share, chosen


def use_float64_norms(module: nn.Module) -> nn.Module:
    """Swap every norm and router inside a module that is written for transformers; torch's own LayerNorm keeps its
    dtype."""
    for name, norm in list(module.named_modules()):
        kind = type(norm).__name__
        if kind.endswith(("RMSNorm", "CohereLayerNorm", "Cohere2LayerNorm")) and name:
            weight = norm.weight
            assert isinstance(weight, Tensor)
            # Gemma's multiply by 1 + weight, and call their epsilon otherwise.
            is_offset = hasattr(norm, "eps")
            gain, eps = (1 + weight, norm.eps) if is_offset else (weight, norm.variance_epsilon)
            swapped = Float64RMSNorm if kind.endswith("RMSNorm") else Float64MeanFreeNorm
            replace_linear(module, name, swapped(gain, float(eps)))  # type: ignore[arg-type]
        elif kind.endswith("TopKRouter"):
            replace_linear(module, name, Float64Router(norm))
    return module


def reference_logits(folder: Path, tokens_BT: Tensor) -> Tensor:
    """Logits of the original by transformers' own forward."""
    model: Any = use_float64_norms(load_float64(folder)[0])
    if getattr(model.config, "attn_logit_softcapping", None) is not None:
        # The only attention of transformers that caps on a CPU takes its softmax in float32.
        model.set_attn_implementation(ATTENTION)
    with torch.no_grad():
        return model(tokens_BT, use_cache=False).logits


@contextmanager
def float64_rope() -> Iterator[None]:
    """Cohere's RoPE casts queries and keys to float32; here it does not, while the context is open."""

    def turn(query: Tensor, key: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
        cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
        query, key = (heads * cos + modeling_cohere.rotate_half(heads) * sin for heads in (query, key))
        return query, key

    with (
        mock.patch.object(modeling_cohere, "apply_rotary_pos_emb", turn),
        mock.patch.object(modeling_cohere2, "apply_rotary_pos_emb", turn),
    ):
        yield
