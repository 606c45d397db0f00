from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox, QLabel, QLineEdit, QMessageBox

from dfrot_engine import Problem, Recipe
from dfrot_engine.recipe import RotationPlan
from dfrot_gui import icons
from dfrot_gui.pages import recipe_cards, recipe_plan
from dfrot_gui.pages.recipe_page import RecipePage
from dfrot_gui.recipe_form.editors import ChoiceEditor
from dfrot_gui.recipe_model import RecipeModel
from dfrot_gui.settings import Settings
from tests.gui.fakes import FakePlanner


@pytest.fixture
def page(qtbot, recipe_page: RecipePage, recipe_model: RecipeModel) -> RecipePage:
    recipe_page.resize(1136, 880)
    recipe_page.show()
    recipe_model.plan_now()
    planned(qtbot, recipe_model)
    return recipe_page


def planned(qtbot, model: RecipeModel) -> None:
    qtbot.waitUntil(lambda: not model.is_planning)


def error(field: str) -> Problem:
    return Problem(field=field, severity="error", message=f"Wrong {field}.", remedy="Change it.")


def show_problems(qtbot, page: RecipePage, planner: FakePlanner, *problems: Problem) -> None:
    planner.problems = problems
    page._model.plan_now()
    qtbot.waitUntil(lambda: page._model.plan is not None and page._model.plan.problems == problems)
    planned(qtbot, page._model)


def test_shows_the_preset_and_its_description(page: RecipePage) -> None:
    assert page.preset_choice.current() == "w4a4"
    assert "4-bit weights and activations" in page.preset_note.text()
    assert page.changed_badge.isHidden()


def test_an_edit_makes_it_your_own_recipe(page: RecipePage, recipe_model: RecipeModel) -> None:
    recipe_model.set("calibration.num_samples", 99)
    assert page.preset_choice.current() == ""
    assert "begun as W4A4" in page.preset_note.text()
    assert not page.changed_badge.isHidden()


def test_choosing_a_preset_sets_the_recipe(page: RecipePage, recipe_model: RecipeModel) -> None:
    page.preset_choice.buttons[0].click()
    assert recipe_model.recipe.name == "w4a16"
    assert page.quantization.bits["activations"].current() == ""


@pytest.mark.parametrize(
    "kind", ["none", "random-orthogonal", "hadamard", "householder", "dfrot", "descent", "whip", "cayley"]
)
def test_rotation_cards(page: RecipePage, recipe_model: RecipeModel, kind: str) -> None:
    page.rotation.cards[kind].click()
    assert recipe_model.recipe.rotation.r1.kind == kind
    assert [key for key, card in page.rotation.cards.items() if card.isChecked()] == [kind]
    own = recipe_model.recipe.rotation.r1.model_dump()
    for bound in page.refinement.form.fields:
        assert bound.editor.isEnabled() is (bound.field.removeprefix("rotation.r1.") in own)


def test_a_start_is_offered_where_it_can_be_used(page: RecipePage, recipe_model: RecipeModel) -> None:
    page.rotation.cards["descent"].click()
    start = page.refinement.start
    choose_start(start, "dfrot")
    assert recipe_model.value("rotation.r1.start") == "dfrot"
    page.rotation.cards["whip"].click()
    words = [start.itemText(index) for index in range(start.count())]
    assert words == ["RH  Hadamard", "RO  Orthogonal", "Saved rotation…"]
    assert start.currentData() == "hadamard"


def choose_start(start: ChoiceEditor, value: str) -> None:
    """What a click on an item of the list does."""
    start.setCurrentIndex(start.findData(value))
    start.activated.emit(start.currentIndex())


def test_rounding_and_recovery(page: RecipePage, recipe_model: RecipeModel) -> None:
    card = page.quantization
    for number, kind in enumerate(("rtn", "gptq", "qronos")):
        card.solver.buttons[number].click()
        assert recipe_model.recipe.solver.kind == kind
        assert card.solver.current() == kind
    assert recipe_model.recipe.recovery is None
    for kind in ("scales", "lora"):
        choose_start(card.recovery, kind)
        recovery = recipe_model.recipe.recovery
        assert recovery is not None
        assert recovery.kind == kind
        assert card.recovery.currentData() == kind
    choose_start(card.recovery, "")
    assert recipe_model.recipe.recovery is None
    recipe_model.set("weights", None)
    assert not card.solver.isEnabled()


