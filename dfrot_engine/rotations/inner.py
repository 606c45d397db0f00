"""Rotations inside a block: R2 for each KV head, R4 for segments of the MLP's channels, and the channels' order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from dfrot_engine.calibration.block_rows import ATTENDED, ENERGY, HIDDEN, VALUE
from dfrot_engine.errors import RunError
from dfrot_engine.hadamard_orders import HadamardOrder
from dfrot_engine.recipe import (
    R4,
    ActivationScheme,
    BlockDescent,
    BlockHadamard,
    Hadamard,
    HeadDescent,
    KVCacheScheme,
)
from dfrot_engine.rotations.descent import descend
from dfrot_engine.rotations.losses import Loss, rounding_loss
from dfrot_engine.rotations.random import HadamardRotation, random_hadamard, random_signs

_R4_SEED = 4  # R1, R3 and R4 of one seed must not share signs


@dataclass(frozen=True)
class Refined:
    """A stack of rotations, and the loss on held-out tokens under the first and the last of them.

    Args:
        rotation_GSS: float64.
        loss: (before, after), each relative to the tokens' energy; no unit.
    """

    rotation_GSS: Tensor
    loss: tuple[float, float]


def head_start(num_kv_heads: int, head_size: int, seed: int, block: int) -> Tensor:
    """[K, S, S] float64: a Hadamard matrix with signs of its own for each KV head of a block."""
    seeds = (seed * 1_000_003 + block * 1_009 + head for head in range(num_kv_heads))
    return torch.stack([random_hadamard(head_size, one).matrix() for one in seeds])


def refine_heads(
    section: HeadDescent,
    rows: dict[str, Tensor],
    start_KSS: Tensor,
    activations: ActivationScheme | None,
    kv_cache: KVCacheScheme | None,
    *,
    block: int,
) -> Refined:
    """Lower what rounding o_proj's inputs and the cached values costs, in shares of each one's energy.

    A token's error counts in relation to ‖h‖² of the residual stream it is added to.

    Args:
        rows: of one block, see `picked_rows`.
        activations: of o_proj; with both schemes None the start is returned.
    Raises:
        RunError: NaN or infinity in the rows; names the block and the site.
    """
    num_kv_heads, head_size, _ = start_KSS.shape
    attended, value = (_checked(rows[name], name, block) for name in (ATTENDED, VALUE))
    weight_N = by_energy(rows[f"{ENERGY}.{VALUE}"])
    parts: list[tuple[Tensor, Tensor, Loss]] = []
    if activations is not None:
        # Query head q attends with KV head q // (H/K).
        num_heads = attended.shape[1] // head_size
        owner = torch.arange(num_heads) // (num_heads // num_kv_heads)
        parts.append((attended, owner, partial(rounding_loss, scheme=activations)))
    if kv_cache is not None:
        loss = partial(_per_head, scheme=kv_cache, head_size=head_size)
        parts.append((value, torch.arange(num_kv_heads), loss))
    if not parts:
        return Refined(start_KSS, (0.0, 0.0))
    shares = [1.0 / max(_energy(part, weight_N), 1e-30) for part, _, _ in parts]
    losses = [(part.shape[1], share, loss) for (part, _, loss), share in zip(parts, shares, strict=True)]
    return _refine(
        section,
        torch.cat([part for part, _, _ in parts], dim=1),
        weight_N,
        start_KSS,
        partial(_sum_of_losses, parts=losses),
        owner_M=torch.cat([owner for _, owner, _ in parts]).to(attended.device),
    )


def refine_channels(
    section: BlockDescent, rows: dict[str, Tensor], channels_I: Tensor | None, scheme: ActivationScheme, *, block: int
) -> Refined:
    """Lower what rounding down_proj's inputs costs, each segment of channels by itself.

    Args:
        rows: of one block, see `picked_rows`.
        channels_I: the order in which R4 sees the channels; None keeps it.
        scheme: of down_proj's activations.
    Raises:
        RunError: NaN or infinity in the rows; names the block and the site.
    """
    hidden = _checked(rows[HIDDEN], HIDDEN, block)
    weight_N = by_energy(rows[f"{ENERGY}.{HIDDEN}"])
    hidden = hidden if channels_I is None else hidden[:, channels_I]
    width, size = hidden.shape[1], section.block_size
    if section.start == "hadamard":
        hadamard = random_hadamard(width, section.seed + _R4_SEED)
        hidden = torch.cat([hadamard.apply(chunk.float()) for chunk in hidden.split(1_024)])
        start = torch.eye(size, dtype=torch.float64).expand(width // size, size, size)
    else:
        full = _block_hadamard(width, size, section.seed).matrix()
        start = torch.stack([full[at : at + size, at : at + size] for at in range(0, width, size)])
    share = 1.0 / max(_energy(hidden, weight_N), 1e-30)
    loss = partial(rounding_loss, scheme=scheme)
    return _refine(section, hidden, weight_N * share, start, loss)


def shared_r4(section: R4, width: int) -> HadamardRotation | None:
    """The part of R4 that is the same in every block: the transform of all channels, or the blocks' Hadamard."""
    if isinstance(section, Hadamard) or (isinstance(section, BlockDescent) and section.start == "hadamard"):
        return random_hadamard(width, section.seed + _R4_SEED)
    if isinstance(section, BlockHadamard):
        return _block_hadamard(width, section.block_size, section.seed)
    return None


