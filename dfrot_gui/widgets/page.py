"""The frame every page shares: title, a line below it, actions at the right."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QLabel, QLayout, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from dfrot_gui.widgets.basic import Role, col, label, row


class ElidedLabel(QLabel):
    """One line that ends in "…" where there is no room, so that a long name never widens the window."""

    def __init__(self, text: str = "", role: Role = "") -> None:
        super().__init__(text)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setProperty("role", role)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        painter = QPainter(self)
        shown = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, self.width())
        self.setToolTip(self.text() if shown != self.text() else "")
        painter.setPen(self.palette().color(self.foregroundRole()))
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignVCenter, shown)
        painter.end()


class Page(QWidget):
    """Contents go into `body`, below the head."""

    def __init__(self, title: str, subtitle: str, actions: Sequence[QWidget] = ()) -> None:
        super().__init__()
        self.setObjectName("page")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setAccessibleName(title)
        self.title_label = label(title, "h1")
        self.subtitle_label = ElidedLabel(subtitle, "sub")
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(28, 22, 28, 22)
        self.body.setSpacing(16)
        self.body.addLayout(row((col(self.title_label, self.subtitle_label, spacing=3), 1), *actions, spacing=8))

    def set_subtitle(self, text: str) -> None:
        self.subtitle_label.setText(text)

    def add(self, item: QWidget | QLayout, stretch: int = 0) -> None:
        if isinstance(item, QLayout):
            self.body.addLayout(item, stretch)
        else:
            self.body.addWidget(item, stretch)


def scrolled(content: QLayout, *, on_card: bool = False) -> QScrollArea:
    """A vertical scroll area without a frame; Tab passes through to its contents."""
    inner = QWidget()
    inner.setObjectName("scrollcard" if on_card else "scrollbody")
    inner.setLayout(content)
    area = QScrollArea()
    area.setObjectName("oncard" if on_card else "")
    area.setWidget(inner)
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    return area
