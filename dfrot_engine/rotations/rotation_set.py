"""All rotations of one model, and their file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dfrot_engine.errors import DiskError
from dfrot_engine.hadamard_orders import HadamardOrder
from dfrot_engine.rotations.random import HadamardRotation


@dataclass(frozen=True)
class RotationSet:
    """None stands for no rotation.

    Args:
        r1_DD: residual stream, float64.
        r2: for each block [K, S, S] float64, one rotation for each of K KV heads of size S.
        r3: query and key after RoPE, on each head.
        r4: MLP hidden, in front of down_proj.
    """

    r1_DD: Tensor | None = None
    r2: tuple[Tensor, ...] | None = None
    r3: HadamardRotation | None = None
    r4: HadamardRotation | None = None

    def save(self, path: Path, facts: dict[str, str]) -> None:
        """Write one safetensors file, whole or not at all; `facts` (model, recipe, seed) go into its metadata."""
        tensors: dict[str, Tensor] = {}
        metadata = dict(facts)
        if self.r1_DD is not None:
            tensors["R1"] = self.r1_DD.cpu().contiguous()
        if self.r2 is not None:
            tensors |= {f"R2.{block}": rotation.cpu().contiguous() for block, rotation in enumerate(self.r2)}
        for name, rotation in (("R3", self.r3), ("R4", self.r4)):
            if rotation is not None:
                tensors[f"{name}.signs"] = rotation.signs.cpu()
                metadata[f"{name}.order"] = json.dumps(rotation.order)
        draft = path.with_suffix(".draft")
        save_file(tensors, draft, metadata=metadata)
        draft.replace(path)

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
        num_blocks = sum(name.startswith("R2.") for name in tensors)
        return RotationSet(
            r1_DD=tensors.get("R1"),
            r2=tuple(tensors[f"R2.{block}"] for block in range(num_blocks)) if num_blocks else None,
            r3=_hadamard("R3", tensors, metadata),
            r4=_hadamard("R4", tensors, metadata),
        )

    def to(self, device: torch.device) -> RotationSet:
        """The same rotations with their matrices on a device."""
        return RotationSet(
            r1_DD=None if self.r1_DD is None else self.r1_DD.to(device),
            r2=None if self.r2 is None else tuple(rotation.to(device) for rotation in self.r2),
            r3=None if self.r3 is None else HadamardRotation(self.r3.order, self.r3.signs.to(device)),
            r4=None if self.r4 is None else HadamardRotation(self.r4.order, self.r4.signs.to(device)),
        )


def _hadamard(name: str, tensors: dict[str, Tensor], metadata: dict[str, str]) -> HadamardRotation | None:
    if f"{name}.signs" not in tensors:
        return None
    return HadamardRotation(HadamardOrder(*json.loads(metadata[f"{name}.order"])), tensors[f"{name}.signs"])
