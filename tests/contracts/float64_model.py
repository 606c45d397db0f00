"""Reference and rotated models in full float64: transformers' norms compute in float32, so they are swapped here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dfrot_engine.forward.fake_quant import replace_linear
from tests.tiny_models import load_float64


class Float64RMSNorm(nn.Module):
    def __init__(self, weight: Tensor, eps: float) -> None:
        super().__init__()
        self.weight, self.eps = weight.double(), eps

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps)


def use_float64_norms(module: nn.Module) -> nn.Module:
    """Swap every RMSNorm inside a module."""
    for name, norm in list(module.named_modules()):
        if type(norm).__name__.endswith("RMSNorm") and name:
            weight, eps = norm.weight, norm.variance_epsilon
            assert isinstance(weight, Tensor)
            replace_linear(module, name, Float64RMSNorm(weight, float(eps)))  # type: ignore[arg-type]
    return module


def reference_logits(folder: Path, tokens_BT: Tensor) -> Tensor:
    """Logits of the original by transformers' own forward."""
    model: Any = use_float64_norms(load_float64(folder)[0])
    with torch.no_grad():
        return model(tokens_BT, use_cache=False).logits
