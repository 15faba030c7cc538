"""What an alert has read: the same, whether it is taken from what was folded just now or from the journal."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from watchtower.bootstrap import Tower
from watchtower.contract import Event, format_time
from watchtower.flow.apply import Applied, Recent, apply_events
from watchtower.flow.moments import Moment, moments
from watchtower.store import journal

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
BOOK = """
name: moments
timezone: Europe/Rome
objects:
  lead:
    fields:
      stage: {type: enum, values: [raw, mql, sal]}
      owner: {type: text}
      calls: {type: integer, rollup: {count: time, of: activity.logged}}
rules:
  - {id: waits, object: lead, when: "stage = 'mql' and changed_at(stage) <= now() - interval '1 minute'", owner: sales}
  - {id: unowned, object: lead, when: "stage = 'sal' and owner is null", owner: sales}
"""


def history(seed: int) -> list[Event]:
    """Of three records, with deletions and events of the same time."""
    rng, at, events = Random(seed), START - timedelta(days=1), []
    for n in range(60):
        at += rng.choice((0, 1, 7)) * MINUTE
        kind = rng.choice(["record.updated"] * 6 + ["activity.logged", "record.deleted"])
        fields: dict[str, Any] = {"stage": rng.choice(("raw", "mql", "sal")), "owner": rng.choice((None, "ann", "bo"))}
        said = {"fields": fields} if kind == "record.updated" else {"kind": "call"}
        subject = f"lead/{rng.choice('ABC')}"
        events.append(Event(id=f"e{n}", source="crm", type=kind, subject=subject, time=at, data=said))
    return events


def put(tower: Tower, conn: Any, events: list[Event]) -> Applied:
    journal.append(conn, events, layer="core", received_at=START)
    return apply_events(conn, tower._engine, events)


def told(tower: Tower, conn: Any, wanted: Iterable[Moment], recent: dict[tuple[str, str], Recent]) -> dict[Moment, Any]:
    found = moments(conn, tower._engine, wanted, recent)
    return {moment: (one.alive, one.state, one.who) for moment, one in found.items()}


@pytest.mark.parametrize("seed", range(6))
def test_what_was_folded_just_now_says_what_the_journal_says(tower: Tower, seed: int) -> None:
    events = history(seed)
    # The second half comes after the first, or, with odd seeds, partly before it: late news.
    first, second = (events[:30], events[30:]) if seed % 2 == 0 else (events[::2], events[1::2])
    with tower.database.begin() as conn:
        put(tower, conn, first)
        recent = put(tower, conn, second).recent
        wanted = [(e.object, e.record_id, e.time + shift * MINUTE) for e in events for shift in (-1, 0, 1)]
        assert recent
        assert told(tower, conn, wanted, recent) == told(tower, conn, wanted, {})


def test_a_moment_before_what_was_folded_is_read_from_the_journal(tower: Tower) -> None:
    say = [
        Event(id=str(n), source="crm", type="record.updated", subject="lead/A", time=START + n * MINUTE,
              data={"fields": {"stage": stage}})
        for n, stage in enumerate(("raw", "mql", "sal"))
    ]  # fmt: skip
    with tower.database.begin() as conn:
        put(tower, conn, say[:2])
        recent = put(tower, conn, say[2:]).recent
        found = moments(conn, tower._engine, [("lead", "A", START), ("lead", "A", START + 2 * MINUTE)], recent)
    assert found["lead", "A", START].state["stage"] == "raw"
    assert found["lead", "A", START + 2 * MINUTE].state["stage"] == "sal"
    assert found["lead", "A", START].who["stage"]["at"] == format_time(START)
