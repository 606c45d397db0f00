"""Model folders that somebody made to break the program: headers, indexes, configs, links, pipes, tokenizers."""

from __future__ import annotations

import contextlib
import json
import os
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfrot_engine.architectures import ARCHITECTURES, architecture_of
from dfrot_engine.checkpoint.headers import INDEX, SINGLE_SHARD, read_headers, read_metadata, read_shard_headers
from dfrot_engine.checkpoint.json_files import parse_json_object, read_json_object
from dfrot_engine.checkpoint.local import has_weights, inspect_folder
from dfrot_engine.checkpoint.source import inspect
from dfrot_engine.checkpoint.tokenizer import Tokenizer
from dfrot_engine.errors import DFRotError, ModelError
from dfrot_engine.recipe import ModelSource
from tests.engine.hostile.asking import FEW, NUMBERS, TEXTS, VALUES, outcome, shard
from tests.tiny_models import save_tiny_model

ENTRY = st.one_of(
    VALUES,
    st.fixed_dictionaries(
        {
            "dtype": st.one_of(st.sampled_from(["F32", "BF16", "F4", "X"]), VALUES),
            "shape": st.one_of(st.lists(NUMBERS, max_size=10), st.lists(st.integers(0, 4), max_size=3), VALUES),
            "data_offsets": st.one_of(st.lists(st.integers(-2, 40), min_size=2, max_size=2), VALUES),
        }
    ),
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model("llama", tmp_path_factory.mktemp("sound") / "tiny")


@FEW
@given(entries=st.dictionaries(TEXTS, ENTRY, max_size=4), data=st.binary(max_size=40))
def test_any_header_is_read_or_refused(tmp_path: Path, entries: dict[str, Any], data: bytes) -> None:
    path = tmp_path / "hostile.safetensors"
    path.write_bytes(shard(entries, data))
    headers = outcome(lambda: read_shard_headers(path), "hostile.safetensors")
    outcome(lambda: read_metadata(path), "hostile.safetensors")
    if headers is not None:  # what is accepted lies in the file, nothing twice
        assert sum(header.num_bytes for header in headers.values()) == len(data)
        assert all(header.offset + header.num_bytes <= path.stat().st_size for header in headers.values())


@FEW
@given(data=st.binary(max_size=64), length=st.one_of(st.none(), st.integers(0, 2**64 - 1)))
def test_any_bytes_are_read_or_refused(tmp_path: Path, data: bytes, length: int | None) -> None:
    path = tmp_path / "hostile.safetensors"
    path.write_bytes(data if length is None else shard(data, length=length))
    outcome(lambda: read_shard_headers(path), "hostile.safetensors")


FOUR = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (shard({"a": FOUR, "b": FOUR}, b"1234"), "overlap"),
        (shard({"a": FOUR}, b"12"), "take 4 bytes"),
        (shard({"a": FOUR}, b"12345678"), "take 4 bytes"),
        (shard({"a": FOUR | {"data_offsets": [4, 8]}}, b"12345678"), "hole"),
        (shard(b'{"a":1,"a":2}'), "twice"),
        (shard(b"[" * 200_000), "deep"),
        (shard(b'{"\\ud800": 1}'), "JSON"),
        (shard({"a": FOUR}, length=2**63), "cut short"),
        (shard({"a": FOUR | {"shape": [2**62] * 8}}, b"1234"), "should take"),
    ],
)
def test_known_tricks_are_named(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "hostile.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=reason) as caught:
        read_shard_headers(path)
    assert "hostile.safetensors" in caught.value.message


def test_one_name_twice_among_many_takes_no_time() -> None:
    names = [f'"{number}":0' for number in range(60_000)]
    started = time.monotonic()
    with pytest.raises(ModelError, match="'59999' is there twice"):
        parse_json_object(("{" + ",".join([*names, names[-1]]) + "}").encode(), "header")
    assert time.monotonic() - started < 2


def test_a_file_that_promises_much_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "hostile.safetensors"
    with path.open("wb") as file:
        file.write((99_999_999).to_bytes(8, "little"))
        file.truncate(200_000_000)  # holes: nothing on the disk
    tracemalloc.start()
    outcome(lambda: read_shard_headers(path), "hostile.safetensors")
    config = tmp_path / "config.json"
    config.touch()
    os.truncate(config, 10**12)
    outcome(lambda: read_json_object(config), "config.json")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 450_000_000


@FEW
@given(index=st.one_of(VALUES, st.dictionaries(st.just("weight_map"), st.dictionaries(TEXTS, VALUES, max_size=3))))
def test_any_index_is_read_or_refused(tmp_path: Path, index: Any) -> None:
    (tmp_path / INDEX).write_text(json.dumps(index))
    assert outcome(lambda: read_headers(tmp_path)) is None
    assert has_weights(tmp_path) is False


@pytest.mark.parametrize(
    "name", ["../out.safetensors", "/etc/x.safetensors", "a\\b.safetensors", "C:x.safetensors", "x"]
)
def test_an_index_does_not_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "out.safetensors").write_bytes(shard({"w": FOUR}, b"1234"))
    (folder / INDEX).write_text(json.dumps({"weight_map": {"w": name}}))
    with pytest.raises(ModelError, match="not a safetensors file beside it"):
        read_headers(folder)


