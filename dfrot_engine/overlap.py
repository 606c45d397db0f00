"""Reading ahead and writing behind: one thread each, while the caller works on what lies between."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext, suppress
from types import TracebackType
from typing import TypeVar

from dfrot_engine.memory import return_freed_memory

T = TypeVar("T")


def read_ahead(read: Callable[[int], T], numbers: Sequence[int], *, overlaps: bool) -> Generator[T]:
    """What `read` gives for each number in turn; the next one is read while the caller has the last.

    An error of `read` comes out where its item is due. Nothing that was handed out is kept, and what the caller freed
    of it goes back to the system before the next one.

    Args:
        overlaps: without, each is read when it is asked for.
    """
    if not overlaps:
        for number in numbers:
            yield read(number)
            return_freed_memory()
        return
    pool = ThreadPoolExecutor(1, "read-ahead")
    waiting: deque[Future[T]] = deque()
    try:
        for number in numbers:
            waiting.append(pool.submit(read, number))
            if len(waiting) > 1:
                yield waiting.popleft().result()
                return_freed_memory()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


class WriteBehind:
    """Context that writes in a thread, one piece at a time and in order; all is written when it closes.

    An error of a piece comes out at the next `submit`, or when the context closes; pieces behind it are not written.

    Args:
        overlaps: without, `submit` writes.
    """

    def __init__(self, *, overlaps: bool) -> None:
        self._pool = ThreadPoolExecutor(1, "write-behind") if overlaps else None
        self._waiting: tuple[Future[None], Callable[[], None]] | None = None

    def submit(self, write: Callable[[], None], then: Callable[[], None] = lambda: None) -> None:
        """Wait for the piece before, then begin with this one.

        Args:
            then: called in the caller's thread once the piece is written.
        """
        self.wait()
        if self._pool is None:
            write()
            then()
        else:
            self._waiting = self._pool.submit(write), then

    def wait(self) -> None:
        """Until everything is written."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            written, then = waiting
            written.result()
            then()

    def __enter__(self) -> WriteBehind:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown()
        # What is written is said, too, where the caller was stopped; its own error is the one that counts.
        with suppress(Exception) if error else nullcontext():
            self.wait()
