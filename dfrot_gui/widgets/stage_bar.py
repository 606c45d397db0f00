"""The stages of a run as numbered circles on a line."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from dfrot_gui import icons
from dfrot_gui.theme import Theme, design_font, px, scaled
from dfrot_gui.translation import tr

_CIRCLE = 20.0
_TEXT_GAP = 7.0  # circle to its name
_LINE_GAP = 8.0  # name to line, and line to the next circle


class StageBar(QWidget):
    """Finished stages are ticked, the current one is lit; the line after it shows how far it is."""

    def __init__(self) -> None:
        super().__init__()
        self._names: tuple[str, ...] = ()
        self._titles: tuple[str, ...] = ()
        self._current = ""
        self._fraction = 0.0
        self._done: frozenset[str] = frozenset()
        self.setFixedHeight(px(30))
        self.setAccessibleName(tr("Stages"))
        Theme.get().changed.connect(self.update)

    @property
    def names(self) -> tuple[str, ...]:
        return self._names

    @property
    def current(self) -> str:
        """The stage that is lit; "" when none runs."""
        return self._current

    @property
    def done(self) -> tuple[str, ...]:
        """The stages that are ticked, in their order."""
        return tuple(name for name in self._names if name in self._done)

    def set_stages(self, names: Sequence[str], titles: Sequence[str] = ()) -> None:
        """`names` are the engine's; `titles`, what is shown, are the names capitalized when left out."""
        before = self._shown()
        self._names = tuple(names)
        self._titles = tuple(titles) or tuple(name.replace("-", " ").capitalize() for name in names)
        assert len(self._titles) == len(self._names)
        if self._shown() != before:
            self.update()

    def set_current(self, name: str, fraction: float = 0.0, done: Collection[str] = frozenset()) -> None:
        """`name` runs and is `fraction` (0 to 1) done; "" when none runs."""
        before = self._shown()
        self._current = name
        self._fraction = min(1.0, max(0.0, fraction))
        self._done = frozenset(done)
        if name in self._names:
            index = self._names.index(name)
            self.setAccessibleDescription(
                tr(
                    "Stage {number} of {count}: {titles}",
                    number=index + 1,
                    count=len(self._names),
                    titles=self._titles[index],
                )
            )
        if self._shown() != before:
            self.update()

    def _shown(self) -> tuple[object, ...]:
        return self._names, self._titles, self._current, self._fraction, self._done

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        if not self._names:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        frame = scaled(painter, self.rect())
        widths = [self._text_width(name, title) for name, title in zip(self._names, self._titles, strict=True)]
        used = sum(_CIRCLE + _TEXT_GAP + width for width in widths) + 2
        gap = max(14.0, (frame.width() - used) / max(1, len(widths) - 1))
        x = 1.0
        for index, width in enumerate(widths):
            self._paint_stage(painter, index, x, width)
            end = x + _CIRCLE + _TEXT_GAP + width
            x = end + gap
            if index < len(widths) - 1:
                self._paint_line(painter, self._names[index], end + _LINE_GAP, x - _LINE_GAP)
        painter.end()

    def _text_width(self, name: str, title: str) -> float:
        return QFontMetricsF(self._font(name)).horizontalAdvance(title) + 1

    def _font(self, name: str) -> QFont:
        return design_font(12, QFont.Weight.DemiBold if name == self._current else QFont.Weight.Normal)

    def _paint_stage(self, painter: QPainter, index: int, x: float, width: float) -> None:
        t = Theme.get().t
        name = self._names[index]
        is_done, is_now = name in self._done, name == self._current
        circle = QRectF(x, 5, _CIRCLE, _CIRCLE)
        painter.setPen(QPen(QColor(t.accent if is_done or is_now else t.line_strong), 1.5))
        painter.setBrush(QColor(t.accent if is_done else t.accent_soft if is_now else t.card))
        painter.drawEllipse(circle)
        if is_done:
            icons.draw(painter, "check-bold", circle.adjusted(4, 4, -4, -4), "on_accent")
        else:
            painter.setFont(design_font(11, QFont.Weight.DemiBold))
            painter.setPen(QColor(t.accent if is_now else t.faint))
            painter.drawText(circle, Qt.AlignmentFlag.AlignCenter, str(index + 1))
        painter.setFont(self._font(name))
        painter.setPen(QColor(t.text if is_now else t.muted if is_done else t.faint))
        area = QRectF(x + _CIRCLE + _TEXT_GAP, 5, width + 4, _CIRCLE)
        painter.drawText(area, Qt.AlignmentFlag.AlignVCenter, self._titles[index])

    def _paint_line(self, painter: QPainter, name: str, start: float, end: float) -> None:
        if end <= start:
            return
        t = Theme.get().t
        share = 1.0 if name in self._done else self._fraction if name == self._current else 0.0
        for color, stop in ((t.line, end), (t.accent, start + share * (end - start))):
            if stop > start:
                painter.setPen(QPen(QColor(color), 1.5))
                painter.drawLine(QPointF(start, 15), QPointF(stop, 15))
