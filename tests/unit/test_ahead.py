"""One step ahead: the next item is made while this one is worked upon, and never more than one."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from watchtower.ahead import ahead


def test_all_comes_in_order() -> None:
    assert list(ahead(range(100), lambda n: n * n)) == [n * n for n in range(100)]
    assert list(ahead([], str)) == []


def test_the_next_is_made_while_this_one_is_worked_upon_and_no_other() -> None:
    made: list[int] = []
    reached = threading.Event()

    def make(n: int) -> int:
        made.append(n)
        if n == 1:
            reached.set()
        return n

    coming = ahead(range(10), make)
    assert next(coming) == 0
    assert reached.wait(10)
    assert next(coming) == 1
    coming.close()
    assert made in ([0, 1], [0, 1, 2])


def test_an_error_comes_where_its_item_would_have() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("the file is gone")

    seen = []
    with pytest.raises(OSError, match="the file is gone"):
        for item in ahead(items(), lambda n: n):
            seen.append(item)
    assert seen == [1, 2]


def test_a_reader_is_closed_in_the_thread_that_read_when_nobody_asks_any_more() -> None:
    threads: set[str] = set()
    closed = []

    def items() -> Iterator[int]:
        try:
            while True:
                threads.add(threading.current_thread().name)
                yield 1
        finally:
            threads.add(threading.current_thread().name)
            closed.append(True)

    for _ in ahead(items(), lambda n: n):
        break
    assert closed == [True]
    assert len(threads) == 1
    assert threading.current_thread().name not in threads
