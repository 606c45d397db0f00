"""What can be done with a chart: save it, copy it, show all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog, QMenu, QMessageBox, QWidget

from dfrot_gui.charts.export import Exportable, picture, save_chart
from dfrot_gui.translation import mark, tr

SAVE_FILTERS = {
    "png": mark("PNG picture (*.png)"),
    "svg": mark("SVG drawing (*.svg)"),
    "csv": mark("CSV table (*.csv)"),
}


class Chart(Exportable, Protocol):
    """What is needed of a chart."""

    def reset_view(self) -> None: ...


def chart_menu(chart: Chart, parent: QWidget) -> QMenu:
    """For the card's button and the right mouse button."""
    menu = QMenu(parent)
    for suffix, name in (
        ("png", tr("Save as PNG…")),
        ("svg", tr("Save as SVG…")),
        ("csv", tr("Save numbers as CSV…")),
    ):
        menu.addAction(name).triggered.connect(lambda _=False, suffix=suffix: _ask_and_save(chart, suffix, parent))
    menu.addSeparator()
    menu.addAction(tr("Copy picture")).triggered.connect(lambda: QGuiApplication.clipboard().setPixmap(picture(chart)))
    menu.addAction(tr("Show everything")).triggered.connect(chart.reset_view)
    return menu


def _ask_and_save(chart: Chart, suffix: str, parent: QWidget) -> None:
    proposed = f"{chart.title.lower().replace(' ', '-')}.{suffix}"
    title = tr("Save: {title}", title=chart.title)
    name, _ = QFileDialog.getSaveFileName(parent, title, proposed, tr(SAVE_FILTERS[suffix]))
    if not name:
        return
    path = Path(name)
    try:
        save_chart(chart, path if path.suffix.lower() == f".{suffix}" else path.with_name(f"{path.name}.{suffix}"))
    except OSError as error:
        reason = error.strerror or error
        message = tr("{name} could not be written: {reason}.", name=path.name, reason=reason)
        QMessageBox.warning(parent, tr("Not saved"), message)
