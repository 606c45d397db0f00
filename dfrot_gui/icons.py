"""Phosphor icons from qtawesome's font, drawn in theme colours at the screen's pixel ratio."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from PySide6.QtCore import QPoint, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontDatabase, QGuiApplication, QIcon, QIconEngine, QPainter, QPixmap

from dfrot_gui.theme import Theme


def icon(name: str, color: str = "muted", checked_color: str = "") -> QIcon:
    """An icon that takes the theme's colour anew at every paint.

    Args:
        name: Phosphor name, such as "cube" or "check-circle".
        color: token or "#RRGGBB".
        checked_color: for checked buttons; `color` when empty.
    """
    assert name in _glyphs(), f"no icon '{name}'"
    return QIcon(_GlyphEngine(name, color, checked_color or color))


def pixmap(name: str, size: int, color: str, ratio: float = 0.0) -> QPixmap:
    """`size` logical pixels square; `color` is a token or "#RRGGBB"; ratio 0 is that of the primary screen."""
    assert name in _glyphs(), f"no icon '{name}'"
    ratio = ratio or QGuiApplication.primaryScreen().devicePixelRatio()
    picture = QPixmap(round(size * ratio), round(size * ratio))
    picture.setDevicePixelRatio(ratio)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    draw(painter, name, QRectF(0, 0, size, size), color)
    painter.end()
    return picture


def draw(painter: QPainter, name: str, rect: QRectF, color: str) -> None:
    """Draw an icon into `rect`; `color` is a token or "#RRGGBB"."""
    painter.save()
    font = QFont(_font_family())
    font.setPixelSize(max(1, round(rect.height())))
    font.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setFont(font)
    painter.setPen(QColor(Theme.get().t.color(color)))
    painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, _glyphs()[name])
    painter.restore()


class _GlyphEngine(QIconEngine):
    def __init__(self, name: str, color: str, checked_color: str) -> None:
        super().__init__()
        self._name = name
        self._color = color
        self._checked_color = checked_color

    def clone(self) -> QIconEngine:
        return _GlyphEngine(self._name, self._color, self._checked_color)

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, state: QIcon.State) -> None:
        color = self._checked_color if state == QIcon.State.On else self._color
        draw(painter, self._name, QRectF(rect), "faint" if mode == QIcon.Mode.Disabled else color)

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        return self.scaledPixmap(size, mode, state, 1.0)

    def scaledPixmap(  # noqa: N802
        self, size: QSize, mode: QIcon.Mode, state: QIcon.State, scale: float
    ) -> QPixmap:
        picture = QPixmap(size * scale)  # the size is in logical pixels
        picture.setDevicePixelRatio(scale)
        picture.fill(Qt.GlobalColor.transparent)
        painter = QPainter(picture)
        self.paint(painter, QRect(QPoint(0, 0), size), mode, state)
        painter.end()
        return picture


@lru_cache
def _font_folder() -> Path:
    # The package's files are used without importing it: that would load eight more fonts and cost 0.3 s.
    spec = find_spec("qtawesome")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "fonts"


@lru_cache
def _glyphs() -> dict[str, str]:
    path = next(_font_folder().glob("phosphor-charmap-*.json"))
    return {name: chr(int(code, 16)) for name, code in json.loads(path.read_text(encoding="utf-8")).items()}


@lru_cache
def _font_family() -> str:
    path = next(_font_folder().glob("phosphor-*.ttf"))
    return QFontDatabase.applicationFontFamilies(QFontDatabase.addApplicationFont(str(path)))[0]
