"""The trial of rotations behind Qt signals: rows as they come, the result, and whether it still fits the recipe."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject, Signal

from dfrot_engine import Plan, Recipe, RunOptions, TrialResult, TrialRow
from dfrot_gui.engine_process import EngineProcess
from dfrot_gui.run_progress import overall_fraction
from dfrot_gui.run_state import RunState
from dfrot_gui.translation import mark, tr

# A trial has nothing to save.
TRIAL_GRACE_S = 2.0
AGAIN = mark("Try again; nothing was lost.")
# Shares of a typical trial.
SECONDS = {"load": 2.0, "calibrate": 8.0, "compare": 90.0}
# What a trial has no part in: nothing is written and nothing evaluated.
_NOT_TRIED = ("options.output_dir", "options.work_dir", "options.overwrite", "exports", "evaluation")


class TrialModel(QObject):
    """Runs one trial at a time; pages listen to `changed`."""

    changed = Signal()
    ended = Signal(object)

    def __init__(
        self, engine: Sequence[str] = (), cancel_grace_s: float = TRIAL_GRACE_S, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._process = EngineProcess(engine, cancel_grace_s, AGAIN, self)
        self._process.state_changed.connect(self._set_state)
        self._process.ended.connect(self.ended)
        self._recipe: Recipe | None = None
        self.state = RunState()

    @property
    def is_active(self) -> bool:
        return self._process.is_active

    @property
    def rows(self) -> tuple[TrialRow, ...]:
        return self.state.trial.rows if self.state.trial else self.state.tried

    @property
    def result(self) -> TrialResult | None:
        return self.state.trial

    @property
    def fraction(self) -> float:
        """Share of the trial that is done, 0 to 1."""
        return overall_fraction(self.state, SECONDS)

    def start(self, recipe: Recipe, options: RunOptions) -> None:
        """Try rotations for a recipe; of the options only device and threads count."""
        self._recipe = recipe
        flags = ["--device", options.device, "--threads", str(options.threads)]
        self._process.start("trial", recipe, flags, RunState(label=tr("Starting the engine")))

    def stop(self) -> None:
        self._process.send("cancel")

    def wait(self, timeout_ms: int) -> bool:
        """Block until the trial has ended; False when it is still going."""
        return self._process.wait(timeout_ms)

    def fits(self, recipe: Recipe) -> bool:
        """Whether what was tried holds for this recipe, whatever its R1, exports and evaluation."""
        return self._recipe is not None and _matter(self._recipe) == _matter(recipe)

    def _set_state(self, state: RunState) -> None:
        self.state = state
        self.changed.emit()


def can_try(plan: Plan | None) -> bool:
    """Whether the model and the recipe stand a trial: errors of folders and exports do not matter to it."""
    if plan is None or plan.model is None:
        return False
    return all(error.field.startswith(_NOT_TRIED) for error in plan.errors)


def _matter(recipe: Recipe) -> tuple[object, ...]:
    """What decides a trial: everything but R1 and what comes after quantizing."""
    rotation = recipe.rotation.model_dump(exclude={"r1", "compare"})
    calibration = recipe.calibration.model_dump(exclude={"num_samples"})
    schemes = (recipe.weights, recipe.activations, recipe.kv_cache, recipe.overrides, recipe.skip, recipe.solver)
    return recipe.model, rotation, calibration, schemes