def test_bits(page: RecipePage, recipe_model: RecipeModel) -> None:
    editor = page.quantization.bits["kv_cache"]
    next(button for button in editor.buttons if button.text() == "8 bit").click()
    assert recipe_model.recipe.kv_cache is not None
    assert recipe_model.recipe.kv_cache.format == "int8"
    next(button for button in editor.buttons if button.text() == "16 bit").click()
    assert recipe_model.recipe.kv_cache is None


def test_unusual_bits_are_shown(page: RecipePage, recipe_model: RecipeModel) -> None:
    recipe_model.set_format("weights", "int3")
    editor = page.quantization.bits["weights"]
    assert editor.current() == "int3"
    assert [button.text() for button in editor.buttons if not button.isHidden()] == [
        "16 bit",
        "8 bit",
        "4 bit",
        "3 bit",
    ]


def test_formats_that_prescribe_their_groups(page: RecipePage, recipe_model: RecipeModel) -> None:
    assert page.quantization.group.isEnabled()
    for name in ("nvfp4", "fp8", "mxfp4"):
        recipe_model.set_format("weights", name)
        recipe_model.set_format("activations", name)
        assert recipe_model.recipe.weights is not None
        assert recipe_model.recipe.weights.format == name
        assert page.quantization.bits["weights"].current() == name
        assert page.quantization.group.isEnabled() == (name == "fp8")
        assert not page.quantization.symmetric.isEnabled()
    recipe_model.set_format("weights", "int4")
    assert page.quantization.group.isEnabled()


def test_group_size_and_per_channel(page: RecipePage, recipe_model: RecipeModel) -> None:
    page.quantization.group.edited.emit(128)
    assert recipe_model.recipe.weights is not None
    assert recipe_model.recipe.weights.group_size == 128
    page.quantization.group.edited.emit(0)
    assert recipe_model.recipe.weights.granularity == "per-channel"


def test_exceptions_are_shown_and_can_be_removed(page: RecipePage, recipe_model: RecipeModel) -> None:
    assert "*.down_proj" in page.quantization._exceptions.text()
    page.quantization._remove.click()
    assert recipe_model.recipe.overrides == ()
    assert page.quantization._exceptions_box.isHidden()


def test_files_to_write(page: RecipePage, recipe_model: RecipeModel) -> None:
    page.output.files["rotated-bf16"].click()
    kinds = [(export.kind, export.subfolder) for export in recipe_model.recipe.exports]
    assert kinds == [("compressed-tensors", ""), ("rotated-bf16", "rotated-bf16")]
    page.output.files["compressed-tensors"].click()
    page.output.files["gguf"].click()
    assert [export.kind for export in recipe_model.recipe.exports] == ["gguf", "rotated-bf16"]
    page.output.measured.click()
    assert recipe_model.recipe.evaluation is None


def test_problems_stand_beside_their_fields_and_in_the_list(qtbot, page: RecipePage, planner: FakePlanner) -> None:
    show_problems(qtbot, page, planner, error("calibration.num_samples"), error("rotation.r1.kind"))
    samples = next(bound for bound in page.calibration.form.fields if bound.field == "calibration.num_samples")
    assert samples.note.text() == "Wrong calibration.num_samples. Change it."
    assert samples.note.isVisible()
    assert "rotation.r1.kind" in page.rotation.notes.findChildren(QLabel)[0].text()
    assert len(page.problem_list.problems) == 2
    assert not page.start_button.isEnabled()
    show_problems(qtbot, page, planner)
    assert not samples.note.isVisible()
    assert page.problem_list.isHidden()
    assert page.start_button.isEnabled()


@pytest.mark.parametrize(
    "field", ["calibration.seed", "rotation.r1.kind", "exports.0.kind", "options.output_dir", "options.threads"]
)
def test_show_field_goes_to_it(qtbot, page: RecipePage, field: str) -> None:
    page.activateWindow()
    page.show_field(field)
    focused = page.focusWidget()
    assert focused is not None
    assert focused is not page.start_button


def test_permission_to_replace_appears_when_the_folder_is_occupied(
    qtbot, page: RecipePage, planner: FakePlanner, recipe_model: RecipeModel
) -> None:
    assert page.output.overwrite.isHidden()
    show_problems(qtbot, page, planner, error("options.output_dir"))
    assert page.output.overwrite.isVisible()
    page.output.overwrite.click()
    assert recipe_model.options.overwrite


