"""`dfrot generate`: the original and the quantized model answer the same prompt."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from dfrot_engine.errors import RecipeError
from dfrot_engine.events import RunEnded
from dfrot_engine.generation.types import Question

_MOST_TOKENS = 32_768


def add_generate(commands: Any) -> argparse.ArgumentParser:
    """What it shares with other commands and its function are the caller's to add."""
    parser = commands.add_parser("generate", help="have a checkpoint and its original answer the same prompt")
    parser.add_argument("folder", type=Path, help="checkpoint folder")
    parser.add_argument("--prompt", required=True, help="what they are asked")
    parser.add_argument("--original", default="", help="Hub id, folder, GGUF file, or 'sample'; none by default")
    parser.add_argument("--revision", default="main", help="of the original: branch, tag or commit on the Hub")
    parser.add_argument("--tokens", type=int, default=128, help="the most that each writes")
    parser.add_argument("--temperature", type=float, default=0.0, help="0 takes the likeliest token every time")
    parser.add_argument("--seed", type=int, default=0, help="of the draws; both get the same")
    parser.add_argument("--plain", action="store_true", help="leave out the model's chat template")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 takes OMP_NUM_THREADS, else all cores")
    return parser


def generate(arguments: argparse.Namespace) -> RunEnded:
    """Raises:
    RecipeError: a number that makes no sense.
    """
    if not 1 <= arguments.tokens <= _MOST_TOKENS:
        raise RecipeError(f"--tokens {arguments.tokens} is no number from 1 to {_MOST_TOKENS:,}.", "Give another one.")
    if not 0 <= arguments.temperature <= 10:
        raise RecipeError(f"--temperature {arguments.temperature:g} is not from 0 to 10.", "0.7 is usual.")
    from dfrot_engine.run_process import generation_process
    from dfrot_engine.trial.candidates import trial_options

    folder = arguments.folder.expanduser().absolute()
    question = Question(
        folder=folder,
        prompt=arguments.prompt,
        original=arguments.original,
        revision=arguments.revision,
        num_tokens=arguments.tokens,
        temperature=arguments.temperature,
        seed=arguments.seed,
        is_chat=not arguments.plain,
    )
    options = trial_options(arguments.device, arguments.threads)
    return generation_process(question, options, as_json=arguments.json, stdin_commands=arguments.stdin_commands)
