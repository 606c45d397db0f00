"""Hidden states of all sequences: in RAM as far as a budget goes, the rest in plain files."""

from __future__ import annotations

import json
import math
import os
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from dfrot_engine.checkpoint.tensor_bytes import read_tensor, write_tensor
from dfrot_engine.whole_file import write_text

_KEPT = "kept.json"
_SUFFIX = ".states"


class HiddenStates:
    """[B, T, D], filled front to back, then read in slices; made by a `HiddenStore`.

    The first sequences lie in RAM. The others lie in a file, each at the place it would have if all were there, so that
    the file is complete once those in RAM are written too. Reading goes through no memory map: pages that are mapped
    would count as this process's memory.
    """

    def __init__(self, shape: Sequence[int], dtype: torch.dtype, in_memory: int, file: _File) -> None:
        self.shape = torch.Size(shape)
        self.dtype = dtype
        self._memory = torch.empty(in_memory, *shape[1:], dtype=dtype)
        self.file = file
        self._filled = 0

    def __len__(self) -> int:
        return self.shape[0]

    def append(self, hidden_BTD: Tensor) -> None:
        """The next sequences."""
        assert self._filled + len(hidden_BTD) <= len(self)
        here = max(0, min(len(hidden_BTD), len(self._memory) - self._filled))
        self._memory[self._filled : self._filled + here] = hidden_BTD[:here]
        if here < len(hidden_BTD):
            self._write(self._filled + here, hidden_BTD[here:])
        self._filled += len(hidden_BTD)

    def put(self, start: int, hidden_BTD: Tensor) -> None:
        """Sequences from a number on, in any order; of hidden states that lie in a file."""
        assert not len(self._memory)
        self._write(start, hidden_BTD)
        self._filled += len(hidden_BTD)

    def __getitem__(self, which: slice | Tensor) -> Tensor:
        """[b, T, D] on the CPU: consecutive sequences, or those with these numbers. Not to be written into."""
        if isinstance(which, Tensor):
            return torch.cat([self[number : number + 1] for number in which.tolist()])
        start, stop, step = which.indices(len(self))
        assert step == 1
        assert stop <= self._filled, "read before it was filled"
        border = len(self._memory)
        if stop <= border:
            return self._memory[start:stop]
        read = torch.empty(max(0, stop - start), *self.shape[1:], dtype=self.dtype)
        here = max(0, border - start)
        read[:here] = self._memory[start:border]
        self._read(start + here, read[here:])
        return read

    def tokens(self, which_N: Tensor) -> Tensor:
        """[N, D] on the CPU: the tokens with these numbers, counted through all sequences."""
        width, border = self.shape[2], self._memory[..., 0].numel()
        in_memory = self._memory.flatten(0, 1)
        read = torch.empty(len(which_N), width, dtype=self.dtype)
        for row, number in enumerate(which_N.tolist()):
            if number < border:
                read[row] = in_memory[number]
            else:
                self.file.read(number * width * self.dtype.itemsize, read[row])
        return read

    def complete_file(self) -> Path:
        """The file with all sequences in it, safe on the disk."""
        assert self._filled == len(self)
        if not self.file.is_complete:
            if len(self._memory):
                self._write(0, self._memory)
            self.file.sync()
        return self.file.path

    def refill(self) -> None:
        """Take what its complete file holds."""
        self._read(0, self._memory)
        self._filled = len(self)

    def _write(self, start: int, hidden_BTD: Tensor) -> None:
        self.file.write(start * self._sequence_bytes, hidden_BTD.to(self.dtype))

    def _read(self, start: int, into_BTD: Tensor) -> None:
        self.file.read(start * self._sequence_bytes, into_BTD)

    @property
    def _sequence_bytes(self) -> int:
        return self.shape[1] * self.shape[2] * self.dtype.itemsize


#: What stands in front of a block; both are read by slices of sequences.
Hidden: TypeAlias = Tensor | HiddenStates


@dataclass
class _File:
    """One file of numbers; it goes with its hidden states unless it is kept for a resumed run."""

    path: Path
    is_kept: bool = False
    is_complete: bool = False
    is_there: bool = False

    def write(self, offset: int, numbers: Tensor) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("r+b" if self.is_there else "w+b", buffering=0) as file:
            self.is_there = True
            file.seek(offset)
            write_tensor(file, numbers)

    def read(self, offset: int, numbers: Tensor) -> None:
        with self.path.open("rb", buffering=0) as file:
            file.seek(offset)
            read_tensor(file, numbers)

    def sync(self) -> None:
        with self.path.open("r+b") as file:
            os.fsync(file.fileno())
        self.is_complete = True

    def release(self) -> None:
        if self.is_there and not self.is_kept:
            self.path.unlink(missing_ok=True)


