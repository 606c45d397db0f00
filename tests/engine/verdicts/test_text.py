"""Verdicts on the terminal."""

from __future__ import annotations

from rich.console import Console

from dfrot_engine.verdicts.text import print_verdicts
from dfrot_engine.verdicts.types import Verdict
from tests.engine.verdicts.asking import A4, FOLDER, G64, ask, linear


def printed(found: tuple[Verdict, ...]) -> str:
    console = Console(width=160, highlight=False, color_system=None)
    with console.capture() as capture:
        print_verdicts(found, console)
    return capture.get()


def test_nothing_is_printed_where_nothing_is_written() -> None:
    assert printed(()) == ""


def test_a_row_for_each_verdict_and_a_command_for_what_loads() -> None:
    found = ask(linear(G64, A4), here=(89,))
    text = printed(found)
    lines = text.splitlines()
    ada = next(line for line in lines if "Turing–Ada" in line and "vLLM" in line)
    assert "loads" in ada
    assert "W4 A4 KV16" in ada
    assert "this computer" in ada
    assert any("Hopper–Blackwell" in line and "16-bit activations" in line for line in lines)
    assert f"  vLLM on Turing–Ada (sm75–sm89): vllm serve '{FOLDER}' --linear-backend humming" in lines
    assert f"  vLLM on Hopper–Blackwell (sm90–sm120): vllm serve '{FOLDER}'" in lines
    assert "sglang" not in text  # not tried: in the table, but not proposed
    assert "from_pretrained" not in text