@pytest.mark.parametrize(("gpus", "offered"), [(0, None), (1, None), (3, ["1", "2", "3"])])
def test_gpus_are_offered_where_there_are_several(
    qtbot, monkeypatch: pytest.MonkeyPatch, recipe_model: RecipeModel, gpus: int, offered: list[str] | None
) -> None:
    monkeypatch.setattr(recipe_cards, "gpu_capabilities", lambda: (90,) * gpus)
    card = recipe_cards.OutputCard(recipe_model)
    qtbot.addWidget(card)
    editor = card.editor("options.ranks")
    if offered is None:
        assert editor is None
        return
    assert isinstance(editor, ChoiceEditor)
    assert [editor.itemText(index) for index in range(editor.count())] == offered
    editor.setCurrentIndex(2)
    editor.activated.emit(2)
    assert recipe_model.options.ranks == 3
    assert recipe_model.options.flags()[-2:] == ["--ranks", "3"]


def test_the_plan_is_shown(page: RecipePage) -> None:
    assert len(page.plan._shown) == 5
    assert page.plan._time.text() == "About 6 min on this computer"
    assert page.plan._memory.text() == "Peak about 2.0 GB"


def test_start_is_asked_for_once_there_are_no_errors(qtbot, page: RecipePage) -> None:
    with qtbot.waitSignal(page.start_requested):
        page.start_button.click()
    page.set_run_active(True)
    assert not page.start_button.isEnabled()
    with qtbot.assertNotEmitted(page.start_requested):
        QTest.keyClick(page, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)


