"""What is asked of two models that answer a prompt, and what they say. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

#: Which of the two models writes.
Side = Literal["original", "quantized"]


@dataclass(frozen=True)
class Question:
    """One prompt.

    Args:
        folder: a checkpoint folder that transformers loads.
        original: Hub id, folder, GGUF file or "sample"; "" leaves the original out.
        num_tokens: the most that each model writes.
        temperature: 0 takes the likeliest token every time.
        seed: of the draws; both models get the same.
        is_chat: whether the prompt goes into the model's chat template, if it has one.
    """

    folder: Path
    prompt: str
    original: str = ""
    revision: str = "main"
    num_tokens: int = 128
    temperature: float = 0.0
    seed: int = 0
    is_chat: bool = True


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Answer(_Frozen):
    """One model's.

    Args:
        tokens: how many it wrote, the one that ends it included.
        seconds: from the prompt to the last token.
        has_ended: whether it came to an end by itself.
    """

    side: Side
    text: str
    tokens: int
    seconds: float
    has_ended: bool


class GenerationResult(_Frozen):
    """
    Args:
        used_template: whether the prompt went through a chat template.
        together: whether both models lay in memory at once.
    """

    answers: tuple[Answer, ...]
    used_template: bool
    together: bool
