"""Low-rank factors beside a rounded linear, trained by recovery: y = linear(x) + B(A x), x neither rotated nor rounded.

Stored names: `<linear>.lora_A` [R, I] and `<linear>.lora_B` [O, R], in the checkpoint's dtype.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from dfrot_engine.architectures.base import Linear
from dfrot_engine.forward.fake_quant import QuantizedLinear, replace_linear
from dfrot_engine.recipe import LinearSchemes

FACTOR_PARTS = (".lora_A", ".lora_B")


class AdaptedLinear(nn.Module):
    """Takes the place of a QuantizedLinear, as PEFT's LoRA with alpha = rank takes that of a runtime's linear."""

    def __init__(self, linear: QuantizedLinear, a_RI: Tensor, b_OR: Tensor) -> None:
        super().__init__()
        self.linear = linear
        self.a_RI, self.b_OR = nn.Parameter(a_RI, requires_grad=False), nn.Parameter(b_OR, requires_grad=False)

    @classmethod
    def starting(cls, linear: QuantizedLinear, rank: int, generator: torch.Generator) -> AdaptedLinear:
        """The linear unchanged: A uniform in ±1/√I, B zero, after LoRA (arXiv:2106.09685) as PEFT starts it."""
        size_O, size_I = linear.weight.shape
        a_RI = (torch.rand(rank, size_I, generator=generator) * 2 - 1) / size_I**0.5
        return cls(linear, a_RI.to(linear.weight), linear.weight.new_zeros(size_O, rank))

    def forward(self, x: Tensor) -> Tensor:
        low = nn.functional.linear(nn.functional.linear(x, self.a_RI), self.b_OR)
        return self.linear(x) + low

    def factors(self) -> dict[str, Tensor]:
        """By how their stored names end."""
        return dict(zip(FACTOR_PARTS, (self.a_RI.detach(), self.b_OR.detach()), strict=True))


def takes_factors(linear: Linear, schemes: LinearSchemes) -> bool:
    """Everything that is rounded, but for experts: PEFT has no name for one of them."""
    return linear.expert is None and (schemes.weights is not None or schemes.activations is not None)


def adapt_linears(block: nn.Module, stored: Mapping[str, Tensor]) -> None:
    """Put stored factors beside the QuantizedLinears they belong to."""
    for name in [name.removesuffix(FACTOR_PARTS[0]) for name in stored if name.endswith(FACTOR_PARTS[0])]:
        linear = block.get_submodule(name)
        assert isinstance(linear, QuantizedLinear)
        a_RI, b_OR = (stored[name + part].to(linear.weight) for part in FACTOR_PARTS)
        replace_linear(block, name, AdaptedLinear(linear, a_RI, b_OR))
