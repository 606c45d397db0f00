"""Tasks of lm-evaluation-harness on a checkpoint folder, through the harness's own wrapper of transformers."""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dfrot_engine.errors import RunError
from dfrot_engine.evaluation.harness import FIELD, task_manager, task_spec
from dfrot_engine.evaluation.models import is_rotated, load_checkpoint

# For statistics without a formula for their error; an accuracy has one.
_BOOTSTRAP = 1_000
_SAY_EVERY_S = 0.5
# What data sets, the Hub and a task's own functions raise.
_TASK_ERRORS = (OSError, ValueError, RuntimeError, LookupError, TypeError, AttributeError, ImportError, AssertionError)


@dataclass(frozen=True)
class Score:
    """One number of one task.

    Args:
        metric: as the harness names it, with its filter behind a comma unless that is "none".
        stderr: standard error; None where the harness gives none.
        version: of the task's definition.
    """

    task: str
    metric: str
    value: float
    stderr: float | None
    num_examples: int
    version: str


def harness_version() -> str:
    return str(importlib.import_module("lm_eval").__version__)


def run_tasks(
    folder: Path, tasks: Sequence[str], limit: int, device: torch.device, say: Callable[[int], None]
) -> list[Score]:
    """Every task on a folder that transformers loads; no code of the folder is run.

    Args:
        tasks: names the harness knows, or task files.
        limit: examples of each task; 0 for all.
        say: called with the number of finished tasks about twice a second; what it raises ends the work.
    Raises:
        RunError: the model or a task cannot be loaded or run; names the task.
    """
    harness = importlib.import_module("lm_eval")
    model = _load(folder, device)
    finished, last = 0, time.monotonic()

    def between(*_: Any) -> None:
        nonlocal last
        if time.monotonic() - last >= _SAY_EVERY_S:
            last = time.monotonic()
            say(finished)

    hook = model.model.register_forward_pre_hook(between)
    scores: list[Score] = []
    try:
        for finished, task in enumerate(tasks):
            say(finished)
            scores += _scores(_run_task(harness, model, task, task_manager(tasks), limit))
        say(len(tasks))
    finally:
        hook.remove()
        del model
        gc.collect()
    return scores


def _load(folder: Path, device: torch.device) -> Any:
    wrapper = importlib.import_module("lm_eval.models.huggingface").HFLM
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            given: dict[str, Any] = {"pretrained": str(folder)}
            if is_rotated(folder):  # by code that the harness would not run; a model that is loaded already needs none
                given = {"pretrained": load_checkpoint(folder, device), "tokenizer": str(folder)}
            return wrapper(**given, device=str(device), dtype="auto", batch_size=1, trust_remote_code=False)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise RunError(
            f"The harness cannot load {folder}: {error}.", "Clear the tasks, or report it.", FIELD
        ) from error


def _run_task(harness: Any, model: Any, task: str, manager: Any, limit: int) -> dict[str, Any]:
    try:
        # It draws bars that no switch turns off.
        with contextlib.redirect_stderr(io.StringIO()):
            return harness.simple_evaluate(
                model=model,
                tasks=[task_spec(task)],
                limit=limit or None,
                task_manager=manager,
                bootstrap_iters=_BOOTSTRAP,
                log_samples=False,
            )
    except _TASK_ERRORS as error:
        reason = str(error).partition("\n")[0][:200] or type(error).__name__
        raise RunError(
            f"The task '{task}' cannot be run: {reason}.",
            "Check its data and the network connection, or leave the task out.",
            FIELD,
        ) from error


def _scores(result: dict[str, Any]) -> list[Score]:
    """The harness's results, one score for each task (or group of tasks), metric and filter."""
    found: list[Score] = []
    for task, numbers in result["results"].items():
        for key, value in numbers.items():
            metric, comma, name = key.partition(",")
            if not comma or metric.endswith("_stderr") or not _is_number(value):
                continue
            stderr = numbers.get(f"{metric}_stderr,{name}")
            found.append(
                Score(
                    task=task,
                    metric=metric if name == "none" else key,
                    value=float(value),
                    stderr=float(stderr) if _is_number(stderr) else None,
                    num_examples=int(result.get("n-samples", {}).get(task, {}).get("effective", 0)),
                    version=str(result.get("versions", {}).get(task, "")),
                )
            )
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
