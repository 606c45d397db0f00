"""Tasks of lm-evaluation-harness: our side against a small stand-in, and the whole of it where it is installed."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from rich.console import Console
from torch import nn

from dfrot_engine.errors import RunError
from dfrot_engine.evaluation import harness
from dfrot_engine.evaluation.tasks import run_tasks
from dfrot_engine.events import Evaluated, Event, StageAdvanced
from dfrot_engine.options import RunOptions
from dfrot_engine.plan import make_plan
from dfrot_engine.progress import Control
from dfrot_engine.terminal import print_report
from tests.engine.runs import run_tiny, tiny_recipe
from tests.tiny_models import load_float64, save_tiny_model

CPU = torch.device("cpu")
IS_HERE = importlib.util.find_spec("lm_eval") is not None
needs_harness = pytest.mark.skipif(not IS_HERE, reason='needs lm-evaluation-harness: pip install "dfrot-gui[tasks]"')

COLOURS = """
task: colours
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{answer}}}}"
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
metadata: {{version: 2.0}}
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model("llama-tied", tmp_path_factory.mktemp("model") / "tiny")


class _Wrapper:
    kinds: ClassVar[list[str]] = []

    def __init__(self, **arguments: Any) -> None:
        assert arguments["trust_remote_code"] is False
        assert arguments["device"] == "cpu"
        given = arguments["pretrained"]
        self.folder = Path(given if isinstance(given, str) else arguments["tokenizer"])
        assert (self.folder / "config.json").is_file()
        self.model = nn.Identity()
        self.kinds.append(type(given).__name__)


