"""When a continuation is garbage, and when it is only what the original writes too."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from transformers.modeling_outputs import CausalLMOutputWithPast

from dfrot_engine.proof.text import NEW_TOKENS, PROMPTS, TextMarks, continuations, marks, prompts_of, prove_text

FINE = TextMarks(repeated=0.1, odd=0.0, surprise=0.8)
WORSE = {"repeated": 0.9, "odd": 0.6, "surprise": 8.0}
CHAIN = 7


class Counting(nn.Module):
    """Always holds the next number most likely, with 10 nats before all others."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, input_ids: torch.Tensor, **_: object) -> CausalLMOutputWithPast:
        logits = 10.0 * nn.functional.one_hot((input_ids + 1) % CHAIN, CHAIN).float()
        return CausalLMOutputWithPast(logits=logits)  # type: ignore[arg-type]


@pytest.mark.parametrize("mark", WORSE)
@pytest.mark.parametrize(("ratio", "is_garbage"), [(1.1, False), (50.0, True)])
def test_garbage_is_worse_text_and_worse_perplexity(mark: str, ratio: float, is_garbage: bool) -> None:
    row = prove_text("gguf", replace(FINE, **{mark: WORSE[mark]}), FINE, ratio)
    assert row.passed is not is_garbage
    assert ("it writes garbage" in row.note) is is_garbage


def test_text_as_good_as_the_originals_is_no_garbage_whatever_the_perplexity() -> None:
    assert prove_text("gguf", FINE, FINE, 1e4).passed is True


def test_a_model_that_repeats_itself_is_measured_by_the_original() -> None:
    stuck = replace(FINE, repeated=0.95)
    assert prove_text("gguf", stuck, stuck, 1e4).passed is True


def test_no_number_is_garbage() -> None:
    assert prove_text("gguf", replace(FINE, surprise=float("nan"), odd=1.0), FINE, float("nan")).passed is False


def test_prompts_are_cut_to_the_shortest() -> None:
    prompts_BT = prompts_of(lambda text: list(range(len(text.split()))))
    assert prompts_BT.shape == (len(PROMPTS), min(len(prompt.split()) for prompt in PROMPTS))


def test_continuations_are_what_the_model_holds_most_likely() -> None:
    steps: list[int] = []
    written_BT = continuations(Counting(), torch.tensor([[0, 1], [3, 4]]), steps.append)
    assert written_BT.shape == (2, NEW_TOKENS)
    assert written_BT[:, :4].tolist() == [[2, 3, 4, 5], [5, 6, 0, 1]]
    assert steps == list(range(1, NEW_TOKENS + 1))


def test_marks() -> None:
    prompts_BT = torch.tensor([[0], [0]])
    as_expected = torch.arange(1, 13)[None].expand(2, -1) % CHAIN
    own = marks(Counting(), prompts_BT, as_expected, ["words", "w\ufffd\x00e"])
    assert own.surprise == pytest.approx(0.0, abs=1e-3)
    assert own.repeated == pytest.approx(1 - CHAIN / 10)
    assert own.odd == pytest.approx(0.25)
    backwards = marks(Counting(), prompts_BT, torch.arange(12, 0, -1)[None].expand(2, -1) % CHAIN, ["a", "b"])
    assert backwards.surprise > 9
