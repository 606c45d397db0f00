"""Labels, layouts, cards and buttons: the small pieces every page is laid out from."""

from __future__ import annotations

import math
from typing import Literal

from PySide6.QtCore import QPointF, QSize, Qt
from PySide6.QtGui import QFont, QFontMetricsF, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QBoxLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLayout,
    QLayoutItem,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from dfrot_gui import icons
from dfrot_gui.theme import Theme, px, set_property
from dfrot_gui.translation import tr

Role = Literal["", "h1", "h2", "sub", "muted", "small", "caps", "kpi", "mono", "good", "warn", "bad"]
BadgeKind = Literal["neutral", "accent", "good", "warn", "bad"]
CardKind = Literal["true", "inset", "good", "warn", "bad"]
Margins = tuple[int, int, int, int]

# A layout item: a widget, a layout, either with its stretch, a gap in pixels, or None for a stretch.
Item = QWidget | QLayout | tuple[QWidget | QLayout, int] | int | None


def label(text: str = "", role: Role = "", *, wrap: bool = False, selectable: bool = False) -> QLabel:
    """A line or, wrapped, a paragraph of text; always plain text, so that names from the Hub are never markup."""
    widget = QLabel()
    widget.setTextFormat(Qt.TextFormat.PlainText)
    widget.setText(text)
    widget.setProperty("role", role)
    widget.setWordWrap(wrap)
    if selectable:
        widget.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return widget


def set_role(widget: QLabel, role: Role) -> None:
    """Change how a label looks, for example from "small" to "bad"."""
    set_property(widget, "role", role)


def badge(text: str, kind: BadgeKind = "neutral") -> QLabel:
    """A small pill."""
    widget = label(text)
    widget.setProperty("badge", kind)
    widget.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Maximum)
    return widget


def set_badge(widget: QLabel, text: str, kind: BadgeKind) -> None:
    """Change a badge; an empty text hides it."""
    widget.setText(text)
    widget.setVisible(bool(text))
    set_property(widget, "badge", kind)


def row(*items: Item, spacing: int = 8, margins: Margins = (0, 0, 0, 0)) -> QHBoxLayout:
    """Items beside each other; see `Item`."""
    layout = QHBoxLayout()
    _fill(layout, items, spacing, margins)
    return layout


def col(*items: Item, spacing: int = 8, margins: Margins = (0, 0, 0, 0)) -> QVBoxLayout:
    """Items below each other; see `Item`."""
    layout = QVBoxLayout()
    _fill(layout, items, spacing, margins)
    return layout


def box(layout: QLayout) -> QWidget:
    """A plain widget around a layout, so that it can be shown, hidden or sized."""
    widget = QWidget()
    widget.setLayout(layout)
    return widget


def clear(layout: QLayout) -> None:
    """Delete everything in a layout."""
    while (item := layout.takeAt(0)) is not None:
        _delete(item)


def _delete(item: QLayoutItem) -> None:
    if (widget := item.widget()) is not None:
        widget.hide()
        widget.deleteLater()
    elif (inner := item.layout()) is not None:
        clear(inner)
        inner.deleteLater()


def _fill(layout: QBoxLayout, items: tuple[Item, ...], spacing: int, margins: Margins) -> None:
    layout.setSpacing(spacing)
    layout.setContentsMargins(*margins)
    for item in items:
        content, stretch = item if isinstance(item, tuple) else (item, 0)
        if content is None:
            layout.addStretch(1)
        elif isinstance(content, int):
            layout.addSpacing(content)
        elif isinstance(content, QLayout):
            layout.addLayout(content, stretch)
        else:
            layout.addWidget(content, stretch)


def hline() -> QFrame:
    frame = QFrame()
    frame.setProperty("hline", True)
    return frame


class IconLabel(QLabel):
    """An icon that follows the theme; it says nothing a screen reader needs."""

    def __init__(self, name: str, size: int = 16, color: str = "muted") -> None:
        super().__init__()
        self._name = name
        self._size = px(size)
        self._color = color
        self.setFixedSize(self._size, self._size)
        Theme.get().changed.connect(self._redraw)
        self._redraw()

    def set_icon(self, name: str = "", color: str = "") -> None:
        self._name = name or self._name
        self._color = color or self._color
        self._redraw()

    def _redraw(self) -> None:
        self.setPixmap(icons.pixmap(self._name, self._size, self._color, self.devicePixelRatioF()))


