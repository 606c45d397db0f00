from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dfrot_engine.errors import RecipeError
from dfrot_engine.rotation_file import FIELD, find_rotation, rotation_stamp
from dfrot_engine.rotations.from_file import load_rotation, load_rotation_set
from dfrot_engine.rotations.random import random_hadamard, random_orthogonal
from dfrot_engine.rotations.rotation_set import RotationSet
from tests.engine.rotations.planted import deviation

WIDTH = 16
ROTATION = random_orthogonal(WIDTH, 0).contiguous()


@pytest.mark.parametrize(
    "tensors",
    [
        {"R1": ROTATION},
        {"R1": ROTATION.float(), "other": ROTATION},
        {"whatever": ROTATION.half(), "R2.0": torch.zeros(2, 8, 8), "signs": torch.ones(WIDTH)},
    ],
    ids=["R1", "R1 among others", "the only square one"],
)
def test_reads_safetensors(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    save_file(tensors, tmp_path / "own.safetensors")
    rotation = load_rotation(str(tmp_path / "own.safetensors"), WIDTH)
    assert deviation(rotation) <= 1e-10
    assert (rotation - ROTATION).abs().max() < 5e-3


@pytest.mark.parametrize("dtype", [">f8", "f8", "f4"])
def test_reads_npy(tmp_path: Path, dtype: str) -> None:
    np.save(tmp_path / "own.npy", ROTATION.numpy().astype(dtype))
    rotation = load_rotation(str(tmp_path / "own.npy"), WIDTH)
    assert deviation(rotation) <= 1e-10
    assert (rotation - ROTATION).abs().max() < 1e-6


def test_reads_what_a_run_leaves(tmp_path: Path) -> None:
    RotationSet(r1_DD=ROTATION).save(tmp_path / "rotations.safetensors", {"model": "tiny"})
    assert torch.allclose(load_rotation(str(tmp_path / "rotations.safetensors"), WIDTH), ROTATION, atol=1e-12)


def test_reads_all_that_a_run_leaves(tmp_path: Path) -> None:
    path = tmp_path / "rotations.safetensors"
    r2 = (torch.stack([random_orthogonal(8, seed) for seed in range(2)]),)
    RotationSet(r1_DD=ROTATION, r2=r2, r4=random_hadamard(24, 5)).save(path, {})
    loaded = load_rotation_set(str(path))
    assert loaded.r1_DD is not None
    assert loaded.r2 is not None
    assert loaded.r4 is not None
    assert torch.equal(loaded.r1_DD, ROTATION)
    assert torch.equal(loaded.r2[0], r2[0])
    assert torch.equal(loaded.r4.matrix(), random_hadamard(24, 5).matrix())
    assert loaded.r3 is None


@pytest.mark.parametrize("tensors", [{}, {"R4.signs": torch.ones(4)}, {"R2.1": torch.eye(4)}])
def test_a_set_that_no_run_left(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "own.safetensors"
    if tensors:
        save_file(tensors, path)
    with pytest.raises(RecipeError) as caught:
        load_rotation_set(str(path), "rotation.r2.path")
    assert caught.value.field == "rotation.r2.path"


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"R1": torch.eye(8)}, "'R1' as 8 × 8 F32"),
        ({"R1": torch.ones(WIDTH, WIDTH, dtype=torch.int32)}, "'R1' as 16 × 16 I32"),
        ({"a": ROTATION, "b": ROTATION.clone()}, "holds 2 matrices of 16 × 16: a, b"),
        ({"a": torch.ones(3)}, "no such matrix"),
        ({"R1": 2 * ROTATION}, "not orthogonal"),
        ({"R1": ROTATION + 0.01}, "not orthogonal"),
        ({"R1": ROTATION * float("nan")}, "not orthogonal"),
        ({"R1": torch.zeros(WIDTH, WIDTH)}, "not orthogonal"),
    ],
)
def test_safetensors_that_will_not_do(tmp_path: Path, tensors: dict[str, torch.Tensor], words: str) -> None:
    save_file(tensors, tmp_path / "own.safetensors")
    with pytest.raises(RecipeError, match=words) as caught:
        load_rotation(str(tmp_path / "own.safetensors"), WIDTH)
    assert caught.value.field == FIELD
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.eye(8), "holds 8 × 8 float64"),
        (np.float64(1.0), "one number of float64"),
        (np.eye(WIDTH, dtype=np.int64), "16 × 16 int64"),
        (np.array([{"not": "plain"}], dtype=object), "cannot be read as a .npy file"),
    ],
)
def test_npy_that_will_not_do(tmp_path: Path, array: np.ndarray, words: str) -> None:
    np.save(tmp_path / "own.npy", array, allow_pickle=True)
    with pytest.raises(RecipeError, match=words):
        find_rotation(str(tmp_path / "own.npy"), WIDTH)


@pytest.mark.parametrize("name", ["own.npy", "own.safetensors"])
@pytest.mark.parametrize("content", [b"", b"\xff" * 64, b"\x93NUMPY\x01\x00", b"PK\x03\x04rest"])
def test_damaged_files(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecipeError) as caught:
        find_rotation(str(tmp_path / name), WIDTH)
    assert name in caught.value.message
    assert caught.value.field == FIELD


@pytest.mark.parametrize(
    ("path", "words"), [("", "No rotation file"), ("own.pt", "is no rotation file"), ("none.npy", "does not exist")]
)
def test_paths_that_will_not_do(path: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        find_rotation(path, WIDTH)


def test_the_stamp_changes_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "own.npy"
    assert rotation_stamp(str(path)) == ""
    path.write_bytes(b"1")
    first = rotation_stamp(str(path))
    path.write_bytes(b"12")
    assert first != rotation_stamp(str(path)) != ""
