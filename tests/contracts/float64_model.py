"""Reference and rotated models in full float64: transformers' norms compute in float32, so they are swapped here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dfrot_engine.forward.attention import ATTENTION
from dfrot_engine.forward.fake_quant import replace_linear
from tests.tiny_models import load_float64


class Float64RMSNorm(nn.Module):
    def __init__(self, gain: Tensor, eps: float) -> None:
        super().__init__()
        self.gain, self.eps = gain.double(), eps

    def forward(self, x: Tensor) -> Tensor:
        return self.gain * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps)


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
    """Swap every RMSNorm and every router inside a module."""
    for name, norm in list(module.named_modules()):
        if type(norm).__name__.endswith("RMSNorm") and name:
            weight = norm.weight
            assert isinstance(weight, Tensor)
            # Gemma's multiply by 1 + weight, and call their epsilon otherwise.
            is_offset = hasattr(norm, "eps")
            gain, eps = (1 + weight, norm.eps) if is_offset else (weight, norm.variance_epsilon)
            replace_linear(module, name, Float64RMSNorm(gain, float(eps)))  # type: ignore[arg-type]
        elif type(norm).__name__.endswith("TopKRouter"):
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
