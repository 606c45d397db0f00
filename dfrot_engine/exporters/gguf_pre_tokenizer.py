"""Whether llama.cpp cuts text the way a tokenizer.json does, and what it calls that. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from dfrot_engine.checkpoint.json_files import MODEL_FIELD, read_json_object
from dfrot_engine.errors import ModelError
from dfrot_engine.exporters.gguf_sentencepiece import is_sentencepiece, wrong_with

TOKENIZER = "tokenizer.json"
_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_LLAMA3, _QWEN2 = _WORDS + r"\p{N}{1,3}" + _REST, _WORDS + r"\p{N}" + _REST
_BYTES, _SPLIT_BYTES = ("ByteLevel", False), ("ByteLevel", True)
#: How text is cut before BPE, step by step, and whether whole words skip the merges → llama.cpp's name for it.
_PRE_TOKENIZERS: dict[tuple[tuple[tuple[str, object], ...], bool], str] = {
    ((_SPLIT_BYTES,), False): "gpt-2",
    ((("Digits", True), _SPLIT_BYTES), False): "smollm",
    ((("Split", _LLAMA3), _BYTES), True): "llama-bpe",
    ((("Split", _QWEN2), _BYTES), False): "qwen2",
}


def check_tokenizer(folder: Path) -> None:
    """Raises: ModelError: the folder's tokenizer cannot be described in GGUF; says why."""
    path = folder / TOKENIZER
    if not path.is_file():
        raise refusal(f"{folder} has no {TOKENIZER}")
    stat = path.stat()
    _check(path, stat.st_size, stat.st_mtime_ns)


def pre_tokenizer_name(data: dict[str, Any]) -> str:
    """llama.cpp's name for how this tokenizer cuts text.

    Raises:
        ModelError: it has none; says why.
    """
    if is_sentencepiece(data):
        if reason := wrong_with(data):
            raise refusal(reason)
        return "default"
    model, normalizer = data.get("model") or {}, data.get("normalizer")
    if model.get("type") != "BPE":
        raise refusal("it is no BPE")
    if not model.get("merges"):
        raise refusal("it merges nothing")
    # NFC changes nothing in nearly all text, and llama.cpp leaves it out for all such tokenizers.
    if normalizer is not None and normalizer.get("type") != "NFC":
        raise refusal(f"it normalizes text ({normalizer.get('type')})")
    steps = tuple(_steps(data.get("pre_tokenizer")))
    name = _PRE_TOKENIZERS.get((steps, bool(model.get("ignore_merges"))))
    if name is None:
        raise refusal(f"it cuts text in a way that has no known name there ({', '.join(kind for kind, _ in steps)})")
    return name


def added_around(processor: dict[str, Any] | None) -> tuple[list[str], list[str]]:
    """Tokens that are put in front of every text, and behind it."""
    kind = (processor or {}).get("type")
    if processor is None or kind == "ByteLevel":
        return [], []
    if kind == "Sequence":
        found = [added_around(one) for one in processor["processors"]]
        return [token for front, _ in found for token in front], [token for _, behind in found for token in behind]
    if kind != "TemplateProcessing":
        raise refusal(f"it ends texts in a way that has no name there ({kind})")
    pieces = processor["single"]
    at = next(number for number, piece in enumerate(pieces) if "Sequence" in piece)
    names = [piece["SpecialToken"]["id"] for piece in pieces if "SpecialToken" in piece]
    return names[:at], names[at:]


def tokenizer_settings(folder: Path) -> dict[str, Any]:
    path = folder / "tokenizer_config.json"
    return read_json_object(path) if path.is_file() else {}


def token_text(token: Any) -> str:
    return str(token.get("content", "")) if isinstance(token, dict) else str(token or "")


def refusal(reason: str) -> ModelError:
    return ModelError(
        f"The tokenizer cannot be written to GGUF: {reason}.",
        "Leave GGUF out of the exports; llama.cpp's own converter may know this model.",
        MODEL_FIELD,
    )


@lru_cache(maxsize=4)
def _check(path: Path, _size: int, _modified_ns: int) -> None:
    data = read_json_object(path)
    pre_tokenizer_name(data)
    front, behind = added_around(data.get("post_processor"))
    settings = tokenizer_settings(path.parent)
    for added, name in ((front, "bos_token"), (behind, "eos_token")):
        if added and added != [token_text(settings.get(name))]:
            raise refusal(f"it adds {' '.join(added)} to a text, which is not its {name}")


def _steps(step: dict[str, Any] | None) -> Iterator[tuple[str, object]]:
    """(kind, the setting that matters) of each; settings that nothing here matches are told apart."""
    kind = (step or {}).get("type", "none")
    if step is None:
        yield kind, None
    elif kind == "Sequence":
        for one in step["pretokenizers"]:
            yield from _steps(one)
    elif kind == "ByteLevel":
        yield kind, None if step.get("add_prefix_space") else step.get("use_regex", True)
    elif kind == "Digits":
        yield kind, step.get("individual_digits")
    elif kind == "Split":
        is_plain = step.get("behavior") == "Isolated" and not step.get("invert")
        yield kind, step["pattern"].get("Regex") if is_plain else None
    else:
        yield kind, None
