"""The head of a GGUF file: keys and tensor shapes. Imports no torch; trusts no byte of the file.

The gguf package builds a numpy array for each of some 100,000 tokens and merges, which takes seconds; the plan needs
only their number.
"""

from __future__ import annotations

import math
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dfrot_engine.checkpoint.json_files import DOWNLOAD_AGAIN, MODEL_FIELD
from dfrot_engine.errors import ModelError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MOST_KEYS = 100_000
MOST_TENSORS = 1_000_000
#: A chat template has some ten thousand.
MOST_TEXT_BYTES = 10_000_000
STRING, ARRAY = 8, 9
SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}


@dataclass(frozen=True)
class GgufArray:
    """An array of a key, of which only the length is kept."""

    length: int


@dataclass(frozen=True)
class GgufTensor:
    """shape in the order of torch, rows first; type is the GGML number, offset_bytes counts from the data's start."""

    name: str
    shape: tuple[int, ...]
    type: int
    offset_bytes: int


@dataclass(frozen=True)
class GgufHeader:
    keys: dict[str, Any]
    tensors: tuple[GgufTensor, ...]


def read_gguf_header(path: Path) -> GgufHeader:
    """Keys and tensors of a GGUF file.

    Raises:
        ModelError: not readable, not GGUF, cut short, or a length that cannot be.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Cursor(data, path).header()
    except OSError as error:
        raise ModelError(f"Cannot read {path}: {error.strerror}.", "Check the path.", MODEL_FIELD) from None
    except ValueError:  # an empty file cannot be mapped
        raise ModelError(f"{path} is not a GGUF file.", DOWNLOAD_AGAIN, MODEL_FIELD) from None


class _Cursor:
    def __init__(self, data: mmap.mmap, path: Path) -> None:
        self._data = data
        self._path = path
        self._at = 0

    def header(self) -> GgufHeader:
        if self._take(4) != MAGIC:
            raise self._damaged("it does not begin with 'GGUF'")
        version = self._scalar("<I")
        if version not in VERSIONS:
            raise self._damaged(f"its version is {version}, not one of {VERSIONS}")
        num_tensors, num_keys = self._count(MOST_TENSORS), self._count(MOST_KEYS)
        keys = {self._string(): self._value(self._scalar("<I")) for _ in range(num_keys)}
        tensors = tuple(self._tensor() for _ in range(num_tensors))
        self._check_data(keys.get("general.alignment", 32), tensors)
        return GgufHeader(keys, tensors)

    def _tensor(self) -> GgufTensor:
        name = self._string()
        sizes = [self._scalar("<Q") for _ in range(self._scalar_up_to("<I", 4))]
        kind, offset = self._scalar("<I"), self._scalar("<Q")
        return GgufTensor(name, tuple(reversed(sizes)), kind, offset)

    def _check_data(self, alignment: Any, tensors: tuple[GgufTensor, ...]) -> None:
        from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

        if type(alignment) is not int or not 0 < alignment <= 1 << 20:
            raise self._damaged(f"its alignment is {alignment!r}")
        start = math.ceil(self._at / alignment) * alignment
        known = {int(kind): GGML_QUANT_SIZES[kind] for kind in GGMLQuantizationType if kind in GGML_QUANT_SIZES}
        for tensor in tensors:
            if tensor.type not in known:
                raise self._damaged(f"'{tensor.name[:80]}' has the unknown type {tensor.type}")
            block_elements, block_bytes = known[tensor.type]
            end = start + tensor.offset_bytes + math.prod(tensor.shape) // block_elements * block_bytes
            if end > len(self._data):
                raise self._damaged(f"'{tensor.name[:80]}' ends at byte {end}, the file at byte {len(self._data)}")

    def _value(self, kind: int) -> Any:
        if kind == STRING:
            return self._string()
        if kind != ARRAY:
            return self._scalar(self._scalar_format(kind))
        item_kind, length = self._scalar("<I"), self._count(len(self._data))
        if item_kind == STRING:
            for _ in range(length):
                self._skip(self._count(len(self._data)))
        else:
            self._skip(length * struct.calcsize(self._scalar_format(item_kind)))
        return GgufArray(length)

    def _scalar_format(self, kind: int) -> str:
        if kind not in SCALARS:
            raise self._damaged(f"a key has the unknown type {kind}")
        return SCALARS[kind]

    def _string(self) -> str:
        return self._take(self._count(MOST_TEXT_BYTES)).decode("utf-8", errors="replace")

    def _count(self, largest: int) -> int:
        return self._scalar_up_to("<Q", largest)

    def _scalar_up_to(self, layout: str, largest: int) -> int:
        value = self._scalar(layout)
        if value > largest:
            raise self._damaged(f"the length {value} at byte {self._at} cannot be")
        return value

    def _scalar(self, layout: str) -> Any:
        return struct.unpack(layout, self._take(struct.calcsize(layout)))[0]

    def _take(self, num_bytes: int) -> bytes:
        start = self._at
        self._skip(num_bytes)
        return self._data[start : self._at]

    def _skip(self, num_bytes: int) -> None:
        self._at += num_bytes
        if self._at > len(self._data):
            raise self._damaged("it is cut short")

    def _damaged(self, reason: str) -> ModelError:
        return ModelError(f"{self._path} is not a sound GGUF file: {reason}.", DOWNLOAD_AGAIN, MODEL_FIELD)
