"""Pages that are made when the window is on the screen, since charts take a while to import and to build."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QStackedWidget, QWidget

PAGE_DELAY_MS = 800


class LatePages(QObject):
    """Puts pages in the places that a stack keeps for them."""

    def __init__(self, stack: QStackedWidget, makers: Mapping[int, Callable[[], QWidget]], parent: QObject) -> None:
        super().__init__(parent)
        self._stack = stack
        self._unmade = dict(makers)

    def make(self, step: int) -> None:
        """Now, unless it is there."""
        make = self._unmade.pop(step, None)
        if make is None:
            return
        placeholder = self._stack.widget(step)
        assert placeholder is not None
        self._stack.insertWidget(step, make())
        self._stack.removeWidget(placeholder)
        placeholder.deleteLater()

    def make_all(self) -> None:
        """One after the other, so that no turn of the event loop is long."""
        for number, step in enumerate(tuple(self._unmade), start=1):
            QTimer.singleShot(number * PAGE_DELAY_MS, self, lambda step=step: self.make(step))
