"""The cards of the recipe page that are about rotations: which ones, and how they are refined."""

from __future__ import annotations

from functools import partial
from typing import get_args

from PySide6.QtWidgets import QButtonGroup, QWidget

from dfrot_engine import Recipe
from dfrot_engine.recipe import REFINED, FromFile
from dfrot_gui.pages.recipe_card import RecipeCard
from dfrot_gui.pages.rotation_chooser import SavedRotation, choose_rotation
from dfrot_gui.recipe_form.editors import BoolEditor, ChoiceEditor
from dfrot_gui.recipe_form.fields import field_spec
from dfrot_gui.recipe_model import RecipeModel
from dfrot_gui.theme import px
from dfrot_gui.translation import mark, tr
from dfrot_gui.widgets import OptionCard, box, label, row, tab_to_checked
from dfrot_gui.widgets.flow import FlowLayout
from dfrot_gui.widgets.reflow import ReflowGrid

FROM_FILE = "from-file"
ROTATIONS = (
    ("none", mark("NR  None"), mark("No rotation. The baseline that outliers break."), "circle-dashed", "nr"),
    ("random-orthogonal", mark("RO  Orthogonal"), mark("A random orthogonal matrix."), "shuffle", "ro"),
    ("hadamard", mark("RH  Hadamard"), mark("A random Hadamard matrix. Fast, no training."), "grid-four", "rh"),
    (
        "dfrot",
        mark("DFRot  Refined"),
        mark("Starts from a random one, refines it for massive tokens."),
        "sparkle",
        "dfrot",
    ),
    (
        "householder",
        mark("Householder"),
        mark("Makes the common offset constant, then RH."),
        "align-center-horizontal",
        "dfrot",
    ),
    ("descent", mark("Descent"), mark("Follows the gradient of the real rounding error."), "trend-down", "dfrot"),
    ("whip", mark("Whip  DartQuant"), mark("Evens values out, whatever the quantizer."), "waves", "dfrot"),
    ("cayley", mark("Cayley  SpinQuant"), mark("Learns through the whole model. Slow."), "hourglass", "dfrot"),
    (FROM_FILE, mark("From file"), mark("One that a run has saved, or your own matrix."), "folder-open", "dfrot"),
)
STARTS = {
    "hadamard": mark("RH  Hadamard"),
    "random-orthogonal": mark("RO  Orthogonal"),
    "householder": mark("Householder"),
    "dfrot": "DFRot",
    FROM_FILE: mark("Saved rotation…"),
}
# R2, R4 and the MLP's scales by recipe kind.
INNER = {
    "r2": {
        "none": mark("None"),
        "hadamard": mark("Hadamard"),
        "descent": mark("Refined"),
        FROM_FILE: mark("Saved rotation…"),
    },
    "r4": {
        "none": mark("None"),
        "hadamard": mark("Hadamard"),
        "block-hadamard": mark("Hadamard, in blocks"),
        "block-descent": mark("Refined, in blocks"),
        FROM_FILE: mark("Saved rotation…"),
    },
    "mlp_scaling": {"none": mark("As they are"), "search": mark("Scaled")},
}
INNER_TIPS = {
    "r2": mark("Turns each head of the values; folded into the weights. Refined: for the rounding of o_proj's inputs"),
    "r4": mark("Turns the MLP's channels in front of down_proj, while the model runs. Refined: for their rounding"),
    "mlp_scaling": mark("Scaled: large channels in front of down_proj are made smaller; folded into the weights"),
}