class KeptStates(NamedTuple):
    """Hidden states that an interrupted run left, by name, and what it noted about them."""

    streams: dict[str, HiddenStates]
    facts: dict[str, Any]


class HiddenStore:
    """Makes the hidden states of one stage within one budget, and keeps some of them for a resumed run.

    Args:
        folder: of the files, made when the first one is; what an interrupted run left there goes, unless it was kept.
            None where everything fits.
        budget_bytes: of RAM, for all hidden states that live at the same time; room that some leave is used again.
    """

    def __init__(self, folder: Path | None = None, budget_bytes: float = math.inf) -> None:
        assert folder is not None or budget_bytes == math.inf
        self._folder, self._left = folder or Path(), budget_bytes
        self._lock = threading.RLock()  # the last reference may go in the thread that writes
        self._kept: dict[str, _File] = {}
        self._number = 0 if folder is None else self._clean()

    def new(self, shape: Sequence[int], dtype: torch.dtype = torch.float32, *, on_disk: bool = False) -> HiddenStates:
        """Empty hidden states [B, T, D]; in RAM as far as there is room for now, unless all go to the disk."""
        self._number += 1
        file = _File(self._folder / f"{self._number:06}{_SUFFIX}")
        return self._made(shape, dtype, file, on_disk=on_disk)

    def new_if_room(self, shape: Sequence[int], *, beside: int, dtype: torch.dtype = torch.float32) -> HiddenStates:
        """Empty hidden states of the first of these sequences, those that fit in RAM for now; perhaps of none.

        Args:
            beside: bytes that are to find room besides.
        """
        sequence_bytes = max(1, math.prod(shape[1:]) * dtype.itemsize)
        with self._lock:
            count = int(min(shape[0], max(0.0, self._left - beside) // sequence_bytes))
            return self.new((count, *shape[1:]), dtype)

    def keep(self, streams: Mapping[str, HiddenStates], fingerprint: str, **facts: Any) -> None:
        """Make these what `kept` finds, in the place of those before, whole or not at all."""
        content = {
            "fingerprint": fingerprint,
            "facts": facts,
            "streams": {
                name: [states.complete_file().name, list(states.shape), str(states.dtype).removeprefix("torch.")]
                for name, states in streams.items()
            },
        }
        before, self._kept = self._kept, {states.file.path.name: states.file for states in streams.values()}
        for file in self._kept.values():
            file.is_kept = True
        write_text(self._folder / _KEPT, json.dumps(content, indent=1))
        for name in before.keys() - self._kept.keys():
            before[name].is_kept = False
            before[name].release()

    def kept(self, fingerprint: str) -> KeptStates | None:
        """What the last `keep` was given; None, and gone, if that was with another fingerprint or is not whole."""
        content = _read_json(self._folder / _KEPT)
        if content.get("fingerprint") != fingerprint or not all(map(self._is_whole, content["streams"].values())):
            self._drop()
            return None
        made: dict[str, HiddenStates] = {}
        for file_name, shape, dtype in content["streams"].values():
            if file_name not in made:
                file = self._kept[file_name] = _File(
                    self._folder / file_name, is_kept=True, is_complete=True, is_there=True
                )
                made[file_name] = self._made(shape, getattr(torch, dtype), file)
                made[file_name].refill()
        return KeptStates({name: made[entry[0]] for name, entry in content["streams"].items()}, content["facts"])

    def _clean(self) -> int:
        """Remove what was not kept; the highest number of what was."""
        names = {file_name for file_name, *_ in _read_json(self._folder / _KEPT).get("streams", {}).values()}
        for path in self._folder.glob(f"*{_SUFFIX}"):
            if path.name not in names:
                path.unlink(missing_ok=True)
        return max((int(Path(name).stem) for name in names), default=0)

    def _is_whole(self, entry: tuple[str, list[int], str]) -> bool:
        file_name, shape, dtype = entry
        path = self._folder / file_name
        return path.is_file() and path.stat().st_size == math.prod(shape) * getattr(torch, dtype).itemsize

    def _drop(self) -> None:
        for path in (self._folder / _KEPT, *self._folder.glob(f"*{_SUFFIX}")):
            path.unlink(missing_ok=True)

    def _made(self, shape: Sequence[int], dtype: torch.dtype, file: _File, *, on_disk: bool = False) -> HiddenStates:
        sequence_bytes = max(1, math.prod(shape[1:]) * dtype.itemsize)
        with self._lock:
            in_memory = 0 if on_disk else int(min(shape[0], max(0.0, self._left) // sequence_bytes))
            self._left -= in_memory * sequence_bytes
        states = HiddenStates(shape, dtype, in_memory, file)
        weakref.finalize(states, self._release, file, in_memory * sequence_bytes)
        return states

    def _release(self, file: _File, num_bytes: int) -> None:
        with self._lock:
            self._left += num_bytes
        file.release()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
