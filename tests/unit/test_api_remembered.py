"""Counts that are costly may be a moment old, unless whoever looks has just changed something."""

from __future__ import annotations

import time

from watchtower.api.review.remembered import CHEAP, Remembered


def slow(value: int) -> int:
    time.sleep(2 * CHEAP)
    return value


def test_a_costly_count_is_told_again_while_others_write_and_anew_after_ones_own_act() -> None:
    known = Remembered()
    assert known.about("open", "1", lambda: slow(3)) == 3
    assert known.about("open", "2", lambda: slow(4)) == 3
    known.doubt()
    assert known.about("open", "2", lambda: slow(5)) == 5


def test_what_must_be_exact_is_made_anew_as_soon_as_anybody_has_written() -> None:
    known = Remembered()
    assert known.exact("rows", "1", lambda: slow(3)) == 3
    assert known.exact("rows", "1", lambda: slow(4)) == 3
    assert known.exact("rows", "2", lambda: slow(5)) == 5
