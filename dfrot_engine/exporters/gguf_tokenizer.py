"""The tokenizer's keys of a GGUF file: copied from another one, or made from tokenizer.json."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from gguf import GGUFReader, GGUFValueType, Keys, TokenType

from dfrot_engine.checkpoint.json_files import read_json_object
from dfrot_engine.exporters.gguf_pre_tokenizer import (
    TOKENIZER,
    added_around,
    pre_tokenizer_name,
    refusal,
    token_text,
    tokenizer_settings,
)
from dfrot_engine.exporters.gguf_sentencepiece import adds_space, is_byte, is_sentencepiece, scores

_PREFIX = "tokenizer."
#: Key of GGUF → the token's name in tokenizer_config.json and config.json.
_SPECIAL = {
    Keys.Tokenizer.BOS_ID: "bos_token",
    Keys.Tokenizer.EOS_ID: "eos_token",
    Keys.Tokenizer.UNK_ID: "unk_token",
    Keys.Tokenizer.PAD_ID: "pad_token",
}


class Key(NamedTuple):
    """An entry of the file's head."""

    name: str
    value: Any
    type: GGUFValueType
    item_type: GGUFValueType | None = None


def copied_keys(path: Path) -> Iterator[Key]:
    """The tokenizer's keys of another GGUF file, unchanged."""
    for name, field in GGUFReader(path).fields.items():
        if name.startswith(_PREFIX):
            is_array = field.types[0] == GGUFValueType.ARRAY
            yield Key(name, field.contents(), field.types[0], field.types[-1] if is_array else None)


def built_keys(folder: Path, config: dict[str, Any], vocab_size: int) -> Iterator[Key]:
    """The keys that say what the folder's tokenizer.json does.

    Args:
        config: the model's config.json.
        vocab_size: rows of the embedding; those without a token get a name that no text holds.
    Raises:
        ModelError: llama.cpp does not cut text the way this tokenizer does, or tokens have no embedding.
    """
    data = read_json_object(folder / TOKENIZER)
    settings = tokenizer_settings(folder)
    tokens, types = _tokens(data, vocab_size)
    keys, by_score = Keys.Tokenizer, is_sentencepiece(data)
    yield Key(keys.MODEL, "llama" if by_score else "gpt2", GGUFValueType.STRING)
    yield Key(keys.PRE, pre_tokenizer_name(data), GGUFValueType.STRING)
    yield Key(keys.LIST, tokens, GGUFValueType.ARRAY, GGUFValueType.STRING)
    yield Key(keys.TOKEN_TYPE, types, GGUFValueType.ARRAY, GGUFValueType.INT32)
    if by_score:
        yield Key(keys.SCORES, scores(data, tokens), GGUFValueType.ARRAY, GGUFValueType.FLOAT32)
    else:
        merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in data["model"]["merges"]]
        yield Key(keys.MERGES, merges, GGUFValueType.ARRAY, GGUFValueType.STRING)
    ids = {token: number for number, token in enumerate(tokens)}
    for key, name in _SPECIAL.items():
        number = _special_id(name, settings, config, ids)
        if number is not None:
            yield Key(key, number, GGUFValueType.UINT32)
    front, behind = added_around(data.get("post_processor"))
    yield Key(keys.ADD_BOS, bool(front), GGUFValueType.BOOL)
    yield Key(keys.ADD_EOS, bool(behind), GGUFValueType.BOOL)
    yield Key(keys.ADD_PREFIX, by_score and bool(adds_space(data)), GGUFValueType.BOOL)
    template = _chat_template(folder, settings)
    if template:
        yield Key(keys.CHAT_TEMPLATE, template, GGUFValueType.STRING)


def _tokens(data: dict[str, Any], vocab_size: int) -> tuple[list[str], list[int]]:
    """Every row's token, and what kind each is."""
    tokens = [f"[PAD{number}]" for number in range(vocab_size)]
    types = [int(TokenType.UNUSED)] * vocab_size
    plain = {True: TokenType.BYTE, False: TokenType.NORMAL}
    by_score = is_sentencepiece(data)
    rows = [(number, one, plain[by_score and is_byte(one)]) for one, number in data["model"]["vocab"].items()]
    for added in data.get("added_tokens") or ():
        rows.append((added["id"], added["content"], TokenType.CONTROL if added["special"] else TokenType.USER_DEFINED))
    unknown = data["model"].get("unk_token")
    if by_score and unknown in data["model"]["vocab"]:
        rows.append((data["model"]["vocab"][unknown], unknown, TokenType.UNKNOWN))
    for number, token, kind in rows:
        if number >= vocab_size:
            raise refusal(f"its token {number} has no row in the embedding, which has {vocab_size:,}")
        tokens[number], types[number] = token, int(kind)
    return tokens, types


def _special_id(name: str, settings: dict[str, Any], config: dict[str, Any], ids: dict[str, int]) -> int | None:
    number = ids.get(token_text(settings.get(name)))
    if number is None:
        number = config.get(f"{name}_id")
        number = number[0] if isinstance(number, list) and number else number
    return number if isinstance(number, int) and 0 <= number < len(ids) else None


def _chat_template(folder: Path, settings: dict[str, Any]) -> str:
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    found = settings.get("chat_template") or ""
    if isinstance(found, list):
        found = next((one["template"] for one in found if one.get("name") == "default"), "")
    return found
