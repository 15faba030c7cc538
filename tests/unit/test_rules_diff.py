"""What a change of rules would have changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from watchtower.flow.backtest import Held
from watchtower.flow.diff import compare

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)


def _held(since: int, until: int, rule: str = "r", record: str = "lead/1") -> Held:
    return Held(rule, record, START + since * DAY, START + until * DAY)


def test_an_earlier_start_is_a_move_and_not_a_loss() -> None:
    (change,) = compare([_held(2, 5)], [_held(1, 5)])
    assert change.kind == "moved"
    assert change.to_json()["new"] == {"since": "2026-01-02T00:00:00.000000Z", "until": "2026-01-06T00:00:00.000000Z"}


def test_an_interval_under_one_rulebook_only_is_gained_or_lost() -> None:
    changes = compare([_held(0, 1), _held(4, 6)], [_held(4, 6), _held(8, 9)])
    assert [(change.kind, (change.old or change.new).since) for change in changes if change.old or change.new] == [
        ("lost", START),
        ("gained", START + 8 * DAY),
    ]


intervals = st.lists(st.integers(0, 40), max_size=8, unique=True).map(
    lambda points: [_held(a, b) for a, b in zip(sorted(points)[::2], sorted(points)[1::2], strict=False)]
)


@given(intervals)
def test_a_rulebook_beside_itself_changes_nothing(found: list[Held]) -> None:
    assert compare(found, found) == []


@given(intervals, intervals)
def test_every_interval_is_named_once_or_equal_on_both_sides(old: list[Held], new: list[Held]) -> None:
    changes = compare(old, new)
    olds = [change.old for change in changes if change.old]
    news = [change.new for change in changes if change.new]
    assert sorted(olds, key=lambda held: held.since) == [held for held in old if held not in new or held in olds]
    assert len({id(held) for held in olds}) == len(olds)
    assert set(old) - set(olds) == set(new) - set(news)
    for change in changes:
        if change.old and change.new:
            assert change.old.since < change.new.until and change.new.since < change.old.until
