"""Names, shapes and dtypes of all tensors, without reading a weight. Imports no torch; trusts no byte of the files."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from dfrot_engine.checkpoint.json_files import DOWNLOAD_AGAIN, MODEL_FIELD, parse_json_object, read_json_object
from dfrot_engine.errors import ModelError
from dfrot_engine.outside_files import check_regular, short

INDEX = "model.safetensors.index.json"
SINGLE_SHARD = "model.safetensors"
LENGTH_BYTES = 8
# The limit of the safetensors format itself.
LARGEST_HEADER_BYTES = 100_000_000
MOST_DIMENSIONS = 8

DTYPE_BITS = {
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "F8_E8M0": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "I64": 64,
    "U64": 64,
    "F64": 64,
    "C64": 64,
}


@dataclass(frozen=True)
class TensorHeader:
    """One tensor of a checkpoint: dtype as safetensors spells it ("BF16"), shard is a file name in the folder.

    Its bytes begin at `offset` of the shard.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    shard: str
    num_bytes: int
    offset: int = 0

    @property
    def num_elements(self) -> int:
        return math.prod(self.shape)


def read_headers(folder: Path) -> dict[str, TensorHeader]:
    """Headers of every tensor of a checkpoint folder, by name.

    Raises:
        ModelError: no safetensors, a shard is missing or damaged, or a name is there twice; names the file.
    """
    headers: dict[str, TensorHeader] = {}
    index_path = folder / INDEX
    weight_map = read_weight_map(read_json_object(index_path)) if index_path.is_file() else None
    for shard in shards_of(folder, weight_map):
        merge_headers(headers, read_shard_headers(folder / shard))
    if weight_map is not None:
        check_weight_map(weight_map, headers)
    return headers


def shards_of(folder: Path, weight_map: dict[str, str] | None) -> tuple[str, ...]:
    """File names of the shards: the index's, else model.safetensors, else every safetensors file of the folder.

    Raises:
        ModelError: there is none.
    """
    if weight_map is not None:
        return tuple(sorted(set(weight_map.values())))
    # Mistral puts a second copy of the weights, consolidated.safetensors, beside this one.
    if (folder / SINGLE_SHARD).is_file():
        return (SINGLE_SHARD,)
    names = tuple(sorted(path.name for path in folder.glob("*.safetensors") if path.is_file()))
    if not names:
        raise ModelError(
            f"{folder} holds no safetensors file.",
            "Choose a folder with a config.json and the weights as .safetensors files.",
            MODEL_FIELD,
        )
    return names


def read_weight_map(index: dict[str, Any]) -> dict[str, str]:
    """Tensor name → shard, from a parsed model.safetensors.index.json.

    Raises:
        ModelError: no weight map, or a shard that is not a plain safetensors file name.
    """
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ModelError(f"{INDEX} has no 'weight_map'.", DOWNLOAD_AGAIN, MODEL_FIELD)
    for shard in set(map(_text, weight_map.values())):
        if "/" in shard or "\\" in shard or "\0" in shard or ":" in shard or not shard.endswith(".safetensors"):
            raise ModelError(
                f"{INDEX} names the shard '{shard[:120]}', which is not a safetensors file beside it.",
                "Do not use this copy; download the model from its publisher.",
                MODEL_FIELD,
            )
    return weight_map


def read_shard_headers(path: Path) -> dict[str, TensorHeader]:
    """Headers of one safetensors file.

    Raises:
        ModelError: missing, not readable, or damaged; names the file.
    """
    data, file_bytes = _read_header(path)
    return parse_header(data, path.name, file_bytes)