def test_undo_by_key(qtbot, page: RecipePage, recipe_model: RecipeModel) -> None:
    page.activateWindow()
    recipe_model.set_rotation("none")
    page.rotation.cards["none"].setFocus()
    QTest.keyClick(page.rotation.cards["none"], Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert recipe_model.recipe.rotation.r1.kind == "descent"
    assert page.rotation.cards["descent"].isChecked()


def test_save_and_load(page: RecipePage, recipe_model: RecipeModel, tmp_path: Path) -> None:
    recipe_model.set("calibration.seed", 42)
    page.save(tmp_path / "mine.toml")
    recipe_model.set_preset("w8a8")
    page.load(tmp_path / "mine.toml")
    assert recipe_model.recipe.calibration.seed == 42
    assert recipe_model.recipe == Recipe.load(tmp_path / "mine.toml")


def test_a_broken_file_is_refused_with_a_message(page: RecipePage, tmp_path: Path, monkeypatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(QMessageBox, "warning", lambda *parts: shown.append(parts[-1]))
    (tmp_path / "broken.toml").write_text("name = [")
    before = page._model.recipe
    page.load(tmp_path / "broken.toml")
    assert "not a TOML recipe" in shown[0]
    assert page._model.recipe is before


def test_every_control_has_a_name(page: RecipePage) -> None:
    page.all_fields.toggle.click()
    kinds = (QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit)
    for kind in kinds:
        for control in page.findChildren(kind):
            is_inner = isinstance(control.parent(), QAbstractSpinBox | QLineEdit | QComboBox)
            assert is_inner or control.accessibleName() or getattr(control, "text", str)(), control


def test_online_rotations(page: RecipePage, recipe_model: RecipeModel) -> None:
    editor = page.rotation.editor("rotation.r3")
    assert isinstance(editor, QAbstractButton)
    editor.click()
    for name, kind in (("r2", "descent"), ("r4", "block-descent")):
        choice = page.rotation.inner[name]
        choice.setCurrentIndex(choice.findData(kind))
        choice.activated.emit(choice.currentIndex())
    rotation = recipe_model.recipe.rotation
    assert (rotation.r2.kind, rotation.r3, rotation.r4.kind) == ("descent", True, "block-descent")


@pytest.mark.parametrize("name", ["r2", "r4"])
def test_every_inner_rotation_can_be_chosen(page: RecipePage, name: str) -> None:
    """A kind of the recipe that the card does not know could only be set by hand."""
    choice = page.rotation.inner[name]
    offered = {choice.itemData(index) for index in range(choice.count())}
    union = get_args(RotationPlan.model_fields[name].annotation)
    assert offered == {section.model_fields["kind"].default for section in union}
    assert page.rotation.editor(f"rotation.{name}.kind") is choice


@pytest.mark.parametrize("field", ["skip", "exports.0.kind", "calibration"])
def test_a_problem_without_an_editor_is_shown_on_its_card(
    qtbot, page: RecipePage, planner: FakePlanner, field: str
) -> None:
    show_problems(qtbot, page, planner, error(field))
    labels = [text for card in page.cards for text in card.notes.findChildren(QLabel)]
    assert [text.text() for text in labels if text.isVisible()] == [f"Wrong {field}. Change it."]


def test_many_problems_are_folded(qtbot, page: RecipePage, planner: FakePlanner) -> None:
    show_problems(qtbot, page, planner, *(error(f"skip.{number}") for number in range(7)))
    shown = [button.text() for button in page.problem_list.findChildren(QAbstractButton) if button.isVisible()]
    assert shown.count("Show field") == 3
    assert any("Show 4 more" in text for text in shown)


@pytest.mark.parametrize("field", ["activations.symmetric", "activations"])
def test_a_problem_of_a_scheme_stands_below_its_bits(qtbot, page: RecipePage, planner: FakePlanner, field: str) -> None:
    show_problems(qtbot, page, planner, error(field))
    bound = next(one for one in page.quantization.form.fields if one.field == "activations.format")
    assert bound.note.text() == f"Wrong {field}. Change it."


def test_undo_and_redo_by_button_and_by_key_in_a_field(qtbot, page: RecipePage, recipe_model: RecipeModel) -> None:
    assert not page.undo_button.isEnabled()
    before = recipe_model.recipe
    recipe_model.set("calibration.num_samples", 99)
    page.undo_button.click()
    assert recipe_model.recipe == before
    page.redo_button.click()
    assert recipe_model.recipe.calibration.num_samples == 99
    page.activateWindow()
    editor = page.editor("calibration.num_samples")
    assert isinstance(editor, QAbstractSpinBox)
    editor.setFocus()
    QTest.keyClick(editor.lineEdit(), Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert recipe_model.recipe == before
    both = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    QTest.keyClick(editor.lineEdit(), Qt.Key.Key_Z, both)
    assert recipe_model.recipe.calibration.num_samples == 99


def test_reset_goes_back_to_the_preset_and_can_be_undone(page: RecipePage, recipe_model: RecipeModel) -> None:
    assert page.reset_button.isHidden()
    preset = recipe_model.recipe
    recipe_model.set("calibration.num_samples", 99)
    assert not page.reset_button.isHidden()
    page.reset_button.click()
    assert recipe_model.recipe == preset
    recipe_model.undo()
    assert recipe_model.recipe.calibration.num_samples == 99


def test_the_simple_view_shows_little_changes_nothing_and_is_remembered(
    page: RecipePage, recipe_model: RecipeModel, settings: Settings
) -> None:
    before = recipe_model.recipe
    assert page.quantization.isVisible()
    page.view_choice.buttons[0].click()
    hidden = (page.quantization, page.calibration, page.refinement, page.all_fields, page.output.measured)
    assert not any(part.isVisible() for part in hidden)
    shown = (page.preset_choice, page.rotation, page.plan, page.editor("options.output_dir"))
    assert all(part is not None and part.isVisible() for part in shown)
    recipe_model.set("calibration.num_samples", 99)
    recipe_model.undo()
    assert recipe_model.recipe == before
    assert not page.quantization.isVisible()
    assert settings.is_recipe_simple
    page.show_field("calibration.seq_len")  # a problem there has to be reached
    assert page.calibration.isVisible()
    assert page.view_choice.current() == "advanced"


@pytest.mark.parametrize("text", ["no = [toml", "version = 1\nsurprise = 3\n", "", "\xff\x00"])
def test_every_bad_file_is_a_sentence(page: RecipePage, tmp_path: Path, monkeypatch, text: str) -> None:
    shown: list[str] = []
    monkeypatch.setattr(QMessageBox, "warning", lambda *arguments: shown.append(arguments[2]))
    before = page._model.recipe
    path = tmp_path / "bad.toml"
    path.write_bytes(text.encode("latin-1"))
    page.load(path)
    assert page._model.recipe == before or text == ""
    assert text == "" or len(shown[0].split()) > 5


def test_every_stage_of_a_plan_has_an_icon(page: RecipePage) -> None:
    for name in recipe_plan.ICONS.values():
        icons.icon(name)
