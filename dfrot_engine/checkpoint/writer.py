"""Tensors in, shards and their index out; a shard appears whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import BinaryIO, NamedTuple

from torch import Tensor

from dfrot_engine.checkpoint.headers import INDEX, LENGTH_BYTES, SINGLE_SHARD
from dfrot_engine.checkpoint.reader import DTYPES
from dfrot_engine.checkpoint.tensor_bytes import write_tensor
from dfrot_engine.errors import DiskError

DRAFT_SUFFIX = ".draft"
_PARTS = "model-parts" + DRAFT_SUFFIX
_DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_COPY_BYTES = 1 << 24


class _Part(NamedTuple):
    """A tensor whose bytes lie in the file of parts."""

    name: str
    dtype: str
    itemsize: int
    shape: tuple[int, ...]
    offset: int
    num_bytes: int


class ShardWriter:
    """Writes a checkpoint into a folder, holding one tensor in memory.

    Bytes go to one file of parts as they come. A full shard is copied out of it behind its header, which can be written
    only then, with the widest numbers first, as safetensors orders them, so that each tensor begins at a multiple of
    its numbers' size. Shards stay drafts until `finish`, because their names say how many there are; the index is last.

    Args:
        folder: created if missing; drafts that an interrupted writer left there are removed.
        max_shard_bytes: a shard is closed before it grows beyond this; one larger tensor gets a shard of its own.
    """

    def __init__(self, folder: Path, max_shard_bytes: int = 5_000_000_000) -> None:
        self._folder = folder
        self._max_shard_bytes = max_shard_bytes
        self._open: list[_Part] = []
        self._open_bytes = 0
        self._total_bytes = 0
        self._drafts: list[tuple[Path, list[str]]] = []
        self._names: set[str] = set()
        folder.mkdir(parents=True, exist_ok=True)
        for stale in folder.glob(f"model-*{DRAFT_SUFFIX}"):
            stale.unlink()

    def add(self, name: str, tensor: Tensor) -> None:
        """Write the tensor, in the dtype it has.

        Raises:
            DiskError: it could not be written.
        """
        assert name not in self._names, f"{name} was already added"
        self._names.add(name)
        if self._open and self._open_bytes + tensor.nbytes > self._max_shard_bytes:
            self._close_shard({})
        dtype = _DTYPE_NAMES[tensor.dtype]
        part = _Part(name, dtype, tensor.itemsize, tuple(tensor.shape), self._open_bytes, tensor.nbytes)
        parts = self._folder / _PARTS
        try:
            with parts.open("r+b" if self._open else "wb", buffering=0) as file:
                file.seek(part.offset)
                write_tensor(file, tensor)
        except OSError as error:
            raise _unwritten(parts, error) from error
        self._open.append(part)
        self._open_bytes += part.num_bytes
        self._total_bytes += part.num_bytes

    def finish(self, metadata: dict[str, str]) -> tuple[Path, ...]:
        """Write what is left and give the shards their names; returns them.

        Args:
            metadata: goes into the header of a single shard, or into the index of several.
        Raises:
            DiskError: the files could not be written; no index is there then.
        """
        self._close_shard(metadata)
        try:
            (self._folder / _PARTS).unlink(missing_ok=True)
            paths = self._name_shards()
            if len(paths) > 1:
                self._write_index(paths, metadata)
            _sync_folder(self._folder)
        except OSError as error:
            raise _unwritten(self._folder, error) from error
        return paths

    def _close_shard(self, metadata: dict[str, str]) -> None:
        draft = self._folder / f"model-{len(self._drafts) + 1:05d}{DRAFT_SUFFIX}"
        ordered = sorted(self._open, key=lambda part: (-part.itemsize, part.dtype, part.name))
        try:
            with draft.open("wb") as file:
                file.write(_header(ordered, {**metadata, "format": "pt"}))
                if ordered:
                    self._copy_parts(ordered, file)
            _sync_file(draft)
        except OSError as error:
            raise _unwritten(draft, error) from error
        self._drafts.append((draft, [part.name for part in ordered]))
        self._open = []
        self._open_bytes = 0

    def _copy_parts(self, ordered: list[_Part], file: BinaryIO) -> None:
        with (self._folder / _PARTS).open("rb") as parts:
            for part in ordered:
                parts.seek(part.offset)
                left = part.num_bytes
                while left:
                    piece = parts.read(min(left, _COPY_BYTES))
                    if not piece:
                        raise OSError(f"{_PARTS} ends early")
                    file.write(piece)
                    left -= len(piece)

    def _name_shards(self) -> tuple[Path, ...]:
        count = len(self._drafts)
        paths: list[Path] = []
        for number, (draft, _) in enumerate(self._drafts, start=1):
            name = SINGLE_SHARD if count == 1 else f"model-{number:05d}-of-{count:05d}.safetensors"
            paths.append(draft.replace(self._folder / name))
        return tuple(paths)

    def _write_index(self, paths: tuple[Path, ...], metadata: dict[str, str]) -> None:
        weight_map = {name: path.name for path, (_, names) in zip(paths, self._drafts, strict=True) for name in names}
        index = {"metadata": {**metadata, "total_size": self._total_bytes}, "weight_map": weight_map}
        draft = self._folder / (INDEX + DRAFT_SUFFIX)
        draft.write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
        _sync_file(draft)
        draft.replace(self._folder / INDEX)


def _header(ordered: list[_Part], metadata: dict[str, str]) -> bytes:
    """Length and JSON of a shard's header, padded so that the tensors begin at a multiple of eight bytes."""
    entries: dict[str, object] = {"__metadata__": metadata}
    end = 0
    for part in ordered:
        begin, end = end, end + part.num_bytes
        entries[part.name] = {"dtype": part.dtype, "shape": part.shape, "data_offsets": [begin, end]}
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % LENGTH_BYTES)
    return len(text).to_bytes(LENGTH_BYTES, "little") + text


def _sync_file(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":  # Windows cannot open a folder, and its renames are journalled
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unwritten(path: Path, error: Exception) -> DiskError:
    reason = getattr(error, "strerror", None) or str(error)
    return DiskError(
        f"Cannot write {path}: {reason}.", "Free some space or choose another folder.", "options.output_dir"
    )
