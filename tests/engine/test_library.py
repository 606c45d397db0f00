from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from dfrot_engine.errors import DFRotError, RecipeError
from dfrot_engine.library import (
    ENVIRONMENT,
    RotationFacts,
    delete_rotation,
    keep_rotation,
    library_dir,
    library_path,
    list_rotations,
)
from dfrot_engine.rotation_file import find_rotation, rotation_stamp
from dfrot_engine.rotations.rotation_set import RotationSet

WIDTH = 16
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "library"))
    return tmp_path / "library"


def facts(**changes: Any) -> RotationFacts:
    base = RotationFacts(
        model="HuggingFaceTB/SmolLM2-135M",
        revision="93efa2f",
        recipe='name = "w4a4"\n',
        recipe_name="w4a4",
        fingerprint="0123456789abcdef",
        kind="dfrot",
        seed=7,
        created=NOON,
        hidden_size=WIDTH,
        num_blocks=2,
        head_size=8,
        loss_start=200.0,
        loss_end=150.0,
        token_error_mean=0.125,
    )
    return base.model_copy(update=changes)


def keep(folder: Path, *, width: int = WIDTH, **changes: Any) -> Path:
    known = facts(hidden_size=width, **changes)
    path = folder / "rotations.safetensors"
    RotationSet(r1_DD=torch.eye(width, dtype=torch.float64)).save(path, known.to_metadata())
    return keep_rotation(path, known)


def test_what_is_kept_comes_back(tmp_path: Path, library: Path) -> None:
    path = keep(tmp_path)
    assert path == library / "SmolLM2-135M--dfrot--01234567.safetensors"
    (entry,) = list_rotations()
    assert RotationFacts.model_validate(entry.model_dump()) == facts()
    assert (entry.path, entry.name, entry.has_r1) == (path, "SmolLM2-135M--dfrot--01234567", True)
    assert entry.reference == "library:SmolLM2-135M--dfrot--01234567"
    assert entry.loss_gain == pytest.approx(0.25)
    assert torch.equal(load_file(path)["R1"], torch.eye(WIDTH, dtype=torch.float64))
    assert [one.name for one in library.iterdir()] == [path.name]


def test_what_is_not_known_stays_unknown(tmp_path: Path) -> None:
    keep(tmp_path, seed=None, loss_start=None, loss_end=None, token_error_mean=None, revision="")
    (entry,) = list_rotations()
    assert (entry.seed, entry.loss_start, entry.loss_gain, entry.token_error_mean) == (None, None, None, None)


def test_a_kept_rotation_outlives_its_run(tmp_path: Path) -> None:
    path = keep(tmp_path)
    RotationSet(r1_DD=-torch.eye(WIDTH, dtype=torch.float64)).save(tmp_path / "rotations.safetensors", {})
    assert float(load_file(path)["R1"][0, 0]) == 1.0
    (tmp_path / "rotations.safetensors").unlink()
    assert float(load_file(path)["R1"][0, 0]) == 1.0


def test_one_entry_for_one_fingerprint(tmp_path: Path) -> None:
    first = keep(tmp_path)
    assert keep(tmp_path, model="a copy in another folder", created=NOON + timedelta(days=1)) == first
    assert len(list_rotations()) == 1
    keep(tmp_path, fingerprint="ffff456789abcdef")
    assert len(list_rotations()) == 2


def test_newest_first_and_filters(tmp_path: Path) -> None:
    names = [
        keep(tmp_path, model=model, width=width, fingerprint=mark * 16, created=NOON + timedelta(hours=hours)).stem
        for mark, model, width, hours in (("a", "Qwen/Qwen3", 16, 0), ("b", "SmolLM2", 16, 2), ("c", "Qwen2", 8, 1))
    ]
    assert [entry.name for entry in list_rotations()] == [names[1], names[2], names[0]]
    assert [entry.name for entry in list_rotations(model="qwen")] == [names[2], names[0]]
    assert [entry.name for entry in list_rotations(width=16)] == [names[1], names[0]]
    assert list_rotations(model="llama") == ()


