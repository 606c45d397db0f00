"""What the experts of a block read: the tokens that its router sends to each of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dfrot_engine.forward.attended import Attended, without_attention
from dfrot_engine.forward.attention import KVQuantizer
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.hidden_states import Hidden
from dfrot_engine.forward.stream import arguments_of
from dfrot_engine.memory import BATCH_TOKENS


@dataclass(frozen=True)
class RoutedTokens:
    """All tokens in front of a block's experts, gathered in one pass; experts of a block do not see each other.

    The exact stream follows the decisions of the quantized one's router: those are the tokens that an expert will
    serve, and each of its inputs stands beside the exact one of the same token, wherever the exact router sends it.

    Args:
        seen_ND: in the quantized stream, on the CPU.
        chosen_NK: numbers of each token's experts there.
        exact_ND: the same tokens in the exact stream, where they are needed.
    """

    seen_ND: Tensor
    chosen_NK: Tensor
    exact_ND: Tensor | None = None

    def numbers(self, expert: int) -> Tensor:
        """[M] which tokens go to an expert."""
        return (self.chosen_NK == expert).any(1).nonzero()[:, 0]

    def of(self, expert: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor | None]]:
        """What an expert reads, [M, D] of both streams, a few thousand tokens at a time; nothing if none goes there."""
        for tokens in self.numbers(expert).split(BATCH_TOKENS):
            if len(tokens):
                exact = None if self.exact_ND is None else self.exact_ND[tokens].to(device)
                yield self.seen_ND[tokens].to(device), exact


def route_tokens(
    factory: BlockFactory,
    block: nn.Module,
    index: int,
    hidden: Hidden,
    experts: str,
    kv: KVQuantizer | None,
    attended: Attended | None = None,
) -> tuple[Tensor, Tensor]:
    """[N, D] what a block's experts read, and [N, K] who of them, on the CPU.

    Args:
        experts: name of their module.
        attended: what attention gives, where it is known already.
    """

    def read(part: slice) -> tuple[Tensor, Tensor]:
        with without_attention(attended, block, part):
            seen_ND, chosen_NK, _ = arguments_of(factory, block, index, hidden[part], experts, kv)
        return seen_ND.cpu(), chosen_NK.cpu()

    if not len(hidden):  # of a process that has no sequences
        return torch.empty(0, hidden.shape[2]), torch.empty(0, 1, dtype=torch.long)
    passed = list(factory.batch.in_batches(range(len(hidden)), hidden.shape[1], read))
    return torch.cat([seen for seen, _ in passed]), torch.cat([chosen for _, chosen in passed])
