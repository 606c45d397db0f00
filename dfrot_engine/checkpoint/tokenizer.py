"""Text to tokens with the model's own tokenizer.json, by the tokenizers library; no code of the folder is run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tokenizers
from numpy.typing import NDArray

from dfrot_engine.errors import ModelError


class Tokenizer:
    """The model's tokenizer, without special tokens added."""

    def __init__(self, tokenizer: tokenizers.Tokenizer) -> None:
        self._tokenizer = tokenizer

    @staticmethod
    def load(folder: Path) -> Tokenizer:
        """Raises:
        ModelError: there is no tokenizer.json, or it is damaged.
        """
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise ModelError(
                f"{folder} has no tokenizer.json.",
                "Save the model with a fast tokenizer: AutoTokenizer.from_pretrained(…).save_pretrained(folder).",
                "model.id_or_path",
            )
        try:
            return Tokenizer(tokenizers.Tokenizer.from_file(str(path)))
        except Exception as error:  # the library raises bare Exception for any damage
            raise ModelError(f"{path} is damaged: {error}.", "Download the model again.", "model.id_or_path") from None

    def encode(self, text: str) -> NDArray[np.int64]:
        return np.array(self._tokenizer.encode(text, add_special_tokens=False).ids, dtype=np.int64)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens, special ones left out."""
        return self._tokenizer.decode(list(tokens), skip_special_tokens=True)

    def token_text(self, token: int) -> str:
        """What one token stands for, for people; whitespace stays visible."""
        text = self._tokenizer.decode([token], skip_special_tokens=False)
        return text.replace("\n", "⏎").replace("\t", "⇥") or f"<{token}>"
