"""Byte-level BPE tokenizers with merges, trained on the built-in text, that cut text in the ways GGUF has names for."""

from __future__ import annotations

from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from dfrot_engine.calibration.datasets import load_text

END, START, USER = "<|end|>", "<|start|>", "<think>"
_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = _CONTRACTIONS + r"\p{N}{1,3}" + _REST
QWEN2 = _CONTRACTIONS + r"\p{N}" + _REST


def _bytes(*, use_regex: bool) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


def _split(regex: str) -> pre_tokenizers.PreTokenizer:
    split = pre_tokenizers.Split(Regex(regex), behavior="isolated")
    return pre_tokenizers.Sequence([split, _bytes(use_regex=False)])


def _digits() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), _bytes(use_regex=True)])


#: GGUF's name → how text is cut before BPE.
CUTS = {
    "gpt-2": lambda: _bytes(use_regex=True),
    "smollm": _digits,
    "llama-bpe": lambda: _split(LLAMA3),
    "qwen2": lambda: _split(QWEN2),
}


def trained_tokenizer(name: str, *, vocab_size: int = 380, adds_start: bool = False) -> PreTrainedTokenizerFast:
    """A tokenizer that GGUF calls `name`, with two special tokens and one that is not."""
    tokenizer: Any = Tokenizer(models.BPE(ignore_merges=name == "llama-bpe"))
    tokenizer.pre_tokenizer = CUTS[name]()
    tokenizer.decoder = decoders.ByteLevel()
    if name == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - 1, special_tokens=[END, START], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([load_text("builtin", "calibration")], trainer)
    tokenizer.add_tokens([AddedToken(USER, normalized=False)])
    if adds_start:
        start = tokenizer.token_to_id(START)
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{START} $A", pair=f"{START} $A {START} $B", special_tokens=[(START, start)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=START, eos_token=END, chat_template="{{ messages[0]['content'] }}"
    )