def _simple_evaluate(**asked: Any) -> dict[str, Any]:
    (task,) = asked["tasks"]
    if task == "broken":
        raise ConnectionError("no network\nand a long story")
    asked["model"].model(torch.zeros(1))
    is_quantized = "quantization_config" in (asked["model"].folder / "config.json").read_text()
    numbers = {"alias": task, "acc,none": 0.25 if is_quantized else 0.5, "acc_stderr,none": 0.125}
    return {
        "results": {task: numbers | {"exact_match,strict": 0.75, "exact_match_stderr,strict": "N/A"}},
        "n-samples": {task: {"original": 100, "effective": asked["limit"] or 100}},
        "versions": {task: 3},
    }


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A harness that knows the tasks "alpha" and "broken"."""

    def module(name: str, **contents: Any) -> None:
        made = ModuleType(name)
        made.__spec__ = ModuleSpec(name, None)
        made.__dict__.update(contents)
        monkeypatch.setitem(sys.modules, name, made)

    known = SimpleNamespace(all_tasks=["alpha", "broken"])
    module("lm_eval", __version__="0.0.test", simple_evaluate=_simple_evaluate)
    module("lm_eval.tasks", TaskManager=lambda include_defaults: known)
    module("lm_eval.models.huggingface", HFLM=_Wrapper)
    harness._task_manager.cache_clear()
    yield
    harness._task_manager.cache_clear()


def problems(model: Path, output: Path, **fields: Any) -> list[tuple[str, str]]:
    plan = make_plan(tiny_recipe(model, **fields), RunOptions(output_dir=output))
    return [(problem.message, problem.remedy) for problem in plan.errors if problem.field == "evaluation.tasks"]


@pytest.mark.usefixtures("stand_in")
def test_the_plan_says_what_is_missing(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems(model, tmp_path / "out", evaluation__tasks=["alpha"]) == []
    ((message, remedy),) = problems(model, tmp_path / "out", evaluation__tasks=["alpha", "aplha"])
    assert message == "The harness knows no task 'aplha'."
    ((message, _),) = problems(model, tmp_path / "out", evaluation__tasks=["/nowhere/task.yaml"])
    assert message == "The task file /nowhere/task.yaml does not exist."
    ((message, _),) = problems(model, tmp_path / "out", evaluation__tasks=["alpha"], exports=[])
    assert "writes none" in message
    ((message, _),) = problems(model, tmp_path / "out", evaluation__tasks=["alpha"], exports=[{"kind": "gguf-f16"}])
    assert "does not load GGUF" in message
    monkeypatch.setattr(harness, "is_installed", lambda: False)
    ((message, remedy),) = problems(model, tmp_path / "out", evaluation__tasks=["alpha"])
    assert "not installed" in message
    assert 'pip install "dfrot-gui[tasks]"' in remedy
    assert problems(model, tmp_path / "out", evaluation__tasks=[]) == []


@pytest.mark.usefixtures("stand_in")
def test_a_run_measures_tasks_before_and_after(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tiny_recipe(model, evaluation__tasks=["alpha"], evaluation__task_limit=10)
    ended, events = run_tiny(recipe, tmp_path / "out")
    assert ended.status == "finished", ended
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["tasks"][0] == {
        "task": "alpha",
        "metric": "acc",
        "num_examples": 10,
        "version": "3",
        "original": 0.5,
        "original_stderr": 0.125,
        "quantized": 0.25,
        "quantized_stderr": 0.125,
    }
    assert report["tasks"][1]["metric"] == "exact_match,strict"
    assert report["tasks"][1]["quantized_stderr"] is None
    assert report["task_protocol"]["harness"] == "lm-evaluation-harness 0.0.test"
    assert report["task_protocol"]["task_limit"] == 10
    found = [event for event in events if isinstance(event, Evaluated) and event.dataset == "alpha"]
    assert (found[0].metric, found[0].value, found[0].baseline) == ("alpha/acc", 0.25, 0.5)
    print_report(report, Console(width=200))
    printed = capsys.readouterr().out
    assert "0.5000 ± 0.1250" in printed
    assert "lm-evaluation-harness 0.0.test" in printed
    steps = [event for event in events if isinstance(event, StageAdvanced) and event.stage == "evaluate"]
    assert steps[-1].step == steps[-1].steps


@pytest.mark.usefixtures("stand_in")
def test_r4_is_applied_for_the_harness_without_running_the_folders_code(model: Path, tmp_path: Path) -> None:
    r4 = {"kind": "block-hadamard", "block_size": 32}
    ended, _ = run_tiny(tiny_recipe(model, rotation__r4=r4, evaluation__tasks=["alpha"]), tmp_path / "out")
    assert ended.status == "finished", ended
    assert _Wrapper.kinds[-2:] == ["str", "RotatedLlamaForCausalLM"]


@pytest.mark.usefixtures("stand_in")
def test_a_task_that_fails_is_named(model: Path) -> None:
    with pytest.raises(RunError, match="The task 'broken' cannot be run: no network\\.") as caught:
        run_tasks(model, ["alpha", "broken"], 0, CPU, lambda _done: None)
    assert caught.value.field == "evaluation.tasks"


@pytest.mark.usefixtures("stand_in")
def test_a_stop_lands_between_tasks(model: Path, tmp_path: Path) -> None:
    def stop(event: Event, control: Control) -> None:
        if isinstance(event, StageAdvanced) and event.label == "Quantized: tasks":
            control.cancel()

    recipe = tiny_recipe(model, evaluation__tasks=["alpha"])
    assert run_tiny(recipe, tmp_path / "out", stop)[0].status == "cancelled"
    assert run_tiny(recipe, tmp_path / "out")[0].status == "finished"


@needs_harness
@pytest.mark.parametrize("preset", ["w4a16", "w8a8"])
def test_a_task_file_with_the_real_harness(model: Path, tmp_path: Path, preset: str) -> None:
    harness._task_manager.cache_clear()
    rows = [{"question": f"Thing {n} is", "choices": [" red", " blue"], "answer": n % 2} for n in range(12)]
    data, task = tmp_path / "colours.jsonl", tmp_path / "colours.yaml"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task.write_text(COLOURS.format(data=data))
    recipe = tiny_recipe(model, preset, evaluation__tasks=[str(task)], evaluation__task_limit=8)
    ended, _ = run_tiny(recipe, tmp_path / "out")
    assert ended.status == "finished", ended
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    (row,) = report["tasks"]
    assert (row["task"], row["metric"], row["num_examples"], row["version"]) == ("colours", "acc", 8, "2.0")
    assert all(0 <= row[side] <= 1 and row[f"{side}_stderr"] > 0 for side in ("original", "quantized"))
    # The harness's accuracy, counted by hand from transformers' own logits.
    assert row["original"] == pytest.approx(_accuracy(model, rows[:8]))


def _accuracy(folder: Path, rows: list[dict[str, Any]]) -> float:
    loaded, tokenizer = load_float64(folder)

    def likelihood(question: str, choice: str) -> float:
        context, whole = (tokenizer(text, return_tensors="pt").input_ids for text in (question, question + choice))
        with torch.no_grad():
            log_p = loaded(whole).logits.log_softmax(-1)[0, :-1]
        start = context.shape[1]
        return float(log_p[start - 1 :].gather(1, whole[0, start:, None]).sum())

    def is_right(row: dict[str, Any]) -> bool:
        scores = [likelihood(row["question"], choice) for choice in row["choices"]]
        return scores.index(max(scores)) == row["answer"]

    return sum(map(is_right, rows)) / len(rows)
