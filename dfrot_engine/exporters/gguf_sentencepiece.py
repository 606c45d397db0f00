"""Tokenizers in the manner of SentencePiece (Llama 2, Mistral): a BPE over characters, with bytes for all others.

llama.cpp joins any two neighbours whose sum is a token, the one with the highest score first. Imports no torch.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

SPACE = "▁"
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_NUM_BYTES = 256


def is_sentencepiece(data: dict[str, Any]) -> bool:
    """Whether a tokenizer.json holds one."""
    model = data.get("model") or {}
    return model.get("type") == "BPE" and bool(model.get("byte_fallback"))


def is_byte(token: str) -> bool:
    """Whether a token stands for one byte."""
    return _BYTE.fullmatch(token) is not None


def wrong_with(data: dict[str, Any]) -> str:
    """What llama.cpp would read otherwise, a clause; "" if nothing."""
    if adds_space(data) is None:
        return "it treats spaces in a way that has no name there"
    model = data["model"]
    if sum(map(is_byte, model["vocab"])) != _NUM_BYTES:
        return "it has no token for every byte"
    if not model.get("merges"):
        return "it merges nothing"
    if not _merges_every_pair(data):
        return "it joins other pairs of tokens than their scores would, as SentencePiece does not"
    return ""


def adds_space(data: dict[str, Any]) -> bool | None:
    """Whether a space is put in front of a text; None where spaces are treated in no way that is known.

    Metaspace puts none in front of a text that begins with one, where llama.cpp does; its own converter lets that pass.
    """
    normalizer, cut = data.get("normalizer"), data.get("pre_tokenizer")
    steps = (normalizer.get("normalizers") or [normalizer]) if normalizer else []
    kinds = [step.get("type") for step in steps]
    if cut is None and kinds in (["Prepend", "Replace"], ["Replace"]):
        *prepended, replaced = steps
        is_usual = replaced.get("pattern") == {"String": " "} and replaced.get("content") == SPACE
        is_usual &= all(one.get("prepend") == SPACE for one in prepended)
        return bool(prepended) if is_usual else None
    if cut is not None and cut.get("type") == "Metaspace" and not kinds:
        is_usual = cut.get("replacement") == SPACE and cut.get("split") is False
        return cut.get("prepend_scheme", "always") != "never" if is_usual else None
    return None


def scores(data: dict[str, Any], tokens: list[str]) -> list[float]:
    """Of every row's token: the sooner it is made by a merge, the higher."""
    first: dict[str, int] = {}
    for rank, (left, right) in enumerate(_pairs(data)):
        first.setdefault(left + right, rank)
    never = len(data["model"]["merges"])
    return [-float(first.get(token, never)) for token in tokens]


def _pairs(data: dict[str, Any]) -> list[tuple[str, str]]:
    halves = (one.split(" ", 1) if isinstance(one, str) else one for one in data["model"]["merges"])
    return [(left, right) for left, right in halves]


def _merges_every_pair(data: dict[str, Any]) -> bool:
    """Whether each token may be made of any two that add up to it, and all of its merges stand together."""
    vocab = data["model"]["vocab"]
    others = {added["content"] for added in data.get("added_tokens") or ()}
    made: dict[str, set[int]] = defaultdict(set)
    order: list[str] = []
    for left, right in _pairs(data):
        made[left + right].add(len(left))
        if not order or order[-1] != left + right:
            order.append(left + right)
    if len(order) != len(made):
        return False
    return all(
        made.get(token, set()) == {at for at in range(1, len(token)) if token[:at] in vocab and token[at:] in vocab}
        for token in vocab
        if token not in others and not is_byte(token)
    )
