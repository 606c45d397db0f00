"""What the plan and the command line say about several processes."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import dfrot_engine
from dfrot_engine import plan_ranks
from dfrot_engine.cli import main
from dfrot_engine.options import RunOptions
from dfrot_engine.plan_ranks import rank_problems
from dfrot_engine.ranks import Place, place
from dfrot_engine.recipe import Recipe


def _options(ranks: int, device: str = "auto") -> RunOptions:
    return RunOptions.model_validate({"output_dir": Path("out"), "ranks": ranks, "device": device})


def test_every_process_needs_a_sequence():
    recipe = Recipe().with_field("calibration.num_samples", 3)
    (problem,) = rank_problems(recipe, _options(4, "cpu"))
    assert problem.message == "4 processes share 3 calibration sequences, so that some have none."
    assert not rank_problems(recipe, _options(3, "cpu"))


def test_every_process_needs_a_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(plan_ranks, "gpu_capabilities", lambda: (90, 90))
    assert [problem.field for problem in rank_problems(Recipe(), _options(3))] == ["options.ranks"]
    assert not rank_problems(Recipe(), _options(2))
    assert not rank_problems(Recipe(), _options(3, "cpu"))


def test_processes_of_a_computer_share_its_memory():
    options = RunOptions(output_dir=Path("out"), memory=1_000)
    assert options.model_copy(update={"ranks": 4}).memory_budget == 250
    assert _options(4).flags()[-2:] == ["--ranks", "4"]


def test_a_place_is_what_torchrun_says(monkeypatch: pytest.MonkeyPatch):
    assert place() == Place(0, 1, 0, 1)
    for name, number in {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, number)
    assert place() == Place(3, 4, 1, 2)


def test_a_trial_is_for_one_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["trial", "--model", "sample"]) == 2
    assert "`trial` is no work for several processes" in capsys.readouterr().err


def test_one_file_alone_imports_torch_distributed():
    root = Path(dfrot_engine.__file__).parent
    found = [path.name for path in root.rglob("*.py") if "torch.distributed" in _imports(path)]
    assert found == ["distributed.py"]


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names
