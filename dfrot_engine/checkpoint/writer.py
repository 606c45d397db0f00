"""Tensors in, shards and their index out; a shard appears whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from dfrot_engine.checkpoint.headers import INDEX, SINGLE_SHARD
from dfrot_engine.whole_file import DRAFT, sync_file, sync_folder, unwritten, write_text


class ShardWriter:
    """Writes a checkpoint into a folder, holding at most one shard in memory.

    Shards stay drafts until `finish`, because their names say how many there are; the index comes last.

    Args:
        folder: created if missing; drafts that an interrupted writer left there are removed.
        max_shard_bytes: a shard is closed before it grows beyond this; one larger tensor gets a shard of its own.
    """

    def __init__(self, folder: Path, max_shard_bytes: int = 5_000_000_000) -> None:
        self._folder = folder
        self._max_shard_bytes = max_shard_bytes
        self._open: dict[str, Tensor] = {}
        self._open_bytes = 0
        self._total_bytes = 0
        self._drafts: list[tuple[Path, list[str]]] = []
        self._names: set[str] = set()
        folder.mkdir(parents=True, exist_ok=True)
        for stale in folder.glob(f"model-*{DRAFT}"):
            stale.unlink()

    def add(self, name: str, tensor: Tensor) -> None:
        """Take a copy of the tensor, in the dtype it has.

        Raises:
            DiskError: a full shard could not be written.
        """
        assert name not in self._names, f"{name} was already added"
        self._names.add(name)
        if self._open and self._open_bytes + tensor.nbytes > self._max_shard_bytes:
            self._close_shard({})
        # A copy: the caller may go on writing into the tensor, and safetensors refuses tensors that share memory.
        self._open[name] = tensor.detach().to("cpu", copy=True).contiguous()
        self._open_bytes += tensor.nbytes
        self._total_bytes += tensor.nbytes

    def finish(self, metadata: dict[str, str]) -> tuple[Path, ...]:
        """Write what is left and give the shards their names; returns them.

        Args:
            metadata: goes into the header of a single shard, or into the index of several.
        Raises:
            DiskError: the files could not be written; no index is there then.
        """
        self._close_shard(metadata)
        try:
            paths = self._name_shards()
            if len(paths) > 1:
                self._write_index(paths, metadata)
            sync_folder(self._folder)
        except OSError as error:
            raise unwritten(self._folder, error) from error
        return paths

    def _close_shard(self, metadata: dict[str, str]) -> None:
        draft = self._folder / f"model-{len(self._drafts) + 1:05d}{DRAFT}"
        try:
            save_file(self._open, draft, metadata={**metadata, "format": "pt"})
            sync_file(draft)
        except (OSError, SafetensorError) as error:  # a full disk comes as either
            draft.unlink(missing_ok=True)
            raise unwritten(draft, error, self._open_bytes) from error
        self._drafts.append((draft, list(self._open)))
        self._open = {}
        self._open_bytes = 0

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
        write_text(self._folder / INDEX, json.dumps(index, indent=2) + "\n")