def test_a_set_without_r1_fits_no_width(tmp_path: Path) -> None:
    known = facts(kind="none")
    RotationSet(r2=(torch.eye(8).expand(2, 8, 8),)).save(tmp_path / "rotations.safetensors", known.to_metadata())
    keep_rotation(tmp_path / "rotations.safetensors", known)
    assert len(list_rotations()) == 1
    assert list_rotations(width=WIDTH) == ()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "damaged"),
        (b"\xff" * 64, "damaged"),
        (b"\x10\0\0\0\0\0\0\0" + b"[" * 16, "not valid JSON"),
        (b'\x17\0\0\0\0\0\0\0{"__metadata__":{"a":1}}'[:-1], "damaged"),
    ],
)
def test_damaged_files_are_left_out(tmp_path: Path, library: Path, content: bytes, words: str) -> None:
    good = keep(tmp_path)
    (library / "bad.safetensors").write_bytes(content)
    notes: list[str] = []
    assert [entry.path for entry in list_rotations(on_skip=notes.append)] == [good]
    assert len(notes) == 1
    assert "bad.safetensors" in notes[0]
    assert words in notes[0]


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({}, "model"),
        (facts().to_metadata() | {"created": "yesterday"}, "created"),
        (facts().to_metadata() | {"hidden_size": "8"}, "not as wide"),
        (facts().to_metadata() | {"loss_end": "nan"}, "loss_end"),
    ],
)
def test_foreign_files_are_left_out(library: Path, metadata: dict[str, str], words: str) -> None:
    library.mkdir()
    save_file({"R1": torch.eye(WIDTH)}, library / "foreign.safetensors", metadata=metadata)
    notes: list[str] = []
    assert list_rotations(on_skip=notes.append) == ()
    assert words in notes[0]


def test_a_damaged_file_gives_way_to_the_same_rotation(tmp_path: Path) -> None:
    path = keep(tmp_path)
    part = path.read_bytes()[:100]
    path.unlink()  # it is the same file as the run's
    path.write_bytes(part)
    assert list_rotations(on_skip=lambda _: None) == ()
    assert keep(tmp_path) == path
    assert [entry.path for entry in list_rotations()] == [path]


def test_names(tmp_path: Path) -> None:
    path = keep(tmp_path)
    for name in (path.stem, f"library:{path.stem}", "01234567", "library:01234567"):
        assert library_path(name) == path
    for name in ("", "library:", "1234567", "../SmolLM2", "dfrot--01234567x"):
        with pytest.raises(DFRotError, match="no rotation"):
            library_path(name)
    path.with_name(f"other--{path.stem[-8:]}.safetensors").write_bytes(path.read_bytes())
    with pytest.raises(DFRotError, match="several rotations: SmolLM2-135M--dfrot--01234567"):
        library_path("01234567")


@pytest.mark.parametrize("model", ["../../etc/passwd", "a b/c d (sample)", "名", "", "-x.gguf", "y" * 500])
def test_any_model_makes_a_file_name(tmp_path: Path, library: Path, model: str) -> None:
    assert keep(tmp_path, model=model).parent == library
    assert len(list_rotations()) == 1


def test_delete(tmp_path: Path) -> None:
    path = keep(tmp_path)
    assert delete_rotation("library:01234567") == path
    assert not path.exists()
    with pytest.raises(DFRotError, match="no rotation"):
        delete_rotation(path.stem)


def test_there_may_be_no_library() -> None:
    assert list_rotations() == ()
    assert not library_dir().exists()


def test_recipes_name_it(tmp_path: Path) -> None:
    path = keep(tmp_path)
    assert find_rotation("library:01234567", WIDTH) == (path, "R1")
    first = rotation_stamp("library:01234567")
    assert first == rotation_stamp(str(path)) != ""
    with pytest.raises(RecipeError, match="no rotation 'other'") as caught:
        find_rotation("library:other", WIDTH, "rotation.r1.start_path")
    assert caught.value.field == "rotation.r1.start_path"
    with pytest.raises(RecipeError, match="8 × 8"):
        find_rotation("library:01234567", 8)
    delete_rotation("01234567")
    assert rotation_stamp("library:01234567") == ""
