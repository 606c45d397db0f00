"""The Hub client's progress bars as one callback, through which a cancel lands."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

Progress = Callable[[int, int, str], None]

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
        self._bars: list[_Bar] = []
        self._lock = threading.Lock()
        self._reported_s = float("-inf")

    def watch(self, bar: _Bar) -> None:
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
            self._report(max((bar.n for bar in self._bars), default=0))

    def finished(self) -> None:
        with self._lock:
            self._report(self._total_bytes)

    def _report(self, done_bytes: int) -> None:
        try:
            self._progress(min(done_bytes, self._total_bytes), self._total_bytes, self._label)
        except BaseException as error:
            self.stopped = error
            raise


class _Bar:
    """What the Hub's client needs of a tqdm; it makes one for files and two for bytes, received and written."""

    def __init__(self, meter: Meter, **settings: Any) -> None:
        self.n: int = settings.get("initial") or 0
        self.total: int | None = settings.get("total")
        self.format_dict: dict[str, Any] = {"rate": None}
        self._meter = meter
        if settings.get("unit") == "B":
            meter.watch(self)

    def update(self, n: float | None = 1) -> None:
        self.n += int(n or 0)
        self._meter.moved()

    def refresh(self, *_: Any, **__: Any) -> None: ...

    def close(self) -> None: ...

    def set_postfix_str(self, *_: Any, **__: Any) -> None: ...

    def set_description(self, *_: Any, **__: Any) -> None: ...

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None: ...


def bar_class(meter: Meter) -> type[Any]:
    """A class in tqdm's shape whose bars all move the meter."""

    class Bar(_Bar):
        def __init__(self, *_: Any, **settings: Any) -> None:
            super().__init__(meter, **settings)

    return Bar
