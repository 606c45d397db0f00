from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator

import pytest

from dfrot_engine.overlap import WriteBehind, read_ahead


class Item:
    """Something a weak reference can watch."""

    def __init__(self, number: int) -> None:
        self.number = number


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("read-ahead", "write-behind"))]


@pytest.mark.parametrize("overlaps", [True, False])
@pytest.mark.parametrize("count", [0, 1, 4])
def test_items_come_in_order_and_nothing_keeps_them(count: int, overlaps: bool) -> None:
    numbers, references = [], []
    items = read_ahead(Item, range(count), overlaps=overlaps)
    for _ in range(count):
        item = next(items)
        numbers.append(item.number)
        references.append(weakref.ref(item))
        del item
        assert all(reference() is None for reference in references)
    assert numbers == list(range(count))
    assert next(items, None) is None


def test_the_next_item_is_read_meanwhile_and_no_more() -> None:
    read: list[int] = []
    second_is_read = threading.Event()

    def remember(number: int) -> int:
        read.append(number)
        if number == 1:
            second_is_read.set()
        return number

    items = read_ahead(remember, range(5), overlaps=True)
    assert next(items) == 0
    assert second_is_read.wait(5)
    items.close()
    assert read == [0, 1]


@pytest.mark.parametrize("overlaps", [True, False])
def test_an_error_of_reading_comes_where_its_item_is_due(overlaps: bool) -> None:
    def refuse_second(number: int) -> int:
        if number == 1:
            raise OSError("gone")
        return number

    items = read_ahead(refuse_second, range(3), overlaps=overlaps)
    assert next(items) == 0
    with pytest.raises(OSError, match="gone"):
        next(items)


def test_pieces_are_written_in_order_while_the_caller_goes_on() -> None:
    written: list[int] = []
    may_write = threading.Event()

    def write(number: int) -> None:
        assert may_write.wait(5)
        written.append(number)

    with WriteBehind(overlaps=True) as behind:
        behind.submit(lambda: write(0))
        assert written == []
        may_write.set()
        for number in range(1, 4):
            behind.submit(lambda number=number: write(number))
    assert written == [0, 1, 2, 3]


@pytest.mark.parametrize("overlaps", [True, False])
def test_an_error_of_writing_comes_out_and_ends_it(overlaps: bool) -> None:
    written: list[int] = []

    def refuse() -> None:
        raise OSError("full")

    def both() -> None:
        with WriteBehind(overlaps=overlaps) as behind:
            behind.submit(refuse)
            behind.submit(lambda: written.append(1))

    with pytest.raises(OSError, match="full"):
        both()
    assert written == []


def test_an_error_of_the_last_piece_is_not_lost() -> None:
    def last() -> None:
        with WriteBehind(overlaps=True) as behind:
            behind.submit(lambda: 1 / 0)  # type: ignore[arg-type, return-value]

    with pytest.raises(ZeroDivisionError):
        last()


def test_what_is_being_written_when_the_caller_fails_is_finished() -> None:
    written: list[int] = []
    may_write = threading.Event()

    def write() -> None:
        assert may_write.wait(5)
        written.append(0)

    def stopped() -> None:
        with WriteBehind(overlaps=True) as behind:
            behind.submit(write)
            may_write.set()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert written == [0]
