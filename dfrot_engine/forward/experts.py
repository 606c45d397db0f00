"""Experts as linears: takes the place of transformers' experts, which are two parameters for all of them together."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from dfrot_engine.forward.fake_quant import replace_linear


class Expert(nn.Module):
    """A gated MLP, on the tokens that are routed to it.

    Args:
        activation: between gate and product.
    """

    def __init__(self, hidden_size: int, width: int, activation: nn.Module) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(hidden_size, width, bias=False)
        self.up_proj = nn.Linear(hidden_size, width, bias=False)
        self.down_proj = nn.Linear(width, hidden_size, bias=False)
        self.activation = activation

    def hidden(self, x_ND: Tensor) -> Tensor:
        """[N, F] what down_proj reads."""
        return self.activation(self.gate_proj(x_ND)) * self.up_proj(x_ND)

    def forward(self, x_ND: Tensor) -> Tensor:
        return self.down_proj(self.hidden(x_ND))


class Experts(nn.ModuleList):
    """The experts of a block by their number, called as transformers calls its own: the router stays its module."""

    def forward(self, hidden_ND: Tensor, chosen_NK: Tensor, share_NK: Tensor) -> Tensor:
        """
        Args:
            chosen_NK: the numbers of each token's experts.
            share_NK: how much each of them counts.
        """
        mixed = torch.zeros_like(hidden_ND)
        for number, expert in enumerate(self):
            tokens, places = torch.where(chosen_NK == number)
            if len(tokens):
                output = expert(hidden_ND[tokens]) * share_NK[tokens, places, None]
                mixed.index_add_(0, tokens, output.to(mixed.dtype))
        return mixed


def unpack_experts(block: nn.Module) -> None:
    """Put `Experts` in the place of packed ones, empty, on the device they are on; other blocks stay as they are."""
    for name, packed in list(_packed(block)):
        count, rows, hidden_size = packed.get_parameter("gate_up_proj").shape
        activation = packed.get_submodule("act_fn")
        with torch.device(packed.get_parameter("gate_up_proj").device):
            experts = Experts(Expert(hidden_size, rows // 2, activation) for _ in range(count))
        replace_linear(block, name, experts)


def _packed(block: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, module in block.named_modules():
        if {"gate_up_proj", "down_proj"} <= {own for own, _ in module.named_parameters(recurse=False)}:
            yield name, module
