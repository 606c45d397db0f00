"""Choosing one of a few: segmented buttons and option cards. Tab reaches the chosen one, arrows move the choice."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QButtonGroup, QFrame, QHBoxLayout, QSizePolicy

from dfrot_gui import icons
from dfrot_gui.theme import Theme, design_font, px, scaled
from dfrot_gui.widgets.basic import Button

#: Of an option card with two lines of help; it grows with more.
HEIGHT = 90


def tab_to_checked(buttons: Sequence[QAbstractButton]) -> None:
    """Let Tab reach the checked button of a group only; Qt would hand it to the first until one was focused."""
    for button in buttons:
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus if button.isChecked() else Qt.FocusPolicy.ClickFocus)


class Segmented(QFrame):
    """A few words beside each other, one of them chosen; `changed` is emitted only when the user chooses."""

    changed = Signal(str)

    def __init__(
        self, values: Sequence[str], *, labels: Sequence[str] = (), current: str | None = None, name: str = ""
    ) -> None:
        super().__init__()
        self._values = list(values)
        self.setProperty("card", "inset")
        self.setAccessibleName(name)
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self._group = QButtonGroup(self)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(3, 3, 3, 3)
        layout.setSpacing(2)
        for index, text in enumerate(labels or values):
            button = Button(text, kind="seg")
            button.setAccessibleName(f"{name} {text}".strip())
            layout.addWidget(button)
            self._group.addButton(button, index)
        self._group.idClicked.connect(self._clicked)
        self.set_current(self._values[0] if current is None else current)

    @property
    def buttons(self) -> list[QAbstractButton]:
        return self._group.buttons()

    def current(self) -> str:
        """The chosen value; "" when none is."""
        index = self._group.checkedId()
        return self._values[index] if index >= 0 else ""

    def set_current(self, value: str) -> None:
        """Choose without a signal; an unknown value leaves nothing chosen."""
        self._group.setExclusive(False)
        for button, own in zip(self._group.buttons(), self._values, strict=True):
            button.setChecked(own == value)
        self._group.setExclusive(True)
        self._tab_stops()

    def show_only(self, values: Collection[str]) -> None:
        """Hide the other values; the chosen one should be among those shown."""
        for button, own in zip(self._group.buttons(), self._values, strict=True):
            button.setVisible(own in values)

    def _clicked(self, index: int) -> None:
        self._tab_stops()
        self.changed.emit(self._values[index])

    def _tab_stops(self) -> None:
        tab_to_checked(self._group.buttons())
        if self._group.checkedId() < 0:
            self._group.buttons()[0].setFocusPolicy(Qt.FocusPolicy.StrongFocus)


class OptionCard(QAbstractButton):
    """A big radio button: icon, title, two lines of help."""

    def __init__(self, key: str, title: str, text: str, icon: str, color: str = "accent") -> None:
        super().__init__()
        self.key = key
        self._help = text
        self._icon = icon
        self._color = color
        self.setText(title)
        self.setCheckable(True)
        self.setAutoExclusive(True)
        self.setMinimumSize(px(150), px(HEIGHT))
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setAccessibleName(title)
        self.setAccessibleDescription(text)
        Theme.get().changed.connect(self.update)

    def sizeHint(self) -> QSize:  # noqa: N802
        return QSize(px(190), px(HEIGHT))

    def hasHeightForWidth(self) -> bool:  # noqa: N802
        return True

    def heightForWidth(self, width: int) -> int:  # noqa: N802
        room = QRectF(0, 0, width / Theme.get().scale - 32, 1_000)
        text = QFontMetricsF(design_font(12)).boundingRect(room, Qt.TextFlag.TextWordWrap, self._help)
        return px(max(HEIGHT, 58 + text.height()))

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        frame = scaled(painter, self.rect()).adjusted(1, 1, -1, -1)
        self._paint_frame(painter, frame)
        self._paint_radio(painter, QRectF(frame.right() - 30, 20, 16, 16))
        t = Theme.get().t
        painter.setFont(design_font(13, QFont.Weight.DemiBold))
        painter.setPen(QColor(t.text))
        painter.drawText(QRectF(54, 14, frame.width() - 90, 30), Qt.AlignmentFlag.AlignVCenter, self.text())
        painter.setFont(design_font(12))
        painter.setPen(QColor(t.muted))
        area = QRectF(15, 50, frame.width() - 30, frame.height() - 50)
        painter.drawText(area, Qt.TextFlag.TextWordWrap, self._help)
        painter.end()

    def _paint_frame(self, painter: QPainter, frame: QRectF) -> None:
        t = Theme.get().t
        has_focus, is_on = bool(self.property("kbd")), self.isChecked()
        line = t.accent if is_on else t.line_strong if self.underMouse() else t.line
        painter.setPen(QPen(QColor(t.focus if has_focus else line), 2 if is_on or has_focus else 1))
        painter.setBrush(QColor(t.accent_soft if is_on else t.card))
        painter.drawRoundedRect(frame, 11, 11)
        tint = QColor(t.color(self._color))
        tint.setAlpha(38)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(tint)
        painter.drawRoundedRect(QRectF(14, 14, 30, 30), 8, 8)
        icons.draw(painter, self._icon, QRectF(20, 20, 18, 18), self._color)

    def _paint_radio(self, painter: QPainter, dot: QRectF) -> None:
        t = Theme.get().t
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(t.accent if self.isChecked() else t.line_strong), 1.6))
        painter.drawEllipse(dot)
        if self.isChecked():
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(t.accent))
            painter.drawEllipse(dot.adjusted(4, 4, -4, -4))
