"""Second moments of what a linear reads: all that GPTQ and Qronos want to know of the calibration tokens."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


class InputMoments:
    """H = E[x̃ x̃ᵀ] of the rounded inputs and, where the exact ones are given too, C = E[x x̃ᵀ].

    Running means, so that the numbers stay of the size of one token's whatever the number of tokens.

    Args:
        width: of an input, I; also an attribute.
        device: where the matrices lie; float32, 4·I² bytes each.
        with_exact: whether C is gathered.
    """

    def __init__(self, width: int, device: torch.device, *, with_exact: bool = False) -> None:
        self.tokens = 0
        self.width = width
        self.hessian_II = torch.zeros(width, width, device=device)
        self.cross_II = torch.zeros(width, width, device=device) if with_exact else None

    def add(self, rounded_NI: Tensor, exact_NI: Tensor | None = None) -> None:
        """Take some tokens.

        Args:
            rounded_NI: as the quantized model's linear sees them.
            exact_NI: the same tokens in the original; needed if, and only if, C is gathered.
        """
        assert (exact_NI is None) == (self.cross_II is None)
        rounded = rounded_NI.float()
        self.tokens += len(rounded)
        share = 1.0 / self.tokens
        kept = 1.0 - len(rounded) * share
        self.hessian_II.mul_(kept).addmm_(rounded.T, rounded, alpha=share)
        if self.cross_II is not None and exact_NI is not None:
            self.cross_II.mul_(kept).addmm_(exact_NI.float().T, rounded, alpha=share)

    def combine(self, tokens: int, summed: Callable[[Tensor], Tensor]) -> None:
        """Take what other processes have gathered from their tokens.

        Args:
            tokens: of all together.
            summed: a matrix → the sum of everybody's.
        """
        share = self.tokens / max(1, tokens)
        self.tokens = tokens
        self.hessian_II = summed(self.hessian_II.mul_(share))
        if self.cross_II is not None:
            self.cross_II = summed(self.cross_II.mul_(share))
