"""All rotations of one model, and their file."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dfrot_engine.errors import DiskError
from dfrot_engine.hadamard_orders import HadamardOrder
from dfrot_engine.rotations.online import OnlineRotation
from dfrot_engine.rotations.random import HadamardRotation
from dfrot_engine.whole_file import whole_file

_OTHER = "R4.width."
_SIGNS = "R4.channel_signs"


@dataclass(frozen=True)
class RotationSet:
    """None stands for no rotation.

    Args:
        r1_DD: residual stream, float64.
        r2: for each block [K, S, S] float64, one rotation for each of K KV heads of size S.
        r3: query and key after RoPE, on each head.
        r4: MLP hidden, in front of down_proj; the same in every block.
        r4_others: the same of MLPs of other widths, those of experts beside dense or shared ones.
        r4_segments: for each block [G, S, S] float64, what follows `r4` on each segment of channels.
        mlp_scales: for each block [I] float64, what the MLP's channels are divided by, in their old order; folded too.
        channels: for each block [I] int64, the order in which R4 sees the MLP's channels; folded into the weights.
        channel_signs: [I] ±1 in that order, R4's signs where they are folded into the weights too; then `r4` has none.
    """

    r1_DD: Tensor | None = None
    r2: tuple[Tensor, ...] | None = None
    r3: HadamardRotation | None = None
    r4: HadamardRotation | None = None
    r4_others: tuple[HadamardRotation, ...] = ()
    r4_segments: tuple[Tensor, ...] | None = None
    channels: tuple[Tensor, ...] | None = None
    mlp_scales: tuple[Tensor, ...] | None = None
    channel_signs: Tensor | None = None

    def online(self, block: int, width: int) -> OnlineRotation | None:
        """R4 of one block, of its MLPs of this width; None when there is none."""
        other = next((one for one in self.r4_others if len(one.signs) == width), None)
        if other is not None:
            return OnlineRotation(other)
        if self.r4 is None and self.r4_segments is None:
            return None
        return OnlineRotation(self.r4, None if self.r4_segments is None else self.r4_segments[block])

    def with_online_signs(self) -> RotationSet:
        """The same R4 with its signs applied at run time, for what cannot fold them."""
        if self.channel_signs is None:
            return self
        assert self.r4 is not None
        r4 = HadamardRotation(self.r4.order, self.r4.signs * self.channel_signs)
        return replace(self, r4=r4, channel_signs=None)

    def save(self, path: Path, facts: dict[str, str]) -> None:
        """Write one safetensors file, whole or not at all; `facts` (model, recipe, seed) go into its metadata."""
        tensors: dict[str, Tensor] = {}
        metadata = dict(facts)
        if self.r1_DD is not None:
            tensors["R1"] = self.r1_DD.cpu().contiguous()
        if self.channel_signs is not None:
            tensors[_SIGNS] = self.channel_signs.cpu()
        by_block = {
            "R2": self.r2,
            "R4.segments": self.r4_segments,
            "R4.channels": self.channels,
            "MLP.scales": self.mlp_scales,
        }
        for name, parts in by_block.items():
            tensors |= {f"{name}.{block}": part.cpu().contiguous() for block, part in enumerate(parts or ())}
        others = [(f"{_OTHER}{len(one.signs)}", one) for one in self.r4_others]
        for name, rotation in (("R3", self.r3), ("R4", self.r4), *others):
            if rotation is not None:
                tensors[f"{name}.signs"] = rotation.signs.cpu()
                metadata[f"{name}.order"] = json.dumps(rotation.order)
        with whole_file(path, sum(tensor.nbytes for tensor in tensors.values())) as draft:
            save_file(tensors, draft, metadata=metadata)

    @staticmethod
    def load(path: Path) -> RotationSet:
        """Raises:
        DiskError: missing or damaged file.
        """
        try:
            with safe_open(path, "pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        except (OSError, SafetensorError) as error:
            raise DiskError(
                f"The rotations in {path} cannot be read: {error}.", "Delete the work folder and run again."
            ) from None
        return RotationSet(
            r1_DD=tensors.get("R1"),
            r2=_by_block("R2", tensors),
            r3=_hadamard("R3", tensors, metadata),
            r4=_hadamard("R4", tensors, metadata),
            r4_others=_others(tensors, metadata),
            r4_segments=_by_block("R4.segments", tensors),
            channels=_by_block("R4.channels", tensors),
            mlp_scales=_by_block("MLP.scales", tensors),
            channel_signs=tensors.get(_SIGNS),
        )

    def to(self, device: torch.device) -> RotationSet:
        """The same rotations with their matrices on a device."""
        return RotationSet(
            r1_DD=None if self.r1_DD is None else self.r1_DD.to(device),
            r2=_moved(self.r2, device),
            r3=None if self.r3 is None else self.r3.to(device),
            r4=None if self.r4 is None else self.r4.to(device),
            r4_others=tuple(one.to(device) for one in self.r4_others),
            r4_segments=_moved(self.r4_segments, device),
            channels=_moved(self.channels, device),
            mlp_scales=_moved(self.mlp_scales, device),
            channel_signs=None if self.channel_signs is None else self.channel_signs.to(device),
        )


def _moved(parts: tuple[Tensor, ...] | None, device: torch.device) -> tuple[Tensor, ...] | None:
    return None if parts is None else tuple(part.to(device) for part in parts)


def _by_block(name: str, tensors: dict[str, Tensor]) -> tuple[Tensor, ...] | None:
    num_blocks = sum(key.startswith(f"{name}.") for key in tensors)
    return tuple(tensors[f"{name}.{block}"] for block in range(num_blocks)) if num_blocks else None


def _others(tensors: dict[str, Tensor], metadata: dict[str, str]) -> tuple[HadamardRotation, ...]:
    names = sorted(key.removesuffix(".signs") for key in tensors if key.startswith(_OTHER))
    found = (_hadamard(name, tensors, metadata) for name in names)
    return tuple(one for one in found if one is not None)


def _hadamard(name: str, tensors: dict[str, Tensor], metadata: dict[str, str]) -> HadamardRotation | None:
    if f"{name}.signs" not in tensors:
        return None
    return HadamardRotation(HadamardOrder(*json.loads(metadata[f"{name}.order"])), tensors[f"{name}.signs"])
