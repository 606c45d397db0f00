from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from dfrot_engine import DiskError, ModelError
from dfrot_engine.checkpoint import writer as writers
from dfrot_engine.checkpoint.headers import read_headers
from dfrot_engine.checkpoint.reader import DTYPES, CheckpointReader
from dfrot_engine.checkpoint.writer import ShardWriter
from tests.engine.checkpoint.folders import save_model

SHARD_BYTES = 1000


def some_tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    tensors = {f"model.layers.{index}.w.weight": torch.randn(10, 20) for index in range(3)}
    return tensors | {
        "model.norm.weight": torch.randn(7, dtype=torch.bfloat16),
        "codes": torch.randint(-8, 8, (5, 5), dtype=torch.int8),
        "scalar": torch.tensor(2.5),
    }


def write(folder: Path, tensors: dict[str, torch.Tensor], max_bytes: int = 10**9) -> tuple[Path, ...]:
    writer = ShardWriter(folder, max_bytes)
    for name, tensor in tensors.items():
        writer.add(name, tensor)
    return writer.finish({"made_by": "test"})


@pytest.mark.parametrize("max_bytes", [10**9, SHARD_BYTES])
def test_what_is_written_is_read_bit_for_bit(tmp_path: Path, max_bytes: int) -> None:
    tensors = some_tensors()
    write(tmp_path, tensors, max_bytes)
    with CheckpointReader(tmp_path) as reader:
        assert reader.headers.keys() == tensors.keys()
        for name, tensor in tensors.items():
            read = reader.tensor(name)
            assert read.dtype == tensor.dtype
            assert torch.equal(read, tensor)


def test_single_shard_has_the_usual_name_and_metadata(tmp_path: Path) -> None:
    (path,) = write(tmp_path, some_tensors())
    assert [one.name for one in tmp_path.iterdir()] == ["model.safetensors"] == [path.name]
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"format": "pt", "made_by": "test"}


def test_shards_keep_to_the_limit_and_have_an_index(tmp_path: Path) -> None:
    tensors = some_tensors() | {"big": torch.zeros(1000)}
    paths = write(tmp_path, tensors, SHARD_BYTES)
    count = len(paths)
    assert [path.name for path in paths] == [
        f"model-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1)
    ]
    for path in paths:
        held = load_file(path)
        assert len(held) == 1 or sum(tensor.nbytes for tensor in held.values()) <= SHARD_BYTES
        with safe_open(path, "pt") as file:
            assert file.metadata()["format"] == "pt"
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["metadata"] == {"made_by": "test", "total_size": sum(t.nbytes for t in tensors.values())}
    assert index["weight_map"].keys() == tensors.keys()
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in paths} | {
        "model.safetensors.index.json"
    }


def test_views_and_later_changes_do_not_matter(tmp_path: Path) -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    writer = ShardWriter(tmp_path)
    writer.add("whole", whole)
    writer.add("row", whole[1])
    writer.add("turned", whole.T)
    whole.zero_()
    writer.finish({})
    held = load_file(tmp_path / "model.safetensors")
    assert torch.equal(held["row"], torch.arange(4.0, 8.0))
    assert torch.equal(held["turned"], held["whole"].T)


def test_nothing_has_its_name_before_the_end(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path, SHARD_BYTES)
    for name, tensor in some_tensors().items():
        writer.add(name, tensor)
    assert not list(tmp_path.glob("*.safetensors*"))
    assert list(tmp_path.glob("*.draft"))
    write(tmp_path, {"only": torch.zeros(2)})
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_tensors_go_to_the_disk_as_they_come(tmp_path: Path) -> None:
    """So that a shard is never held in memory, whatever its size."""
    writer = ShardWriter(tmp_path)
    for number in range(1, 20):
        writer.add(str(number), torch.zeros(100))
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) == 400 * number


def test_wider_numbers_lie_in_front_so_that_all_are_aligned(tmp_path: Path) -> None:
    (path,) = write(tmp_path, {"codes": torch.zeros(5, dtype=torch.int8), "w": torch.ones(3), "n": torch.tensor([7])})
    headers = read_headers(tmp_path)
    assert all(header.offset % (header.num_bytes // header.num_elements) == 0 for header in headers.values())
    assert (headers["n"].offset, headers["w"].offset % 8) == (min(h.offset for h in headers.values()), 0)
    assert load_file(path)["n"].tolist() == [7]


@pytest.mark.parametrize("name", ["add", "finish"])
def test_full_disk(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    writer = ShardWriter(tmp_path)
    monkeypatch.setattr(writers, "write_tensor" if name == "add" else "_header", no_space)
    with pytest.raises(DiskError, match="No space left"):
        fill(writer)


def fill(writer: ShardWriter) -> None:
    writer.add("w", torch.zeros(3))
    writer.finish({})


def test_name_twice_is_our_mistake(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path)
    writer.add("w", torch.zeros(1))
    with pytest.raises(AssertionError):
        writer.add("w", torch.zeros(1))


def test_block_has_names_without_prefix_from_all_shards(tmp_path: Path) -> None:
    with CheckpointReader(save_model(tmp_path, num_shards=4)) as reader:
        block = reader.block("model.layers.1.")
        assert len(block) == 9
        assert block["self_attn.o_proj.weight"].shape == (64, 64)
        assert block["input_layernorm.weight"].shape == (64,)


def test_missing_names(tmp_path: Path) -> None:
    with CheckpointReader(save_model(tmp_path)) as reader:
        with pytest.raises(ModelError, match=r"no tensor 'model\.norm\.bias'"):
            reader.tensor("model.norm.bias")
        with pytest.raises(ModelError, match=r"no tensors 'model\.layers\.2\.…'"):
            reader.block("model.layers.2.")


def test_shard_that_disappears(tmp_path: Path) -> None:
    reader = CheckpointReader(save_model(tmp_path))
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"Cannot read model\.safetensors"):
        reader.tensor("model.norm.weight")


def test_tensor_outlives_the_reader(tmp_path: Path) -> None:
    write(tmp_path, {"w": torch.arange(5.0)})
    with CheckpointReader(tmp_path) as reader:
        tensor = reader.tensor("w")
    assert tensor.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("dtype", [dtype for dtype in DTYPES.values() if dtype is not torch.complex64])
def test_every_dtype_comes_back(dtype: torch.dtype, tmp_path: Path) -> None:
    numbers = torch.tensor([[0, 1, 1], [1, 0, 1]]).to(torch.float32).to(dtype)
    (path,) = write(tmp_path, {"numbers": numbers, "empty": numbers[:0], "scalar": numbers[0, 1]})
    with CheckpointReader(tmp_path) as reader:
        for name, wanted in {"numbers": numbers, "empty": numbers[:0], "scalar": numbers[0, 1]}.items():
            read = reader.tensor(name)
            assert read.dtype == dtype
            assert read.shape == wanted.shape
            assert torch.equal(read.float(), wanted.float())
            assert torch.equal(load_file(path)[name].float(), wanted.float())


def test_a_shard_that_was_cut_short_meanwhile(tmp_path: Path) -> None:
    reader = CheckpointReader(save_model(tmp_path))
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    last = max(reader.headers.values(), key=lambda header: header.offset).name
    with pytest.raises(ModelError, match=r"Cannot read model\.safetensors: it is shorter"):
        reader.tensor(last)


def test_reading_a_block_leaves_no_page_of_the_shard_mapped(tmp_path: Path) -> None:
    with CheckpointReader(save_model(tmp_path)) as reader:
        held = reader.block("model.layers.0.")
        assert "model.safetensors" not in Path("/proc/self/maps").read_text()
        assert len(held) == 9
