"""The rotation a runtime applies in front of down_proj (R4)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dfrot_engine.rotations.blocks import turn_segments
from dfrot_engine.rotations.random import HadamardRotation


@dataclass(frozen=True)
class OnlineRotation:
    """A Hadamard transform of all channels, then each segment of channels by itself; either may be missing.

    Args:
        hadamard: over the whole width, or block-diagonal by its order.
        segments_GSS: float64, one rotation for each segment.
    """

    hadamard: HadamardRotation | None
    segments_GSS: Tensor | None = None

    def apply(self, values: Tensor) -> Tensor:
        """values @ R4 over the last dimension."""
        if self.hadamard is not None:
            values = self.hadamard.apply(values)
        return values if self.segments_GSS is None else turn_segments(values, self.segments_GSS)

    def matrix(self, width: int) -> Tensor:
        """R4 as [width, width] float64."""
        return self.apply(torch.eye(width, dtype=torch.float64))
