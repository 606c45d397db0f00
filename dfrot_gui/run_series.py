"""Long lists inside a frozen state: curves and log lines that grow without being copied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar, overload

T = TypeVar("T")


class Series(Sequence[T], Generic[T]):
    """An immutable sequence with an O(1) `appended`: old and new share one list, each sees only its own length."""

    __slots__ = ("_items", "_length")

    def __init__(self, items: Sequence[T] = ()) -> None:
        self._items = list(items)
        self._length = len(self._items)

    def appended(self, item: T, keep: int = 0) -> Series[T]:
        """A series one longer; with `keep`, the oldest are dropped once there are twice as many."""
        if keep and self._length >= 2 * keep:
            return Series(self[-keep:]).appended(item)
        new: Series[T] = Series.__new__(Series)
        new._items = self._items if len(self._items) == self._length else self._items[: self._length]
        new._items.append(item)
        new._length = self._length + 1
        return new

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            return self._items[: self._length][index]
        return self._items[range(self._length)[index]]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Series) and self[:] == other[:]

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Series({self[:]!r})"


@dataclass(frozen=True, slots=True)
class Point:
    step: int
    value: float


@dataclass(frozen=True, slots=True)
class LogLine:
    time: datetime
    stage: str
    message: str
    is_warning: bool = False

    def __str__(self) -> str:
        return f"{self.time.astimezone():%H:%M:%S}  {self.stage:<9} {self.message}"
