"""How the model will be rotated, calibrated and quantized, and what a run of it would take."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QFileDialog, QMessageBox, QScrollArea, QWidget

from dfrot_engine import DFRotError, Recipe
from dfrot_gui.hub_search import SAMPLE
from dfrot_gui.pages.recipe_card import RecipeCard
from dfrot_gui.pages.recipe_cards import (
    CalibrationCard,
    OutputCard,
    QuantizationCard,
)
from dfrot_gui.pages.recipe_plan import PlanCard
from dfrot_gui.pages.rotation_cards import RefinementCard, RotationCard
from dfrot_gui.pages.trial_panel import TrialPanel
from dfrot_gui.pages.undo_keys import UndoKeys
from dfrot_gui.presets import presets
from dfrot_gui.recipe_form.all_fields import AllFields
from dfrot_gui.recipe_model import RecipeModel
from dfrot_gui.settings import Settings
from dfrot_gui.theme import px
from dfrot_gui.translation import mark, tr
from dfrot_gui.trial_model import TrialModel
from dfrot_gui.widgets import Button, Page, ProblemList, Segmented, badge, box, col, label, row, scrolled
from dfrot_gui.widgets.reflow import ReflowGrid

RECIPE_FILES = mark("Recipes (*.toml)")
VIEWS = {"simple": mark("Simple"), "advanced": mark("Advanced")}
#: What the simple view shows of the form.
SIMPLE_FIELDS = ("rotation.r1", "rotation.r1.kind", "options.output_dir", "options.overwrite")


class RecipePage(Page):
    """`start_requested` is emitted when the user starts a run of a recipe without errors."""

    start_requested = Signal()

    def __init__(self, model: RecipeModel, trials: TrialModel, settings: Settings) -> None:
        self.undo_button = Button("", "arrow-u-up-left", "ghost", tip=tr("Undo (Ctrl+Z)"))
        self.undo_button.clicked.connect(model.undo)
        self.redo_button = Button("", "arrow-u-up-right", "ghost", tip=tr("Redo (Ctrl+Shift+Z)"))
        self.redo_button.clicked.connect(model.redo)
        self.load_button = Button(tr("Load recipe…"), "folder-open", tip=tr("Open a recipe from a TOML file"))
        self.save_button = Button(tr("Save recipe…"), "floppy-disk", tip=tr("Save this recipe as a TOML file (Ctrl+S)"))
        self.save_button.setShortcut(QKeySequence.StandardKey.Save)
        self.start_button = Button(tr("Start run"), "play", "primary", tip=tr("Start (Ctrl+Return)"))
        files = (self.load_button, self.save_button)
        super().__init__(tr("Recipe"), "", (self.undo_button, self.redo_button, *files, self.start_button))
        self._model, self._trials = model, trials
        self._settings = settings
        self._is_run_active = False
        self.load_button.clicked.connect(self._load)
        self.save_button.clicked.connect(self._save)
        self.start_button.clicked.connect(self._start)
        self.problem_list = ProblemList()
        self.problem_list.activated.connect(self.show_field)
        self.rotation = RotationCard(model)
        self.trial = TrialPanel(model, trials)
        self.rotation.add(self.trial)
        self.quantization = QuantizationCard(model)
        self.calibration = CalibrationCard(model)
        self.refinement = RefinementCard(model)
        self.output = OutputCard(model)
        self.plan = PlanCard(model)
        self.all_fields = AllFields(model)
        self.cards: tuple[RecipeCard, ...] = (
            *(self.rotation, self.quantization, self.calibration),
            *(self.refinement, self.output),
        )
        self.scroll_area = self._build_body()
        self.add(self.scroll_area, 1)
        self._undo_keys = UndoKeys(self)
        self._add_shortcuts()
        self._show_view()
        model.changed.connect(self.refresh)
        model.plan_changed.connect(self.refresh)
        model.planning_changed.connect(self._show_start)
        trials.changed.connect(self._show_start)
        trials.ended.connect(self._show_start)
        self.refresh()

    def refresh(self) -> None:
        recipe = self._model.recipe
        source = recipe.model.id_or_path
        name = tr("the sample model") if source == SAMPLE.source else source
        self.set_subtitle(tr("How {name} will be rotated and quantized.", name=name))
        self._show_preset(recipe)
        problems = self._model.problems
        for card in self.cards:
            card.refresh(recipe)
            card.show_problems(problems)
        self.all_fields.refresh()
        self.all_fields.show_problems(problems)
        self.problem_list.set_problems(problems)
        self.plan.refresh()
        self.undo_button.setEnabled(self._model.can_undo)
        self.redo_button.setEnabled(self._model.can_redo)
        self._undo_keys.watch()
        self._show_start()

    def show_field(self, field: str) -> None:
        """Bring the editor of a field into view and give it the focus."""
        if self._settings.is_recipe_simple and field not in SIMPLE_FIELDS:
            self.set_simple(is_simple=False)
        editor = self.editor(field)
        if editor is not None:
            editor.setFocus(Qt.FocusReason.TabFocusReason)
            self.scroll_area.ensureWidgetVisible(editor)

    def editor(self, field: str) -> QWidget | None:
        """The editor of a field on a card, else in the form of all fields, which is unfolded for it."""
        editors = (card.editor(field) for card in self.cards)
        return next((one for one in editors if one is not None), None) or self.all_fields.editor(field)

    def _build_body(self) -> QScrollArea:
        content = col(self._build_presets(), self.problem_list, self.rotation, spacing=14)
        content.setContentsMargins(0, 0, 10, 8)
        settings: list[QWidget] = [self.quantization, self.calibration, self.refinement]
        self.settings_grid = ReflowGrid(settings, columns=(3, 2, 1), min_width=px(306), spacing=14)
        content.addWidget(self.settings_grid)
        content.addWidget(self.plan)
        content.addWidget(self.output)
        content.addWidget(self.all_fields)
        content.addStretch(1)
        return scrolled(content)

    def _build_presets(self) -> QWidget:
        self._presets = presets()
        titles = [tr(preset.title) for preset in self._presets]
        self.preset_choice = Segmented([preset.name for preset in self._presets], labels=titles, name=tr("Preset"))
        for button, preset in zip(self.preset_choice.buttons, self._presets, strict=True):
            button.setToolTip(tr(preset.description))
            button.setAccessibleDescription(tr(preset.description))
        self.preset_choice.changed.connect(self._model.set_preset)
        self.preset_note = label("", "small", wrap=True)
        self.changed_badge = badge(tr("Changed"), "accent")
        self.reset_button = Button(
            tr("Reset"), "arrow-counter-clockwise", "ghost", tip=tr("Back to the preset it began as")
        )
        self.reset_button.clicked.connect(self._reset)
        words = [*map(tr, VIEWS.values())]
        self.view_choice = Segmented(list(VIEWS), labels=words, name=tr("View"))
        self.view_choice.setToolTip(
            tr("Simple: preset, rotation and output folder. Nothing that is hidden is changed.")
        )
        self.view_choice.changed.connect(lambda view: self.set_simple(is_simple=view == "simple"))
        head = row(self.preset_choice, None, self.view_choice)
        return box(col(head, row((self.preset_note, 1), self.changed_badge, self.reset_button), spacing=8))

    def set_simple(self, *, is_simple: bool) -> None:
        """Show only what most people choose, or everything; remembered."""
        self._settings.is_recipe_simple = is_simple
        self._show_view()

    def _show_view(self) -> None:
        is_simple = self._settings.is_recipe_simple
        self.view_choice.set_current("simple" if is_simple else "advanced")
        for part in (self.settings_grid, self.all_fields):
            part.setVisible(not is_simple)
        self.output.set_simple(is_simple)
        self.rotation.set_simple(is_simple)

    def _reset(self) -> None:
        origin = next((preset for preset in self._presets if preset.name == self._model.recipe.name), None)
        if origin is not None:
            self._model.set_preset(origin.name)

    def _show_preset(self, recipe: Recipe) -> None:
        same = next((preset for preset in self._presets if preset.is_like(recipe)), None)
        origin = next((preset for preset in self._presets if preset.name == recipe.name), None)
        self.preset_choice.set_current(same.name if same else "")
        self.changed_badge.setVisible(same is None)
        self.reset_button.setVisible(same is None and origin is not None)
        if same is not None:
            self.preset_note.setText(tr(same.description))
        else:
            self.preset_note.setText(
                tr("Your own recipe, begun as {title}.", title=tr(origin.title)) if origin else tr("Your own recipe.")
            )

    def set_run_active(self, is_active: bool) -> None:
        """Only one run at a time: while one goes on, none can be started."""
        self._is_run_active = is_active
        self.trial.set_run_active(is_active)
        self._show_start()

    @property
    def _can_start(self) -> bool:
        return self._model.can_start and not self._is_run_active and not self._trials.is_active

    def _show_start(self) -> None:
        self.start_button.setEnabled(self._can_start)
        reason = tr("A run is going on") if self._is_run_active else tr("Correct the errors first")
        reason = tr("Rotations are being tried") if self._trials.is_active else reason
        self.start_button.setToolTip(tr("Start (Ctrl+Return)") if self._can_start else reason)

    def _add_shortcuts(self) -> None:
        actions = {
            QKeySequence(QKeySequence.StandardKey.Undo): self._model.undo,
            QKeySequence("Ctrl+Shift+Z"): self._model.redo,
            QKeySequence("Ctrl+Y"): self._model.redo,
            QKeySequence("Ctrl+Return"): self._start,
        }
        for keys, action in actions.items():
            QShortcut(keys, self, action, context=Qt.ShortcutContext.WidgetWithChildrenShortcut)

    def _start(self) -> None:
        if self._can_start:
            self.start_requested.emit()

    def _load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, tr("Load a recipe"), "", tr(RECIPE_FILES))
        if path:
            self.load(Path(path))

    def load(self, path: Path) -> None:
        """Take the recipe of a file; a file that is none is named in a message."""
        try:
            self._model.set_recipe(Recipe.load(path))
        except DFRotError as error:
            QMessageBox.warning(self, tr("The recipe was not loaded"), f"{error.message}\n\n{error.remedy}")

    def _save(self) -> None:
        name = f"{self._model.recipe.name}.toml"
        path, _ = QFileDialog.getSaveFileName(self, tr("Save the recipe"), name, tr(RECIPE_FILES))
        if path:
            self.save(Path(path).with_suffix(".toml"))

    def save(self, path: Path) -> None:
        """Write the recipe to a file; a folder that cannot be written is named in a message."""
        try:
            self._model.recipe.save(path)
        except DFRotError as error:
            QMessageBox.warning(self, tr("The recipe was not saved"), f"{error.message}\n\n{error.remedy}")