class Card(QFrame):
    """A framed surface with an optional title; contents go in with `add`."""

    def __init__(
        self,
        title: str = "",
        subtitle: str = "",
        *,
        right: QWidget | None = None,
        kind: CardKind = "true",
        margins: Margins = (18, 16, 18, 16),
        spacing: int = 12,
    ) -> None:
        super().__init__()
        self.setProperty("card", kind)
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(*margins)
        self.body.setSpacing(spacing)
        if title:
            self.title_label = label(title, "h2")
            self.subtitle_label = label(subtitle, "small", wrap=True)
            self.subtitle_label.setVisible(bool(subtitle))
            head = row((col(self.title_label, self.subtitle_label, spacing=2), 1), spacing=10)
            if right is not None:
                head.addWidget(right)
            self.body.addLayout(head)
            self.setAccessibleName(title)

    def add(self, item: QWidget | QLayout, stretch: int = 0) -> None:
        if isinstance(item, QLayout):
            self.body.addLayout(item, stretch)
        else:
            self.body.addWidget(item, stretch)

    def set_kind(self, kind: CardKind) -> None:
        set_property(self, "card", kind)


class KpiCard(Card):
    """One number: what it is, the number, a line that places it."""

    def __init__(self, title: str, value: str = "–", note: str = "", role: Role = "small") -> None:
        super().__init__(margins=(16, 11, 16, 11), spacing=1)
        self._title = title
        self._value = label(value, "kpi")
        self._note = label(note, role)
        self.add(label(title, "small"))
        self.add(self._value)
        self.add(self._note)
        self.set_value(value, note, role)

    @property
    def value(self) -> str:
        return self._value.text()

    @property
    def note(self) -> str:
        return self._note.text()

    def set_value(self, value: str, note: str = "", role: Role = "small") -> None:
        self._value.setText(value)
        self._note.setText(note)
        if self._note.property("role") != role:
            set_role(self._note, role)
        self.setAccessibleName(f"{self._title}: {value}. {note}".strip())


ButtonKind = Literal["", "primary", "danger", "ghost", "nav", "chip", "seg", "fold"]


class Button(QPushButton):
    """A push button with an icon in the theme's colours."""

    def __init__(
        self, text: str = "", icon: str = "", kind: ButtonKind = "", *, tip: str = "", color: str = ""
    ) -> None:
        super().__init__(f"\u2002{text}" if icon and text else text)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setProperty("kind", kind)
        self.setCheckable(kind in {"nav", "chip", "seg", "fold"})
        if icon:
            color = color or {"primary": "on_accent", "danger": "bad"}.get(kind, "muted")
            self.setIcon(icons.icon(icon, color, "accent"))
            side = px(18) if kind == "nav" else px(16)
            self.setIconSize(QSize(side, side))
        self.setToolTip(tip)
        self.setAccessibleName(text.replace("&", "") or tip)
        Theme.get().changed.connect(self.update)

    def sizeHint(self) -> QSize:  # noqa: N802
        """A segment has room for its words in the bold type that they take once it is chosen."""
        hint, plain = super().sizeHint(), self.font()
        if self.property("kind") != "seg":
            return hint
        bold = QFont(plain)
        bold.setWeight(QFont.Weight.DemiBold)
        wider = QFontMetricsF(bold).horizontalAdvance(self.text()) - QFontMetricsF(plain).horizontalAdvance(self.text())
        return hint + QSize(math.ceil(max(0.0, wider)), 0)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        return self.sizeHint() if self.property("kind") == "seg" else super().minimumSizeHint()


class NavButton(Button):
    """A step in the sidebar; `set_done` puts a tick at its right end."""

    def __init__(self, text: str, icon: str, *, tip: str = "") -> None:
        super().__init__(text, icon, "nav", tip=tip)
        self.is_done = False

    def set_done(self, is_done: bool) -> None:
        if is_done == self.is_done:
            return
        self.is_done = is_done
        self.setAccessibleDescription(tr("done") if is_done else "")
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        super().paintEvent(event)
        if self.is_done:
            painter = QPainter(self)
            tick = icons.pixmap("check-circle", px(17), "good", self.devicePixelRatioF())
            painter.drawPixmap(QPointF(self.width() - px(29), self.height() / 2 - px(8.5)), tick)
            painter.end()
