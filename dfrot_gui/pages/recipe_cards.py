"""The cards of the recipe page. Each shows a part of the recipe and sets it; none of them decides anything."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QFileDialog, QWidget

from dfrot_engine import Problem, Recipe
from dfrot_engine.formats import FORMATS, fixed_fields
from dfrot_engine.nvidia import gpu_capabilities
from dfrot_gui.pages.recipe_card import RecipeCard
from dfrot_gui.recipe_form.editors import BoolEditor, ChoiceEditor, IntEditor, SegmentedEditor
from dfrot_gui.recipe_form.fields import field_spec
from dfrot_gui.recipe_model import RecipeModel
from dfrot_gui.theme import px
from dfrot_gui.translation import mark, tr
from dfrot_gui.widgets import Button, box, label, row
from dfrot_gui.widgets.reflow import ReflowGrid

_SHOWN = sorted(FORMATS.values(), key=lambda fmt: (fmt.is_float, -fmt.bits))
BITS = {"": "16 bit"} | {fmt.name: fmt.name.upper() if fmt.is_float else f"{fmt.bits} bit" for fmt in _SHOWN}
USUAL_BITS = ("", "int8", "int4")
PER_CHANNEL = 0
GROUP_SIZES = (32, 64, 128, 256)
GROUP_OF = mark("Group of {size}")
SOLVERS = {"rtn": mark("Nearest"), "gptq": "GPTQ", "qronos": mark("Qronos")}
RECOVERIES = {"": mark("None"), "scales": mark("Train scales and gains"), "lora": mark("Train a LoRA adapter")}
DATASETS = {"builtin": mark("Built-in text"), "wikitext-2": mark("WikiText-2 (train)"), "c4": mark("C4 (en)")}
EXPORTS = {
    "compressed-tensors": mark("Quantized checkpoint (compressed-tensors)"),
    "gguf": mark("Quantized GGUF file (llama.cpp)"),
    "rotated-bf16": mark("Rotated model in 16 bits"),
    "gguf-f16": mark("Rotated GGUF file in 16 bits"),
    "gguf-q8_0": mark("Rotated GGUF file in 8 bits"),
}
CHOOSE_FILE = "\0file"


class QuantizationCard(RecipeCard):
    SECTIONS = (("weights", mark("Weights")), ("activations", mark("Activations")), ("kv_cache", mark("KV cache")))

    def __init__(self, model: RecipeModel) -> None:
        sections = (*(name for name, _ in self.SECTIONS), "overrides", "skip", "solver", "recovery")
        super().__init__(tr("Quantization"), model=model, sections=sections)
        self.bits: dict[str, SegmentedEditor] = {}
        for section, title in self.SECTIONS:
            editor = SegmentedEditor({word: tr(text) for word, text in BITS.items()}, tr(title))
            editor.edited.connect(lambda word, section=section: model.set_format(section, word or None))
            self.bits[section] = editor
            self.form.add(f"{section}.format", editor, title=tr(title), is_bound=False, aligned=False)
        sizes = {PER_CHANNEL: tr("Channel"), **{size: tr(GROUP_OF, size=size) for size in GROUP_SIZES}}
        self.group = ChoiceEditor(sizes, lambda size: tr(GROUP_OF, size=size))
        self.group.edited.connect(self._set_group)
        self._scale = self.form.add("weights.group_size", self.group, title=tr("&Scale per"), is_bound=False)
        self.symmetric = BoolEditor(tr("Symmetric weights"))
        self._symmetric = self.form.add("weights.symmetric", self.symmetric, aligned=False)
        self.solver = SegmentedEditor({kind: tr(name) for kind, name in SOLVERS.items()}, tr("Rounding"))
        self.solver.setToolTip(tr("GPTQ and Qronos look at the calibration text: slower, and usually much closer"))
        self.solver.edited.connect(lambda kind: model.set("solver", {"kind": kind}))
        self._solver = self.form.add("solver.kind", self.solver, title=tr("Roundin&g"), is_bound=False, aligned=False)
        self.recovery = ChoiceEditor({kind: tr(name) for kind, name in RECOVERIES.items()})
        self.recovery.setToolTip(tr("Trains each block for a while after it was rounded: slow, and often worth it"))
        self.recovery.edited.connect(lambda kind: model.set("recovery", {"kind": kind} if kind else None))
        self.form.add("recovery", self.recovery, title=tr("Reco&very"), is_bound=False)
        self.add(self.form)
        self.add(self.notes)
        self._exceptions = label("", "small", wrap=True)
        self._remove = Button(tr("Remove"), kind="ghost", tip=tr("Give these linears the same formats as all others"))
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
        fixed = fixed_fields(weights.format) if weights is not None else {}
        self._scale.set_enabled(weights is not None and "group_size" not in fixed)
        self._symmetric.set_enabled(weights is not None and "symmetric" not in fixed)
        self._solver.set_enabled(weights is not None)
        self.solver.set_current(recipe.solver.kind)
        self.recovery.show_value(recipe.recovery.kind if recipe.recovery else "")
        if weights is not None:
            self.group.show_value(PER_CHANNEL if weights.granularity == "per-channel" else weights.group_size)
        self._exceptions.setText(_exceptions(recipe))
        self._exceptions_box.setVisible(bool(recipe.overrides))

    def show_problems(self, problems: Sequence[Problem]) -> None:
        """A problem of a scheme stands below its bits, whichever of its fields it names."""
        own = {bound.field for bound in self.form.fields}
        moved: list[Problem] = []
        for problem in problems:
            section = problem.field.split(".")[0]
            is_moved = section in self.bits and problem.field not in own
            moved.append(problem.model_copy(update={"field": f"{section}.format"}) if is_moved else problem)
        super().show_problems(moved)

    def editor(self, field: str) -> QWidget | None:
        return self.bits.get(field) or super().editor(field)

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
        super().__init__(tr("Calibration"), model=model, sections=("calibration",))
        self.data = ChoiceEditor(
            {**{name: tr(title) for name, title in DATASETS.items()}, CHOOSE_FILE: tr("Text file…")}
        )
        self.data.edited.connect(self._set_data)
        self._data = self.form.add("calibration.dataset", self.data, title=tr("&Data"), is_bound=False)
        self.form.add(
            "calibration.num_samples",
            IntEditor(field_spec("calibration.num_samples"), tr(" sequences")),
            title=tr("Sa&mples"),
        )
        self.form.add(
            "calibration.seq_len", IntEditor(field_spec("calibration.seq_len"), tr(" tokens each")), title=tr("&Length")
        )
        self.form.add("calibration.seed", title=tr("S&eed"))
        self.add(self.form)
        self.add(self.notes)
        self.body.addStretch(1)

    def _set_data(self, value: str) -> None:
        if value == CHOOSE_FILE:
            value, _ = QFileDialog.getOpenFileName(
                self, tr("Text for calibration"), "", tr("Text (*.txt *.jsonl *.parquet)")
            )
        if value:
            self.model.set("calibration.dataset", value)
        self._data.forget()
        self._data.refresh()


class OutputCard(RecipeCard):
    """Where the files go and which; the permission to replace appears when the folder is occupied."""

    def __init__(self, model: RecipeModel) -> None:
        super().__init__(tr("Output"), model=model, sections=("exports", "evaluation", "options"))
        self.form.add("options.output_dir", title=tr("&Folder"))
        self.overwrite = BoolEditor(field_spec("options.overwrite").title)
        self._overwrite = self.form.add("options.overwrite", self.overwrite, aligned=False)
        self._offer_gpus(len(gpu_capabilities()))
        self.add(self.form)
        self.files = {kind: BoolEditor(tr(title)) for kind, title in EXPORTS.items()}
        self.measured = BoolEditor(tr("Measure perplexity before and after"))
        for check in self.files.values():
            check.edited.connect(self._set_exports)
        self.measured.edited.connect(lambda is_on: model.set("evaluation", {} if is_on else None))
        checks = (*self.files.values(), self.measured)
        self._more = ReflowGrid(checks, columns=(3, 2, 1), min_width=px(300), spacing=10)
        self.add(self._more)
        self.add(self.notes)

    def set_simple(self, is_simple: bool) -> None:
        """Show the folder alone, or everything."""
        self._more.setVisible(not is_simple)

    def _offer_gpus(self, number: int) -> None:
        """How many of this computer's GPUs share the run, each by a process of its own."""
        if number > 1:
            counts = {count: str(count) for count in range(1, number + 1)}
            self.form.add("options.ranks", ChoiceEditor(counts), title=tr("GPUs"), aligned=False)

    def refresh(self, recipe: Recipe) -> None:
        super().refresh(recipe)
        kinds = {export.kind for export in recipe.exports}
        for kind, check in self.files.items():
            check.setChecked(kind in kinds)
        self.measured.setChecked(recipe.evaluation is not None)

    def show_problems(self, problems: Sequence[Problem]) -> None:
        super().show_problems(problems)
        is_occupied = any(problem.field in {"options.output_dir", "options.overwrite"} for problem in problems)
        self.overwrite.setVisible(is_occupied or self.model.options.overwrite)

    def editor(self, field: str) -> QWidget | None:
        if field.split(".", maxsplit=1)[0] == "exports":
            return next(iter(self.files.values()))
        return self.measured if field == "evaluation" else super().editor(field)

    def _set_exports(self) -> None:
        chosen = [kind for kind, check in self.files.items() if check.isChecked()]
        self.model.set("exports", [{"kind": kind, "subfolder": kind if n else ""} for n, kind in enumerate(chosen)])


def _exceptions(recipe: Recipe) -> str:
    lines: list[str] = []
    for override in recipe.overrides:
        parts = [
            f"{name} {tr(BITS[scheme.format])}"
            for name, scheme in ((tr("weights"), override.weights), (tr("activations"), override.activations))
            if scheme is not None
        ]
        lines.append(tr("Except {linears}: {bits}", linears=override.linears, bits=", ".join(parts)))
    return "\n".join(lines)
