"""The cards of the recipe page. Each shows a part of the recipe and sets it; none of them decides anything."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtWidgets import QButtonGroup, QFileDialog, QWidget

from dfrot_engine import Problem, Recipe
from dfrot_gui.recipe_form.editors import BoolEditor, ChoiceEditor, IntEditor, SegmentedEditor
from dfrot_gui.recipe_form.fields import field_spec
from dfrot_gui.recipe_form.form import Form
from dfrot_gui.recipe_model import RecipeModel
from dfrot_gui.widgets import Button, Card, OptionCard, box, label, row, set_role, tab_to_checked
from dfrot_gui.widgets.reflow import ReflowGrid

ROTATIONS = (
    ("none", "NR  None", "No rotation. The baseline that outliers break.", "circle-dashed", "nr"),
    ("random-orthogonal", "RO  Orthogonal", "A random orthogonal matrix.", "shuffle", "ro"),
    ("hadamard", "RH  Hadamard", "A random Hadamard matrix. Fast, no training.", "grid-four", "rh"),
    ("dfrot", "DFRot  Refined", "Starts from a random one, refines it for massive tokens.", "sparkle", "dfrot"),
)
BITS = {"": "16 bit", "int8": "8 bit", "int6": "6 bit", "int4": "4 bit", "int3": "3 bit", "int2": "2 bit"}
USUAL_BITS = ("", "int8", "int4")
PER_CHANNEL = 0
GROUP_SIZES = (32, 64, 128, 256)
DATASETS = {"builtin": "Built-in text", "wikitext-2": "WikiText-2 (train)", "c4": "C4 (en)"}
CHOOSE_FILE = "\0file"


class RecipeCard(Card):
    """A card with a form; problems go below the fields they name."""

    def __init__(self, title: str, subtitle: str = "", *, model: RecipeModel, right: QWidget | None = None) -> None:
        super().__init__(title, subtitle, right=right)
        self.model = model
        self.form = Form(model)

    def refresh(self, recipe: Recipe) -> None:
        self.form.refresh()

    def show_problems(self, problems: Sequence[Problem]) -> None:
        self.form.show_problems(problems)

    def editor(self, field: str) -> QWidget | None:
        """The editor a problem's field belongs to: its own, or that of the nearest section."""
        for bound in self.form.fields:
            if field == bound.field:
                return bound.editor
        return None


class RotationCard(RecipeCard):
    def __init__(self, model: RecipeModel) -> None:
        super().__init__("Rotation", "What happens to activations before they are rounded.", model=model)
        self.cards = {spec[0]: OptionCard(*spec) for spec in ROTATIONS}
        self._group = QButtonGroup(self)
        for kind, card in self.cards.items():
            card.setAutoExclusive(False)
            self._group.addButton(card)
            card.clicked.connect(partial(model.set_rotation, kind))
        self.add(ReflowGrid(list(self.cards.values()), columns=(4, 2), min_width=196, spacing=12))
        self._note = label("", "bad", wrap=True)
        self.add(self._note)
        spec = field_spec("rotation.compare")
        self.form.add("rotation.compare", BoolEditor(spec.title), aligned=False)
        self.add(self.form)

    def refresh(self, recipe: Recipe) -> None:
        super().refresh(recipe)
        self.cards[recipe.rotation.r1.kind].setChecked(True)
        tab_to_checked(list(self.cards.values()))

    def show_problems(self, problems: Sequence[Problem]) -> None:
        super().show_problems(problems)
        mine = [problem for problem in problems if problem.field in {"rotation", "rotation.r1", "rotation.r1.kind"}]
        self._note.setText("\n".join(f"{problem.message} {problem.remedy}".strip() for problem in mine))
        self._note.setVisible(bool(mine))
        set_role(self._note, "bad" if any(problem.severity == "error" for problem in mine) else "warn")

    def editor(self, field: str) -> QWidget | None:
        if field in {"rotation", "rotation.r1", "rotation.r1.kind"}:
            return self.cards[self.model.recipe.rotation.r1.kind]
        return super().editor(field)


class QuantizationCard(RecipeCard):
    SECTIONS = (("weights", "Weights"), ("activations", "Activations"), ("kv_cache", "KV cache"))

    def __init__(self, model: RecipeModel) -> None:
        super().__init__("Quantization", model=model)
        self.bits: dict[str, SegmentedEditor] = {}
        for section, title in self.SECTIONS:
            editor = SegmentedEditor(BITS, title)
            editor.edited.connect(lambda word, section=section: model.set_format(section, word or None))
            self.bits[section] = editor
            self.form.add(f"{section}.format", editor, title=title, is_bound=False, aligned=False)
        sizes = {PER_CHANNEL: "Channel", **{size: f"Group of {size}" for size in GROUP_SIZES}}
        self.group = ChoiceEditor(sizes)
        self.group.edited.connect(self._set_group)
        self._scale = self.form.add("weights.group_size", self.group, title="&Scale per", is_bound=False)
        self.symmetric = BoolEditor("Symmetric weights")
        self._symmetric = self.form.add("weights.symmetric", self.symmetric, aligned=False)
        self.add(self.form)
        self._exceptions = label("", "small", wrap=True)
        self._remove = Button("Remove", kind="ghost", tip="Give these linears the same formats as all others")
        self._remove.clicked.connect(lambda: model.set("overrides", []))
        self._exceptions_box = box(row((self._exceptions, 1), self._remove))
        self.add(self._exceptions_box)
        self.body.addStretch(1)

    def refresh(self, recipe: Recipe) -> None:
        super().refresh(recipe)
        for section, editor in self.bits.items():
            scheme = getattr(recipe, section)
            word = scheme.format if scheme else ""
            editor.show_only({*USUAL_BITS, word})
            editor.set_current(word)
        weights = recipe.weights
        for bound in (self._scale, self._symmetric):
            bound.set_enabled(weights is not None)
        if weights is not None:
            self.group.show_value(PER_CHANNEL if weights.granularity == "per-channel" else weights.group_size)
        self._exceptions.setText(_exceptions(recipe))
        self._exceptions_box.setVisible(bool(recipe.overrides))

    def _set_group(self, size: int) -> None:
        weights = self.model.recipe.weights
        if weights is None:
            return
        changes = (
            {"granularity": "per-channel"} if size == PER_CHANNEL else {"granularity": "per-group", "group_size": size}
        )
        self.model.set("weights", weights.model_dump(mode="json") | changes)


