"""Model folders on this computer, and everything that is not one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dfrot_engine import ModelError
from dfrot_engine.checkpoint.source import fetch, inspect
from dfrot_engine.recipe import ModelSource
from tests.engine.checkpoint.folders import save_model


def source(path: Path) -> ModelSource:
    return ModelSource(id_or_path=str(path))


def never(done: int, total: int, label: str) -> None:
    raise AssertionError("nothing has to be done")


@pytest.mark.parametrize("num_shards", [1, 3])
def test_folder_is_used_as_it_is(tmp_path: Path, num_shards: int) -> None:
    folder = save_model(tmp_path / "tiny", num_shards=num_shards)
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    facts = inspect(source(folder))
    assert (facts.id, facts.revision, facts.folder, facts.download_bytes) == ("tiny", "", folder, 0)
    assert (facts.license, facts.config["model_type"]) == ("apache-2.0", "llama")
    sizes = {file.name: file.bytes for file in facts.files}
    assert "pytorch_model.bin" not in sizes
    assert sum(name.endswith(".safetensors") for name in sizes) == num_shards
    assert all((folder / name).stat().st_size == size for name, size in sizes.items())
    assert fetch(source(folder), never) == folder


def test_change_of_a_file_is_seen(tmp_path: Path) -> None:
    folder = save_model(tmp_path)
    assert inspect(source(folder)).config["max_position_embeddings"] == 512
    save_model(tmp_path, max_position_embeddings=1024)
    assert inspect(source(folder)).config["max_position_embeddings"] == 1024


def only(*names: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        for name in names:
            (folder / name).write_text("{}")

    return make


def with_broken_shard(folder: Path) -> None:
    path = save_model(folder) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


def with_broken_config(folder: Path) -> None:
    save_model(folder)
    (folder / "config.json").write_text('{"model_type": ')


def with_list_as_config(folder: Path) -> None:
    save_model(folder)
    (folder / "config.json").write_text("[]")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (only(), "has no files"),
        (only("model.safetensors"), "no config.json"),
        (only("notes.txt"), "no config.json"),
        (only("config.json"), "no safetensors"),
        (only("config.json", "pytorch_model.bin"), "only as pickles"),
        (only("config.json", "model.pt"), "only as pickles"),
        (only("tiny.gguf"), "holds GGUF files"),
        (only("adapter_config.json", "adapter_model.safetensors"), "holds an adapter"),
        (with_broken_shard, "model.safetensors is damaged"),
        (with_broken_config, "config.json is not valid JSON"),
        (with_list_as_config, "holds no JSON object"),
    ],
)
def test_folders_that_cannot_be_used(tmp_path: Path, make: Callable[[Path], None], words: str) -> None:
    make(tmp_path)
    for call in (inspect, lambda one: fetch(one, never)):
        with pytest.raises(ModelError, match=words) as caught:
            call(source(tmp_path))
        assert caught.value.remedy
        assert caught.value.field == "model.id_or_path"


def test_tokenizer_is_needed_to_run(tmp_path: Path) -> None:
    (save_model(tmp_path) / "tokenizer.json").unlink()
    inspect(source(tmp_path))
    with pytest.raises(ModelError, match="no tokenizer"):
        fetch(source(tmp_path), never)


@pytest.mark.parametrize("text", ["/no/such/folder", "./missing", "~/missing-folder-of-mine", "a/b/c", "x.gguf"])
def test_path_that_does_not_exist_is_not_asked_of_the_hub(text: str) -> None:
    with pytest.raises(ModelError, match="There is no folder or file"):
        inspect(ModelSource(id_or_path=text))


def test_file_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"")
    with pytest.raises(ModelError, match="neither a model folder nor a GGUF file"):
        inspect(source(path))


@pytest.mark.parametrize(
    ("card", "license_name"),
    [
        ("---\nlicense: mit\n---\n", "mit"),
        ("---\nlicense: other\nlicense_name: llama3.1\n---\n", "llama3.1"),
        ('---\nlicense: "apache-2.0"\n---', "apache-2.0"),
        ("license: mit\n", ""),
        ("---\ntags: []\n---\nlicense: mit\n", ""),
    ],
)
def test_license_is_what_the_card_says(tmp_path: Path, card: str, license_name: str) -> None:
    (save_model(tmp_path) / "README.md").write_text(card)
    assert inspect(source(tmp_path)).license == license_name


def test_code_in_a_model_is_never_run(tmp_path: Path) -> None:
    folder = save_model(tmp_path, auto_map={"AutoModelForCausalLM": "modeling_evil.Evil"})
    (folder / "modeling_evil.py").write_text("raise SystemExit")
    facts = inspect(source(folder))
    assert "modeling_evil.py" not in {file.name for file in facts.files}
    assert json.loads((folder / "config.json").read_text())["auto_map"]
