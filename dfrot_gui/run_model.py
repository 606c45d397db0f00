"""The one run the pages look at: a RunState behind Qt signals, and the worker thread that feeds it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTemporaryDir, Signal, Slot

from dfrot_engine import DFRotError, Plan, Recipe, RunOptions
from dfrot_engine.charts import ACTIVATION_MAP, TOKEN_ERROR, ActivationMap, TokenErrors
from dfrot_engine.recipe import REFINED
from dfrot_gui.run_parts import ChartFile
from dfrot_gui.run_progress import TYPICAL_SECONDS
from dfrot_gui.run_state import RunState, replay
from dfrot_gui.run_tables import TableModel, comparison_table, massive_table
from dfrot_gui.run_worker import CANCEL_GRACE_S, Command, RunThread, engine_command


class RunModel(QObject):
    """Starts, steers and reopens runs; pages listen to `changed` and read `state`.

    Args:
        engine: program and first arguments of the engine; the installed one by default.
        cancel_grace_s: seconds a stopped engine may take to save its work before it is killed.
    """

    changed = Signal()
    ended = Signal(object)

    def __init__(
        self, engine: Sequence[str] = (), cancel_grace_s: float = CANCEL_GRACE_S, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._engine = tuple(engine) or engine_command()
        self._grace_s = cancel_grace_s
        self._thread: RunThread | None = None
        self._recipe_folder: QTemporaryDir | None = None
        self._token_errors: tuple[ChartFile, TokenErrors | None] | None = None
        self._activation_map: tuple[ChartFile, ActivationMap | None] | None = None
        self.state = RunState()
        self.plan: Plan | None = None
        self.recipe: Recipe | None = None
        self.options: RunOptions | None = None
        self.work_dir: Path | None = None
        self.massive_tokens = TableModel(self)
        self.comparison = TableModel(self)

    @property
    def is_active(self) -> bool:
        return self._thread is not None

    @property
    def output_dir(self) -> Path | None:
        if self.options:
            return self.options.output_dir
        return Path(self.state.output_dir) if self.state.output_dir else None

    @property
    def own_rotation(self) -> str:
        """Kind of the recipe's R1, the name of its own error series."""
        return self.recipe.rotation.r1.kind if self.recipe else "dfrot"

    @property
    def is_refined(self) -> bool:
        """Whether R1 takes iterations and reports a loss."""
        return self.recipe is None or isinstance(self.recipe.rotation.r1, REFINED)

    @property
    def estimates(self) -> Mapping[str, float]:
        """Expected seconds per stage: the plan's, else those of a typical run."""
        planned = {one.stage: one.seconds for one in self.plan.stages if one.seconds} if self.plan else {}
        return planned or TYPICAL_SECONDS

    def start(self, recipe: Recipe, options: RunOptions, plan: Plan | None = None) -> None:
        """Run a recipe; what an earlier run of the same recipe left in the work folder is shown at once.

        Args:
            plan: tells how long the stages should take and how big the model is.
        """
        assert not self.is_active, "one run at a time"
        before = replay(options.work_path) if _stored_recipe(options.work_path) == recipe else RunState()
        self.recipe, self.options, self.work_dir = recipe, options, options.work_path
        self.plan = plan
        self._recipe_folder = QTemporaryDir()
        recipe_path = Path(self._recipe_folder.path()) / "recipe.toml"
        recipe.save(recipe_path)
        command = [*self._engine, "run", str(recipe_path), *_option_flags(options), "--json", "--stdin-commands"]
        self._thread = RunThread(command, _begun(before), self._grace_s, self)
        self._thread.state_changed.connect(self._on_state)
        self._thread.finished.connect(self._on_finished)
        self._set_state(self._thread.state)
        self._thread.start()

    def start_again(self) -> None:
        """Go on with a run that stopped early; finished blocks and stages are kept."""
        assert self.recipe
        assert self.options
        self.start(self.recipe, self.options, self.plan)

    @property
    def can_start_again(self) -> bool:
        return not self.is_active and self.state.has_stopped_early and bool(self.recipe and self.options)

    def pause(self) -> None:
        self._send("pause")

    def resume(self) -> None:
        self._send("resume")

    def stop(self) -> None:
        self._send("cancel")

    def wait(self, timeout_ms: int) -> bool:
        """Block until the run has ended, for closing the window; False when it is still going."""
        if self._thread is None:
            return True
        if not self._thread.wait(timeout_ms):
            return False
        self._finish(self._thread)
        return True

    def open(self, work_dir: Path) -> None:
        """Show a past run from its work folder."""
        assert not self.is_active, "a run is going on"
        self.work_dir = work_dir
        self.recipe = _stored_recipe(work_dir)
        self.options = _stored_options(work_dir)
        self.plan = None
        self._set_state(replay(work_dir))

    def token_errors(self) -> TokenErrors | None:
        """Per-token errors of the run; None before they are measured or when the file is gone."""
        self._token_errors = self._loaded(TOKEN_ERROR, TokenErrors.load, self._token_errors)
        return self._token_errors[1] if self._token_errors else None

    def activation_map(self) -> ActivationMap | None:
        """Largest activations per block and token; None before they are measured or when the file is gone."""
        self._activation_map = self._loaded(ACTIVATION_MAP, ActivationMap.load, self._activation_map)
        return self._activation_map[1] if self._activation_map else None

    def _loaded(self, name: str, load: Any, cached: Any) -> Any:
        chart = self.state.charts.get(name)
        if chart is None or self.work_dir is None:
            return None
        if cached and cached[0] == chart:
            return cached
        try:
            return chart, load(self.work_dir / chart.path)
        except DFRotError:
            return chart, None

    def _send(self, command: Command) -> None:
        if self._thread:
            self._thread.send(command)

    @Slot(object)
    def _on_state(self, state: RunState) -> None:
        if self.sender() is self._thread:
            self._set_state(state)

    @Slot()
    def _on_finished(self) -> None:
        if self._thread is not None and self.sender() is self._thread:
            self._finish(self._thread)

    def _finish(self, thread: RunThread) -> None:
        self._thread = None
        self._recipe_folder = None
        thread.wait()
        thread.deleteLater()
        self._set_state(thread.state)
        self.ended.emit(self.state)

    def _set_state(self, state: RunState) -> None:
        is_new_work = state.charts != self.state.charts
        is_new_massive = state.massive is not self.state.massive
        self.state = state
        if is_new_massive:
            self.massive_tokens.set_table(massive_table(state.massive_tokens))
        if is_new_work:
            self.comparison.set_table(comparison_table(self.token_errors(), self.own_rotation))
        self.changed.emit()


def _begun(before: RunState) -> RunState:
    """The state of a run that was just started, with the data but not the fate of the one before."""
    return replace(
        before,
        status="running",
        label="Starting the engine",
        stage="",
        stages=(),
        message="",
        remedy="",
        field="",
        details=(),
        outputs=(),
        started=None,
        last_heard=None,
        paused_since=None,
        paused_s=0.0,
        is_pause_requested=False,
    )


def _option_flags(options: RunOptions) -> list[str]:
    flags = ["--output", str(options.output_dir), "--device", options.device, "--threads", str(options.threads)]
    if options.work_dir:
        flags += ["--work", str(options.work_dir)]
    if options.overwrite:
        flags.append("--overwrite")
    if not options.keep_rotations:
        flags.append("--no-library")
    if options.keep_work:
        flags.append("--keep-work")
    return flags


def _stored_recipe(work_dir: Path) -> Recipe | None:
    try:
        return Recipe.load(work_dir / "recipe.toml")
    except DFRotError:
        return None


def _stored_options(work_dir: Path) -> RunOptions | None:
    try:
        return RunOptions.model_validate(json.loads((work_dir / "options.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None
