"""The tokenizer's keys: what transformers reads from them tokenizes as the Hub's tokenizer does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gguf import GGUFReader, GGUFWriter, TokenType
from transformers import AutoTokenizer

from dfrot_engine.calibration.datasets import load_text
from dfrot_engine.errors import ModelError
from dfrot_engine.exporters.gguf_pre_tokenizer import check_tokenizer
from dfrot_engine.exporters.gguf_tokenizer import built_keys, copied_keys
from tests.engine.exporters.tokenizers_of import CUTS, END, START, USER, trained_tokenizer

VOCAB_SIZE = 384  # four rows of the embedding have no token
MIXED = (
    load_text("builtin", "evaluation")[:4_000]
    + "\nHello, it's 12345 dogs!  Déjà vu — 北京 مرحبا Привет \n\n\tfoo_bar(x) != 7;   I'LL go\r\n  end "
    + f"{USER}🙂 x²≈1.5e-3  \n {END}tail 1984's"
)


def write_keys(path: Path, keys: Any) -> Path:
    writer = GGUFWriter(path, "llama")
    for key in keys:
        writer.add_key_value(key.name, key.value, key.type, key.item_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    return path


def saved(name: str, folder: Path, **how: Any) -> Path:
    trained_tokenizer(name, **how).save_pretrained(folder)
    check_tokenizer(folder)
    return folder


def values(path: Path) -> dict[str, Any]:
    fields = GGUFReader(path).fields
    return {name: field.contents() for name, field in fields.items() if name.startswith("tokenizer.")}


# transformers does not know that "smollm" cuts digits; llama.cpp does.
@pytest.mark.parametrize("name", [name for name in CUTS if name != "smollm"])
def test_two_thousand_tokens_are_the_same(name: str, tmp_path: Path) -> None:
    folder = saved(name, tmp_path)
    alone = tmp_path / "alone"  # beside a tokenizer.json, that would be read
    alone.mkdir()
    path = write_keys(alone / "model.gguf", built_keys(folder, {}, VOCAB_SIZE))
    original, read = AutoTokenizer.from_pretrained(folder), AutoTokenizer.from_pretrained(alone, gguf_file=path.name)
    expected = original.encode(MIXED, add_special_tokens=False)
    assert len(expected) > 2_000
    assert read.encode(MIXED, add_special_tokens=False) == expected
    assert values(path)["tokenizer.chat_template"] == original.chat_template


@pytest.mark.parametrize("name", CUTS)
def test_the_way_of_cutting_is_named(name: str, tmp_path: Path) -> None:
    written = values(write_keys(tmp_path / "model.gguf", built_keys(saved(name, tmp_path), {}, VOCAB_SIZE)))
    assert written["tokenizer.ggml.pre"] == name
    assert written["tokenizer.ggml.model"] == "gpt2"


def test_special_tokens_and_rows_without_a_token(tmp_path: Path) -> None:
    folder = saved("llama-bpe", tmp_path, adds_start=True)
    written = values(write_keys(tmp_path / "model.gguf", built_keys(folder, {"pad_token_id": [2, 3]}, VOCAB_SIZE)))
    tokens, types = written["tokenizer.ggml.tokens"], written["tokenizer.ggml.token_type"]
    assert len(tokens) == len(types) == VOCAB_SIZE
    kinds = {token: TokenType(kind) for token, kind in zip(tokens, types, strict=True)}
    assert kinds[END] is kinds[START] is TokenType.CONTROL
    assert kinds[USER] is TokenType.USER_DEFINED
    assert [token for token, kind in kinds.items() if kind is TokenType.UNUSED] == [
        f"[PAD{n}]" for n in range(380, 384)
    ]
    assert tokens[written["tokenizer.ggml.bos_token_id"]] == START
    assert tokens[written["tokenizer.ggml.eos_token_id"]] == END
    assert written["tokenizer.ggml.padding_token_id"] == 2
    assert (written["tokenizer.ggml.add_bos_token"], written["tokenizer.ggml.add_eos_token"]) == (True, False)


def test_keys_of_another_file_are_copied(tmp_path: Path) -> None:
    folder = saved("qwen2", tmp_path)
    first = write_keys(tmp_path / "first.gguf", built_keys(folder, {}, VOCAB_SIZE))
    second = write_keys(tmp_path / "second.gguf", copied_keys(first))
    assert values(first) == values(second)
    assert len(values(second)["tokenizer.ggml.merges"]) > 50


def _unknown_cut(data: dict[str, Any]) -> None:
    data["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {"Regex": r"\w+|\W+"}


def _other_model(data: dict[str, Any]) -> None:
    data["model"]["type"] = "Unigram"


def _without_whole_words(data: dict[str, Any]) -> None:
    data["model"]["ignore_merges"] = False


def _lower_case(data: dict[str, Any]) -> None:
    data["normalizer"] = {"type": "Lowercase"}


def _no_merges(data: dict[str, Any]) -> None:
    data["model"]["merges"] = []


def _other_start(data: dict[str, Any]) -> None:
    template = data["post_processor"]
    template["single"][0]["SpecialToken"]["id"] = END


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_unknown_cut, "cuts text in a way"),
        (_without_whole_words, "cuts text in a way"),
        (_other_model, "it is no BPE"),
        (_lower_case, "normalizes text"),
        (_no_merges, "merges nothing"),
        (_other_start, "not its bos_token"),
    ],
)
def test_what_llama_cpp_would_read_otherwise_is_refused(
    damage: Callable[[dict[str, Any]], None], reason: str, tmp_path: Path
) -> None:
    path = saved("llama-bpe", tmp_path, adds_start=True) / "tokenizer.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    damage(data)
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(ModelError, match=reason):
        check_tokenizer(tmp_path)


def test_tokens_without_a_row_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"token \d+ has no row"):
        list(built_keys(saved("gpt-2", tmp_path), {}, 300))


def test_a_folder_without_tokenizer_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no tokenizer\.json"):
        check_tokenizer(tmp_path)
