from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QLineEdit, QSpinBox

from dfrot_engine import Problem
from dfrot_gui.recipe_form.all_fields import AllFields
from dfrot_gui.recipe_form.editors import ChoiceEditor, TextEditor, make_editor
from dfrot_gui.recipe_form.fields import field_spec
from dfrot_gui.recipe_form.form import Form
from dfrot_gui.recipe_model import RecipeModel
from dfrot_gui.widgets import PathField, box


def test_a_spec_carries_title_help_and_bounds() -> None:
    spec = field_spec("rotation.r1.massive_weight")
    assert spec.title == "Massive weight γ"
    assert "plateau" in spec.help
    assert (spec.type, spec.lower, spec.upper, spec.words) == (float, 1.0, 1e6, ("auto",))


CLIPS = ("weights.clip_ratio", "activations.clip_ratio", "kv_cache.clip_ratio")


@pytest.mark.parametrize("field", CLIPS)
def test_a_number_or_a_word(field: str) -> None:
    spec = field_spec(field)
    assert (spec.type, spec.words, spec.lower_open, spec.upper) == (float, ("search",), True, 1.0)
    assert "search" in spec.help


def test_a_choice() -> None:
    assert field_spec("options.device").choices == ("auto", "cpu", "cuda")


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ("calibration.num_samples", QSpinBox),
        ("rotation.r1.massive_weight", QLineEdit),
        ("rotation.r1.learning_rate", QDoubleSpinBox),
        ("weights.format", QComboBox),
        ("weights.symmetric", QCheckBox),
        *((field, QLineEdit) for field in CLIPS),
        ("calibration.dataset", QLineEdit),
        ("options.output_dir", PathField),
    ],
)
def test_one_editor_per_type(qtbot, field: str, kind: type) -> None:
    editor = make_editor(field_spec(field))
    qtbot.addWidget(editor)
    assert isinstance(editor, kind)


@pytest.mark.parametrize("field", CLIPS)
def test_typed_numbers_and_words(qtbot, field: str) -> None:
    editor = TextEditor(field_spec(field))
    qtbot.addWidget(editor)
    values: list[object] = []
    editor.edited.connect(values.append)
    for text in ("0,9", "search", "nonsense"):
        editor.setText(text)
        editor.editingFinished.emit()
    assert values == [0.9, "search", "nonsense"]


def test_an_unusual_value_is_shown(qtbot) -> None:
    editor = ChoiceEditor({64: "Group of 64"})
    qtbot.addWidget(editor)
    editor.show_value(48)
    assert editor.currentData() == 48


def test_a_form_shows_and_sets_the_recipe(qtbot, recipe_model: RecipeModel) -> None:
    form = Form(recipe_model)
    bound = form.add("calibration.num_samples")
    holder = box(form)
    qtbot.addWidget(holder)
    form.refresh()
    assert isinstance(bound.editor, QSpinBox)
    assert bound.editor.value() == recipe_model.recipe.calibration.num_samples
    bound.editor.setValue(24)
    assert recipe_model.recipe.calibration.num_samples == 24


@pytest.mark.parametrize("field", CLIPS)
def test_a_clip_ratio_goes_from_the_form_to_the_recipe(qtbot, recipe_model: RecipeModel, field: str) -> None:
    recipe_model.set_preset("w4a4kv4-paper")
    form = Form(recipe_model)
    bound = form.add(field)
    holder = box(form)
    qtbot.addWidget(holder)
    assert isinstance(bound.editor, QLineEdit)
    section = field.partition(".")[0]
    for text, value in (("0,85", 0.85), ("search", "search"), ("1.0", 1.0)):
        bound.editor.setText(text)
        bound.editor.editingFinished.emit()
        assert getattr(recipe_model.recipe, section).clip_ratio == value
        form.refresh()
        shown = bound.editor.text()
        assert (shown if value == "search" else float(shown)) == value


def test_a_problem_stands_below_its_field_only(qtbot, recipe_model: RecipeModel) -> None:
    form = Form(recipe_model)
    samples, seed = form.add("calibration.num_samples"), form.add("calibration.seed")
    holder = box(form)
    qtbot.addWidget(holder)
    problem = Problem(field="calibration.seed", severity="error", message="Bad seed.", remedy="Take 0.")
    form.show_problems([problem])
    assert seed.note.text() == "Bad seed. Take 0."
    assert not seed.note.isHidden()
    assert seed.editor.property("problem") == "error"
    assert "Bad seed" in seed.editor.accessibleDescription()
    assert samples.note.isHidden()
    form.show_problems([])
    assert seed.note.isHidden()


def test_all_fields_follow_the_sections_of_the_recipe(qtbot, recipe_model: RecipeModel) -> None:
    fields = AllFields(recipe_model)
    qtbot.addWidget(fields)
    assert fields.editor("rotation.r1.steps") is not None
    recipe_model.set_rotation("none")
    fields.refresh()
    assert fields.editor("rotation.r1.steps") is None
    assert fields.editor("options.work_dir") is not None


def test_every_plain_field_of_every_preset_has_an_editor(qtbot, recipe_model: RecipeModel) -> None:
    for name in ("w4a16", "w4a4", "w4a4kv4-paper", "w8a8"):
        recipe_model.set_preset(name)
        fields = AllFields(recipe_model)
        qtbot.addWidget(fields)
        fields.toggle.setChecked(True)
        shown = {bound.field for form in fields._forms for bound in form.fields}
        assert {"calibration.seq_len", "rotation.r3", "weights.format", "options.threads"} <= shown


def test_a_path_is_set_as_a_path(qtbot, recipe_model: RecipeModel, tmp_path: Path) -> None:
    form = Form(recipe_model)
    bound = form.add("options.output_dir")
    holder = box(form)
    qtbot.addWidget(holder)
    assert isinstance(bound.editor, PathField)
    bound.editor.edit.setText(str(tmp_path / "x"))
    bound.editor.edit.editingFinished.emit()
    assert recipe_model.options.output_dir == tmp_path / "x"
