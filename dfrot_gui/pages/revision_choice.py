"""Which branch, tag or commit of a model on the Hub is used."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import Signal
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QComboBox

from dfrot_engine import DFRotError
from dfrot_gui.background import Latest
from dfrot_gui.translation import mark, tr

MAIN = "main"
TIP = mark("Branch, tag or commit; any commit can be typed in full")


class RevisionChoice(QComboBox):
    """`chosen` is emitted when the user settles on another revision; the list is asked for in the background."""

    chosen = Signal(str)

    def __init__(self, revisions: Callable[[str], Sequence[str]]) -> None:
        super().__init__()
        self._revisions = revisions
        self._model, self._current = "", MAIN
        self.setEditable(True)
        self.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.setAccessibleName(tr("Revision to use"))
        self.setToolTip(tr(TIP))
        self.setMinimumContentsLength(8)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self._lister = Latest(self)
        self._lister.answered.connect(self._take)
        self._lister.failed.connect(self._say_why)
        self.textActivated.connect(self._choose)
        edit = self.lineEdit()
        assert edit is not None
        edit.editingFinished.connect(lambda: self._choose(self.currentText()))

    @property
    def revision(self) -> str:
        return self._current

    def set_model(self, model: str, revision: str = MAIN) -> None:
        """Another model, of which nothing is known yet; "" for one without revisions."""
        self._model, self._current = model, revision
        self._lister.drop()
        self._fill((revision,))
        self.setToolTip(tr(TIP))

    def list_revisions(self) -> None:
        """Ask the Hub what there is to choose from."""
        if self._model:
            model, revisions = self._model, self._revisions
            self._lister.ask(lambda: revisions(model))

    def _take(self, revisions: Sequence[str]) -> None:
        self._fill(tuple(dict.fromkeys((*revisions, self._current))))

    def _fill(self, revisions: Sequence[str]) -> None:
        typed = self.currentText() if self.hasFocus() and self._model else self._current
        blocked = self.blockSignals(True)
        self.clear()
        self.addItems(list(revisions))
        self.setCurrentText(typed)
        self.blockSignals(blocked)

    def _say_why(self, error: DFRotError) -> None:
        self.setToolTip(f"{tr(TIP)}. {error.message}")

    def _choose(self, text: str) -> None:
        text = text.strip() or MAIN
        if text != self._current:
            self._current = text
            self.chosen.emit(text)

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        event.ignore()  # scrolling the panel must not choose another revision