@pytest.mark.parametrize("name", [SINGLE_SHARD, "config.json", INDEX])
def test_a_pipe_in_the_folder_is_refused_at_once(tmp_path: Path, name: str) -> None:
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": {"w": SINGLE_SHARD}}))
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / SINGLE_SHARD).write_bytes(shard({"w": FOUR}, b"1234"))
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    outcome(lambda: read_json_object(tmp_path / name), name)
    outcome(lambda: read_shard_headers(tmp_path / name), name)
    outcome(lambda: inspect_folder(tmp_path, model_id="x"))


@pytest.mark.parametrize("name", ["merges.txt", "LICENSE", "config.json"])
def test_a_link_does_not_fetch_files_of_the_user(sound: Path, tmp_path: Path, name: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text((sound / "config.json").read_text())
    folder = tmp_path / "model"
    folder.mkdir()
    for path in sound.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    inspect_folder(folder, model_id="x")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(secret)
    with pytest.raises(ModelError, match="outside the model's folder"):
        inspect_folder(folder, model_id="x")


def test_links_of_the_hubs_cache_and_of_weights_are_fine(sound: Path, tmp_path: Path) -> None:
    snapshot, blobs = tmp_path / "snapshots" / "c0ffee", tmp_path / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for path in sound.iterdir():
        (blobs / path.name).write_bytes(path.read_bytes())
        (snapshot / path.name).symlink_to(blobs / path.name)
    assert inspect_folder(snapshot, model_id="x").headers
    (snapshot / SINGLE_SHARD).unlink()
    (snapshot / SINGLE_SHARD).symlink_to(sound / SINGLE_SHARD)
    assert inspect_folder(snapshot, model_id="x").headers


SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim", "vocab_size")
MORE = ("intermediate_size", "tie_word_embeddings", "num_experts", "num_local_experts", "text_config", "layer_types")
FACTORS = ("embedding_multiplier", "logits_scaling", "max_position_embeddings", "moe_intermediate_size", "logit_scale")


@FEW
@given(
    model_type=st.one_of(st.sampled_from(sorted(ARCHITECTURES)), VALUES),
    changed=st.dictionaries(st.sampled_from((*SIZES, *MORE, *FACTORS)), VALUES, max_size=4),
)
def test_any_config_is_a_table_or_refused(model_type: Any, changed: dict[str, Any]) -> None:
    sizes = dict.fromkeys((*SIZES, "intermediate_size", "num_experts", "num_local_experts"), 8)
    config = sizes | {"num_experts_per_tok": 2, "moe_intermediate_size": 8, "model_type": model_type} | changed
    found = outcome(lambda: architecture_of(config))
    if found is not None:
        assert found.num_blocks <= 10_000
        outcome(lambda: len(found.linear_names()))


@FEW
@given(changed=st.dictionaries(st.sampled_from((*SIZES, *MORE, *FACTORS)), VALUES, min_size=1, max_size=3))
def test_any_config_is_planned_or_refused(sound: Path, changed: dict[str, Any]) -> None:
    from dfrot_engine.options import RunOptions
    from dfrot_engine.plan import make_plan
    from tests.engine.runs import tiny_recipe

    folder = sound.parent / "changed"
    folder.mkdir(exist_ok=True)
    for path in sound.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    config = json.loads((sound / "config.json").read_text()) | changed
    (folder / "config.json").write_text(json.dumps(config))
    outcome(lambda: make_plan(tiny_recipe(folder), RunOptions(output_dir=sound.parent / "out", device="cpu")))


@FEW
@given(content=st.one_of(VALUES.map(lambda value: json.dumps(value).encode()), st.binary(max_size=50)))
def test_any_tokenizer_is_loaded_or_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content)
    outcome(lambda: Tokenizer.load(tmp_path), "tokenizer.json")


@FEW
@given(
    changed=st.dictionaries(st.sampled_from(["model", "pre_tokenizer", "added_tokens", "decoder"]), VALUES, min_size=1)
)
def test_a_changed_tokenizer_is_used_or_refused(sound: Path, tmp_path: Path, changed: dict[str, Any]) -> None:
    tokenizer = json.loads((sound / "tokenizer.json").read_text()) | changed
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    loaded = outcome(lambda: Tokenizer.load(tmp_path), "tokenizer.json")
    if loaded is not None:
        outcome(lambda: loaded.encode("some text"))


@FEW
@given(name=st.one_of(TEXTS, st.sampled_from(["~nobody-of-this-name/x", "a" * 300, "x\0y", "~", "."])))
def test_any_name_of_a_model_is_found_or_refused(name: str) -> None:
    if not name:
        return
    with contextlib.suppress(DFRotError):
        inspect(ModelSource(id_or_path=name))
