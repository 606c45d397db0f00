from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfrot_engine.checkpoint.headers import LARGEST_HEADER_BYTES, header_length, parse_header, read_headers
from dfrot_engine.errors import ModelError
from tests.engine.checkpoint.folders import save_model, shard_bytes, tensor_bytes

ENTRY = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}


def read_one(folder: Path, data: bytes) -> dict[str, Any]:
    (folder / "model.safetensors").write_bytes(data)
    return read_headers(folder)


def test_reads_names_shapes_and_sizes_of_every_shard(tmp_path: Path) -> None:
    whole = read_headers(save_model(tmp_path / "whole"))
    parts = read_headers(save_model(tmp_path / "parts", num_shards=3))
    assert whole.keys() == parts.keys()
    down = parts["model.layers.1.mlp.down_proj.weight"]
    assert (down.dtype, down.shape, down.num_bytes, down.num_elements) == ("F32", (64, 128), 64 * 128 * 4, 64 * 128)
    assert {header.shard for header in parts.values()} == {
        f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)
    }


def test_second_copy_of_the_weights_is_left_out(tmp_path: Path) -> None:
    folder = save_model(tmp_path)
    (folder / "consolidated.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    assert {header.shard for header in read_headers(folder).values()} == {"model.safetensors"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"dtype": "F31"}, "unknown dtype"),
        ({"dtype": None}, "unknown dtype"),
        ({"dtype": ["F32"]}, "unknown dtype"),
        ({"shape": [2, -2]}, "shape"),
        ({"shape": [2, 2.0]}, "shape"),
        ({"shape": [2, True]}, "shape"),
        ({"shape": "22"}, "shape"),
        ({"shape": None}, "shape"),
        ({"shape": [1] * 9 + [4]}, "shape"),
        ({"shape": [2**62, 2**62]}, "should take"),
        ({"shape": [2**64, 0]}, "shape"),
        ({"shape": [2, 3]}, "should take"),
        ({"data_offsets": [0, 12]}, "should take"),
        ({"data_offsets": [16, 0]}, "should take"),
        ({"data_offsets": [-16, 0]}, "byte range"),
        ({"data_offsets": [0]}, "byte range"),
        ({"data_offsets": [0, 10**30]}, "byte range"),
        ({"data_offsets": [16, 32]}, "overlap or leave a hole"),
    ],
)
def test_refuses_an_entry_that_does_not_hold_together(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ModelError, match=reason) as caught:
        read_one(tmp_path, shard_bytes({"w": ENTRY | change}, 16))
    assert "model.safetensors" in caught.value.message
    assert caught.value.remedy
    assert caught.value.field == "model.id_or_path"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "cut short"),
        (b"\x02\0\0", "cut short"),
        (shard_bytes({"w": ENTRY}, 16, length=10**6), "cut short"),
        (shard_bytes({"w": ENTRY}, 16, length=2**64 - 1), "cut short"),
        (shard_bytes({"w": ENTRY}, 16, length=0), "cut short"),
        (shard_bytes({"w": ENTRY}, 15), "take 16 bytes, but 15"),
        (shard_bytes({"w": ENTRY}, 17), "take 16 bytes, but 17"),
        (shard_bytes({"w": ENTRY, "v": ENTRY}, 16), "overlap"),
        (shard_bytes({"w": ENTRY, "v": ENTRY}, 32), "overlap"),
        (shard_bytes({"w": ENTRY, "v": ENTRY | {"data_offsets": [32, 48]}}, 48), "hole at byte 16"),
        (shard_bytes({"w": "text"}), "not described"),
        (shard_bytes(b"[1, 2]"), "no JSON object"),
        (shard_bytes(b"{broken"), "not valid JSON"),
        (shard_bytes(b"\xff\xfe{}"), "not valid JSON"),
        (shard_bytes(b'{"w": 1, "w": 2}'), "'w' is there twice"),
        (shard_bytes(b'{"w":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "not valid JSON"),
        (shard_bytes(b'{"w":' + b"9" * 10_000 + b"}"), "not valid JSON"),
    ],
)
def test_refuses_a_damaged_file(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        read_one(tmp_path, data)


def test_header_larger_than_the_format_allows_is_not_read() -> None:
    first = (LARGEST_HEADER_BYTES + 1).to_bytes(8, "little")
    with pytest.raises(ModelError, match="does not fit"):
        header_length(first, "x.safetensors", 10**12)


@pytest.mark.parametrize(
    "shard", ["../model.safetensors", "/etc/model.safetensors", "a/b.safetensors", "..\\x.safetensors", "w.bin", "", 7]
)
def test_index_may_name_only_files_beside_it(tmp_path: Path, shard: object) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": shard}}))
    with pytest.raises(ModelError, match="not a safetensors file beside it"):
        read_headers(tmp_path)


@pytest.mark.parametrize("index", [{}, {"weight_map": []}, {"weight_map": {}}, {"weight_map": None}])
def test_index_without_a_map_is_refused(tmp_path: Path, index: dict[str, Any]) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="weight_map"):
        read_headers(tmp_path)