def spread_channels(rows: dict[str, Tensor], block_size: int) -> Tensor:
    """[I] int64 order of the channels that gives every block of them about the same energy.

    Channels sorted by energy are dealt out to the blocks back and forth.

    Source: the zigzag permutation of DuQuant (arXiv:2406.01721), on energies instead of maxima.
    """
    weight_N = by_energy(rows[f"{ENERGY}.{HIDDEN}"])
    energy_I = (rows[HIDDEN].float().square() * weight_N[:, None]).sum(0)
    order = energy_I.argsort(descending=True, stable=True).unflatten(0, (block_size, -1)).clone()
    order[1::2] = order[1::2].flip(1)
    return order.T.flatten()


def _block_hadamard(width: int, block_size: int, seed: int) -> HadamardRotation:
    order = HadamardOrder(1, block_size, width // block_size)
    return HadamardRotation(order, random_signs(width, seed + _R4_SEED))


def _refine(
    section: HeadDescent | BlockDescent,
    rows_NW: Tensor,
    weight_N: Tensor,
    start_GSS: Tensor,
    loss: Loss,
    owner_M: Tensor | None = None,
) -> Refined:
    steps = list(
        descend(
            rows_NW,
            weight_N,
            start_GSS,
            loss,
            steps=section.steps,
            batch_rows=section.batch_rows,
            learning_rate=section.learning_rate,
            seed=section.seed,
            owner_M=owner_M,
        )
    )
    return Refined(steps[-1].rotation_DD, (steps[0].loss, steps[-1].loss))


def _sum_of_losses(values_NW: Tensor, parts: list[tuple[int, float, Loss]]) -> tuple[Tensor, Tensor]:
    """Columns side by side, each with a loss and a share of its own."""
    split = values_NW.split([width for width, _, _ in parts], dim=1)
    found = [loss(columns) for columns, (_, _, loss) in zip(split, parts, strict=True)]
    shares = [share for _, share, _ in parts]
    total = torch.stack([one * share for (one, _), share in zip(found, shares, strict=True)]).sum(0)
    return total, torch.cat([slope * share for (_, slope), share in zip(found, shares, strict=True)], dim=1)


def _per_head(values_NW: Tensor, scheme: KVCacheScheme, head_size: int) -> tuple[Tensor, Tensor]:
    loss, gradient = rounding_loss(values_NW.unflatten(1, (-1, head_size)), scheme)
    return loss.sum(-1), gradient.flatten(1)


def by_energy(energy_N: Tensor) -> Tensor:
    """How much each token's error counts: less for those that add it to a longer residual stream; 1 on average."""
    weight = 1.0 / energy_N.clamp(min=1e-12)
    return weight / weight.mean()


def _energy(rows_NW: Tensor, weight_N: Tensor) -> float:
    return float((rows_NW.float().square().sum(1) * weight_N).double().sum())


def _checked(rows: Tensor, site: str, block: int) -> Tensor:
    if not bool(torch.isfinite(rows).all()):
        raise RunError(
            f"Block {block}, {site} activations contain NaN or infinity.",
            "The weights are damaged, or the model needs another precision; download it again.",
        )
    return rows
