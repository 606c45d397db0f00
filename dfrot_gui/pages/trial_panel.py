"""Trying rotations on the Recipe page: a button, what is going on, the table to choose from, and the advice."""

from __future__ import annotations

from PySide6.QtWidgets import QProgressBar, QWidget

from dfrot_gui.pages.trial_table import TrialTable
from dfrot_gui.recipe_model import RecipeModel
from dfrot_gui.translation import mark, tr
from dfrot_gui.trial_model import TrialModel, can_try
from dfrot_gui.widgets import Button, Notice, col, hline, label, row

INVITATION = mark("Compares rotations for this recipe on a few blocks and tokens, in a minute or two.")
STALE = mark("The recipe has changed since these were tried.")
STOPPED = mark("Stopped before the end; there is no recommendation.")
TIP = mark("Compare rotations for this recipe, without a run")


class TrialPanel(QWidget):
    """Starts and stops a trial; a row's button sets the recipe's rotation."""

    def __init__(self, recipe: RecipeModel, trials: TrialModel) -> None:
        super().__init__()
        self._recipe, self._trials = recipe, trials
        self._is_run_active = False
        self.try_button = Button(tr("Try rotations"), "flask", tip=tr(TIP))
        self.cancel_button = Button(tr("Cancel"), "stop", tip=tr("Stop trying; the rows so far stay"))
        self.line = label("", "small", wrap=True)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(tr("Progress of the trial"))
        self.table = TrialTable()
        self.advice = Notice()
        head = row(self.try_button, self.cancel_button, 4, (col(self.line, self.bar, spacing=6), 1))
        self.setLayout(col(hline(), head, self.table, self.advice, spacing=12))
        self.try_button.clicked.connect(self._start)
        self.cancel_button.clicked.connect(trials.stop)
        self.table.chosen.connect(recipe.set_rotation)
        for signal in (trials.changed, recipe.changed, recipe.plan_changed):
            signal.connect(self.refresh)
        self.refresh()

    def set_run_active(self, is_active: bool) -> None:
        """One engine at a time: no trial while a run goes on."""
        self._is_run_active = is_active
        self.refresh()

    def refresh(self) -> None:
        self._show_progress()
        self._show_button()
        trials, recipe = self._trials, self._recipe.recipe
        fits = trials.fits(recipe)
        recommended = trials.result.recommended if trials.result and fits else ""
        self.table.show_rows(trials.rows, recommended, recipe.rotation.r1.kind)
        self.table.set_faded(not fits)
        self.table.setVisible(bool(trials.rows))
        self._show_advice()

    def _show_progress(self) -> None:
        trials, state = self._trials, self._trials.state
        self.try_button.setVisible(not trials.is_active)
        self.cancel_button.setVisible(trials.is_active)
        self.cancel_button.setEnabled(state.status != "stopping")
        self.bar.setVisible(trials.is_active)
        self.bar.setValue(round(self.bar.maximum() * trials.fraction))
        doing = tr("Stopping…") if state.status == "stopping" else state.label
        self.line.setText(doing if trials.is_active else tr(INVITATION))

    def _show_button(self) -> None:
        is_possible = can_try(self._recipe.plan)
        self.try_button.setEnabled(is_possible and not self._is_run_active)
        reason = tr("A run is going on") if self._is_run_active else tr("Correct the errors first")
        self.try_button.setToolTip(tr(TIP) if self.try_button.isEnabled() else reason)

    def _show_advice(self) -> None:
        trials, state = self._trials, self._trials.state
        if state.status == "failed":
            self.advice.show_message("bad", state.message, state.remedy)
        elif trials.rows and not trials.fits(self._recipe.recipe):
            self.advice.show_message("warn", tr(STALE), tr("Try again to compare them for this recipe."))
        elif trials.result is not None:
            self.advice.show_message("good", trials.result.sentence, " ".join(trials.result.notes))
        elif state.status == "cancelled" and trials.rows:
            self.advice.show_message("inset", tr(STOPPED))
        else:
            self.advice.hide()

    def _start(self) -> None:
        self._trials.start(self._recipe.recipe, self._recipe.options)
