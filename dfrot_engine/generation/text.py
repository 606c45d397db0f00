"""Two models' answers as text for people."""

from __future__ import annotations

from rich.console import Console

from dfrot_engine.generation.types import GenerationResult


def print_answers(result: GenerationResult, console: Console) -> None:
    """What each model wrote, and how fast."""
    for answer in result.answers:
        pace = answer.tokens / max(answer.seconds, 1e-9)
        end = "" if answer.has_ended else ", cut off there"
        console.print(f"[bold]{answer.side}[/], {answer.tokens:,} tokens, {pace:.1f} a second{end}")
        console.print(answer.text, soft_wrap=True, markup=False)
