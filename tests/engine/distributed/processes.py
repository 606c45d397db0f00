"""Starting engines of several processes, and comparing what they leave."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from dfrot_engine.ranks import Place
from tests.engine.runs import TINY

ROOT = Path(__file__).parents[3]
_PAIR = (Place(0, 2, 0, 2), Place(1, 2, 1, 2))
_QUIET = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def under_torchrun(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Two processes on this computer, to their end."""
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(free_port())]
    command = [sys.executable, *torchrun, "-m", module, *arguments]
    return subprocess.run(command, env=os.environ | _QUIET, capture_output=True, text=True, timeout=200, check=False)


def start_pair(command: Sequence[str], *arguments: Sequence[str]) -> list[subprocess.Popen[str]]:
    """Two processes that share a run, with arguments for each."""
    port = free_port()
    return [start([*command, *own], place, port) for own, place in zip(arguments, _PAIR, strict=True)]


def start(command: Sequence[str], place: Place | None = None, port: int = 0) -> subprocess.Popen[str]:
    """An engine that says JSON lines; the one of several that a place names, as torchrun would start it."""
    variables: dict[str, str] = {}
    if place is not None:
        variables = {name.upper(): str(number) for name, number in place._asdict().items()}
        variables |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return subprocess.Popen(
        command,
        env=os.environ | _QUIET | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def arguments(model: Path, output: Path, *settings: str, ranks: int = 1) -> list[str]:
    """Of a small run; settings of kinds first, since they make the fields that others change."""
    usual = [f"{name}={value}" for name, value in TINY.items()] + ["weights.group_size=16"]
    every = [part for setting in (*settings, *usual) for part in ("--set", setting)]
    flags = ["--device", "cpu", "--threads", "1", "--keep-work", "--no-library", "--json", "--ranks", str(ranks)]
    return ["run", "--model", str(model), "--output", str(output), *flags, *every]


def events(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def numbers(output: Path) -> dict[str, float]:
    """The four numbers of a run's report."""
    report = json.loads((output.with_name(output.name + ".dfrot") / "evaluation.json").read_text())
    return {name: value for name, value in report.items() if isinstance(value, float)}


def tensors(output: Path, pattern: str) -> dict[str, torch.Tensor]:
    """Of the files in the work folder that fit, by file and name."""
    work = output.with_name(output.name + ".dfrot")
    files = sorted(work.glob(pattern))
    assert files, pattern
    return {f"{path.stem}/{name}": tensor for path in files for name, tensor in load_file(path).items()}


def assert_same(one: Path, several: Path, moved: float = 0.005) -> None:
    """Up to the order of additions: a code on the edge may fall to the other side, and with it those that follow.

    Args:
        moved: share of codes that may differ.
    """
    before, after = tensors(one, "quantize/*.safetensors"), tensors(several, "quantize/*.safetensors")
    assert before.keys() == after.keys()
    codes = [name for name in before if name.endswith(".codes")]
    different = sum(int((before[name] != after[name]).sum()) for name in codes)
    assert different <= moved * sum(before[name].numel() for name in codes)
    for name in before.keys() - set(codes):
        torch.testing.assert_close(after[name].float(), before[name].float(), rtol=2e-2, atol=2e-3, msg=name)
    expected = numbers(one)
    assert numbers(several).keys() == expected.keys()
    for name, number in numbers(several).items():
        assert abs(number - expected[name]) <= 0.01 * max(1.0, abs(expected[name])), name