class RotationCard(RecipeCard):
    def __init__(self, model: RecipeModel) -> None:
        subtitle = tr("What happens to activations before they are rounded.")
        super().__init__(tr("Rotation"), subtitle, model=model, sections=("rotation",))
        self.cards = {kind: OptionCard(kind, tr(title), tr(text), *look) for kind, title, text, *look in ROTATIONS}
        self._group = QButtonGroup(self)
        for kind, card in self.cards.items():
            card.setAutoExclusive(False)
            self._group.addButton(card)
            card.clicked.connect(partial(self._choose, kind))
        self.add(ReflowGrid(list(self.cards.values()), columns=(3, 2, 1), min_width=px(196), spacing=12))
        self.file = SavedRotation(tr("R1 from {name}"))
        self.add(self.file)
        self.add(self.notes)
        self.inner = {name: self._inner_choice(name) for name in INNER}
        choices, checks = FlowLayout(spacing=18), FlowLayout(spacing=18)
        notes: list[QWidget] = []
        for name, editor in self.inner.items():
            title = label(field_spec(f"rotation.{name}").title)
            title.setBuddy(editor)
            choices.addWidget(box(row(title, editor)))
        for field in ("rotation.r3", "rotation.compare"):
            bound = self.form.bind(field, BoolEditor(field_spec(field).title))
            checks.addWidget(bound.editor)
            notes.append(bound.note)
        self._more = (box(choices), box(checks))
        for part in self._more:
            self.add(part)
        for note in notes:
            self.add(note)

    def set_simple(self, is_simple: bool) -> None:
        """Show R1 alone, or everything."""
        for part in self._more:
            part.setVisible(not is_simple)

    def refresh(self, recipe: Recipe) -> None:
        super().refresh(recipe)
        r1 = recipe.rotation.r1
        self.cards[r1.kind].setChecked(True)
        tab_to_checked(list(self.cards.values()))
        self.file.show_value(r1.path if isinstance(r1, FromFile) else "")
        for name, editor in self.inner.items():
            editor.show_value(getattr(recipe.rotation, name).kind)

    def owns(self, field: str) -> bool:
        return super().owns(field) and (
            field in {"rotation.r1.kind", "rotation.r1.path"} or not field.startswith("rotation.r1.")
        )

    def editor(self, field: str) -> QWidget | None:
        if field in {"rotation", "rotation.r1", "rotation.r1.kind", "rotation.r1.path"}:
            return self.cards[self.model.recipe.rotation.r1.kind]
        part = field.removeprefix("rotation.").partition(".")[0]
        return self.inner.get(part) or super().editor(field)

    def _inner_choice(self, name: str) -> ChoiceEditor:
        editor = ChoiceEditor({kind: tr(title) for kind, title in INNER[name].items()})
        editor.setToolTip(tr(INNER_TIPS[name]))
        editor.setAccessibleName(field_spec(f"rotation.{name}").title)
        editor.edited.connect(partial(self._set_inner, name))
        return editor

    def _set_inner(self, name: str, kind: str) -> None:
        if kind != FROM_FILE:
            self.model.set(f"rotation.{name}", {"kind": kind})
            return
        field = f"rotation.{name}"
        self.inner[name].show_value(getattr(self.model.recipe.rotation, name).kind)  # until one is chosen
        choose_rotation(self, f"{field}.path", lambda path: self.model.set(field, {"kind": FROM_FILE, "path": path}))

    def _choose(self, kind: str) -> None:
        if kind != FROM_FILE:
            self.model.set_rotation(kind)
            return
        choose_rotation(self, "rotation.r1.path", self._take)

    def _take(self, reference: str) -> None:
        self.model.set_rotation(FROM_FILE)
        self.model.set("rotation.r1.path", reference)


class RefinementCard(RecipeCard):
    def __init__(self, model: RecipeModel) -> None:
        super().__init__(tr("Refinement"), model=model, sections=("rotation.r1",))
        self.start = ChoiceEditor({kind: tr(title) for kind, title in STARTS.items()})
        self.start.edited.connect(self._set_start)
        self.form.add("rotation.r1.start", self.start, title=tr("S&tart"), is_bound=False)
        self.saved = SavedRotation(tr("Starts from {name}"))
        self.form.addWidget(self.saved, self.form.rowCount(), 0, 1, 2)
        self.form.add("rotation.r1.steps", title=tr("&Iterations"))
        self.form.add("rotation.r1.massive_weight", title=tr("Massive &weight γ"))
        self.form.add("rotation.r1.sample_rows", title=tr("&Rows"))
        self.add(self.form)
        self.add(self.notes)
        self._hint = label(tr("This rotation is not refined."), "small", wrap=True)
        self.add(self._hint)
        self.body.addStretch(1)

    def owns(self, field: str) -> bool:
        return super().owns(field) and field not in {"rotation.r1", "rotation.r1.kind", "rotation.r1.path"}

    def refresh(self, recipe: Recipe) -> None:
        super().refresh(recipe)
        r1 = recipe.rotation.r1
        self.title_label.setEnabled(isinstance(r1, REFINED))
        self._hint.setVisible(not isinstance(r1, REFINED))
        for bound in self.form.fields:
            bound.set_enabled(hasattr(r1, bound.field.rsplit(".", 1)[1]))
        self.saved.show_value(r1.start_path if isinstance(r1, REFINED) and r1.start == FROM_FILE else "")
        if isinstance(r1, REFINED):
            allowed = get_args(type(r1).model_fields["start"].annotation)
            self.start.set_choices({word: tr(STARTS[word]) for word in allowed})
            self.start.show_value(r1.start)

    def editor(self, field: str) -> QWidget | None:
        return self.start if field == "rotation.r1.start_path" else super().editor(field)

    def _set_start(self, start: str) -> None:
        if start == FROM_FILE:
            choose_rotation(self, "rotation.r1.start_path", partial(self.model.set_start, FROM_FILE))
        else:
            self.model.set_start(start)
