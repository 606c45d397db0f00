"""Recipes, journals, notes, GGUF files, matrices and texts that somebody made to break the program."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from dfrot_engine import Recipe
from dfrot_engine.calibration.datasets import load_text
from dfrot_engine.checkpoint.gguf_file import inspect_gguf
from dfrot_engine.checkpoint.gguf_header import read_gguf_header
from dfrot_engine.cli_show import _print_run
from dfrot_engine.errors import DataError, DFRotError
from dfrot_engine.events import JOURNAL, read_events
from dfrot_engine.library import ENVIRONMENT as LIBRARY_FOLDER
from dfrot_engine.library import list_rotations
from dfrot_engine.marker import broken_files, has_failed
from dfrot_engine.plan_places import is_own_output
from dfrot_engine.report_file import read_report
from dfrot_engine.rotation_file import find_rotation
from dfrot_engine.rotations.from_file import load_rotation, load_rotation_set
from dfrot_engine.run_index import ENVIRONMENT as RUNS_FOLDER
from dfrot_engine.run_list import list_runs
from dfrot_engine.run_record import read_run
from dfrot_engine.work_lock import owner
from tests.engine.hostile.asking import FEW, NUMBERS, TEXTS, VALUES, Silent, outcome, shard

FIELDS = sorted(Recipe.preset("w4a4").model_dump())


@FEW
@given(changed=st.dictionaries(st.one_of(st.sampled_from(FIELDS), TEXTS), VALUES, min_size=1, max_size=3))
def test_any_recipe_is_read_or_refused(tmp_path: Path, changed: dict[str, Any]) -> None:
    data = Recipe.preset("w4a4").model_dump(mode="json", exclude_none=True) | changed
    found = outcome(lambda: Recipe.parse(data))
    if found is not None:
        found.save(tmp_path / "again.toml")
        assert Recipe.load(tmp_path / "again.toml") == found


@FEW
@given(text=st.one_of(st.text(max_size=60), st.dictionaries(TEXTS, st.text(max_size=9), max_size=3).map(tomli_w.dumps)))
def test_any_text_is_a_recipe_or_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "hostile.toml").write_bytes(text.encode(errors="replace"))
    outcome(lambda: Recipe.load(tmp_path / "hostile.toml"))


@pytest.mark.parametrize("text", ["a = " + "[" * 50_000, "a = " + "9" * 5_000, "\udcff", "a." * 20_000 + "a = 1"])
def test_known_tricks_of_recipes_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "hostile.toml").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(DFRotError):
        Recipe.load(tmp_path / "hostile.toml")


BEGUN = {
    "event": "run_started",
    "time": "2026-01-01T00:00:00Z",
    "run_id": "x",
    "recipe_name": "x",
    "model": "x",
    "stages": ["load", "rotate"],
    "num_blocks": 2,
    "device": "cpu",
    "output_dir": "/nowhere",
}
KINDS = (
    "run_started",
    "stage_started",
    "stage_advanced",
    "stage_finished",
    "evaluated",
    "run_ended",
    "warned",
    "measured",
)
KEYS = (
    "stage",
    "step",
    "steps",
    "seconds",
    "peak_bytes",
    "message",
    "status",
    "outputs",
    "time",
    "value",
    "metric",
    "label",
)
EVENT = st.tuples(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=3)).map(
    lambda pair: (
        BEGUN
        | {"stage": "load", "step": 1, "steps": 2, "metric": "kl", "value": 1, "dataset": "x"}
        | {"name": "x", "message": "x", "status": "finished"}
        | pair[1]
        | {"event": pair[0]}
    )
)


@FEW
@given(events=st.lists(EVENT, max_size=4))
def test_any_journal_is_told_or_refused(tmp_path: Path, events: list[dict[str, Any]]) -> None:
    lines = [json.dumps(event) for event in (BEGUN, *events)]
    (tmp_path / JOURNAL).write_text("\n".join(lines) + "\n")
    outcome(lambda: list(read_events(tmp_path)))
    record = outcome(lambda: read_run(tmp_path))
    assert record is not None
    _print_run(record, Silent())  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "line", [b"[" * 100_000, b'{"event":"logged","message":"\\ud800"}', b"\xff\xfe", b"\0" * 100, b"null"]
)
def test_a_line_that_is_no_event_is_refused(tmp_path: Path, line: bytes) -> None:
    (tmp_path / JOURNAL).write_bytes(json.dumps(BEGUN).encode() + b"\n" + line + b"\n")
    with pytest.raises(DFRotError, match="journal"):
        list(read_events(tmp_path))
    assert read_run(tmp_path) is not None


def test_a_line_without_end_takes_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfrot_engine.events.MOST_LINE_BYTES", 1_000)
    (tmp_path / JOURNAL).write_bytes(b"x" * 5_000 + b"\n")
    with pytest.raises(DFRotError, match="without end"):
        list(read_events(tmp_path))


MARKERS = st.fixed_dictionaries({"files": VALUES, "proof": VALUES, "recipe_fingerprint": VALUES}).map(json.dumps)


@FEW
@given(content=st.one_of(VALUES.map(json.dumps), st.text(max_size=30), MARKERS, st.just("[" * 50_000)))
def test_any_note_marker_or_report_is_read_or_left_out(tmp_path: Path, content: str) -> None:
    for name in ("report.json", "dfrot.json", "owner.json", "options.json", "0123456789ab.json"):
        (tmp_path / name).write_bytes(content.encode(errors="replace"))
    (tmp_path / JOURNAL).write_text(json.dumps(BEGUN) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(RUNS_FOLDER, str(tmp_path))
        assert list_runs(lambda _: None) == ()
    assert isinstance(read_report(tmp_path), dict | None)
    assert is_own_output(tmp_path, Recipe.preset("w4a4")) is False
    assert isinstance(owner(tmp_path), dict)
    assert has_failed(tmp_path) is False
    assert set(broken_files(tmp_path).values()) <= {"is missing", "has changed since it was written"}
    assert read_run(tmp_path) is not None


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


PIECE = st.one_of(
    st.binary(max_size=12),
    st.binary(max_size=12).map(text),
    st.integers(0, 2**64 - 1).map(lambda number: struct.pack("<Q", number)),
    st.integers(0, 16).map(lambda number: struct.pack("<I", number)),
)


@FEW
@given(
    counts=st.tuples(st.integers(0, 3), st.one_of(st.integers(0, 3), st.integers(0, 2**64 - 1))),
    pieces=st.lists(PIECE, max_size=12),
)
def test_any_gguf_file_is_read_or_refused(tmp_path: Path, counts: tuple[int, int], pieces: list[bytes]) -> None:
    path = tmp_path / "hostile.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, *counts) + b"".join(pieces))
    outcome(lambda: read_gguf_header(path), "hostile.gguf")


@FEW
@given(
    values=st.lists(
        st.tuples(st.sampled_from([4, 5, 6, 7, 8, 10, 12]), st.integers(0, 2**64 - 1)), min_size=1, max_size=5
    )
)
def test_any_keys_of_gguf_are_facts_or_refused(tmp_path: Path, values: list[tuple[int, int]]) -> None:
    names = (
        "llama.block_count",
        "llama.embedding_length",
        "llama.attention.head_count",
        "general.alignment",
        "general.license",
    )
    keys = text(b"general.architecture") + struct.pack("<I", 8) + text(b"llama")
    for name, (kind, number) in zip(names, values, strict=False):
        raw = text(b"abc") if kind == 8 else struct.pack("<Q", number)[: {4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 12: 8}[kind]]
        keys += text(name.encode()) + struct.pack("<I", kind) + raw
    tensors = b"".join(
        text(name) + struct.pack("<IQQIQ", 2, 4, 4, 0, 0) for name in (b"token_embd.weight", b"blk.0.attn_q.weight")
    )
    path = tmp_path / "hostile.gguf"
    count = 1 + min(len(values), len(names))
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 2, count) + keys + tensors + bytes(200))
    outcome(lambda: inspect_gguf(path, model_id="x"), "hostile.gguf")


@FEW
@given(
    header=st.one_of(
        st.text(max_size=60),
        st.builds(
            lambda kind, order, shape: repr({"descr": kind, "fortran_order": order, "shape": shape}),
            st.one_of(st.sampled_from(["<f8", "O", "|V9", "<f2", [("a", "<f8")]]), TEXTS),
            VALUES,
            st.one_of(st.lists(NUMBERS, max_size=3).map(tuple), VALUES),
        ),
        st.sampled_from(["(" * 5_000, "{'descr': " + "[" * 3_000, "9" * 5_000]),
    ),
    version=st.sampled_from([(1, 0), (2, 0), (3, 0), (9, 9)]),
)
def test_any_array_file_is_a_rotation_or_refused(tmp_path: Path, header: str, version: tuple[int, int]) -> None:
    path = tmp_path / "hostile.npy"
    data = header.encode("utf-8", errors="replace")
    size = struct.pack("<H" if version == (1, 0) else "<I", len(data))
    path.write_bytes(b"\x93NUMPY" + bytes(version) + size + data + np.eye(4).tobytes())
    outcome(lambda: find_rotation(str(path), 4), "hostile.npy")
    outcome(lambda: load_rotation(str(path), 4), "hostile.npy")


def test_a_pickle_in_an_array_file_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "hostile.npy"
    np.save(path, np.array([[print]], dtype=object), allow_pickle=True)
    with pytest.raises(DFRotError, match="cannot be read"):
        find_rotation(str(path), 1)


@FEW
@given(
    metadata=st.dictionaries(
        st.sampled_from(["R4.order", "created", "hidden_size", "model", "recipe"]), TEXTS, max_size=4
    )
)
def test_any_rotation_file_is_loaded_or_refused(tmp_path: Path, metadata: dict[str, str]) -> None:
    tensor = {"dtype": "F64", "shape": [2, 2], "data_offsets": [0, 32]}
    names = ("R1", "R2.0", "R2.5", "R4.signs", "R4.segments.0")
    header: dict[str, Any] = {name: tensor | {"data_offsets": [32 * at, 32 * at + 32]} for at, name in enumerate(names)}
    (tmp_path / "hostile.safetensors").write_bytes(shard(header | {"__metadata__": metadata}, bytes(32 * len(names))))
    outcome(lambda: load_rotation_set(str(tmp_path / "hostile.safetensors")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(LIBRARY_FOLDER, str(tmp_path))
        assert list_rotations(on_skip=lambda _: None) == ()


@FEW
@given(
    content=st.one_of(
        VALUES.map(json.dumps), st.text(max_size=30), st.just("[" * 50_000), st.just('{"text":"\\ud800"}')
    )
)
def test_any_data_set_is_text_or_refused(tmp_path: Path, content: str) -> None:
    for name in ("hostile.jsonl", "hostile.txt", "hostile.raw", "hostile.parquet"):
        (tmp_path / name).write_bytes(content.encode(errors="replace"))
        found = outcome(lambda name=name: load_text(str(tmp_path / name), "calibration"), name)
        assert found is None or found.encode()


@pytest.mark.parametrize(
    "name", ["~nobody-of-this-name/x.txt", "x\0.txt", "a" * 5_000 + ".txt", "/dev/zero", "/dev/zero.txt"]
)
def test_names_of_data_sets_are_refused(name: str) -> None:
    with pytest.raises(DataError):
        load_text(name, "calibration")
