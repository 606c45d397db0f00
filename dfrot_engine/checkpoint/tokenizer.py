"""Text to tokens with the model's own tokenizer.json, by the tokenizers library; no code of the folder is run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tokenizers
from numpy.typing import NDArray

from dfrot_engine.errors import ModelError

_FILE = "tokenizer.json"


@contextmanager
def _explained(name: object) -> Iterator[None]:
    """The library raises bare Exception for any damage, also while it is used, and its panics are not even one."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise ModelError(
            f"{name} is damaged: {str(error)[:200]}.", "Download the model again.", "model.id_or_path"
        ) from None


class Tokenizer:
    """The model's tokenizer, without special tokens added.

    Args:
        name: of its file, for messages.
    """

    def __init__(self, tokenizer: tokenizers.Tokenizer, name: object = _FILE) -> None:
        self._tokenizer = tokenizer
        self._name = name

    @staticmethod
    def load(folder: Path) -> Tokenizer:
        """Raises:
        ModelError: there is no tokenizer.json, or it is damaged.
        """
        path = folder / _FILE
        if not path.is_file():
            raise ModelError(
                f"{folder} has no {_FILE}.",
                "Save the model with a fast tokenizer: AutoTokenizer.from_pretrained(…).save_pretrained(folder).",
                "model.id_or_path",
            )
        with _explained(path):
            return Tokenizer(tokenizers.Tokenizer.from_file(str(path)), path)

    def encode(self, text: str) -> NDArray[np.int64]:
        """Raises:
        ModelError: it has no token for a part of the text, or is damaged where it was not looked at before.
        """
        with _explained(self._name):
            # A batch of one: `encode` keeps where in the text each token was as well, which takes twice the time.
            (encoded,) = self._tokenizer.encode_batch_fast([text], add_special_tokens=False)
            return np.array(encoded.ids, dtype=np.int64)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens, special ones left out."""
        with _explained(self._name):
            return self._tokenizer.decode(list(tokens), skip_special_tokens=True)

    def token_text(self, token: int) -> str:
        """What one token stands for, for people; whitespace stays visible."""
        with _explained(self._name):
            text = self._tokenizer.decode([token], skip_special_tokens=False)
        return text.replace("\n", "⏎").replace("\t", "⇥") or f"<{token}>"
