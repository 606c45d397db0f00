"""Two models answer one prompt, with tiny models as a process and inside one."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dfrot_engine import Event, GenerationFinished, RunEnded, TextWritten, parse_event
from dfrot_engine.generation import run as generation
from dfrot_engine.generation.types import GenerationResult, Question
from dfrot_engine.progress import Control
from dfrot_engine.trial.candidates import trial_options
from tests.engine.exporters.test_gguf import gguf_model
from tests.engine.runs import run_tiny, tiny_recipe
from tests.tiny_models import save_tiny_model
from tests.warm import Warm


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model("llama", tmp_path_factory.mktemp("original"))


@pytest.fixture(scope="module")
def written(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written") / "out"
    ended, _ = run_tiny(tiny_recipe(original, evaluation=None, rotation__r1__kind="hadamard"), folder)
    assert ended.status == "finished", ended
    return folder


def answers(question: Question, stop_after: int = 10**9) -> tuple[RunEnded, list[Event]]:
    events: list[Event] = []
    control = Control()

    def emit(event: Event) -> None:
        events.append(event)
        if sum(isinstance(one, TextWritten) for one in events) >= stop_after:
            control.cancel()

    return generation.run_generation(question, trial_options("cpu", 1), emit, control), events


def result_of(events: list[Event]) -> GenerationResult:
    return next(event.result for event in events if isinstance(event, GenerationFinished))


def question(written: Path, original: Path | None, **changes: object) -> Question:
    asked = Question(written, "once upon a time", str(original or ""), num_tokens=12)
    return replace(asked, **changes)  # pyright: ignore[reportArgumentType]


def test_as_a_process_both_models_write_piece_by_piece(warm: Warm, written: Path, original: Path) -> None:
    line = [
        "generate",
        str(written),
        "--original",
        str(original),
        "--prompt",
        "a b",
        "--tokens",
        "9",
        "--device",
        "cpu",
    ]
    done = subprocess.run(
        [*warm.engine, *line, "--json"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    events = [parse_event(one) for one in done.stdout.splitlines()]
    result = result_of(events)
    assert {answer.side for answer in result.answers} == {"original", "quantized"}
    for answer in result.answers:
        pieces = [one.text for one in events if isinstance(one, TextWritten) and one.side == answer.side]
        assert "".join(pieces) == answer.text
        assert answer.tokens <= 9
        assert len(pieces) >= answer.tokens
    assert isinstance(events[-1], RunEnded)
    assert events[-1].status == "finished"


def test_the_likeliest_tokens_are_those_of_the_model(written: Path, original: Path) -> None:
    """Against a loop of plain forwards."""
    from dfrot_engine.checkpoint.tokenizer import Tokenizer
    from dfrot_engine.evaluation.models import load_checkpoint

    _, events = answers(question(written, original))
    text = next(one.text for one in result_of(events).answers if one.side == "original")
    tokenizer, model = Tokenizer.load(original), load_checkpoint(original, torch.device("cpu"))
    tokens = tokenizer.encode("once upon a time").tolist()
    start = len(tokens)
    for _ in range(12):
        tokens.append(int(model(torch.tensor([tokens])).logits[0, -1].argmax()))
        if tokens[-1] == 0:
            break
    assert text == tokenizer.decode(tokens[start:])


def test_draws_follow_the_seed_and_are_the_same_for_equal_models(original: Path) -> None:
    texts = {}
    for seed in (0, 0, 1):
        _, events = answers(question(original, original, temperature=1.5, seed=seed, num_tokens=24))
        first, second = (answer.text for answer in result_of(events).answers)
        assert first == second
        assert texts.setdefault(seed, first) == first
    assert texts[0] != texts[1]


def test_one_after_the_other_says_the_same(written: Path, original: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, events = answers(question(written, original))
    beside = {one.side: one.text for one in result_of(events).answers}
    assert result_of(events).together
    one_model = generation._ROOM * generation._model_bytes(original)
    monkeypatch.setattr(generation, "available_bytes", lambda: int(1.2 * one_model))
    _, events = answers(question(written, original))
    assert not result_of(events).together
    assert {one.side: one.text for one in result_of(events).answers} == beside


def test_too_little_memory_is_a_sentence(written: Path, original: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "available_bytes", lambda: 1_000)
    ended, _ = answers(question(written, original))
    assert ended.status == "failed"
    assert "Writing text takes about" in ended.message


def test_stop_lands_within_a_token_or_two(written: Path, original: Path) -> None:
    ended, events = answers(question(written, original, num_tokens=300), stop_after=4)
    assert ended.status == "cancelled"
    assert sum(isinstance(one, TextWritten) for one in events) <= 8


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"folder": Path("/nowhere")}, "holds no checkpoint"),
        ({"prompt": " \n"}, "no prompt"),
        ({"num_tokens": 600}, "exceed the model's 512"),
    ],
)
def test_refusals(written: Path, original: Path, changes: dict[str, object], words: str) -> None:
    ended, _ = answers(question(written, original, **changes))
    assert ended.status == "failed"
    assert words in ended.message


def test_a_broken_folder_is_a_sentence(written: Path, tmp_path: Path) -> None:
    for path in written.iterdir():
        if path.is_file() and path.suffix != ".safetensors":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    ended, _ = answers(question(tmp_path, None))
    assert ended.status == "failed"
    assert ended.message


def test_the_chat_template_is_used_where_there_is_one(written: Path, original: Path, tmp_path: Path) -> None:
    _, events = answers(question(written, original))
    assert not result_of(events).used_template
    folder = save_tiny_model("llama", tmp_path)
    (folder / "chat_template.jinja").write_text("{{ messages[0]['content'] }} so", encoding="utf-8")
    _, events = answers(question(folder, None))
    assert result_of(events).used_template
    _, plain = answers(question(folder, None, is_chat=False, prompt="once upon a time so"))
    assert result_of(plain).answers[0].text == result_of(events).answers[0].text


def test_gguf_folders_answer(tmp_path: Path) -> None:
    """Their weights are read to 32 bits by transformers, as they are for evaluation."""
    model = gguf_model("llama", tmp_path / "plain", attention_bias=False, mlp_bias=False)
    recipe = tiny_recipe(model, evaluation=None, rotation__r1__kind="hadamard")
    recipe = recipe.with_field("exports", [{"kind": "gguf-f16"}])
    ended, _ = run_tiny(recipe, tmp_path / "out")
    assert ended.status == "finished", ended
    ended, events = answers(question(tmp_path / "out", model))
    assert ended.status == "finished", ended
    first, second = (one.text for one in result_of(events).answers)
    assert first == second != ""


def test_refused_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    from dfrot_engine.cli import main

    assert main(["generate", "out", "--prompt", "a", "--tokens", "0"]) == 2
    assert "--tokens 0" in capsys.readouterr().err