def read_metadata(path: Path) -> dict[str, str]:
    """What the writer of one safetensors file noted in it; empty when there is nothing.

    Raises:
        ModelError: missing, not readable, or damaged; names the file.
    """
    data, _ = _read_header(path)
    metadata = parse_json_object(data, f"The header of {path.name}").get("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _damaged(path.name, "its metadata is no list of texts")
    return metadata


def header_length(first_bytes: bytes, shard: str, file_bytes: int) -> int:
    """Length in bytes of the JSON header, from the first eight bytes of a safetensors file of `file_bytes`.

    Raises:
        ModelError: the file is too short for its header.
    """
    length = int.from_bytes(first_bytes[:LENGTH_BYTES], "little")
    if len(first_bytes) < LENGTH_BYTES or length < 2 or length > min(file_bytes - LENGTH_BYTES, LARGEST_HEADER_BYTES):
        raise _damaged(shard, "its header does not fit into the file, which is cut short or not safetensors")
    return length


def parse_header(data: bytes, shard: str, file_bytes: int) -> dict[str, TensorHeader]:
    """Tensors of one shard, from its JSON header.

    Args:
        data: the header alone, without the eight length bytes.
        shard: file name, for messages and TensorHeader.shard.
        file_bytes: size of the whole file.
    Raises:
        ModelError: a dtype, shape or byte range that does not hold together, or ranges that overlap, leave holes or
            run past the end of the file.
    """
    entries = parse_json_object(data, f"The header of {shard}")
    entries.pop("__metadata__", None)
    spans: list[tuple[int, int]] = []
    headers: dict[str, TensorHeader] = {}
    for name, entry in entries.items():
        header = headers[name] = _parse_entry(name, entry, shard, LENGTH_BYTES + len(data))
        spans.append((header.offset, header.offset + header.num_bytes))
    start = end = LENGTH_BYTES + len(data)
    for begin, next_end in sorted(spans):
        if begin != end:
            raise _damaged(shard, f"its tensors overlap or leave a hole at byte {min(begin, end) - start}")
        end = next_end
    if end != file_bytes:
        raise _damaged(shard, f"its tensors take {end - start} bytes, but {file_bytes - start} follow the header")
    return headers


def merge_headers(headers: dict[str, TensorHeader], more: dict[str, TensorHeader]) -> None:
    """Add the tensors of one more shard to `headers`.

    Raises:
        ModelError: a name is in two shards.
    """
    for name, header in more.items():
        if name in headers:
            raise ModelError(
                f"The tensor '{name[:120]}' is in both {headers[name].shard} and {header.shard}.",
                "Remove the safetensors files that do not belong to the model.",
                MODEL_FIELD,
            )
        headers[name] = header


def check_weight_map(weight_map: dict[str, str], headers: dict[str, TensorHeader]) -> None:
    """Raises: ModelError: a tensor is not in the shard the index names."""
    for name, shard in weight_map.items():
        if name not in headers or headers[name].shard != shard:
            raise ModelError(
                f"{INDEX} looks for '{name[:120]}' in {shard}, but it is not there.", DOWNLOAD_AGAIN, MODEL_FIELD
            )


def total_bytes(headers: Iterable[TensorHeader]) -> int:
    return sum(header.num_bytes for header in headers)


def whole_model_bytes(headers: Iterable[TensorHeader], untied_head: int) -> int:
    """Of the model in 16 bits, as it lies in memory once transformers has unpacked it.

    Args:
        untied_head: numbers of a head that the original shares with its embedding; 0 where it has its own.
    """
    return 2 * (sum(header.num_elements for header in headers) + untied_head)


def _read_header(path: Path) -> tuple[bytes, int]:
    """(JSON header, bytes of the whole file)."""
    try:
        file_bytes = check_regular(path).st_size
        with path.open("rb") as file:
            length = header_length(file.read(LENGTH_BYTES), path.name, file_bytes)
            return file.read(length), file_bytes
    except FileNotFoundError:
        raise ModelError(f"The shard {path} is missing.", "Download or copy the model again.", MODEL_FIELD) from None
    except OSError as error:
        raise ModelError(f"Cannot read {path}: {error.strerror}.", "Check its permissions.", MODEL_FIELD) from None


def _parse_entry(name: str, entry: Any, shard: str, start: int) -> TensorHeader:
    """`start`: where the tensors' bytes begin."""
    what = f"'{name[:120]}'"
    if not isinstance(entry, dict):
        raise _damaged(shard, f"{what} is not described")
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise _damaged(shard, f"{what} has the unknown dtype {str(dtype)[:40]!r}")
    if not _is_counts(shape) or len(shape) > MOST_DIMENSIONS:
        raise _damaged(shard, f"{what} has the shape {str(shape)[:80]}")
    if not _is_counts(offsets) or len(offsets) != 2:
        raise _damaged(shard, f"{what} has the byte range {str(offsets)[:80]}")
    begin, end = offsets
    bits = math.prod(shape) * DTYPE_BITS[dtype]
    if bits != (end - begin) * 8:
        raise _damaged(shard, f"{what} should take {bits / 8:g} bytes ({dtype}, {shape}), but has {end - begin}")
    return TensorHeader(name, dtype, tuple(shape), shard, end - begin, start + begin)


def _is_counts(value: Any) -> TypeGuard[list[int]]:
    # 2^63 keeps products printable and out of reach of any real tensor.
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 2**63 for item in value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else f"{short(value)}/"


def _damaged(shard: str, reason: str) -> ModelError:
    return ModelError(f"{shard} is damaged: {reason}.", DOWNLOAD_AGAIN, MODEL_FIELD)
