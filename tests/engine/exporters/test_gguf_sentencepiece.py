"""Tokenizers in the manner of SentencePiece: what reads the GGUF file tokenizes as the Hub's tokenizer does."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gguf import TokenType
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from dfrot_engine.calibration.datasets import load_text
from dfrot_engine.errors import ModelError
from dfrot_engine.exporters.gguf_pre_tokenizer import check_tokenizer
from dfrot_engine.exporters.gguf_tokenizer import built_keys
from tests.engine.exporters.test_gguf_tokenizer import values, write_keys

BYTES = [f"<0x{number:02X}>" for number in range(256)]
SPECIAL = ["<unk>", "<s>", "</s>"]
MIXED = (
    load_text("builtin", "evaluation")[:6_000]
    + "\nHello, it's 12345 dogs!  Déjà vu — 北京 مرحبا Привет \n\n\tfoo_bar(x) != 7;   I'LL go\r\n  end 🙂 x²≈1.5e-3 "
)
VOCAB_SIZE = 1_000


def learned_tokens(count: int) -> list[str]:
    """Characters first, then what a BPE learns of the built-in text, soonest first."""
    tokenizer: Any = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    tokenizer.train_from_iterator(
        [load_text("builtin", "calibration")], trainers.BpeTrainer(vocab_size=count, show_progress=False)
    )
    vocab = tokenizer.get_vocab()
    return sorted(vocab, key=vocab.__getitem__)


def saved(folder: Path, spaces: str = "prepend") -> Path:
    """As transformers converts such a tokenizer: every two tokens that add up to a third are merged, by its score."""
    learned = learned_tokens(VOCAB_SIZE - len(SPECIAL) - len(BYTES) - 4)
    vocab = {token: number for number, token in enumerate([*SPECIAL, *BYTES, *learned])}
    merges = [
        (token[:at], token[at:])
        for token in learned
        for at in range(1, len(token))
        if token[:at] in vocab and token[at:] in vocab
    ]
    tokenizer: Any = Tokenizer(models.BPE(vocab, merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    if spaces == "prepend":
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=spaces, split=False)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    fast.save_pretrained(folder)
    return folder


def written(folder: Path) -> Path:
    alone = folder / "alone"  # beside a tokenizer.json, that would be read
    alone.mkdir(exist_ok=True)
    return write_keys(alone / "model.gguf", built_keys(folder, {}, VOCAB_SIZE))


def by_scores(text: str, facts: dict[str, Any]) -> list[int]:
    """What llama.cpp does with the file's keys, written down anew from its description: the best neighbours first."""
    tokens, scores = facts["tokenizer.ggml.tokens"], facts["tokenizer.ggml.scores"]
    ids = {token: number for number, token in enumerate(tokens)}
    prefix = " " if facts["tokenizer.ggml.add_space_prefix"] else ""
    parts = list((prefix + text).replace(" ", "▁"))
    while True:
        sums = [one + other for one, other in itertools.pairwise(parts)]
        pairs = [(scores[ids[token]], -at) for at, token in enumerate(sums) if token in ids]
        if not pairs:
            break
        at = -max(pairs)[1]
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    found: list[int] = []
    for part in parts:
        found += [ids[part]] if part in ids else [ids[f"<0x{byte:02X}>"] for byte in part.encode()]
    return found


@pytest.mark.parametrize("spaces", ["prepend", "first", "never"])
def test_two_thousand_tokens_are_the_same(spaces: str, tmp_path: Path) -> None:
    folder = saved(tmp_path, spaces)
    check_tokenizer(folder)
    path = written(folder)
    original = AutoTokenizer.from_pretrained(folder)
    expected = original.encode(MIXED, add_special_tokens=False)
    assert len(expected) > 2_000
    facts = values(path)
    # One merge after the other takes the square of a text's length. Metaspace puts no space in front of another one.
    for line in MIXED.splitlines(keepends=True):
        if spaces != "first" or not line.startswith(" "):
            assert by_scores(line, facts) == original.encode(line, add_special_tokens=False)
    if spaces != "never":  # which transformers does not read
        read = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
        assert read.encode(MIXED, add_special_tokens=False) == expected


def test_the_keys_say_what_each_token_is(tmp_path: Path) -> None:
    facts = values(written(saved(tmp_path)))
    tokens, types = facts["tokenizer.ggml.tokens"], facts["tokenizer.ggml.token_type"]
    kinds = {token: TokenType(kind) for token, kind in zip(tokens, types, strict=True)}
    assert facts["tokenizer.ggml.model"] == "llama"
    assert [kinds[token] for token in SPECIAL] == [TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL]
    assert {kinds[token] for token in BYTES} == {TokenType.BYTE}
    assert kinds["▁the"] is TokenType.NORMAL
    assert [tokens[facts[f"tokenizer.ggml.{name}_token_id"]] for name in ("unknown", "bos", "eos")] == SPECIAL
    assert (facts["tokenizer.ggml.add_bos_token"], facts["tokenizer.ggml.add_space_prefix"]) == (True, True)
    assert "tokenizer.ggml.merges" not in facts
    assert len(facts["tokenizer.ggml.scores"]) == VOCAB_SIZE


def _lost_merge(data: dict[str, Any]) -> None:
    del data["model"]["merges"][40]


def _moved_merge(data: dict[str, Any]) -> None:
    merges = data["model"]["merges"]
    several = next(at for at in range(len(merges) - 1) if "".join(merges[at]) == "".join(merges[at + 1]))
    merges.append(merges.pop(several))


def _lost_byte(data: dict[str, Any]) -> None:
    data["model"]["vocab"]["<no byte>"] = data["model"]["vocab"].pop("<0x41>")


def _lower_case(data: dict[str, Any]) -> None:
    data["normalizer"]["normalizers"].append({"type": "Lowercase"})


def _other_space(data: dict[str, Any]) -> None:
    data["normalizer"]["normalizers"][1]["content"] = "_"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_lost_merge, "joins other pairs"),
        (_moved_merge, "joins other pairs"),
        (_lost_byte, "no token for every byte"),
        (_lower_case, "treats spaces"),
        (_other_space, "treats spaces"),
    ],
)
def test_what_llama_cpp_would_read_otherwise_is_refused(
    damage: Callable[[dict[str, Any]], None], reason: str, tmp_path: Path
) -> None:
    path = saved(tmp_path) / "tokenizer.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    damage(data)
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(ModelError, match=reason):
        check_tokenizer(tmp_path)