class CalibrationCard(RecipeCard):
    def __init__(self, model: RecipeModel) -> None:
        super().__init__("Calibration", model=model)
        self.data = ChoiceEditor({**DATASETS, CHOOSE_FILE: "Text file…"})
        self.data.edited.connect(self._set_data)
        self._data = self.form.add("calibration.dataset", self.data, title="&Data", is_bound=False)
        self.form.add(
            "calibration.num_samples", IntEditor(field_spec("calibration.num_samples"), " sequences"), title="Sa&mples"
        )
        self.form.add(
            "calibration.seq_len", IntEditor(field_spec("calibration.seq_len"), " tokens each"), title="&Length"
        )
        self.form.add("calibration.seed", title="S&eed")
        self.add(self.form)
        self.body.addStretch(1)

    def _set_data(self, value: str) -> None:
        if value == CHOOSE_FILE:
            value, _ = QFileDialog.getOpenFileName(self, "Text for calibration", "", "Text (*.txt *.jsonl *.parquet)")
        if value:
            self.model.set("calibration.dataset", value)
        self._data.forget()
        self._data.refresh()


class RefinementCard(RecipeCard):
    def __init__(self, model: RecipeModel) -> None:
        super().__init__("Refinement", model=model)
        start = SegmentedEditor({"hadamard": "RH", "random-orthogonal": "RO"}, "Start")
        self.form.add("rotation.r1.start", start, title="Start", aligned=False)
        self.form.add("rotation.r1.steps", title="&Iterations")
        self.form.add("rotation.r1.massive_weight", title="Massive &weight γ")
        self.form.add("rotation.r1.sample_rows", title="&Rows")
        self.add(self.form)
        self._hint = label("Only DFRot is refined.", "small", wrap=True)
        self.add(self._hint)
        self.body.addStretch(1)

    def refresh(self, recipe: Recipe) -> None:
        super().refresh(recipe)
        is_refined = recipe.rotation.r1.kind == "dfrot"
        self.title_label.setEnabled(is_refined)
        self._hint.setVisible(not is_refined)
        for bound in self.form.fields:
            bound.set_enabled(is_refined)


class OutputCard(RecipeCard):
    """Where the files go and which; the permission to replace appears when the folder is occupied."""

    def __init__(self, model: RecipeModel) -> None:
        super().__init__("Output", model=model)
        self.form.add("options.output_dir", title="&Folder")
        self.overwrite = BoolEditor(field_spec("options.overwrite").title)
        self._overwrite = self.form.add("options.overwrite", self.overwrite, aligned=False)
        self.add(self.form)
        self.quantized = BoolEditor("Quantized checkpoint (compressed-tensors)")
        self.rotated = BoolEditor("Rotated model in 16 bits")
        self.measured = BoolEditor("Measure perplexity before and after")
        for check in (self.quantized, self.rotated):
            check.edited.connect(self._set_exports)
        self.measured.edited.connect(lambda is_on: model.set("evaluation", {} if is_on else None))
        checks = (self.quantized, self.rotated, self.measured)
        self.add(ReflowGrid(checks, columns=(3, 2, 1), min_width=300, spacing=10))
        self._note = label("", "bad", wrap=True)
        self.add(self._note)

    def refresh(self, recipe: Recipe) -> None:
        super().refresh(recipe)
        kinds = {export.kind for export in recipe.exports}
        self.quantized.setChecked("compressed-tensors" in kinds)
        self.rotated.setChecked("rotated-bf16" in kinds)
        self.measured.setChecked(recipe.evaluation is not None)

    def show_problems(self, problems: Sequence[Problem]) -> None:
        super().show_problems(problems)
        is_occupied = any(problem.field in {"options.output_dir", "options.overwrite"} for problem in problems)
        self.overwrite.setVisible(is_occupied or self.model.options.overwrite)
        mine = [problem for problem in problems if problem.field.split(".")[0] in {"exports", "evaluation"}]
        self._note.setText("\n".join(f"{problem.message} {problem.remedy}".strip() for problem in mine))
        self._note.setVisible(bool(mine))
        set_role(self._note, "bad" if any(problem.severity == "error" for problem in mine) else "warn")

    def editor(self, field: str) -> QWidget | None:
        section = field.split(".", maxsplit=1)[0]
        return {"exports": self.quantized, "evaluation": self.measured}.get(section) or super().editor(field)

    def _set_exports(self) -> None:
        kinds = [("compressed-tensors", self.quantized), ("rotated-bf16", self.rotated)]
        chosen = [kind for kind, check in kinds if check.isChecked()]
        self.model.set("exports", [{"kind": kind, "subfolder": kind if n else ""} for n, kind in enumerate(chosen)])


def _exceptions(recipe: Recipe) -> str:
    lines: list[str] = []
    for override in recipe.overrides:
        parts = [
            f"{name} {scheme.format.removeprefix('int')} bit"
            for name, scheme in (("weights", override.weights), ("activations", override.activations))
            if scheme is not None
        ]
        lines.append(f"Except {override.linears}: {', '.join(parts)}")
    return "\n".join(lines)
