"""One tensor or one block at a time, read into memory of their own."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import torch
from torch import Tensor

from dfrot_engine.architectures.base import Architecture
from dfrot_engine.checkpoint.blocks import parts_of
from dfrot_engine.checkpoint.headers import TensorHeader, read_headers
from dfrot_engine.checkpoint.json_files import DOWNLOAD_AGAIN, MODEL_FIELD
from dfrot_engine.checkpoint.tensor_bytes import read_tensor
from dfrot_engine.errors import ModelError

#: As safetensors spells them. Formats of less than a byte are for other programs.
DTYPES: dict[str, torch.dtype] = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E8M0": torch.float8_e8m0fnu,
    "I16": torch.int16,
    "U16": torch.uint16,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I32": torch.int32,
    "U32": torch.uint32,
    "F32": torch.float32,
    "I64": torch.int64,
    "U64": torch.uint64,
    "F64": torch.float64,
    "C64": torch.complex64,
}


class CheckpointReader:
    """An open checkpoint folder; may be read from several threads.

    Tensors are read, not mapped: mapped pages count as this process's memory until their shard is closed, so that a run
    would seem to hold, and in a container does hold, the whole model.

    Raises:
        ModelError: the folder holds no sound checkpoint.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.headers: dict[str, TensorHeader] = read_headers(folder)

    def tensor(self, name: str) -> Tensor:
        """The tensor in the checkpoint's own dtype, on the CPU.

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
        if header.dtype not in DTYPES:
            raise ModelError(
                f"'{name}' is stored as {header.dtype}, which cannot be read.", "Choose the original.", MODEL_FIELD
            )
        try:
            return self._read(header)
        except OSError as error:
            reason = error.strerror or error
            raise ModelError(f"Cannot read {header.shard}: {reason}.", DOWNLOAD_AGAIN, MODEL_FIELD) from None

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

    def __enter__(self) -> CheckpointReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing stays open between reads."""

    def _place(self, name: str) -> tuple[str, int]:
        # In the order of the disk.
        return self.headers[name].shard, self.headers[name].offset

    def _read(self, header: TensorHeader) -> Tensor:
        tensor = torch.empty(header.shape, dtype=DTYPES[header.dtype])
        with (self.folder / header.shard).open("rb", buffering=0) as file:
            file.seek(header.offset)
            read_tensor(file, tensor)
        return tensor


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
