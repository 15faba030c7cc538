"""Who is not answered: ladders, snoozes that end, acts that are taken back; and all of it again in a replay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tower_scene import Clock

from watchtower.bootstrap import Tower
from watchtower.contract import Event
from watchtower.errors import InputError, RulebookError, Stale
from watchtower.rulebook import load
from watchtower.store import queries
from watchtower.store.rows import AlertFilter, AlertRow

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
BOOK = """
objects:
  lead:
    fields:
      stage: {type: enum, values: [raw, mql, sql]}
      industry: {type: text, fill: enrichment}
queues:
  sales: {ladder: [{after: 2 hours, to: director}, {after: 1 day, to: cro}]}
  icp: {ladder: [{after: 2 hours, to: director}]}
acceptance: {lead.industry: {accept_at: 0.9}}
rules:
  - {id: waiting, object: lead, when: stage = 'mql', severity: high, queue: sales, owner: rep}
  - {id: elsewhere, object: lead, when: stage = 'raw', queue: other, owner: rep}
  - {id: steel, object: lead, when: industry = 'steel', queue: icp, owner: rep}
"""


def stage(tower: Tower, lead: str, value: str) -> None:
    now = tower.clock()
    fields = {"fields": {"stage": value}}
    event = Event(
        id=f"{lead}.{value}.{now.isoformat()}", source="crm", type="record.updated", subject=f"lead/{lead}", time=now,
        data=fields,
    )  # fmt: skip
    tower.take_events([event])


def alert_of(tower: Tower, lead: str) -> AlertRow:
    with tower.database.read() as conn:
        (row,) = queries.alerts(conn, AlertFilter(object="lead", record=lead), after=None, limit=9)
    return row


def history(tower: Tower, row: AlertRow) -> list[tuple[str, str, str]]:
    with tower.database.read() as conn:
        return [(one.verb, one.actor, one.note) for one in queries.actions(conn, row.id)]


def test_an_alert_that_nobody_acknowledges_climbs_rung_by_rung_each_at_its_time(tower: Tower, clock: Clock) -> None:
    stage(tower, "L1", "mql")
    clock.now = START + 2 * HOUR - timedelta(microseconds=1)
    tower.tick()
    assert (alert_of(tower, "L1").level, alert_of(tower, "L1").escalated_to) == (0, None)
    clock.now = START + 30 * HOUR  # nobody ticked for a day: both rungs are due
    tower.tick()
    row = alert_of(tower, "L1")
    assert (row.level, row.escalated_to, row.status) == (2, "cro", "open")
    assert [line[0] for line in history(tower, row)] == ["opened", "escalated", "escalated"]
    with tower.database.read() as conn:
        climbed = [e for e in queries.timeline(conn, "lead", "L1", before=None, limit=9) if e.type == "alert.escalated"]
    assert sorted(event.time for event in climbed) == [START + 2 * HOUR, START + 24 * HOUR]
    tower.tick()
    assert alert_of(tower, "L1").level == 2, "there is no third rung"


def test_what_is_acknowledged_or_has_no_ladder_climbs_none(tower: Tower, clock: Clock) -> None:
    stage(tower, "L1", "mql")
    stage(tower, "L2", "raw")
    tower.act(alert_of(tower, "L1").id, "acknowledge", actor="anna")
    clock.now = START + 90 * HOUR
    tower.tick()
    assert [alert_of(tower, lead).level for lead in ("L1", "L2")] == [0, 0]


def test_a_snoozed_alert_wakes_when_it_climbs_a_rung(tower: Tower, clock: Clock) -> None:
    stage(tower, "L1", "mql")
    tower.act(alert_of(tower, "L1").id, "snooze", actor="anna", until=START + 90 * HOUR, note="on holiday")
    clock.now = START + HOUR
    tower.tick()
    assert alert_of(tower, "L1").status == "snoozed"
    clock.now = START + 2 * HOUR
    tower.tick()
    row = alert_of(tower, "L1")
    assert (row.status, row.snoozed_until, row.escalated_to) == ("open", None, "director")
    assert ("snooze", "anna", "on holiday") in history(tower, row)


def test_a_workers_word_moves_nobody_up_a_ladder_and_wakes_nobody(tower: Tower, clock: Clock) -> None:
    from watchtower.flow.settle import settle

    stage(tower, "L1", "mql")
    tower.act(alert_of(tower, "L1").id, "snooze", actor="anna", until=START + HOUR)
    clock.now = START + 90 * HOUR
    with tower.database.begin() as conn:
        settle(conn, tower._engine, clock.now, informed_only=True)
    assert (alert_of(tower, "L1").status, alert_of(tower, "L1").level) == ("snoozed", 0)
    tower.tick()
    assert (alert_of(tower, "L1").status, alert_of(tower, "L1").level) == ("open", 2)


@pytest.mark.parametrize("verb", ["acknowledge", "snooze", "resolve"])
def test_what_was_done_is_taken_back(tower: Tower, clock: Clock, verb: Any) -> None:
    stage(tower, "L1", "mql")
    before = alert_of(tower, "L1")
    tower.act(before.id, verb, actor="anna", until=START + HOUR)
    tower.act(before.id, "reopen", actor="anna")
    after = alert_of(tower, "L1")
    for name in ("status", "assignee", "snoozed_until", "resolved_at", "resolution"):
        assert getattr(after, name) == getattr(before, name), name
    with pytest.raises(InputError, match="is open already"):
        tower.act(before.id, "reopen", actor="anna")
    clock.now += HOUR
    stage(tower, "L1", "sql")
    assert alert_of(tower, "L1").resolution == "by the facts"


def test_what_the_facts_have_ended_is_not_reopened(tower: Tower, clock: Clock) -> None:
    stage(tower, "L1", "mql")
    id_ = alert_of(tower, "L1").id
    tower.act(id_, "resolve", actor="anna", verdict="false_alarm", note="a test lead")
    assert alert_of(tower, "L1").resolution == "a false alarm: a test lead"
    stage(tower, "L1", "sql")
    with pytest.raises(InputError, match="waiting no longer holds"):
        tower.act(id_, "reopen", actor="anna")


def test_of_two_people_the_second_is_told_who_was_first(tower: Tower, clock: Clock) -> None:
    stage(tower, "L1", "mql")
    seen = alert_of(tower, "L1")
    tower.act(seen.id, "acknowledge", actor="anna", expected=seen.revision)
    with pytest.raises(Stale, match="is acknowledged now: anna acknowledged it at 09:00:00 UTC"):
        tower.act(seen.id, "resolve", actor="bruno", expected=seen.revision)
    assert (alert_of(tower, "L1").status, alert_of(tower, "L1").assignee) == ("acknowledged", "anna")


def test_a_replay_makes_ladders_and_acts_again(tower: Tower, clock: Clock) -> None:
    for lead in ("L1", "L2", "L3"):
        stage(tower, lead, "mql")
    tower.act(alert_of(tower, "L2").id, "resolve", actor="anna", verdict="false_alarm")
    tower.act(alert_of(tower, "L2").id, "reopen", actor="anna")
    tower.act(alert_of(tower, "L3").id, "snooze", actor="anna", until=START + HOUR)
    for hours in (1, 2, 3, 25):
        clock.now = START + hours * HOUR
        tower.tick()
    replayed = tower.replay()
    assert replayed.differences == []
    assert replayed.decisions >= 3 + 4 + 6


@pytest.mark.parametrize(
    ("ladder", "says"),
    [
        ("[{after: soon, to: x}]", "'soon' is no time"),
        ("[{after: 1 month, to: x}]", "'1 month' is no time"),
        ("[{after: 2 hours, to: x}, {after: 120 minutes, to: y}]", "each rung comes later"),
        ("[{after: 2 hours, to: ''}]", "to"),
    ],
)
def test_a_ladder_that_cannot_be_climbed_is_refused(tmp_path: Path, ladder: str, says: str) -> None:
    (tmp_path / "rules.yaml").write_text(BOOK.replace("  icp: {", f"  wrong: {{ladder: {ladder}}}\n  icp: {{"))
    with pytest.raises(RulebookError) as caught:
        load(tmp_path / "rules.yaml")
    assert says in str(caught.value)
