"""A word on the desktop when a run has ended and the window is not in front; nothing where the desktop has no tray."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QApplication, QSystemTrayIcon, QWidget

from dfrot_engine.units import duration_text
from dfrot_gui.result_words import headline
from dfrot_gui.run_progress import elapsed_s
from dfrot_gui.run_state import RunState
from dfrot_gui.translation import mark, tr

# As long as a message is likely to be clicked; then the icon leaves the tray.
SHOWN_MS = 60_000
_TITLES = {
    "finished": mark("{model} finished"),
    "cancelled": mark("{model} stopped"),
    "failed": mark("{model} failed"),
    "interrupted": mark("{model} was interrupted"),
}


class Tray(Protocol):
    """What shows a message; it calls back when the message is clicked."""

    def show_message(self, title: str, text: str, clicked: Callable[[], None]) -> None: ...


class SystemTray(QObject):
    """The desktop's own tray."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._icon = QSystemTrayIcon(QApplication.windowIcon(), self)
        self._clicked: Callable[[], None] = lambda: None
        self._icon.messageClicked.connect(self._act)
        self._icon.activated.connect(self._act)
        self._timer = QTimer(self, singleShot=True, interval=SHOWN_MS)
        self._timer.timeout.connect(self._icon.hide)

    def show_message(self, title: str, text: str, clicked: Callable[[], None]) -> None:
        self._clicked = clicked
        self._icon.show()
        self._icon.showMessage(title, text, QApplication.windowIcon())
        self._timer.start()

    def _act(self) -> None:
        self._icon.hide()
        self._clicked()


def system_tray(parent: QObject) -> Tray | None:
    """The tray, where the desktop has one that shows messages."""
    has_one = QSystemTrayIcon.isSystemTrayAvailable() and QSystemTrayIcon.supportsMessages()
    return SystemTray(parent) if has_one else None


class RunNotifier(QObject):
    """Tells of ended runs while the window is behind others, minimized, or on another desktop."""

    def __init__(self, window: QWidget, make_tray: Callable[[QObject], Tray | None] = system_tray) -> None:
        super().__init__(window)
        self._window = window
        self._make_tray = make_tray
        self._tray: Tray | None = None

    def tell(self, state: RunState) -> None:
        """Say how the run ended, unless the window shows it."""
        if self._window.isActiveWindow() or state.status not in _TITLES:
            return
        self._tray = self._tray or self._make_tray(self)  # asked each time: a tray may come after the window
        if self._tray is not None:
            self._tray.show_message(title(state), text(state), self._to_front)

    def _to_front(self) -> None:
        self._window.setWindowState(self._window.windowState() & ~self._window.windowState().WindowMinimized)
        self._window.show()
        self._window.raise_()
        self._window.activateWindow()


def title(state: RunState) -> str:
    """ "SmolLM2-135M finished"."""
    model = state.model.rstrip("/").rsplit("/", 1)[-1] or tr("The run")
    return tr(_TITLES[state.status], model=model)


def text(state: RunState) -> str:
    """The numbers of a finished run, the reason of another."""
    if state.status != "finished":
        return f"{state.message} {state.remedy}".strip()
    return tr("In {duration}. {headline}", duration=duration_text(elapsed_s(state)), headline=headline(state)).strip()
