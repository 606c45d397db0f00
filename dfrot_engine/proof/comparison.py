"""Counting what is compared, and saying which tensor is not what it should be."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from dfrot_engine.checkpoint.headers import INDEX
from dfrot_engine.proof.types import ProofRow

_NAMED = 3


@dataclass
class Comparison:
    """What was compared of one output, and what was wrong with it."""

    count: int = 0
    wrong: list[str] = field(default_factory=list)

    def check(self, name: str, written: Tensor, expected: Tensor, tolerance: Tensor | float = 0.0) -> None:
        """Compare one tensor.

        Args:
            expected: in the dtype that was written, or in float32 where both are numbers that were unpacked.
            tolerance: of each number.
        """
        self.count += 1
        expected = expected.to(written.device)
        if written.shape != expected.shape:
            self.wrong.append(f"'{name}' has the shape {tuple(written.shape)} instead of {tuple(expected.shape)}")
        elif not _is_exact(tolerance):
            self._check_close(name, written, expected, tolerance)
        elif written.dtype != expected.dtype:
            self.wrong.append(f"'{name}' is {written.dtype} instead of {expected.dtype}")
        elif not torch.equal(_bits(written), _bits(expected)) and not torch.equal(written, expected):
            different = int((written != expected).sum())
            self.wrong.append(f"'{name}' differs in {different:,} of {written.numel():,} numbers")

    def _check_close(self, name: str, written: Tensor, expected: Tensor, tolerance: Tensor | float) -> None:
        different = int((~((written.float() - expected.float()).abs() <= tolerance)).sum())
        if different:
            self.wrong.append(f"'{name}' is too far off in {different:,} of {written.numel():,} numbers")

    def attempt(self, name: str, work: Callable[[], None]) -> None:
        """What a library or the reader cannot make sense of is wrong as well."""
        try:
            work()
        except (ValueError, RuntimeError, KeyError, OSError, IndexError, TypeError) as error:
            self.count += 1
            self.wrong.append(f"'{name}' cannot be unpacked: {error}")

    def row(self, output: str, how: str) -> ProofRow:
        """
        Args:
            how: how closely they have to agree, for people.
        """
        passed = not self.wrong and self.count > 0
        return ProofRow(
            check="tensors",
            output=output,
            what=f"{self.count:,} tensors read back from the files and unpacked, against what was computed: {how}",
            figure=float(len(self.wrong)),
            limit=0.0,
            passed=passed,
            note="" if passed else listed(self.wrong) or "the files hold no tensor",
        )


def listed(sentences: list[str]) -> str:
    """The first few, and how many more there are."""
    more = f", and {len(sentences) - _NAMED:,} more" if len(sentences) > _NAMED else ""
    return "; ".join(sentences[:_NAMED]) + more


def missing_shards(folder: Path) -> list[str]:
    """A sentence for each shard that the folder's index names and that is not there, with what it held."""
    try:
        weight_map = json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"]
    except (OSError, ValueError, KeyError):
        return []
    held: dict[str, list[str]] = {}
    for name, shard in weight_map.items():
        held.setdefault(shard, []).append(name)
    return [
        f"{shard} is missing, which holds '{names[0]}' and {len(names) - 1:,} more tensors"
        for shard, names in sorted(held.items())
        if not (folder / shard).is_file()
    ]


def _is_exact(tolerance: Tensor | float) -> bool:
    return not isinstance(tolerance, Tensor) and tolerance == 0.0


def _bits(tensor: Tensor) -> Tensor:
    return tensor.contiguous().view(torch.uint8) if tensor.dim() else tensor.reshape(1).view(torch.uint8)
