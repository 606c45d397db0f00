"""Two models answer one prompt: both at once where the memory holds both, else one after the other."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jinja2 import TemplateError
from torch import Tensor, nn
from transformers import AutoTokenizer

from dfrot_engine.architectures.config_values import config_int
from dfrot_engine.checkpoint import source
from dfrot_engine.checkpoint.headers import read_headers, whole_model_bytes
from dfrot_engine.checkpoint.json_files import read_json_object
from dfrot_engine.errors import DeviceError, ModelError, RunError
from dfrot_engine.evaluation.folder import check_checkpoint, check_same_tokenizer
from dfrot_engine.evaluation.models import load_model, without_bars
from dfrot_engine.events import (
    Event,
    GenerationFinished,
    RunEnded,
    RunStarted,
    StageAdvanced,
    StageStarted,
    TextWritten,
)
from dfrot_engine.generation.types import Answer, GenerationResult, Question, Side
from dfrot_engine.generation.write import write_answer
from dfrot_engine.job import choose_device
from dfrot_engine.memory import available_bytes
from dfrot_engine.options import RunOptions
from dfrot_engine.progress import Control, Report
from dfrot_engine.recipe import ModelSource
from dfrot_engine.side_run import ending
from dfrot_engine.units import format_bytes

LOAD, WRITE = "load", "write"
# Weights are read, unpacked and kept; activations and the cache of a short text are small beside them.
_ROOM = 1.5


def run_generation(
    question: Question, options: RunOptions, emit: Callable[[Event], None], control: Control
) -> RunEnded:
    """Have both models answer and say everything through `emit`.

    Returns:
        The last event, which was emitted; `generation_finished` stands before it when both came to an end.
    """
    return ending(
        lambda report: GenerationFinished(result=_answer_all(question, options, report)), emit, control, what="text"
    )


def _answer_all(question: Question, options: RunOptions, report: Report) -> GenerationResult:
    check_checkpoint(question.folder)
    device = choose_device(options.device)
    report(
        RunStarted(
            run_id=uuid.uuid4().hex[:12],
            recipe_name="",
            model=question.folder.name,
            stages=(LOAD, WRITE),
            num_blocks=0,
            device=device.type,
            output_dir="",
        )
    )
    report(StageStarted(stage=LOAD, steps=3))
    folders = _folders(question, report)
    together = _fit(folders, device)
    tokenizer = AutoTokenizer.from_pretrained(question.folder, local_files_only=True, trust_remote_code=False)
    tokens_T, used_template = _prompt(question, tokenizer)
    answer = partial(_answer, tokenizer=tokenizer, tokens_T=tokens_T, question=question, report=report)
    # Libraries draw bars at the first forward; what is turned away belongs to all threads.
    with without_bars():
        answers = _together(folders, device, answer, report) if together else _in_turn(folders, device, answer, report)
    return GenerationResult(answers=answers, used_template=used_template, together=together)


def _folders(question: Question, report: Report) -> dict[Side, Path]:
    """Where each model lies; the original is downloaded or converted if it has to be."""
    folders: dict[Side, Path] = {"quantized": question.folder}
    if question.original:
        model = ModelSource(id_or_path=question.original, revision=question.revision)

        def say(_done: int, _total: int, label: str) -> None:
            report(StageAdvanced(stage=LOAD, step=0, steps=3, label=label))

        folders["original"] = source.fetch(model, say)
        check_same_tokenizer(question.folder, folders["original"], question.original)
    return folders


def _fit(folders: Mapping[Side, Path], device: torch.device) -> bool:
    """Whether the memory holds all of them at once.

    Raises:
        DeviceError: it does not even hold one.
    """
    sizes = [_model_bytes(folder) for folder in folders.values()]
    # Packed weights are unpacked to about what the original takes.
    need = _ROOM * max(sizes)
    free = torch.cuda.mem_get_info()[0] if device.type == "cuda" else available_bytes()
    if need > free:
        raise DeviceError(
            f"Writing text takes about {format_bytes(round(need))} of memory, and {format_bytes(free)} are free.",
            "Close other programs, or use a computer with more memory.",
            "options.device",
        )
    return len(folders) * need <= free


def _model_bytes(folder: Path) -> int:
    """As it lies in memory; GGUF files are read to 32 bits."""
    gguf = sum(path.stat().st_size for path in folder.glob("*.gguf"))
    if gguf:
        return 4 * gguf
    return whole_model_bytes(read_headers(folder).values(), 0)


def _prompt(question: Question, tokenizer: Any) -> tuple[Tensor, bool]:
    """([T] its tokens, whether a chat template was used).

    Raises:
        RunError: there is nothing to go on from, or the template is broken.
        ModelError: the model does not take so many tokens.
    """
    if not question.prompt.strip():
        raise RunError("There is no prompt.", "Write what the models should answer.")
    used_template = bool(question.is_chat and tokenizer.chat_template)
    try:
        if used_template:
            messages = [{"role": "user", "content": question.prompt}]
            text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
            tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
        else:
            tokens = tokenizer(question.prompt)["input_ids"]
    except TemplateError as error:
        raise RunError(f"The model's chat template is broken: {error}.", "Ask without the template.") from None
    config = read_json_object(question.folder / "config.json")
    most = config_int(config, "max_position_embeddings", 1_000_000, largest=1_000_000_000)
    if len(tokens) + question.num_tokens > most:
        raise ModelError(
            f"The prompt's {len(tokens):,} tokens and {question.num_tokens:,} more exceed the model's {most:,}.",
            "Shorten the prompt or the answer.",
        )
    return torch.tensor(tokens), used_template


def _together(
    folders: Mapping[Side, Path], device: torch.device, answer: Callable[..., Answer], report: Report
) -> tuple[Answer, ...]:
    """A thread for each model, so that the texts grow beside each other."""
    models = {side: _load(side, folder, device, report) for side, folder in folders.items()}
    report(StageStarted(stage=WRITE, steps=1))
    with ThreadPoolExecutor(len(models)) as threads:
        futures = [threads.submit(answer, side, model) for side, model in models.items()]
        return tuple(future.result() for future in futures)


def _in_turn(
    folders: Mapping[Side, Path], device: torch.device, answer: Callable[..., Answer], report: Report
) -> tuple[Answer, ...]:
    answers: list[Answer] = []
    for side, folder in folders.items():
        model = _load(side, folder, device, report)
        report(StageStarted(stage=WRITE, steps=1))
        answers.append(answer(side, model))
        del model  # before the next one is read
    return tuple(answers)


def _load(side: Side, folder: Path, device: torch.device, report: Report) -> nn.Module:
    report(StageAdvanced(stage=LOAD, step=1 + (side == "original"), steps=3, label=f"Reading the {side} model"))
    return load_model(folder, device)


def _answer(
    side: Side, model: nn.Module, *, tokenizer: Any, tokens_T: Tensor, question: Question, report: Report
) -> Answer:
    def say(piece: str) -> None:
        report(TextWritten(side=side, text=piece))

    return write_answer(side, model, tokenizer, tokens_T, question, say)
