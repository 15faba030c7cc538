"""Callers share a transaction: each gets its own answers, nobody waits for company, a fault stays its caller's."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from watchtower.errors import StoreError
from watchtower.store.group import LARGEST, Group


class Writer:
    """Doubles numbers; holds its first call until `go`; refuses any call with a negative number."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.go = threading.Event()
        self.began = threading.Event()

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.calls.append(list(items))
        self.began.set()
        assert self.go.wait(10)
        if any(item < 0 for item in items):
            raise ValueError(f"negative in {list(items)}")
        return [2 * item for item in items]


def together(writer: Writer, first: list[int], others: list[list[int]]) -> list[object]:
    """Put `first`; while it is being written, the others; the answers or errors of all, in order."""
    group: Group[int, int] = Group(writer)

    def put(items: list[int]) -> object:
        try:
            return group.put(items)
        except ValueError as error:
            return str(error)

    with ThreadPoolExecutor(64) as pool:
        leading = pool.submit(put, first)
        assert writer.began.wait(10)
        rest = []
        for number, items in enumerate(others):
            rest.append(pool.submit(put, items))
            while len(group._waiting) <= number:
                threading.Event().wait(0.001)
        writer.go.set()
        return [leading.result(10), *(one.result(10) for one in rest)]


def test_one_alone_is_written_at_once() -> None:
    writer = Writer()
    writer.go.set()
    assert Group(writer).put([1, 2]) == [2, 4]
    assert writer.calls == [[1, 2]]


def test_those_who_come_meanwhile_share_the_next_write_and_get_their_own_answers() -> None:
    writer = Writer()
    assert together(writer, [1], [[2], [3, 4], [5]]) == [[2], [4], [6, 8], [10]]
    assert writer.calls == [[1], [2, 3, 4, 5]]


def test_a_fault_is_its_callers_alone() -> None:
    writer = Writer()
    assert together(writer, [1], [[2], [-3], [4]]) == [[2], [4], "negative in [-3]", [8]]
    assert writer.calls == [[1], [2, -3, 4], [2], [-3], [4]]


def test_a_database_that_is_away_is_asked_once_for_all_who_wait() -> None:
    calls: list[int] = []

    class Away(Writer):
        def __call__(self, items: Sequence[int]) -> list[int]:
            super().__call__(items)
            calls.append(len(items))
            raise StoreError("away") if len(calls) > 1 else ValueError("first")

    group: Group[int, int] = Group(writer := Away())
    with ThreadPoolExecutor(8) as pool:
        leading = pool.submit(group.put, [1])
        assert writer.began.wait(10)
        rest = [pool.submit(group.put, [number]) for number in range(5)]
        while len(group._waiting) < 5:
            threading.Event().wait(0.001)
        writer.go.set()
        assert isinstance(leading.exception(10), ValueError)
        assert {type(one.exception(10)) for one in rest} == {StoreError}
    assert calls == [1, 5]


def test_a_shared_write_does_not_grow_without_bound() -> None:
    writer = Writer()
    half = list(range(LARGEST // 2))
    answers = together(writer, [1], [half, half, half, [7] * (3 * LARGEST)])
    assert [len(answer) for answer in answers] == [1, *[LARGEST // 2] * 3, 3 * LARGEST]  # type: ignore[arg-type]
    assert [len(call) for call in writer.calls] == [1, LARGEST, LARGEST // 2, 3 * LARGEST]


def test_an_interrupted_leader_hands_over() -> None:
    def write(items: Sequence[int]) -> list[int]:
        if 1 in items:
            raise KeyboardInterrupt
        return list(items)

    group: Group[int, int] = Group(write)
    with pytest.raises(KeyboardInterrupt):
        group.put([1])
    assert group.put([2]) == [2]


def test_many_threads_lose_nothing() -> None:
    written: list[int] = []
    lock = threading.Lock()

    def write(items: Sequence[int]) -> list[int]:
        assert lock.acquire(blocking=False), "two writes at once"
        written.extend(items)
        lock.release()
        return list(items)

    group: Group[int, int] = Group(write)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: group.put([n, -n]), range(1, 2001)))
    assert answers == [[n, -n] for n in range(1, 2001)]
    assert sorted(written) == sorted(number for n in range(1, 2001) for number in (n, -n))
