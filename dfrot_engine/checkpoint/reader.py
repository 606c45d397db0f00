"""One tensor or one block at a time, memory-mapped."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from dfrot_engine.architectures.base import Architecture
from dfrot_engine.checkpoint.blocks import parts_of
from dfrot_engine.checkpoint.headers import TensorHeader, read_headers
from dfrot_engine.checkpoint.json_files import DOWNLOAD_AGAIN, MODEL_FIELD
from dfrot_engine.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor


class CheckpointReader:
    """An open checkpoint folder; one shard is mapped at a time.

    Raises:
        ModelError: the folder holds no sound checkpoint.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.headers: dict[str, TensorHeader] = read_headers(folder)
        self._shard = ""
        self._file: safe_open | None = None

    def tensor(self, name: str) -> Tensor:
        """The tensor in the checkpoint's own dtype, on the CPU; its bytes are read when they are touched.

        Raises:
            ModelError: there is no such tensor, or its shard can no longer be read.
        """
        header = self.headers.get(name)
        if header is None:
            raise ModelError(
                f"The checkpoint {self.folder} has no tensor '{name}'.",
                "It is incomplete or of another architecture; download it again.",
                MODEL_FIELD,
            )
        try:
            return self._open(header.shard).get_tensor(name)
        except (OSError, SafetensorError) as error:
            raise ModelError(f"Cannot read {header.shard}: {error}.", DOWNLOAD_AGAIN, MODEL_FIELD) from None

    def block(self, prefix: str) -> dict[str, Tensor]:
        """Every tensor whose name starts with the prefix, under the rest of its name.

        Raises:
            ModelError: there is none.
        """
        names = sorted((name for name in self.headers if name.startswith(prefix)), key=self._place)
        if not names:
            raise ModelError(
                f"The checkpoint {self.folder} has no tensors '{prefix}…'.",
                "It is incomplete or of another architecture; download it again.",
                MODEL_FIELD,
            )
        return {name.removeprefix(prefix): self.tensor(name) for name in names}

    def close(self) -> None:
        self._file = None
        self._shard = ""

    def __enter__(self) -> CheckpointReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _place(self, name: str) -> tuple[str, str]:
        # Tensors of one shard together, so that each shard is opened once.
        return self.headers[name].shard, name

    def _open(self, shard: str) -> safe_open:
        if self._file is None or shard != self._shard:
            self.close()
            self._file = safe_open(self.folder / shard, framework="pt")
            self._shard = shard
        return self._file


def read_block(reader: CheckpointReader, architecture: Architecture, index: int) -> dict[str, Tensor]:
    """Every tensor of a block by its table's name relative to the block, in the checkpoint's own dtype, on the CPU.

    Raises:
        ModelError: there is none, or a shard cannot be read.
    """
    return {
        part.name: tensor if part.expert is None else tensor[part.expert, part.rows]
        for stored, tensor in reader.block(architecture.block_prefix(index)).items()
        for part in parts_of(architecture.own_name(stored), tuple(tensor.shape))
    }
