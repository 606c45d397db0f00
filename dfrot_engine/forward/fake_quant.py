"""A linear as the quantized model runs it: online rotation, rounded input, dequantized weight."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dfrot_engine.rotations.online import OnlineRotation


class QuantizedLinear(nn.Module):
    """Takes the place of an nn.Linear.

    Args:
        weight_OI: dequantized, R4's inverse already folded in.
        quantize_input: rows → dequantized rows, or None for unquantized activations.
        online: the rotation of the input at run time (R4), or None.
    """

    def __init__(
        self,
        weight_OI: Tensor,
        bias_O: Tensor | None,
        quantize_input: Callable[[Tensor], Tensor] | None,
        online: OnlineRotation | None,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight_OI.detach(), requires_grad=False)
        self.bias = None if bias_O is None else nn.Parameter(bias_O.detach(), requires_grad=False)
        self.quantize_input = quantize_input
        self.online = online

    def read(self, x: Tensor) -> Tensor:
        """What the weight is multiplied with: x rotated and rounded."""
        x = self.rotate(x)
        return x if self.quantize_input is None else self.quantize_input(x)

    def rotate(self, x: Tensor) -> Tensor:
        """What is rounded."""
        return x if self.online is None else self.online.apply(x)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(self.read(x), self.weight, self.bias)


def replace_linear(block: nn.Module, name: str, linear: nn.Module) -> None:
    """Put a module in the place of the one with this dotted name."""
    parent, _, last = name.rpartition(".")
    setattr(block.get_submodule(parent), last, linear)


def linear_parts(block: nn.Module, name: str) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of a linear of a block."""
    module = block.get_submodule(name)
    weight, bias = module.weight, module.bias
    assert isinstance(weight, torch.Tensor)
    assert bias is None or isinstance(bias, torch.Tensor)
    return weight, bias
