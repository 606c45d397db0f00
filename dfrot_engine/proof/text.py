"""What a reloaded checkpoint writes, beside what the original writes: is it garbage?"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn

from dfrot_engine.evaluation.models import without_bars
from dfrot_engine.proof.types import ProofRow

PROMPTS = (
    "The capital of France is a city that",
    "Once upon a time, in a village by the sea, there lived",
    "To make a pot of tea, first you have to",
    "def fibonacci(n):\n    if n < 2:\n        return n\n    return",
    "Plants need water and light, because",
)
NEW_TOKENS = 48
#: Garbage is text that is clearly worse than the original's by one of these, while perplexity is this much worse too.
WORSE_PERPLEXITY = 10.0
WORSE_REPEATED, WORSE_ODD, WORSE_SURPRISE = 0.4, 0.1, 3.0
_GRAM = 3
_ODD = ("Cc", "Cn", "Co", "Cs")


@dataclass(frozen=True)
class TextMarks:
    """Of the continuations of one model, mean over the prompts.

    Args:
        repeated: share of the groups of three tokens that were there before in the same text.
        odd: share of characters that are no text.
        surprise: nats per token by which the original model would not have expected them.
    """

    repeated: float
    odd: float
    surprise: float


def prompts_of(encode: Callable[[str], Any]) -> Tensor:
    """[B, T] the prompts, each cut to as many tokens as the shortest has, so that they go through together."""
    encoded = [encode(prompt) for prompt in PROMPTS]
    length = max(1, min(map(len, encoded)))
    return torch.stack([torch.as_tensor(one[:length]) for one in encoded])


@torch.no_grad()
def continuations(model: nn.Module, prompts_BT: Tensor, say: Callable[[int], None]) -> Tensor:
    """[B, NEW_TOKENS] what the model holds most likely, token after token.

    Args:
        say: called with the number of tokens; what it raises ends the work.
    """
    tokens = prompts_BT.to(next(model.parameters()).device)
    written: list[Tensor] = []
    past: Any = None
    for number in range(NEW_TOKENS):
        with without_bars():
            output = model(input_ids=tokens, past_key_values=past, use_cache=True)
        past, tokens = output.past_key_values, output.logits[:, -1:].argmax(-1)
        written.append(tokens.cpu())
        say(number + 1)
    return torch.cat(written, dim=1)


def marks(original: nn.Module, prompts_BT: Tensor, written_BT: Tensor, texts: Sequence[str]) -> TextMarks:
    """
    Args:
        original: judges how likely the continuations are.
        texts: the continuations, decoded.
    """
    return TextMarks(
        repeated=fmean(_repeated(row) for row in written_BT.tolist()),
        odd=fmean(map(_odd_share, texts)),
        surprise=_surprise(original, prompts_BT, written_BT),
    )


def prove_text(output: str, own: TextMarks, original: TextMarks, perplexity_ratio: float) -> ProofRow:
    """
    Args:
        perplexity_ratio: the checkpoint's to the original's, on the proof's windows.
    """
    worse = {
        f"{own.repeated:.0%} of it repeats itself (the original: {original.repeated:.0%})": own.repeated
        > original.repeated + WORSE_REPEATED,
        f"{own.odd:.0%} of its characters are no text (the original: {original.odd:.0%})": own.odd
        > original.odd + WORSE_ODD,
        f"the original model would be surprised by {own.surprise:.1f} nats a token "
        f"(by its own text: {original.surprise:.1f})": own.surprise > original.surprise + WORSE_SURPRISE,
    }
    reasons = [reason for reason, is_so in worse.items() if is_so]
    is_garbage = bool(reasons) and not perplexity_ratio <= WORSE_PERPLEXITY
    figures = f"repeats {own.repeated:.0%} ({original.repeated:.0%}), no text {own.odd:.0%} ({original.odd:.0%}), "
    figures += f"surprise {own.surprise:.2f} ({original.surprise:.2f}); in brackets the original"
    return ProofRow(
        check="text",
        output=output,
        what=f"{len(PROMPTS)} prompts continued by {NEW_TOKENS} tokens: how many times the original's its perplexity "
        "is, which fails together with text that is clearly worse",
        figure=min(perplexity_ratio, 1e9),
        limit=WORSE_PERPLEXITY,
        passed=not is_garbage,
        note=f"it writes garbage: {'; '.join(reasons)}; its perplexity is {perplexity_ratio:,.0f} times the original's"
        if is_garbage
        else figures,
    )


def _repeated(tokens: Sequence[int]) -> float:
    grams = [tuple(tokens[at : at + _GRAM]) for at in range(len(tokens) - _GRAM + 1)]
    return 1 - len(set(grams)) / max(1, len(grams))


def _odd_share(text: str) -> float:
    odd = sum(
        1 for letter in text if letter == "\ufffd" or (unicodedata.category(letter) in _ODD and letter not in "\n\r\t")
    )
    return odd / max(1, len(text))


@torch.no_grad()
def _surprise(original: nn.Module, prompts_BT: Tensor, written_BT: Tensor) -> float:
    whole = torch.cat([prompts_BT, written_BT], dim=1).to(next(original.parameters()).device)
    length = written_BT.shape[1]
    logits = original(input_ids=whole, use_cache=False).logits[:, -length - 1 : -1].float()
    return -float(torch.log_softmax(logits, -1).gather(-1, whole[:, -length:, None]).mean())
