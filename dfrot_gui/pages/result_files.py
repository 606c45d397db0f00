"""Where the files are and how to load them."""

from __future__ import annotations

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QPlainTextEdit

from dfrot_gui.result_words import SNIPPETS, Snippet
from dfrot_gui.theme import px
from dfrot_gui.translation import tr
from dfrot_gui.widgets import Button, Card, Segmented, label, row


class FilesCard(Card):
    """The output folder, a button to open it, and code to copy."""

    def __init__(self) -> None:
        self._choice = Segmented(SNIPPETS, name=tr("Load with"))
        super().__init__(tr("Use the checkpoint"), right=self._choice)
        self._snippets: dict[str, Snippet] = {}
        self._folder = ""
        self._path = label("", "mono", wrap=True, selectable=True)
        self.open_button = Button(tr("Open folder"), "folder-open")
        self.copy_button = Button(tr("Copy"), "copy", "ghost", tip=tr("Copy the code"))
        self.code = QPlainTextEdit()
        self.code.setReadOnly(True)
        self.code.setTabChangesFocus(True)
        self.code.setFixedHeight(px(92))
        self.code.setAccessibleName(tr("Code that loads the checkpoint"))
        self._note = label("", "small", wrap=True)
        self.add(row((self._path, 1), self.open_button))
        self.add(self.code)
        self.add(row((self._note, 1), self.copy_button))
        self._choice.changed.connect(lambda _: self._show())
        self.open_button.clicked.connect(self.open_folder)
        self.copy_button.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.code.toPlainText()))

    def set_files(self, folder: str, snippets: tuple[Snippet, ...]) -> None:
        self._folder = folder
        self._snippets = {snippet.title: snippet for snippet in snippets}
        self._path.setText(folder)
        self.setVisible(bool(snippets))
        self._choice.show_only(self._snippets)
        if snippets and self._choice.current() not in self._snippets:
            self._choice.set_current(snippets[0].title)
        self._show()

    def open_folder(self) -> None:
        if self._folder:
            QDesktopServices.openUrl(QUrl.fromLocalFile(self._folder))

    def _show(self) -> None:
        snippet = self._snippets.get(self._choice.current())
        self.code.setPlainText(snippet.code if snippet else "")
        self._note.setText(snippet.note if snippet else "")
