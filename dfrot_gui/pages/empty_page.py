"""What a page shows before there is anything to show."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from dfrot_gui.widgets import Button, IconLabel, label


class EmptyPage(QWidget):
    """An icon, a sentence, and the button that leads on; `requested` is emitted by it."""

    requested = Signal()

    def __init__(self, icon: str, title: str, text: str, action: str) -> None:
        super().__init__()
        self.button = Button(action, kind="primary")
        self.button.clicked.connect(self.requested)
        layout = QVBoxLayout(self)
        layout.setSpacing(8)
        layout.addStretch(2)
        for widget, gap in ((IconLabel(icon, 44, "faint"), 6), (label(title, "h2"), 0), (label(text, "muted"), 10)):
            layout.addWidget(widget, 0, Qt.AlignmentFlag.AlignHCenter)
            layout.addSpacing(gap)
        layout.addWidget(self.button, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch(3)
