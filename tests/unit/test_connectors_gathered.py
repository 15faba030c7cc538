"""A large history is gathered by record, within bounded memory, and nothing of it is lost or turned around."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import groupby

from hypothesis import given, settings
from hypothesis import strategies as st

from watchtower.connectors import Batch, Refused, gathered
from watchtower.contract import Event

START = datetime(2026, 3, 1, tzinfo=UTC)


def event(number: int, record: str) -> Event:
    at = START + timedelta(minutes=number)
    return Event(id=f"e{number}", source="crm", type="record.updated", subject=f"lead/{record}", time=at)


def batches(names: list[str], size: int) -> list[Batch]:
    events = [event(n, name) for n, name in enumerate(names)]
    return [Batch(events[at : at + size], [], (at + size) / len(names)) for at in range(0, len(names), size)]


@given(
    st.lists(st.text("abcé/", min_size=1, max_size=3), min_size=1, max_size=60),
    st.integers(1, 9), st.integers(1, 20), st.integers(2, 4),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_a_history_of_several_runs_comes_record_by_record_each_in_its_own_order(
    names: list[str], size: int, run: int, at_once: int
) -> None:
    given_ = batches(names, size)
    found = [one for batch in gathered(given_, size=5, run=run, at_once=at_once) for one in batch.events]
    sent = [one for batch in given_ for one in batch.events]
    if len(sent) <= run:
        assert found == sent
    else:
        assert found == sorted(sent, key=lambda one: one.subject)


def test_a_batch_ends_with_the_last_event_of_a_record_unless_the_record_is_too_long() -> None:
    names = [name for name in "abc" for _ in range(7)] + ["d"] * 50
    found = [batch.events for batch in gathered(batches(names, 10), size=5, run=20) if batch.events]
    told = [[(name, len(list(group))) for name, group in groupby(e.record_id for e in events)] for events in found]
    assert told == [[("a", 7)], [("b", 7)], [("c", 7)], [("d", 20)], [("d", 20)], [("d", 10)]]


def test_a_short_history_keeps_its_batches() -> None:
    given_ = [Batch([event(1, "b")], [], 0.5), Batch([event(2, "a")], [Refused("x:3", "time: missing", {})], 1.0)]
    assert list(gathered(given_)) == given_


def test_what_was_refused_is_told_once_and_the_share_done_never_falls() -> None:
    given_ = [Batch([event(n, f"{n % 7}")], [Refused(f"x:{n}", "no", {})], n / 30) for n in range(30)]
    found = list(gathered(given_, size=3, run=4))
    assert [one.place for batch in found for one in batch.refused] == [f"x:{n}" for n in range(30)]
    assert [batch.done for batch in found] == sorted(batch.done for batch in found)
    assert found[-1].done == 1.0


def test_an_event_that_cannot_be_laid_down_still_gets_its_verdict_from_the_journal() -> None:
    odd = Event(id="odd", source="crm", type="t", subject="lead/L", time=START, data={"text": "\ud800"})
    long = Event(id="long", source="crm", type="t", subject="lead/L", time=START, data={"n": 2**80})
    for run in (2, 100):
        given_ = [Batch([event(n, "a") for n in range(9)] + [odd, long], [], 1.0)]
        found = [one.id for batch in gathered(given_, run=run) for one in batch.events]
        assert sorted(found) == sorted([*(f"e{n}" for n in range(9)), "odd", "long"])


def test_a_consumer_that_stops_leaves_no_files_behind() -> None:
    going = gathered(batches(["a", "b"] * 20, 5), size=3, run=8)
    assert any(batch.events for batch in going)
    going.close()  # type: ignore[attr-defined]
