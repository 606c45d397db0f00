"""The frame every page shares: title, a line below it, actions at the right."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QLayout, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from dfrot_gui.widgets.basic import col, label, row


class Page(QWidget):
    """Contents go into `body`, below the head."""

    def __init__(self, title: str, subtitle: str, actions: Sequence[QWidget] = ()) -> None:
        super().__init__()
        self.setObjectName("page")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setAccessibleName(title)
        self.title_label = label(title, "h1")
        self.subtitle_label = label(subtitle, "sub")
        # A long model name may be cut off, but never widens the window.
        self.subtitle_label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(28, 22, 28, 22)
        self.body.setSpacing(16)
        self.body.addLayout(row((col(self.title_label, self.subtitle_label, spacing=3), 1), *actions, spacing=8))

    def set_subtitle(self, text: str) -> None:
        self.subtitle_label.setText(text)
        self.subtitle_label.setToolTip(text)

    def add(self, item: QWidget | QLayout, stretch: int = 0) -> None:
        if isinstance(item, QLayout):
            self.body.addLayout(item, stretch)
        else:
            self.body.addWidget(item, stretch)


def scrolled(content: QLayout) -> QScrollArea:
    """A vertical scroll area without a frame; Tab passes through to its contents."""
    inner = QWidget()
    inner.setObjectName("scrollbody")
    inner.setLayout(content)
    area = QScrollArea()
    area.setWidget(inner)
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    return area
