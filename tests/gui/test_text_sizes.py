"""No text is cut off with a desktop font of 12 to 24 pt, in both languages, at 100 % and 200 %."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QComboBox,
    QHeaderView,
    QLabel,
    QWidget,
)
from pytestqt.qtbot import QtBot

from dfrot_engine.run_index import RunNote
from dfrot_gui.main_window import MODEL, RECIPE, MainWindow
from dfrot_gui.pages.history_page import HistoryPage
from dfrot_gui.pages.result_page import ResultPage
from dfrot_gui.pages.run_page import RunPage
from dfrot_gui.recipe_model import RecipeModel
from dfrot_gui.run_model import RunModel
from dfrot_gui.theme import TEXT_PX, Theme
from dfrot_gui.translation import install
from dfrot_gui.widgets.page import ElidedLabel, scroll_area
from tests.gui.test_run_page import past_run

PIXELS_PER_POINT = 96 / 72
#: Every size in one of the languages at least, German, whose words are longer, in most.
SAMPLE = ((12, "en"), (12, "de"), (18, "de"), (24, "en"), (24, "de"))
SIDEBAR = 224


@pytest.fixture(params=SAMPLE, ids=lambda one: f"{one[0]}pt-{one[1]}")
def look(request: pytest.FixtureRequest, qapp: QApplication) -> Iterator[int]:
    points, language = request.param
    install(qapp, language)
    Theme.get().install(qapp, "light", points * PIXELS_PER_POINT / TEXT_PX)
    yield points
    install(qapp, "en")
    Theme.get().install(qapp, "light", 1.0)


def size_of(points: int) -> tuple[int, int]:
    return (1600, 1000) if points == 24 else (1280, 800)


def cut_texts(root: QWidget) -> list[str]:
    """What is shown of `root` with less room than its text takes."""
    found = []
    for widget in root.findChildren(QWidget):
        if not widget.isVisible() or isinstance(widget, ElidedLabel):
            continue
        need = needed(widget)
        if need is not None and (need[0] > widget.width() + 1 or need[1] > widget.height() + 1):
            found.append(f"{said(widget)!r} takes {need}, has {widget.width(), widget.height()}")
    return found


def needed(widget: QWidget) -> tuple[int, int] | None:
    """Width and height that the text takes; None for widgets without."""
    return next((need(widget) for kind, need in NEEDS if isinstance(widget, kind)), None)


def of_label(widget: QLabel) -> tuple[int, int]:
    if widget.wordWrap() or not widget.text():
        return 0, widget.heightForWidth(widget.width()) if widget.text() else 0
    return widget.sizeHint().width(), widget.sizeHint().height()


def of_header(widget: QHeaderView) -> tuple[int, int]:
    if widget.orientation() == Qt.Orientation.Vertical:
        return 0, 0
    texts = [str(widget.model().headerData(i, Qt.Orientation.Horizontal)) for i in range(widget.count())]
    is_cut = any(widget.fontMetrics().horizontalAdvance(text) > widget.sectionSize(i) for i, text in enumerate(texts))
    return widget.width() + 2 if is_cut else 0, widget.sizeHint().height()


def of_choice(widget: QComboBox) -> tuple[int, int]:
    return widget.fontMetrics().horizontalAdvance(widget.currentText()) + 26, widget.minimumSizeHint().height()


def of_button(widget: QAbstractButton) -> tuple[int, int]:
    if not widget.text():
        return 0, 0
    hint = widget.minimumSizeHint()
    return hint.width(), widget.heightForWidth(widget.width()) if widget.hasHeightForWidth() else hint.height()


NEEDS: tuple[tuple[type[QWidget], Callable], ...] = (
    (QLabel, of_label),
    (QHeaderView, of_header),
    (QComboBox, of_choice),
    (QAbstractButton, of_button),
)


def said(widget: QWidget) -> str:
    text = getattr(widget, "text", None) or getattr(widget, "currentText", None)
    return f"{type(widget).__name__}: {text() if callable(text) else widget.accessibleName()}"


def test_pages_of_the_window(
    look: int, qtbot: QtBot, make_window: Callable[[], MainWindow], recipe_model: RecipeModel
) -> None:
    window = make_window()
    window.resize(*size_of(look))
    recipe_model.plan_now()
    qtbot.waitUntil(lambda: recipe_model.can_start)
    for step in (MODEL, RECIPE):
        window.go_to(step)
        QTest.qWait(50)
        assert cut_texts(window) == []


@pytest.mark.parametrize("make_page", [RunPage, ResultPage])
def test_pages_of_a_run(look: int, qtbot: QtBot, tmp_path: Path, make_page: Callable[[RunModel], QWidget]) -> None:
    runs = RunModel()
    page = make_page(runs)
    area = scroll_area(page)
    qtbot.addWidget(area)
    width, height = size_of(look)
    area.resize(width - SIDEBAR, height)
    area.show()
    runs.open(past_run(tmp_path))
    QTest.qWait(50)
    assert cut_texts(area) == []


def test_the_history(look: int, qtbot: QtBot, history_page: HistoryPage, three: tuple[RunNote, ...]) -> None:
    area = scroll_area(history_page)
    qtbot.addWidget(area)
    width, height = size_of(look)
    area.resize(width - SIDEBAR, height)
    area.show()
    qtbot.waitUntil(lambda: history_page.shown.rowCount() == len(three))
    assert cut_texts(area) == []


@pytest.mark.skipif(os.environ["QT_SCALE_FACTOR"] == "2", reason="this is the child")
def test_the_same_at_200_percent() -> None:
    command = (sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-k", "18pt or 24pt-de", __file__)
    environment = os.environ | {"QT_SCALE_FACTOR": "2"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