def test_missing_shard_is_named(tmp_path: Path) -> None:
    folder = save_model(tmp_path, num_shards=2)
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ModelError, match=r"model-00002-of-00002\.safetensors is missing"):
        read_headers(folder)


def test_tensor_in_another_shard_than_the_index_says(tmp_path: Path) -> None:
    folder = save_model(tmp_path, num_shards=2)
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"]["model.norm.weight"], other = (
        "model-00001-of-00002.safetensors",
        index["weight_map"]["model.norm.weight"],
    )
    index["weight_map"]["extra"] = other
    path.write_text(json.dumps(index))
    with pytest.raises(ModelError, match="not there"):
        read_headers(folder)


def test_name_in_two_shards_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.safetensors").write_bytes(tensor_bytes(w=np.zeros(2, np.float32)))
    with pytest.raises(ModelError, match=r"'w' is in both a\.safetensors and b\.safetensors"):
        read_headers(tmp_path)


def test_folder_without_safetensors(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no safetensors file"):
        read_headers(tmp_path)


DTYPES = {"F32": np.float32, "F16": np.float16, "I8": np.int8, "I64": np.int64, "BOOL": np.bool_}
arrays = st.builds(
    lambda kind, shape: np.zeros(shape, DTYPES[kind]),
    st.sampled_from(sorted(DTYPES)),
    st.lists(st.integers(0, 4), max_size=3),
)


@given(st.dictionaries(st.text(string.ascii_letters, min_size=1, max_size=5), arrays, min_size=1, max_size=5))
def test_agrees_with_the_library_that_writes_the_files(tensors: dict[str, np.ndarray]) -> None:
    data = tensor_bytes(**tensors)
    length = header_length(data[:8], "x", len(data))
    headers = parse_header(data[8 : 8 + length], "x", len(data))
    assert {name: (DTYPES[header.dtype], header.shape, header.num_bytes) for name, header in headers.items()} == {
        name: (array.dtype.type, array.shape, array.nbytes) for name, array in tensors.items()
    }


@given(st.data())
def test_a_changed_byte_is_refused_or_harmless(data: st.DataObject) -> None:
    whole = tensor_bytes(a=np.zeros((2, 3), np.float32), b=np.zeros(5, np.int8))
    place = data.draw(st.integers(0, len(whole) - 1))
    hostile = bytearray(whole)
    hostile[place] = data.draw(st.integers(0, 255))
    try:
        length = header_length(bytes(hostile[:8]), "x", len(hostile))
        headers = parse_header(bytes(hostile[8 : 8 + length]), "x", len(hostile))
    except ModelError:
        return
    assert sum(header.num_bytes for header in headers.values()) == len(hostile) - 8 - length


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    with pytest.raises(ModelError):
        parse_header(data[: header_length(data[:8], "x", len(data))], "x", len(data))
