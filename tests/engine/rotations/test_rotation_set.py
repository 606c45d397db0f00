from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dfrot_engine.errors import DiskError
from dfrot_engine.rotations.random import random_hadamard, random_orthogonal
from dfrot_engine.rotations.rotation_set import RotationSet


def test_comes_back_from_its_file(tmp_path: Path) -> None:
    saved = RotationSet(
        r1_DD=random_orthogonal(12, 0),
        r2=(random_orthogonal(4, 1)[None], random_orthogonal(4, 2)[None]),
        r4=random_hadamard(24, 3),
    )
    saved.save(tmp_path / "rotations.safetensors", {"model": "tiny"})
    loaded = RotationSet.load(tmp_path / "rotations.safetensors")
    assert loaded.r1_DD is not None
    assert loaded.r2 is not None
    assert loaded.r4 is not None
    assert torch.equal(loaded.r1_DD, random_orthogonal(12, 0))
    assert torch.equal(loaded.r2[1], random_orthogonal(4, 2)[None])
    assert torch.equal(loaded.r4.matrix(), random_hadamard(24, 3).matrix())
    assert loaded.r3 is None


def test_no_rotation_is_a_file_too(tmp_path: Path) -> None:
    RotationSet().save(tmp_path / "rotations.safetensors", {"model": "tiny"})
    assert RotationSet.load(tmp_path / "rotations.safetensors") == RotationSet()


def test_damaged_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "rotations.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(DiskError, match="cannot be read"):
        RotationSet.load(tmp_path / "rotations.safetensors")
