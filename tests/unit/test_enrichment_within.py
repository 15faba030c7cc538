"""Calls with a deadline, made by threads that are used again."""

from __future__ import annotations

import threading
import time

import pytest

from enrichment.errors import CallFailed
from enrichment.within import within


def test_one_call_after_the_other_is_made_by_the_same_thread() -> None:
    assert len({within(5, threading.get_ident) for _ in range(20)}) == 1


def test_a_call_that_outlasts_its_deadline_is_left_behind_and_its_answer_is_nobodys() -> None:
    over = threading.Event()

    def late() -> str:
        over.wait(30)
        return "late"

    with pytest.raises(CallFailed, match="no answer within 0.05 s"):
        within(0.05, late)
    assert within(5, lambda: "mine") == "mine"
    over.set()
    assert [within(5, lambda n=n: n) for n in range(5)] == list(range(5))


def test_a_fault_reaches_whoever_asked_and_the_thread_goes_on() -> None:
    def fails() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        within(5, fails)
    assert within(5, lambda: 7) == 7


def test_many_at_once_each_get_their_own_answer() -> None:
    found: list[tuple[int, int]] = []

    def ask(number: int) -> None:
        def call() -> int:
            time.sleep(0.001)
            return number

        found.extend((number, within(5, call)) for _ in range(10))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 1000 and all(asked == answered for asked, answered in found)
