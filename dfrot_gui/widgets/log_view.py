"""Lines of text as they come, monospaced; follows the end unless the user scrolled up."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPlainTextEdit

from dfrot_gui.translation import tr


class LogView(QPlainTextEdit):
    """A bounded, read-only log."""

    def __init__(self, *, name: str = "", max_lines: int = 5000) -> None:
        super().__init__()
        self.setReadOnly(True)
        self.setTabChangesFocus(True)
        self.setMaximumBlockCount(max_lines)
        self.setAccessibleName(name or tr("Log"))
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def add_line(self, text: str) -> None:
        bar = self.verticalScrollBar()
        is_at_end = bar.value() >= bar.maximum() - 2
        self.appendPlainText(text)
        if is_at_end:
            bar.setValue(bar.maximum())

    def set_lines(self, lines: list[str]) -> None:
        """Replace everything, for example when an old run is shown."""
        self.setPlainText("\n".join(lines))
        self.verticalScrollBar().setValue(self.verticalScrollBar().maximum())
