"""Choosing a saved rotation: one of the library that fits the model, or a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QDialog, QFileDialog, QMessageBox, QVBoxLayout, QWidget

from dfrot_engine import DFRotError, ModelSummary
from dfrot_engine.library import LIBRARY, delete_rotation, list_rotations
from dfrot_gui.pages.recipe_card import RecipeCard
from dfrot_gui.pages.rotation_list import RotationList
from dfrot_gui.theme import Theme, px
from dfrot_gui.translation import mark, tr
from dfrot_gui.widgets import Button, Card, label, row
from dfrot_gui.widgets.page import ElidedLabel

_FILES = mark("Rotations (*.safetensors *.npy)")


class RotationChooser(QDialog):
    """`chosen` carries what a recipe names a rotation by: a name in the library or a path.

    Args:
        model: only rotations as wide as it are listed, its own first; None lists all.
        current: what the recipe names now.
    """

    chosen = Signal(str)

    def __init__(self, parent: QWidget, model: ModelSummary | None, current: str = "") -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(tr("Saved rotation"))
        self.resize(px(600), px(420))
        self._model, self._current = model, current
        self.list = RotationList()
        self.list.itemDoubleClicked.connect(self._use)
        self.list.currentRowChanged.connect(lambda _: self._show_buttons())
        self.empty = label("", "muted", wrap=True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        card = Card(margins=(6, 6, 6, 6))
        card.add(self.list, 1)
        card.add(self.empty, 1)
        self.file_button = Button(tr("Choose a file…"), "folder-open", tip=tr("A .safetensors or .npy file"))
        self.remove_button = Button(
            tr("Remove"), "trash", "ghost", tip=tr("Remove the selected rotation from the library")
        )
        self.cancel_button = Button(tr("Cancel"))
        self.use_button = Button(tr("Use rotation"), kind="primary")
        self.use_button.setDefault(True)
        self.file_button.clicked.connect(self._choose_file)
        self.remove_button.clicked.connect(self._remove)
        self.cancel_button.clicked.connect(self.reject)
        self.use_button.clicked.connect(self._use)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(20, 18, 20, 18)
        layout.setSpacing(12)
        fitting = (
            tr("For {id}, whose R1 has {hidden_size:,} rows.", id=model.id, hidden_size=model.hidden_size)
            if model
            else tr("For models of any width.")
        )
        layout.addWidget(label(tr("Rotations that earlier runs have learned"), "h2"))
        layout.addWidget(label(fitting, "small", wrap=True))
        layout.addWidget(card, 1)
        layout.addLayout(row(self.file_button, self.remove_button, None, self.cancel_button, self.use_button))
        self._show_entries()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        super().showEvent(event)
        if (focus := Theme.get().focus) is not None:
            focus.watch(self)
        (self.list if self.list.count() else self.file_button).setFocus()

    def _show_entries(self) -> None:
        notes: list[str] = []
        entries = list_rotations(width=self._model.hidden_size if self._model else None, on_skip=notes.append)
        own = self._model.id if self._model else ""
        self.list.show_entries(sorted(entries, key=lambda entry: entry.model != own), self._current)
        nothing = tr("None yet. A run that learns a rotation of this width adds it here.")
        self.empty.setText("\n".join([] if entries else [nothing, *notes]))
        self.empty.setVisible(not entries)
        self.list.setVisible(bool(entries))
        self._show_buttons()

    def _show_buttons(self) -> None:
        has_entry = self.list.current is not None
        self.use_button.setEnabled(has_entry)
        self.remove_button.setVisible(has_entry)

    def _use(self) -> None:
        entry = self.list.current
        if entry is not None:
            self._take(entry.reference)

    def _choose_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, tr("Rotation"), "", tr(_FILES))
        if path:
            self._take(path)

    def _take(self, reference: str) -> None:
        self.chosen.emit(reference)
        self.accept()

    def _remove(self) -> None:
        entry = self.list.current
        if entry is None:
            return
        text = tr("Remove {name} from the library?\n\nThe run it came from keeps its own file.", name=entry.name)
        if QMessageBox.question(self, tr("Remove the rotation"), text) != QMessageBox.StandardButton.Yes:
            return
        try:
            delete_rotation(entry.name)
        except DFRotError as error:
            QMessageBox.warning(self, tr("Not removed"), f"{error.message}\n\n{error.remedy}")
        self._show_entries()


class SavedRotation(ElidedLabel):
    """A line that names the saved rotation of a recipe; hidden while there is none."""

    def __init__(self, words: str) -> None:
        super().__init__(role="small")
        self._words = words

    def show_value(self, reference: str) -> None:
        """Show a name in the library without "library:", or a path's last part."""
        name = reference.removeprefix(LIBRARY) if reference.startswith(LIBRARY) else Path(reference).name
        self.setText(self._words.format(name=name))
        self.setVisible(bool(reference))


def choose_rotation(card: RecipeCard, field: str, take: Callable[[str], None]) -> None:
    """Open the chooser over a card; `take` is called with what was chosen for a field of the recipe."""
    chooser = RotationChooser(card, card.model.summary, card.model.value(field) or "")
    chooser.chosen.connect(take)
    # The card shows the click already.
    chooser.rejected.connect(lambda: card.refresh(card.model.recipe))
    chooser.open()
