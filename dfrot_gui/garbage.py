"""Where Python looks for objects that refer to each other and to nothing else: in the window's thread alone."""

from __future__ import annotations

import gc

from PySide6.QtCore import QObject, QTimer

INTERVAL_MS = 1_000


class GarbageCollector(QObject):
    """Collects in the thread that it lives in, from now on the only one.

    Python collects wherever an object is made. In another thread that would destroy what belongs to the window's: Qt
    holds a lock meanwhile and asks for the interpreter, while the window has the interpreter and waits for that lock.
    pyqtgraph has such a collector too, but to import it is to import all of pyqtgraph, before anything is drawn.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        gc.disable()
        self._timer = QTimer(self, interval=INTERVAL_MS)
        self._timer.timeout.connect(collect_due)
        self._timer.start()


def collect_due() -> None:
    """Collect the oldest generation whose time has come, as Python would have done by itself."""
    due = [
        generation
        for generation, (count, threshold) in enumerate(zip(gc.get_count(), gc.get_threshold(), strict=True))
        if count > threshold
    ]
    if due:
        gc.collect(due[-1])
