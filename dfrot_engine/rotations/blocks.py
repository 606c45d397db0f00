"""Rotations that turn segments of a token by themselves: heads (R2) or blocks of the MLP's channels (R4)."""

from __future__ import annotations

import torch
from torch import Tensor


def turn_segments(values: Tensor, rotation_GSS: Tensor, owner_M: Tensor | None = None) -> Tensor:
    """Each of the M segments of the last dimension times the rotation that owns it.

    Args:
        values: [..., M·S]; not modified.
        rotation_GSS: G rotations of size S.
        owner_M: int64, the rotation of each segment; None: segment m has rotation m, and M = G.
    Returns:
        The same shape and dtype.
    """
    rotation = rotation_GSS.to(values)
    if len(rotation) == 1 and values.shape[-1] == rotation.shape[1]:
        return values @ rotation[0]
    owned_MSS = rotation if owner_M is None else rotation[owner_M]
    segments = values.reshape(-1, *owned_MSS.shape[:2]).transpose(0, 1)
    return torch.bmm(segments, owned_MSS).transpose(0, 1).reshape(values.shape)


def slope_of_segments(
    rotated_NW: Tensor, gradient_NW: Tensor, num_rotations: int, owner_M: Tensor | None = None
) -> Tensor:
    """[G, S, S] skew-symmetric slope of a loss along R_g·exp(Ω_g), from its gradient by the rotated tokens."""
    num_segments = num_rotations if owner_M is None else len(owner_M)
    rotated, gradient = (
        values.unflatten(1, (num_segments, -1)).transpose(0, 1) for values in (rotated_NW, gradient_NW)
    )
    slope_MSS = torch.bmm(rotated.mT, gradient)
    if owner_M is not None:
        empty = slope_MSS.new_zeros(num_rotations, *slope_MSS.shape[1:])
        slope_MSS = empty.index_add(0, owner_M, slope_MSS)
    return (slope_MSS - slope_MSS.mT) / 2
