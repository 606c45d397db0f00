"""Several processes begin, stop, fail and go on together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from dfrot_engine import ranks
from dfrot_engine.cli import main
from dfrot_engine.events import BlockQuantized
from tests.engine.distributed.processes import (
    arguments,
    assert_same,
    events,
    start,
    start_pair,
    tensors,
    under_torchrun,
)
from tests.engine.runs import run_tiny, tiny_recipe
from tests.tiny_models import save_tiny_model
from tests.warm import Warm

_BLOCKS = 8
_FIELDS = {"rotation.r1.kind": "dfrot", "solver.kind": "gptq", "exports": []}
_SETTINGS = tuple(f"{name}={json.dumps(value) if value == [] else value}" for name, value in _FIELDS.items())
_LIMIT_S = 60
#: Where a test is about the starting of processes.
_PROGRAM = (sys.executable, "-m", "dfrot_engine")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model("llama", tmp_path_factory.mktemp("model") / "tiny", num_hidden_layers=_BLOCKS)


def _until_block(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert any('"block_quantized"' in line for line in process.stdout), process.communicate()[1]


def _end(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The last event, when the process has ended."""
    output, _ = process.communicate(timeout=_LIMIT_S)
    return events(output)[-1]


def _pair(warm: Warm, model: Path, outputs: tuple[Path, Path]) -> list[subprocess.Popen[str]]:
    return start_pair(warm.engine, *(arguments(model, output, *_SETTINGS) for output in outputs))


def test_torchrun_runs_the_command_line(model: Path, tmp_path: Path):
    done = under_torchrun("dfrot_engine", *arguments(model, tmp_path / "out", *_SETTINGS))
    assert done.returncode == 0, done.stderr
    said = events(done.stdout)
    assert len(said) == len(done.stdout.splitlines())
    assert [one["event"] for one in said].count("run_started") == 1
    assert said[-1]["status"] == "finished"


def test_the_first_loads_by_itself_what_was_written(model: Path, tmp_path: Path):
    """Libraries that see several processes would share out the loading, among some that do not load."""
    settings = ("rotation.r1.kind=dfrot", "solver.kind=rtn")
    done = under_torchrun("dfrot_engine", *arguments(model, tmp_path / "out", *settings), "--set", "proof=full")
    assert done.returncode == 0, done.stderr
    assert events(done.stdout)[-1]["status"] == "finished"


def test_ctrl_c_stops_all_and_one_goes_on(model: Path, tmp_path: Path):
    process = start([*_PROGRAM, *arguments(model, tmp_path / "two", *_SETTINGS, ranks=2)])
    _until_block(process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    assert _end(process)["status"] == "cancelled"
    assert process.returncode == 130
    recipe = tiny_recipe(model, "w4a4", **{name.replace(".", "__"): value for name, value in _FIELDS.items()})
    finished = len([name for name in tensors(tmp_path / "two", "quantize/0*.safetensors") if "q_proj.codes" in name])
    ended, said = run_tiny(recipe, tmp_path / "two", keep_work=True, keep_rotations=False)
    assert ended.status == "finished"
    assert 0 < finished < _BLOCKS
    assert [event.block for event in said if isinstance(event, BlockQuantized)] == list(range(finished, _BLOCKS))
    run_tiny(recipe, tmp_path / "one", keep_work=True, keep_rotations=False)
    assert_same(tmp_path / "one", tmp_path / "two")


def test_a_stop_of_one_stops_all(warm: Warm, model: Path, tmp_path: Path):
    first, second = _pair(warm, model, (tmp_path / "out", tmp_path / "out"))
    _until_block(first)
    second.send_signal(signal.SIGINT)
    assert _end(first)["status"] == "cancelled"
    assert second.communicate(timeout=_LIMIT_S)[0] == ""


def test_one_that_fails_ends_all_with_its_words(warm: Warm, model: Path, tmp_path: Path):
    (tmp_path / "file").touch()
    first, second = _pair(warm, model, (tmp_path / "out", tmp_path / "file" / "out"))
    ended = _end(first)
    second.communicate(timeout=_LIMIT_S)
    assert ended["status"] == "failed"
    assert ended["message"].startswith("Process 1 on ")
    assert "Not a directory" in ended["message"]
    assert (first.returncode, second.returncode) == (1, 1)


def test_one_that_is_killed_ends_all(warm: Warm, model: Path, tmp_path: Path):
    first, second = _pair(warm, model, (tmp_path / "out", tmp_path / "out"))
    _until_block(first)
    second.kill()
    ended = _end(first)
    second.communicate()
    assert ended["status"] == "failed"
    assert "Process 1 of this run has ended without a word" in ended["message"]


def test_one_that_never_comes_ends_all(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """The second ends at once; the third, which would wait for it, is ended."""
    late = "import os, sys, time; sys.exit(3) if os.environ['RANK'] == '1' else time.sleep(60)"
    monkeypatch.setattr(ranks, "_engine", lambda: [sys.executable, "-c", late])
    started = time.monotonic()
    assert main(arguments(model, tmp_path / "out", *_SETTINGS, ranks=3)) == 1
    assert time.monotonic() - started < 30
    assert "Process 1 of this run ended before it had begun, with exit status 3." in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
