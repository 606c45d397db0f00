"""Peak memory of the process, sampled while a stage runs."""

from __future__ import annotations

import threading
from types import TracebackType

import psutil

_INTERVAL_S = 0.1


class PeakMemory:
    """Context that samples resident memory in a thread.

    `peak_bytes` is the largest seen so far, `current_bytes` the latest.
    """

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="peak-memory", daemon=True)
        self.current_bytes = self.peak_bytes = self._process.memory_info().rss

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(_INTERVAL_S):
            self.current_bytes = self._process.memory_info().rss
            self.peak_bytes = max(self.peak_bytes, self.current_bytes)
