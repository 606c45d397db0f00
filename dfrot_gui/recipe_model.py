"""The recipe that is being edited: one place sets its fields, plans it in the background and undoes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError
from PySide6.QtCore import QObject, QTimer, Signal

from dfrot_engine import DFRotError, ModelSummary, Plan, Problem, Recipe, RecipeError, RunOptions
from dfrot_engine.formats import with_format
from dfrot_engine.recipe import ModelSource
from dfrot_gui.background import Latest
from dfrot_gui.translation import tr

PLAN_DELAY_MS = 200
DEFAULT_PRESET = "w4a4"
MAX_UNDO = 200

MakePlan = Callable[[Recipe, RunOptions], Plan]


class _Edit(NamedTuple):
    field: str
    recipe: Recipe
    options: RunOptions


class RecipeModel(QObject):
    """Recipe and options behind signals; pages read them here and set them here, nowhere else."""

    changed = Signal()
    plan_changed = Signal()
    planning_changed = Signal(bool)

    def __init__(self, make_plan: MakePlan, output_root: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._make_plan = make_plan
        self._output_root = output_root
        self._recipe = Recipe.preset(DEFAULT_PRESET)
        self._options = RunOptions(output_dir=self._proposed_folder(self._recipe))
        self._plan: Plan | None = None
        self._plan_error: Problem | None = None
        self._refused: dict[str, Problem] = {}
        self._put_aside: dict[str, dict[str, Any]] = {}
        self._undo: list[_Edit] = []
        self._redo: list[_Edit] = []
        self._timer = QTimer(self, singleShot=True, interval=PLAN_DELAY_MS)
        self._timer.timeout.connect(self._ask_for_plan)
        self._planner = Latest(self, parallel=1)
        self._planner.answered.connect(self._take_plan)
        self._planner.failed.connect(self._take_plan_error)
        self._planner.busy_changed.connect(self.planning_changed)

    @property
    def recipe(self) -> Recipe:
        return self._recipe

    @property
    def options(self) -> RunOptions:
        return self._options

    @property
    def plan(self) -> Plan | None:
        """The latest plan; it may lag behind the recipe while `is_planning`."""
        return self._plan

    @property
    def summary(self) -> ModelSummary | None:
        """The model as the latest plan knows it; None while it is not known."""
        return self._plan.model if self._plan is not None else None

    @property
    def is_planning(self) -> bool:
        return self._timer.isActive() or self._planner.is_busy

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Values that were refused, then what the plan found."""
        planned = self._plan.problems if self._plan is not None else ()
        failed = (self._plan_error,) if self._plan_error is not None else ()
        return (*self._refused.values(), *failed, *planned)

    @property
    def can_start(self) -> bool:
        has_errors = any(problem.severity == "error" for problem in self.problems)
        return self._plan is not None and not self.is_planning and not has_errors

    def value(self, field: str) -> Any:
        """The value of a dotted recipe field, or of an option as "options.name"; None below an absent section."""
        root, names = self._root(field)
        node: Any = root
        for name in names:
            if node is None:
                return None
            node = node[int(name)] if isinstance(node, tuple) else getattr(node, name, None)
        return node

    def set(self, field: str, value: Any) -> None:
        """Set a dotted recipe field, or an option as "options.name"; a value that does not fit becomes a problem."""
        try:
            recipe, options = self._with(field, value)
        except DFRotError as error:
            text, remedy = error.message, error.remedy
            self._refused[field] = Problem(field=field, severity="error", message=text, remedy=remedy)
            self.changed.emit()
            return
        self._refused.pop(field, None)
        self._replace(recipe, options, field)

    def set_preset(self, name: str) -> None:
        """Take everything but the model from a preset."""
        self._replace(Recipe.preset(name).model_copy(update={"model": self._recipe.model}), self._options, "preset")

    def set_model(self, id_or_path: str, revision: str = "main") -> None:
        source = ModelSource(id_or_path=id_or_path, revision=revision)
        self._replace(self._recipe.model_copy(update={"model": source}), self._options, "model")

    def set_recipe(self, recipe: Recipe) -> None:
        """Replace the whole recipe, for example by one that was loaded."""
        self._replace(recipe, self._options, "recipe")

    def set_rotation(self, kind: str) -> None:
        """Choose R1; the settings of the one before come back when it is chosen again."""
        self._put_aside[f"r1.{self._recipe.rotation.r1.kind}"] = self._recipe.rotation.r1.model_dump(mode="json")
        self.set("rotation.r1", self._put_aside.get(f"r1.{kind}", {"kind": kind}))

    def set_start(self, start: str, path: str = "") -> None:
        """What R1's refinement starts from; the path belongs to a saved rotation."""
        section = self._recipe.rotation.r1.model_dump(mode="json") | {"start": start, "start_path": path}
        self._replace(self._recipe.with_field("rotation.r1", section), self._options, "rotation.r1.start")

    def set_format(self, section: str, number_format: str | None) -> None:
        """Format of "weights", "activations" or "kv_cache"; None keeps 16 bits and puts the settings aside."""
        scheme = getattr(self._recipe, section)
        if scheme is not None:
            self._put_aside[section] = scheme.model_dump(mode="json")
        if number_format is None:
            self.set(section, None)
        else:
            self.set(section, with_format(self._put_aside.get(section, {}), number_format))

    def undo(self) -> None:
        self._step(self._undo, self._redo)

    def redo(self) -> None:
        self._step(self._redo, self._undo)

    @property
    def can_undo(self) -> bool:
        return bool(self._undo)

    @property
    def can_redo(self) -> bool:
        return bool(self._redo)

    def plan_now(self) -> None:
        """Plan again although nothing changed here, for example after a folder was emptied."""
        self._timer.start()

    def _with(self, field: str, value: Any) -> tuple[Recipe, RunOptions]:
        if not field.startswith("options."):
            return self._recipe.with_field(field, value), self._options
        values = self._options.model_dump() | {field.removeprefix("options."): value}
        if field == "options.output_dir":
            values["overwrite"] = False  # the permission was for the other folder
        try:
            return self._recipe, RunOptions.model_validate(values)
        except ValidationError as error:
            raise RecipeError(f"{error.errors()[0]['msg']}.", tr("Correct this field."), field) from None

    def _replace(self, recipe: Recipe, options: RunOptions, field: str) -> None:
        options = self._follow(recipe, options)
        if (recipe, options) == (self._recipe, self._options):
            self.changed.emit()
            return
        # Steps of a spin box are one edit, so that one undo takes them all back.
        if not (self._undo and self._undo[-1].field == field and not self._redo):
            self._undo.append(_Edit(field, self._recipe, self._options))
            del self._undo[:-MAX_UNDO]
        self._redo.clear()
        self._show(recipe, options)

    def _follow(self, recipe: Recipe, options: RunOptions) -> RunOptions:
        """While the output folder is the proposed one, it follows the model's and the recipe's name."""
        if options.output_dir != self._proposed_folder(self._recipe):
            return options
        proposed = self._proposed_folder(recipe)
        if proposed == options.output_dir:
            return options
        return options.model_copy(update={"output_dir": proposed, "overwrite": False})

    def _proposed_folder(self, recipe: Recipe) -> Path:
        model = recipe.model.id_or_path.rstrip("/\\")
        name = re.split(r"[/\\]", model)[-1].removesuffix(".gguf")
        return self._output_root / re.sub(r"[^\w.+-]+", "-", f"{name}-{recipe.name}")

    def _step(self, source: list[_Edit], target: list[_Edit]) -> None:
        if not source:
            return
        edit = source.pop()
        target.append(_Edit(edit.field, self._recipe, self._options))
        self._refused.clear()
        self._show(edit.recipe, edit.options)

    def _show(self, recipe: Recipe, options: RunOptions) -> None:
        self._recipe, self._options = recipe, options
        self._timer.start()
        self.changed.emit()

    def _root(self, field: str) -> tuple[Any, list[str]]:
        if field.startswith("options."):
            return self._options, field.split(".")[1:]
        return self._recipe, field.split(".")

    def _ask_for_plan(self) -> None:
        recipe, options, make_plan = self._recipe, self._options, self._make_plan
        self._planner.ask(lambda: make_plan(recipe, options))

    def _take_plan(self, plan: Plan) -> None:
        self._plan, self._plan_error = plan, None
        self.plan_changed.emit()

    def _take_plan_error(self, error: DFRotError) -> None:
        problem = Problem(field=error.field, severity="error", message=error.message, remedy=error.remedy)
        self._plan, self._plan_error = None, problem
        self.plan_changed.emit()
