from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog, QMessageBox
from safetensors.numpy import save_file

from dfrot_engine import Recipe
from dfrot_engine.library import ENVIRONMENT, RotationFacts, keep_rotation, list_rotations
from dfrot_engine.recipe import FromFile
from dfrot_gui.pages.recipe_page import RecipePage
from dfrot_gui.pages.rotation_chooser import RotationChooser
from dfrot_gui.quantities import when_text
from dfrot_gui.recipe_model import RecipeModel
from tests.gui.fakes import SUMMARY, assert_uncut

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
OWN, OTHER = f"library:{SUMMARY.id.split('/')[1]}--descent--bbbbbbbb", "library:Other--dfrot--cccccccc"


@pytest.fixture(autouse=True)
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two that fit the model, the other model's newer than its own, and one that does not."""
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "library"))
    keep(tmp_path, "Wide/Wide", "whip", "a", 3, width=64)
    keep(tmp_path, SUMMARY.id, "descent", "b", 1)
    keep(tmp_path, "Other/Other", "dfrot", "c", 2)
    return tmp_path / "library"


def keep(folder: Path, model: str, kind: str, mark: str, hours: int, width: int = SUMMARY.hidden_size) -> None:
    facts = RotationFacts(
        model=model,
        recipe="",
        recipe_name="w4a4",
        fingerprint=mark * 16,
        kind=kind,
        seed=5,
        created=NOON + timedelta(hours=hours),
        hidden_size=width,
        num_blocks=2,
        head_size=8,
        loss_start=2.0,
        loss_end=1.5,
    )
    save_file({"R1": np.eye(width)}, folder / "run.safetensors", metadata=facts.to_metadata())
    keep_rotation(folder / "run.safetensors", facts)
    (folder / "run.safetensors").unlink()


@pytest.fixture
def page(qtbot, recipe_page: RecipePage, recipe_model: RecipeModel) -> RecipePage:
    recipe_page.resize(1136, 880)
    recipe_page.show()
    recipe_model.plan_now()
    qtbot.waitUntil(lambda: recipe_model.plan is not None and not recipe_model.is_planning)
    return recipe_page


def opened(page: RecipePage) -> RotationChooser:
    (chooser,) = [one for one in page.findChildren(RotationChooser) if one.isVisible()]
    return chooser


def open_for_start(page: RecipePage) -> RotationChooser:
    start = page.refinement.start
    start.setCurrentIndex(start.findData("from-file"))
    start.activated.emit(start.currentIndex())
    return opened(page)


def references(chooser: RotationChooser) -> list[str]:
    items = (chooser.list.item(number) for number in range(chooser.list.count()))
    return [item.data(Qt.ItemDataRole.UserRole).reference for item in items]


def test_lists_what_fits_the_model_its_own_first(page: RecipePage) -> None:
    page.rotation.cards["from-file"].click()
    chooser = opened(page)
    assert references(chooser) == [OWN, OTHER]
    said = chooser.list.item(0).data(Qt.ItemDataRole.AccessibleTextRole)
    for words in ("Descent", SUMMARY.id, "recipe w4a4", "seed 5", when_text(NOON + timedelta(hours=1)), "loss −25 %"):
        assert words in said
    assert_uncut(chooser)


def test_without_a_model_all_are_listed(qtbot, recipe_page: RecipePage) -> None:
    chooser = RotationChooser(recipe_page, None)
    assert len(references(chooser)) == 3


def test_a_rotation_of_the_library_becomes_r1(page: RecipePage, recipe_model: RecipeModel) -> None:
    page.rotation.cards["from-file"].click()
    chooser = opened(page)
    chooser.list.setCurrentRow(1)
    chooser.use_button.click()
    assert recipe_model.value("rotation.r1") == FromFile(path=OTHER)
    assert page.rotation.cards["from-file"].isChecked()
    assert page.rotation.file.isVisible()
    assert "Other--dfrot--cccccccc" in page.rotation.file.text()
    page.rotation.cards["from-file"].click()
    current = opened(page).list.current
    assert current is not None
    assert current.reference == OTHER
    page.rotation.cards["hadamard"].click()
    assert page.rotation.file.isHidden()


