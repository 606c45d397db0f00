"""One model's answer to a prompt by transformers' own `generate`, piece by piece."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList
from transformers.generation.streamers import BaseStreamer

from dfrot_engine.generation.types import Answer, Question, Side

#: What a tokenizer makes of bytes that are no character yet.
_UNFINISHED = "\ufffd"


class _Draw(LogitsProcessor):
    """Makes the likeliest token a draw at a temperature: the largest of logits with Gumbel noise.

    The noise is a generator's own and made on the CPU, so that both models get the same, whatever else draws meanwhile:
    as long as they agree on the probabilities, they draw the same tokens.
    """

    def __init__(self, temperature: float, seed: int) -> None:
        self._temperature = temperature
        self._generator = torch.Generator().manual_seed(seed)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        waits = torch.empty(scores.shape).exponential_(generator=self._generator)
        return scores.float() / self._temperature - waits.log().to(scores.device)


class _Pieces(BaseStreamer):
    """Hands on what each token adds to the text; what it raises ends the generation."""

    def __init__(self, decode: Callable[[list[int]], str], say: Callable[[str], None]) -> None:
        self._decode, self._say = decode, say
        self._has_prompt = False
        self.tokens: list[int] = []
        self.text = ""

    def put(self, value: Tensor) -> None:
        if not self._has_prompt:  # which comes first
            self._has_prompt = True
            return
        self.tokens += value.reshape(-1).tolist()
        text = self._decode(self.tokens)
        self._tell(self.text if text.endswith(_UNFINISHED) else text)

    def end(self) -> None:
        self._tell(self._decode(self.tokens))

    def _tell(self, text: str) -> None:
        piece, self.text = text[len(self.text) :], text
        self._say(piece)


@torch.no_grad()
def write_answer(
    side: Side, model: nn.Module, tokenizer: Any, tokens_T: Tensor, question: Question, say: Callable[[str], None]
) -> Answer:
    """Have a loaded model go on from the prompt's tokens.

    Args:
        say: called with each piece of text, and with "" where a token shows nothing yet.
    """
    generator: Any = model
    own = generator.generation_config
    settings = GenerationConfig(
        max_new_tokens=question.num_tokens,
        do_sample=False,
        bos_token_id=own.bos_token_id,
        eos_token_id=own.eos_token_id,
        pad_token_id=own.pad_token_id if own.pad_token_id is not None else tokenizer.pad_token_id or 0,
    )
    draws = [_Draw(question.temperature, question.seed)] if question.temperature > 0 else []
    pieces = _Pieces(lambda tokens: tokenizer.decode(tokens, skip_special_tokens=True), say)
    tokens_BT = tokens_T[None].to(next(model.parameters()).device)
    started = time.monotonic()
    generator.generate(
        input_ids=tokens_BT,
        attention_mask=torch.ones_like(tokens_BT),
        generation_config=settings,
        logits_processor=LogitsProcessorList(draws),
        streamer=pieces,
    )
    ends = own.eos_token_id if isinstance(own.eos_token_id, list) else [own.eos_token_id]
    return Answer(
        side=side,
        text=pieces.text,
        tokens=len(pieces.tokens),
        seconds=time.monotonic() - started,
        has_ended=bool(pieces.tokens) and pieces.tokens[-1] in ends,
    )
