"""Norm gains and rotations into weights: W' = R_writesᵀ · W · diag(gain) · R_reads, one formula for every linear."""

from __future__ import annotations

import torch
from torch import Tensor

from dfrot_engine.architectures.base import Architecture, Linear, Norm, Space
from dfrot_engine.rotations.rotation_set import RotationSet

# What an order of the MLP's channels reaches: both factors of the gated product.
_MLP_CHANNELS = (Space.MLP_HIDDEN, Space.MLP_GATE)


def fold_block(
    tensors: dict[str, Tensor],
    architecture: Architecture,
    rotations: RotationSet,
    block: int,
    *,
    fold_norms: bool | None = None,
) -> dict[str, Tensor]:
    """A block's tensors with norm gains, R1, R2, R4 and its order of channels folded in; R3 folds nothing.

    Args:
        tensors: by name relative to the block; not modified.
        fold_norms: None folds their gains only where there is an R1, which cannot pass them; otherwise they would only
            make columns that share a scale less alike.
    Returns:
        The same names in float64; norms that were folded hold the gain 1. Other tensors as they were.
    """
    folded = dict(tensors)
    table = architecture.block_at(block)
    fold_norms = rotations.r1_DD is not None if fold_norms is None else fold_norms
    for linear in (*table.linears, *table.routers):
        weight = tensors[f"{linear.name}.weight"].double()
        norm = table.norm_before(linear.name) if fold_norms else None
        if norm is not None:
            weight = weight * _gain(norm, tensors[f"{norm.name}.weight"])
        weight = _fold_reads(weight, linear, architecture, rotations, block)
        folded[f"{linear.name}.weight"] = _fold_writes(weight, linear, architecture, rotations, block)
        bias = tensors.get(f"{linear.name}.bias")
        if bias is not None:
            column = bias.double()[:, None]
            folded[f"{linear.name}.bias"] = _fold_writes(column, linear, architecture, rotations, block)[:, 0]
    for norm in table.norms if fold_norms else ():
        folded[f"{norm.name}.weight"] = _neutral(norm, tensors[f"{norm.name}.weight"])
    return folded


def fold_embedding(embedding_VD: Tensor, rotations: RotationSet) -> Tensor:
    """The embedding writes the residual stream: E' = E · R1, float64."""
    return _times(embedding_VD.double(), rotations.r1_DD)


def fold_head(head_VD: Tensor, final_norm_D: Tensor, norm: Norm, rotations: RotationSet) -> tuple[Tensor, Tensor]:
    """The head reads the residual stream through the final norm: (head' in float64, the norm's weight, 1 with R1)."""
    if rotations.r1_DD is None:
        return head_VD.double(), final_norm_D
    head = head_VD.double() * _gain(norm, final_norm_D)
    return _times(head, rotations.r1_DD), _neutral(norm, final_norm_D)


def _fold_reads(weight: Tensor, linear: Linear, sizes: Architecture, rotations: RotationSet, block: int) -> Tensor:
    if linear.reads is Space.RESIDUAL:
        return _times(weight, rotations.r1_DD)
    if linear.reads is Space.VALUE and rotations.r2 is not None:
        # Query head q attends with KV head q // (H/K), so o_proj sees that head's rotation.
        r2 = rotations.r2[block].repeat_interleave(sizes.num_heads // sizes.num_kv_heads, dim=0)
        heads = weight.unflatten(1, (sizes.num_heads, sizes.head_size))
        return torch.einsum("ohs,hst->oht", heads, r2).flatten(1)
    if linear.reads is Space.MLP_HIDDEN:
        weight = weight if rotations.channels is None else weight[:, rotations.channels[block]]
        online = rotations.online(block, weight.shape[1])
        return weight if online is None else online.apply(weight)
    return weight


def _fold_writes(weight: Tensor, linear: Linear, sizes: Architecture, rotations: RotationSet, block: int) -> Tensor:
    parts = [_fold_rows(weight[rows], space, sizes, rotations, block) for space, rows in sizes.row_ranges(linear)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _fold_rows(weight: Tensor, writes: Space, sizes: Architecture, rotations: RotationSet, block: int) -> Tensor:
    """The rows that write one space."""
    if writes is Space.RESIDUAL and rotations.r1_DD is not None:
        return rotations.r1_DD.T @ weight
    if writes is Space.VALUE and rotations.r2 is not None:
        heads = weight.unflatten(0, (sizes.num_kv_heads, sizes.head_size))
        return torch.einsum("kst,ksi->kti", rotations.r2[block], heads).flatten(0, 1)
    if writes in _MLP_CHANNELS and rotations.channels is not None:
        return weight[rotations.channels[block]]
    return weight


def _times(weight: Tensor, rotation: Tensor | None) -> Tensor:
    return weight if rotation is None else weight @ rotation


def _gain(norm: Norm, weight_D: Tensor) -> Tensor:
    return weight_D.double() + norm.offset


def _neutral(norm: Norm, weight_D: Tensor) -> Tensor:
    return torch.full_like(weight_D, 1.0 - norm.offset)