def test_a_file_becomes_r1(page: RecipePage, recipe_model: RecipeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: ("/somewhere/own.npy", ""))
    page.rotation.cards["from-file"].click()
    opened(page).file_button.click()
    assert recipe_model.value("rotation.r1") == FromFile(path="/somewhere/own.npy")
    assert page.rotation.file.text() == "R1 from own.npy"


def test_nothing_changes_when_nothing_is_chosen(
    page: RecipePage, recipe_model: RecipeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.rotation.cards["descent"].click()
    before = recipe_model.recipe
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: ("", ""))
    page.rotation.cards["from-file"].click()
    chooser = opened(page)
    chooser.file_button.click()
    assert chooser.isVisible(), "the file dialog was left, the chooser was not"
    chooser.cancel_button.click()
    assert page.rotation.cards["descent"].isChecked()
    chooser = open_for_start(page)
    QTest.keyClick(chooser, Qt.Key.Key_Escape)
    assert page.refinement.start.currentData() == "hadamard"
    assert recipe_model.recipe is before


@pytest.mark.parametrize("kind", ["dfrot", "descent", "whip"])
def test_a_refinement_starts_from_a_saved_one(page: RecipePage, recipe_model: RecipeModel, kind: str) -> None:
    page.rotation.cards[kind].click()
    chooser = open_for_start(page)
    QTest.keyClick(chooser.list, Qt.Key.Key_Down)
    QTest.keyClick(chooser, Qt.Key.Key_Return)
    r1: Any = recipe_model.recipe.rotation.r1
    assert (r1.kind, r1.start, r1.start_path) == (kind, "from-file", OTHER)
    assert page.refinement.saved.text() == "Starts from Other--dfrot--cccccccc"
    assert page.refinement.saved.isVisible()
    assert page.editor("rotation.r1.start_path") is page.refinement.start
    recipe_model.undo()
    assert recipe_model.value("rotation.r1.kind") == kind, "the start is a step of its own"
    assert recipe_model.value("rotation.r1.start_path") == ""
    recipe_model.redo()
    start = page.refinement.start
    start.activated.emit(start.findData("hadamard"))
    assert (recipe_model.value("rotation.r1.start"), recipe_model.value("rotation.r1.start_path")) == ("hadamard", "")
    assert page.refinement.saved.isHidden()


def test_removing(page: RecipePage, monkeypatch: pytest.MonkeyPatch) -> None:
    page.rotation.cards["from-file"].click()
    chooser = opened(page)
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.No)
    chooser.remove_button.click()
    assert len(list_rotations()) == 3
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Yes)
    chooser.remove_button.click()
    assert references(chooser) == [OTHER]
    assert {entry.kind for entry in list_rotations()} == {"whip", "dfrot"}
    chooser.remove_button.click()
    assert chooser.empty.isVisible()
    assert "None yet" in chooser.empty.text()
    assert not chooser.use_button.isEnabled()
    assert chooser.remove_button.isHidden()


def test_a_damaged_file_is_not_listed_but_named(page: RecipePage, library: Path) -> None:
    for path in library.iterdir():
        path.write_bytes(b"damaged")
    page.rotation.cards["from-file"].click()
    chooser = opened(page)
    assert references(chooser) == []
    assert "Other--dfrot--cccccccc.safetensors" in chooser.empty.text()


def test_a_loaded_recipe_is_shown(page: RecipePage, recipe_model: RecipeModel) -> None:
    recipe_model.set_recipe(
        Recipe().with_field("rotation.r1", {"kind": "whip", "start": "from-file", "start_path": OWN})
    )
    assert page.refinement.start.currentData() == "from-file"
    assert page.refinement.saved.text().endswith("--descent--bbbbbbbb")
