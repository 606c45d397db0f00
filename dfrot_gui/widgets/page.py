"""The frame every page shares: title, a line below it, actions at the right."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, QSize, Qt, QTimer
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QLabel, QLayout, QScrollArea, QSizePolicy, QStackedWidget, QVBoxLayout, QWidget

from dfrot_gui.theme import Theme
from dfrot_gui.widgets.basic import Role, box, col, label, row
from dfrot_gui.widgets.flow import FlowLayout

#: With larger text the actions stand below the title.
BESIDE_UP_TO = 1.5


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
        titles = col(self.title_label, self.subtitle_label, spacing=3)
        if Theme.get().scale <= BESIDE_UP_TO:
            self.body.addLayout(row((titles, 1), *actions, spacing=8))
        else:
            below = FlowLayout(spacing=8)
            for action in actions:
                below.addWidget(action)
            self.body.addLayout(titles)
            self.body.addWidget(box(below))

    def set_subtitle(self, text: str) -> None:
        self.subtitle_label.setText(text)

    def add(self, item: QWidget | QLayout, stretch: int = 0) -> None:
        if isinstance(item, QLayout):
            self.body.addLayout(item, stretch)
        else:
            self.body.addWidget(item, stretch)


def scrolled(content: QLayout, *, on_card: bool = False) -> QScrollArea:
    """A scroll area around a layout; what is below comes by the wheel, what is at the side only where text is large."""
    inner = QWidget()
    inner.setObjectName("scrollcard" if on_card else "scrollbody")
    inner.setLayout(content)
    area = scroll_area(inner)
    area.setObjectName("oncard" if on_card else "")
    return area


def scroll_area(inner: QWidget) -> QScrollArea:
    """Without a frame; Tab passes through to its contents."""
    area = QScrollArea()
    area.setWidget(inner)
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    inner.installEventFilter(_Growth(inner))
    return area


class _Growth(QObject):
    """Gives the contents of a scroll area the room they ask for; Qt looks before new ones have their font."""

    def __init__(self, inner: QWidget) -> None:
        super().__init__(inner)
        self._inner = inner
        self._timer = QTimer(self, singleShot=True, interval=0)
        self._timer.timeout.connect(self._grow)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        if event.type() == QEvent.Type.LayoutRequest:
            self._timer.start()
        return False

    def _grow(self) -> None:
        self._inner.resize(self._inner.size().expandedTo(self._inner.minimumSizeHint()))


class PageStack(QStackedWidget):
    """Asks for the room of the page that is shown, not for that of the largest."""

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        page = self.currentWidget()
        return page.minimumSizeHint() if page is not None else QSize()
