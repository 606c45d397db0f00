"""A path that can be typed, chosen or dropped."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from PySide6.QtCore import Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QWidget

from dfrot_gui.translation import tr
from dfrot_gui.widgets.basic import Button


class PathField(QWidget):
    """`changed` is emitted with the path when the user has typed, chosen or dropped one."""

    changed = Signal(str)

    def __init__(
        self, *, name: str, kind: Literal["folder", "file"] = "folder", filters: str = "", placeholder: str = ""
    ) -> None:
        super().__init__()
        self._name = name
        self._kind = kind
        self._filters = filters
        self.edit = QLineEdit()
        self.edit.setAccessibleName(name)
        self.edit.setPlaceholderText(placeholder)
        self.edit.editingFinished.connect(self._emit)
        self.button = Button(tr("Choose…"), "folder-open", tip=tr("Choose: {name}", name=name))
        self.button.clicked.connect(self._choose)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(self.edit, 1)
        layout.addWidget(self.button)
        self._last = ""
        self.setAccessibleName(name)
        self.setFocusProxy(self.edit)
        self.setAcceptDrops(True)

    def path(self) -> str:
        return self.edit.text().strip()

    def set_path(self, path: str) -> None:
        """Show a path without a signal."""
        self._last = path
        if path != self.path():
            self.edit.setText(path)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        if self._dropped(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        self.edit.setText(self._dropped(event))
        self._emit()

    def _dropped(self, event: QDropEvent) -> str:
        """The local path that is dragged, if it is of the right kind."""
        for url in event.mimeData().urls():
            path = Path(url.toLocalFile())
            if url.isLocalFile() and (path.is_dir() if self._kind == "folder" else path.is_file()):
                return str(path)
        return ""

    def _choose(self) -> None:
        if self._kind == "folder":
            path = QFileDialog.getExistingDirectory(self, self._name, self.path())
        else:
            path, _ = QFileDialog.getOpenFileName(self, self._name, self.path(), self._filters)
        if path:
            self.edit.setText(path)
            self._emit()

    def _emit(self) -> None:
        if self.path() != self._last:
            self._last = self.path()
            self.changed.emit(self._last)
