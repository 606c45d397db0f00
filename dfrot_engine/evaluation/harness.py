"""The optional lm-evaluation-harness: whether it is here, and which tasks it knows. Imports no torch."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from dfrot_engine.architectures.base import Architecture
from dfrot_engine.exporters.gguf_table import GGUF_KINDS
from dfrot_engine.plan_types import Problem
from dfrot_engine.recipe import Recipe

FIELD = "evaluation.tasks"
INSTALL = 'Install it: pip install "dfrot-gui[tasks]".'
_FILE_SUFFIXES = (".yaml", ".yml")


def is_installed() -> bool:
    return importlib.util.find_spec("lm_eval") is not None


def is_task_file(task: str) -> bool:
    return Path(task).suffix.lower() in _FILE_SUFFIXES


def task_spec(task: str) -> str:
    """What the harness calls it: a name, or the path of a task file."""
    return str(Path(task).expanduser().absolute()) if is_task_file(task) else task


def task_manager(tasks: Sequence[str]) -> Any:
    """The harness's own; reads its thousands of task files once, and only if a task is not a file itself."""
    return _task_manager(not all(map(is_task_file, tasks)))


@cache
def _task_manager(include_defaults: bool) -> Any:
    return importlib.import_module("lm_eval.tasks").TaskManager(include_defaults=include_defaults)


def task_problems(recipe: Recipe, architecture: Architecture) -> list[Problem]:
    """What stands between a recipe and its tasks."""
    tasks = recipe.evaluation.tasks if recipe.evaluation is not None else ()
    if not tasks:
        return []
    problems: list[Problem] = []
    if architecture.tower:
        message = "The harness runs tasks of text on models of text only, and this one sees."
        problems.append(Problem.error(FIELD, message, "Clear the tasks."))
    if not recipe.exports:
        message = "Tasks are run on the checkpoint that is written, and this recipe writes none."
        problems.append(Problem.error(FIELD, message, "Add an export, or clear the tasks."))
    elif recipe.exports[0].kind in GGUF_KINDS:
        message = "Tasks are run on the first export, and the harness does not load GGUF files."
        problems.append(Problem.error(FIELD, message, "Put another export first, or clear the tasks."))
    if not is_installed():
        message = "Tasks need lm-evaluation-harness, which is not installed."
        return [*problems, Problem.error(FIELD, message, INSTALL)]
    missing = [task for task in tasks if is_task_file(task) and not Path(task_spec(task)).is_file()]
    names = [task for task in tasks if not is_task_file(task)]
    known = set(task_manager(names).all_tasks) if names else set()
    for task in (*missing, *(name for name in names if name not in known)):
        what = f"The task file {task} does not exist." if task in missing else f"The harness knows no task '{task}'."
        remedy = "Check the path." if task in missing else "`lm_eval ls tasks` lists them; a .yaml file works too."
        problems.append(Problem.error(FIELD, what, remedy))
    return problems
