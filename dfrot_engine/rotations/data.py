"""What a builder of rotations is handed, and what it yields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import torch
from torch import Tensor

from dfrot_engine.errors import RunError
from dfrot_engine.quantizers.activations import activation_quantizer
from dfrot_engine.recipe import ActivationScheme

_CHUNK_ROWS = 8_192


@dataclass(frozen=True)
class RotationStep:
    """One accepted state of a rotation under construction.

    Args:
        index: 0 is the start.
        loss: weighted sum over all tokens, not divided, of what the builder lowers: ‖x R − Q(x R)‖² for all but
            Whip's Σexp(−|x R|); nats per token for Cayley; 0.0 for rotations that are not refined.
        rotation_DD: float64, orthogonal.
    """

    index: int
    loss: float
    rotation_DD: Tensor


class NetworkLoss(Protocol):
    """The model's own loss on calibration sequences, by their numbers; for rotations that are learned through it."""

    num_sequences: int

    def loss(self, rotation_DD: Tensor, which_B: Tensor) -> float: ...

    def loss_and_gradient(self, rotation_DD: Tensor, which_B: Tensor) -> tuple[float, Tensor]: ...


@dataclass(frozen=True)
class RotationData:
    """What a learned rotation learns from.

    Args:
        rows_ND: float32 tokens, norms' gains left out.
        share_N: how many tokens of the calibration text each row stands for.
        is_massive_N: bool.
        scheme: how activations are rounded where the rotation is deployed.
        network: the model's loss, where the rotation is learned through it.
        keeps_mean: whether the rotation must leave the mean of every token as it is.
    Raises:
        RunError: a row holds NaN or infinity.
    """

    rows_ND: Tensor
    share_N: Tensor
    is_massive_N: Tensor
    scheme: ActivationScheme
    network: NetworkLoss | None = None
    keeps_mean: bool = False

    def __post_init__(self) -> None:
        is_bad_N = ~torch.isfinite(self.rows_ND).all(1)
        if bool(is_bad_N.any()):
            first = int(is_bad_N.nonzero()[0, 0])
            raise RunError(
                f"{int(is_bad_N.sum()):,} of {len(is_bad_N):,} sampled activation rows contain NaN or infinity, "
                f"the first is row {first:,}.",
                "The weights are damaged, or the model needs another precision; download it again.",
            )

    @cached_property
    def quantize(self) -> Callable[[Tensor], Tensor]:
        """Rows → dequantized rows, as deployed."""
        return activation_quantizer(self.scheme)

    def weight(self, massive_weight: float | Literal["auto"], start_DD: Tensor) -> Tensor:
        """[N] float32 weight of each row in the loss: its share, times γ² for massive ones.

        Args:
            massive_weight: γ; "auto" makes massive tokens' errors add up to as much as the others' under `start_DD`.
        """
        gamma = self.balance(start_DD) if massive_weight == "auto" else massive_weight
        return self.share_N * torch.where(self.is_massive_N, gamma**2, 1.0).to(self.share_N)

    def balance(self, rotation_DD: Tensor) -> float:
        """The γ, at least 1, under which both kinds of tokens lose the same in all; 1 if there is only one kind."""
        error_N = self._squared_error(rotation_DD) * self.share_N.double()
        massive, others = (float(error_N[kind].sum()) for kind in (self.is_massive_N, ~self.is_massive_N))
        return max(1.0, (others / massive) ** 0.5) if massive > 0 else 1.0

    def _squared_error(self, rotation_DD: Tensor) -> Tensor:
        turn = rotation_DD.to(self.rows_ND)
        rotated = (chunk @ turn for chunk in self.rows_ND.split(_CHUNK_ROWS))
        return torch.cat([(self.quantize(chunk) - chunk).square().sum(1).double() for chunk in rotated])
