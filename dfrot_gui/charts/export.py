"""A chart as a file: a picture with title and legend, or its numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QGuiApplication, QPainter, QPixmap
from PySide6.QtSvg import QSvgGenerator

from dfrot_gui.run_tables import Table
from dfrot_gui.theme import Theme, design_font

HEAD_HEIGHT = 34.0
MARGIN = 14.0
PIXELS_PER_POINT = 2.0


class Exportable(Protocol):
    """What is needed of a chart; legend entries are (text, colour)."""

    title: str

    def picture_size(self) -> QSize: ...
    def paint_picture(self, painter: QPainter, target: QRectF) -> None: ...
    def legend(self) -> list[tuple[str, str]]: ...
    def table(self) -> Table: ...


def save_chart(chart: Exportable, path: Path) -> None:
    """Write a chart; the suffix decides what: .png, .svg or .csv.

    Raises:
        OSError: the file cannot be written.
    """
    _WRITERS[path.suffix.lower()](chart, path)


def picture(chart: Exportable) -> QPixmap:
    """The chart at twice its size on the screen, for papers and slides."""
    size = _whole_size(chart)
    pixmap = QPixmap(size * PIXELS_PER_POINT)
    pixmap.setDevicePixelRatio(PIXELS_PER_POINT)
    pixmap.fill(QColor(Theme.get().t.card))
    painter = QPainter(pixmap)
    _paint(chart, painter, size)
    painter.end()
    return pixmap


def _save_png(chart: Exportable, path: Path) -> None:
    if not picture(chart).save(str(path), "PNG"):  # type: ignore[call-overload]
        raise OSError(f"{path} cannot be written")


def _save_svg(chart: Exportable, path: Path) -> None:
    path.touch()  # QSvgGenerator keeps a failure to itself
    size = _whole_size(chart)
    generator = QSvgGenerator()
    generator.setFileName(str(path))
    generator.setSize(size)
    generator.setViewBox(QRectF(0, 0, size.width(), size.height()))
    # Axes are recorded at the screen's resolution and shrink when played back at another.
    generator.setResolution(round(QGuiApplication.primaryScreen().logicalDotsPerInch()))
    generator.setTitle(chart.title)
    painter = QPainter(generator)
    painter.fillRect(QRectF(0, 0, size.width(), size.height()), QColor(Theme.get().t.card))
    _paint(chart, painter, size)
    painter.end()


def _save_csv(chart: Exportable, path: Path) -> None:
    chart.table().save_csv(path)


def _whole_size(chart: Exportable) -> QSize:
    return chart.picture_size() + QSize(round(2 * MARGIN), round(HEAD_HEIGHT + MARGIN))


def _paint(chart: Exportable, painter: QPainter, size: QSize) -> None:
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    t = Theme.get().t
    painter.setFont(design_font(14, QFont.Weight.DemiBold))
    painter.setPen(QColor(t.text))
    head = QRectF(MARGIN + 4, 6, size.width() - 2 * MARGIN, HEAD_HEIGHT - 6)
    painter.drawText(head, Qt.AlignmentFlag.AlignVCenter, chart.title)
    _paint_legend(chart.legend(), painter, head)
    inner = chart.picture_size()
    chart.paint_picture(painter, QRectF(MARGIN, HEAD_HEIGHT, inner.width(), inner.height()))


def _paint_legend(entries: list[tuple[str, str]], painter: QPainter, head: QRectF) -> None:
    """Entries from the right end to the left, the last one outermost."""
    font = design_font(12)
    painter.setFont(font)
    x = head.right()
    for text, color in reversed(entries):
        x -= QFontMetricsF(font).horizontalAdvance(text)
        painter.setPen(QColor(Theme.get().t.text))
        painter.drawText(QRectF(x, head.y(), head.width(), head.height()), Qt.AlignmentFlag.AlignVCenter, text)
        x -= 16
        painter.fillRect(QRectF(x, head.center().y() - 5, 10, 10), QColor(color))
        x -= 16


_WRITERS: dict[str, Callable[[Exportable, Path], None]] = {".png": _save_png, ".svg": _save_svg, ".csv": _save_csv}
