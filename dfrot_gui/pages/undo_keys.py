"""Ctrl+Z over the whole recipe, also while a field has the focus."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import QAbstractSpinBox, QLineEdit, QWidget

_UNDO, _REDO = QKeySequence.StandardKey.Undo, QKeySequence.StandardKey.Redo


class UndoKeys(QObject):
    """A line edit takes these keys even where it has nothing to undo; then they are to reach the page."""

    def __init__(self, page: QWidget) -> None:
        super().__init__(page)
        self._page = page

    def watch(self) -> None:
        """Look after the line edits that are there now; those already looked after stay as they are."""
        edits = self._page.findChildren(QLineEdit)
        boxes = self._page.findChildren(QAbstractSpinBox)  # they hand such events on to their line edit again
        for widget in (*edits, *boxes):
            widget.removeEventFilter(self)
            widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        if event.type() != QEvent.Type.ShortcutOverride or not isinstance(event, QKeyEvent):
            return False
        edit = watched.lineEdit() if isinstance(watched, QAbstractSpinBox) else watched
        has_own = isinstance(edit, QLineEdit) and edit.isModified() and edit.isUndoAvailable()
        is_ours = event.matches(_REDO) or (event.matches(_UNDO) and not has_own)
        if is_ours:
            event.ignore()
        return is_ours
