"""Norm gains and rotations into weights: W' = R_writesᵀ · W · diag(gain) · R_reads, one formula for every linear."""

from __future__ import annotations

import torch
from torch import Tensor

from dfrot_engine.architectures.base import Architecture, Linear, Norm, Space
from dfrot_engine.errors import ModelError
from dfrot_engine.rotations.rotation_set import RotationSet

#: A norm's tensors.
NORM_PARTS = ("weight", "bias")

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
    """A block's tensors with norm gains, R1, R2, R4, its channels' order and scales folded in; R3 folds nothing.

    Args:
        tensors: by name relative to the block; not modified.
        fold_norms: None folds their gains only where there is an R1, which cannot pass them; otherwise they would only
            make columns that share a scale less alike.
    Returns:
        The same names in float64; norms that were folded hold the gain 1, and no bias where linears behind have one.
        Other tensors as they were.
    Raises:
        ModelError: a norm's bias cannot pass R1.
    """
    folded = dict(tensors)
    table = architecture.block_at(block)
    fold_norms = rotations.r1_DD is not None if fold_norms is None else fold_norms
    for linear in (*table.linears, *table.routers):
        norm = table.norm_before(linear.name) if fold_norms else None
        folded |= _fold_linear(tensors, linear, norm, architecture, rotations, block)
    for norm in table.norms if fold_norms else ():
        parts = {part: tensors[f"{norm.name}.{part}"] for part in NORM_PARTS if f"{norm.name}.{part}" in tensors}
        if _goes_to_linears(norm, tensors):
            parts["bias"] = torch.zeros_like(parts["bias"])
        folded |= {f"{norm.name}.{part}": one for part, one in _fold_norm(norm, parts, rotations).items()}
    return folded


def _fold_linear(
    tensors: dict[str, Tensor],
    linear: Linear,
    norm: Norm | None,
    sizes: Architecture,
    rotations: RotationSet,
    block: int,
) -> dict[str, Tensor]:
    """A linear's weight and bias; what goes into them from the norm in front, if that is folded."""
    weight, bias = tensors[f"{linear.name}.weight"].double(), tensors.get(f"{linear.name}.bias")
    folded: dict[str, Tensor] = {}
    if bias is not None:
        column = bias.double()[:, None]
        if norm is not None and _goes_to_linears(norm, tensors):
            column = column + weight @ tensors[f"{norm.name}.bias"].double()[:, None]
        folded[f"{linear.name}.bias"] = _fold_writes(column, linear, sizes, rotations, block)[:, 0]
    if norm is not None:
        weight = weight * _gain(norm, tensors[f"{norm.name}.weight"])
    return {f"{linear.name}.weight": fold_weight(weight, linear, sizes, rotations, block)} | folded


def fold_weight(weight_OI: Tensor, linear: Linear, sizes: Architecture, rotations: RotationSet, block: int) -> Tensor:
    """One linear's weight, float64, with the rotations of what it reads and of what it writes folded in."""
    return _fold_writes(_fold_reads(weight_OI, linear, sizes, rotations, block), linear, sizes, rotations, block)


def fold_embedding(embedding_VD: Tensor, rotations: RotationSet) -> Tensor:
    """The embedding writes the residual stream: E' = E · R1, float64."""
    return _times(embedding_VD.double(), rotations.r1_DD)


def fold_writer(parts: dict[str, Tensor], rotations: RotationSet) -> dict[str, Tensor]:
    """A linear outside the blocks that writes the residual stream, by "weight" and "bias": y' = y · R1, float64."""
    assert rotations.r1_DD is not None
    columns = {part: tensor.double().reshape(len(tensor), -1) for part, tensor in parts.items()}
    return {part: (rotations.r1_DD.T @ columns[part]).reshape(tensor.shape) for part, tensor in parts.items()}


def fold_head(
    head_VD: Tensor, parts: dict[str, Tensor], norm: Norm, rotations: RotationSet
) -> tuple[Tensor, dict[str, Tensor]]:
    """The head reads the residual stream through the final norm: (head' in float64, the norm's parts, gain 1 with R1).

    Args:
        parts: the norm's `NORM_PARTS`, those it has; not modified.
    """
    if rotations.r1_DD is None:
        return head_VD.double(), parts
    head = head_VD.double() * _gain(norm, parts["weight"])
    return _times(head, rotations.r1_DD), _fold_norm(norm, parts, rotations)


def _goes_to_linears(norm: Norm, tensors: dict[str, Tensor]) -> bool:
    """Whether a norm's bias can be added to biases: in front of rounding it would be an offset of every token."""
    return f"{norm.name}.bias" in tensors and all(f"{linear}.bias" in tensors for linear in norm.feeds)


def _fold_norm(norm: Norm, parts: dict[str, Tensor], rotations: RotationSet) -> dict[str, Tensor]:
    """A norm whose gain is in the linears behind it, which now meets its bias too: b' = (b / gain) · R1.

    Raises:
        ModelError: a gain is zero where the bias is not.
    """
    folded = {"weight": torch.full_like(parts["weight"], 1.0 - norm.offset)}
    if "bias" not in parts:
        return folded
    bias, gain = parts["bias"].double(), _gain(norm, parts["weight"])
    if bool(((gain == 0) & (bias != 0)).any()):
        raise ModelError(
            f"R1 cannot pass '{norm.name}': it has a gain of zero beside a bias that is not.",
            "Set rotation.r1.kind = 'none'; R2 and R4 still help.",
            "rotation.r1.kind",
        )
    passed = torch.where(bias == 0, bias, bias / gain)
    return folded | {"bias": _times(passed, rotations.r1_DD)}


def _fold_reads(weight: Tensor, linear: Linear, sizes: Architecture, rotations: RotationSet, block: int) -> Tensor:
    if linear.reads is Space.RESIDUAL:
        return _times(weight, rotations.r1_DD)
    if linear.reads is Space.VALUE and rotations.r2 is not None:
        # Query head q attends with KV head q // (H/K), so o_proj sees that head's rotation.
        r2 = rotations.r2[block].repeat_interleave(sizes.num_heads // sizes.num_kv_heads, dim=0)
        heads = weight.unflatten(1, (sizes.num_heads, sizes.head_size))
        return torch.einsum("ohs,hst->oht", heads, r2).flatten(1)
    if linear.reads is Space.MLP_HIDDEN:
        weight = weight if rotations.mlp_scales is None else weight * rotations.mlp_scales[block]
        weight = weight if rotations.channels is None else weight[:, rotations.channels[block]]
        weight = weight if rotations.channel_signs is None else weight * rotations.channel_signs
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
    if writes is Space.MLP_HIDDEN and rotations.mlp_scales is not None:
        weight = weight / rotations.mlp_scales[block][:, None]
    if writes in _MLP_CHANNELS and rotations.channels is not None:
        weight = weight[rotations.channels[block]]
    if writes is Space.MLP_HIDDEN and rotations.channel_signs is not None:
        weight = weight * rotations.channel_signs[:, None]
    return weight


def _times(weight: Tensor, rotation: Tensor | None) -> Tensor:
    return weight if rotation is None else weight @ rotation


def _gain(norm: Norm, weight_D: Tensor) -> Tensor:
    return weight_D.double() + norm.offset
