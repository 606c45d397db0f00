"""The one run the pages look at: a RunState behind Qt signals, and the worker thread that feeds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from dfrot_engine import DFRotError, Plan, Recipe, RunOptions
from dfrot_engine.charts import ACTIVATION_MAP, TOKEN_ERROR, ActivationMap, TokenErrors
from dfrot_engine.outside_files import read_json
from dfrot_engine.recipe import REFINED
from dfrot_engine.site_charts import CELL_ERRORS, SITE_ERRORS, CellErrors
from dfrot_engine.work_lock import ask_to_stop
from dfrot_gui.background import Latest
from dfrot_gui.engine_process import EngineProcess
from dfrot_gui.errors_by_place import ErrorsByPlace
from dfrot_gui.run_parts import ChartFile
from dfrot_gui.run_progress import TYPICAL_SECONDS, RunClock
from dfrot_gui.run_state import RunState, replay
from dfrot_gui.run_tables import TableModel, comparison_table, massive_table, proof_table
from dfrot_gui.run_worker import CANCEL_GRACE_S
from dfrot_gui.translation import tr

FOLLOW_MS = 2_000


@dataclass(frozen=True)
class PastRun:
    """What a work folder tells of its run; recipe and options are None where they cannot be read."""

    work_dir: Path
    recipe: Recipe | None
    options: RunOptions | None
    state: RunState


def read_past_run(work_dir: Path) -> PastRun:
    return PastRun(work_dir, _stored_recipe(work_dir), _stored_options(work_dir), replay(work_dir))


class RunModel(QObject):
    """Starts, steers and reopens runs; pages listen to `changed` and `errors_known` and read `state`.

    Args:
        engine: program and first arguments of the engine; the installed one by default.
        cancel_grace_s: seconds a stopped engine may take to save its work before it is killed.
    """

    changed = Signal()
    errors_known = Signal()  # of the place that `token_errors_at` was asked for last
    ended = Signal(object)

    def __init__(
        self, engine: Sequence[str] = (), cancel_grace_s: float = CANCEL_GRACE_S, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._process = EngineProcess(engine, cancel_grace_s, parent=self)
        self._process.state_changed.connect(self._set_state)
        self._process.ended.connect(self.ended)
        self._token_errors: tuple[ChartFile, TokenErrors | None] | None = None
        self._activation_map: tuple[ChartFile, ActivationMap | None] | None = None
        self._cell_errors: tuple[ChartFile, CellErrors | None] | None = None
        self._places = ErrorsByPlace(self)
        self._places.known.connect(self.errors_known)
        self.state = RunState()
        self.clock = RunClock()
        self.plan: Plan | None = None
        self.recipe: Recipe | None = None
        self.options: RunOptions | None = None
        self.work_dir: Path | None = None
        # A run that another process is at work on is looked at again and again.
        self._follower = QTimer(self, interval=FOLLOW_MS)
        self._follower.timeout.connect(self._look_again)
        self._looks = Latest(self, parallel=1)
        self._looks.answered.connect(self._take_look)
        self.massive_tokens = TableModel(self)
        self.comparison = TableModel(self)
        self.proof = TableModel(self)

    @property
    def is_active(self) -> bool:
        return self._process.is_active

    @property
    def is_following(self) -> bool:
        """Whether the run that is shown goes on in another process."""
        return self._follower.isActive()

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
        self._follow(False)
        before = replay(options.work_path) if _stored_recipe(options.work_path) == recipe else RunState()
        self.recipe, self.options, self.work_dir = recipe, options, options.work_path
        self.plan, self.clock = plan, RunClock()
        self._process.start("run", recipe, options.flags(), _begun(before))

    def start_again(self) -> None:
        """Go on with a run that stopped early; finished blocks and stages are kept."""
        assert self.recipe
        assert self.options
        self.start(self.recipe, self.options, self.plan)

    @property
    def can_start_again(self) -> bool:
        return not self.is_active and self.state.has_stopped_early and bool(self.recipe and self.options)

    def pause(self) -> None:
        self._process.send("pause")

    def resume(self) -> None:
        self._process.send("resume")

    def stop(self) -> None:
        if self.is_following and self.work_dir is not None:
            ask_to_stop(self.work_dir)
        else:
            self._process.send("cancel")

    def detach(self) -> None:
        """Let the run go on without the window; `ended` comes when it does."""
        self._process.send("detach")

    def wait(self, timeout_ms: int) -> bool:
        """Block until the run has ended, for closing the window; False when it is still going."""
        return self._process.wait(timeout_ms)

    def open(self, work_dir: Path) -> None:
        """Show a past run from its work folder."""
        self.show_past(read_past_run(work_dir))

    def show_past(self, past: PastRun) -> None:
        """Show a past run that was read elsewhere, so that a long journal keeps nobody waiting."""
        assert not self.is_active, "a run is going on"
        self.work_dir, self.recipe, self.options, self.plan = past.work_dir, past.recipe, past.options, None
        self.clock = RunClock()
        self._follow(past.state.is_active)
        self._set_state(past.state)

    def token_errors(self) -> TokenErrors | None:
        """Per-token errors of the run; None before they are measured or when the file is gone."""
        self._token_errors = self._loaded(TOKEN_ERROR, TokenErrors.load, self._token_errors)
        return self._token_errors[1] if self._token_errors else None

    def activation_map(self) -> ActivationMap | None:
        """Largest activations per block and token; None before they are measured or when the file is gone."""
        self._activation_map = self._loaded(ACTIVATION_MAP, ActivationMap.load, self._activation_map)
        return self._activation_map[1] if self._activation_map else None

    def cell_errors(self) -> CellErrors | None:
        """Error of every token of the map; None as well for runs of earlier versions."""
        self._cell_errors = self._loaded(CELL_ERRORS, CellErrors.load, self._cell_errors)
        return self._cell_errors[1] if self._cell_errors else None

    def token_errors_at(self, site: int | None, block: int | None) -> TokenErrors | None:
        """Per-token errors at one site, in one block, or both; None until `errors_known` comes."""
        if site is None and block is None:
            return self.token_errors()
        return self._places.at(self._file_of(SITE_ERRORS), site, block)

    def _follow(self, is_wanted: bool) -> None:
        self._looks.drop()
        if is_wanted:
            self._follower.start()
        else:
            self._follower.stop()

    def _look_again(self) -> None:
        folder = self.work_dir
        if folder is not None and not self._looks.is_busy:
            self._looks.ask(lambda: read_past_run(folder))

    def _take_look(self, past: PastRun) -> None:
        self.recipe, self.options = past.recipe, past.options
        if past.state.is_active:
            self._set_state(past.state)
            return
        self._follow(False)
        self._set_state(past.state)
        self.ended.emit(past.state)

    def _file_of(self, name: str) -> tuple[Path, ChartFile] | None:
        chart = self.state.charts.get(name)
        return (self.work_dir / chart.path, chart) if chart and self.work_dir else None

    def _loaded(self, name: str, load: Any, cached: Any) -> Any:
        if (file := self._file_of(name)) is None:
            return None
        path, chart = file
        if cached and cached[0] == chart:
            return cached
        try:
            return chart, load(path)
        except DFRotError:
            return chart, None

    def _set_state(self, state: RunState) -> None:
        is_new_work = state.charts != self.state.charts
        is_new_proof = state.proof != self.state.proof
        is_new_massive = state.massive is not self.state.massive
        self.state = state
        self.clock.hear(state.last_heard)
        if is_new_proof:
            self.proof.set_table(proof_table(state.proof))
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
        label=tr("Starting the engine"),
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


def _stored_recipe(work_dir: Path) -> Recipe | None:
    try:
        return Recipe.load(work_dir / "recipe.toml")
    except DFRotError:
        return None


def _stored_options(work_dir: Path) -> RunOptions | None:
    try:
        return RunOptions.model_validate(read_json(work_dir / "options.json"))
    except (OSError, ValueError):
        return None
