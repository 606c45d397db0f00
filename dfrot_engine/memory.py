"""How much memory there is, what a run takes of it, and when it has run out. Imports no torch."""

from __future__ import annotations

import ctypes
import gc
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import psutil

#: About so many go through a block at once, in whole sequences.
BATCH_TOKENS = 2_048

_INTERVAL_S = 0.1
_GROUP = Path("/sys/fs/cgroup")
# Of the budget, for the block that is read ahead and the one that waits to be written.
_AHEAD_SHARE = 0.5
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED")


def available_bytes() -> int:
    """Memory that a new program can have: the computer's, or what is left of its container's."""
    free = psutil.virtual_memory().available
    try:
        limit = int((_GROUP / "memory.max").read_text())
        used = int((_GROUP / "memory.current").read_text())
        cached = dict(line.split() for line in (_GROUP / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # no container, or one without a limit
        return free
    return max(0, min(free, limit - used + int(cached.get("inactive_file", 0))))


def return_freed_memory(*, cycles: bool = False) -> None:
    """Give what was freed back to the system.

    glibc keeps freed pieces of up to 32 MB in its heap, where others in between leave holes; over the blocks of a model
    that adds up. Mapping every piece on its own would do as well, but cost a third of the computing time.

    Args:
        cycles: first free what refers to itself, such as modules that were unpacked.
    """
    if cycles:
        gc.collect()
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL("libc.so.6").malloc_trim(0)


@contextmanager
def importing() -> Iterator[None]:
    """While modules are imported, which stay: to look for garbage among them on the way takes a sixth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def set_imports_aside() -> None:
    """Let collections pass over what is there now, modules above all: half a million objects, a quarter of a second.

    What refers to itself and is in use at this moment stays in memory for good, so this belongs before any work.
    """
    gc.collect()
    gc.freeze()


def split_budget(budget_bytes: int, block_bytes: int) -> tuple[bool, int]:
    """(whether blocks are read ahead and written behind, what is left for hidden states).

    Args:
        block_bytes: of one block in the checkpoint; one that is read and one that is written are held besides.
    """
    overlaps = 2 * block_bytes <= _AHEAD_SHARE * budget_bytes
    return overlaps, budget_bytes - 2 * block_bytes if overlaps else budget_bytes


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed, on the GPU or here; torch's allocator for CPUs raises a plain RuntimeError."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _OUT_OF_MEMORY)


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
