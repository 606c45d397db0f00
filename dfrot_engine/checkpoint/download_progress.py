"""The Hub client's progress bars as one callback, through which a cancel lands."""

from __future__ import annotations

import threading
import time
from typing import Any

from tqdm.asyncio import tqdm_asyncio as tqdm  # the class the Hub's client names in its signature

from dfrot_engine.checkpoint.facts import Progress

REPORT_EVERY_S = 0.1


class Meter:
    """Counts the bytes of a download and hands them to `progress(done_bytes, total_bytes, label)`.

    What `progress` raises stops every connection of the download; it is kept in `stopped`.
    """

    def __init__(self, total_bytes: int, label: str, progress: Progress) -> None:
        self.stopped: BaseException | None = None
        self._total_bytes = total_bytes
        self._label = label
        self._progress = progress
        self._bars: list[tqdm] = []
        self._lock = threading.Lock()
        self._reported_s = float("-inf")

    def watch(self, bar: tqdm) -> None:
        self._bars.append(bar)

    def moved(self) -> None:
        """A bar of any connection moved.

        Raises:
            BaseException: what `progress` raised, in every thread that comes here.
        """
        with self._lock:
            if self.stopped is not None:
                raise self.stopped
            now_s = time.monotonic()
            if now_s - self._reported_s < REPORT_EVERY_S:
                return
            self._reported_s = now_s
            self._report(int(max((bar.n for bar in self._bars), default=0)))

    def finished(self) -> None:
        with self._lock:
            self._report(self._total_bytes)

    def _report(self, done_bytes: int) -> None:
        try:
            self._progress(min(done_bytes, self._total_bytes), self._total_bytes, self._label)
        except BaseException as error:
            self.stopped = error
            raise


def bar_class(meter: Meter) -> type[tqdm]:
    """A tqdm that draws nothing and moves the meter; the client makes one for files and two for bytes."""

    class Bar(tqdm):
        def __init__(self, *arguments: Any, **settings: Any) -> None:
            super().__init__(*arguments, **(settings | {"disable": True}))
            self.n: float = settings.get("initial") or 0
            if settings.get("unit") == "B":  # bytes received and bytes written; either may stand still for long
                meter.watch(self)

        def update(self, n: float | None = 1) -> None:
            self.n += n or 0
            meter.moved()

    return Bar
