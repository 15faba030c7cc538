"""Made ready before their transaction, events get the verdicts that they would have got within it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tower_scene import Clock

from watchtower.bootstrap import Tower
from watchtower.connectors import Batch, Refused
from watchtower.contract import Event
from watchtower.flow import intake
from watchtower.rulebook import load

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
BOOK = """
name: ready
timezone: Europe/Rome
objects:
  lead:
    fields:
      stage: {type: enum, values: [raw, mql]}
rules:
  - {id: stuck, object: lead, when: "stage = 'mql'", owner: sales}
"""


def lead(n: int, stage: str = "mql", **changes: object) -> Event:
    said = {"id": f"e{n}", "source": "crm", "type": "record.updated", "subject": f"lead/L{n}", "time": START}
    return Event(**(said | {"data": {"fields": {"stage": stage}}} | changes))  # type: ignore[arg-type]


def told(tower: Tower) -> list[tuple[str, str]]:
    with tower.database.read() as conn:
        return [tuple(row) for row in conn.exec_driver_sql("select rule, record from alert order by 1, 2")]


def test_what_is_refused_whatever_the_time_and_what_for_its_time_keep_their_order(tower: Tower, clock: Clock) -> None:
    far, ahead = START + timedelta(days=400), START + timedelta(hours=1)
    events = [
        lead(1),
        lead(2, "nowhere"),
        lead(3, "nowhere", time=far),
        lead(4, source="enrichment", time=far),
        lead(5, time=ahead),
        lead(6, "nowhere", time=ahead),
        lead(7, subject="moon/1"),
        lead(8, type="alert.opened"),
    ]
    made = intake.ready(tower._engine, events)
    verdicts = tower.take_events(made)
    assert [v.status for v in verdicts] == [
        "accepted", "refused", "refused", "refused", "quarantined", "refused", "refused", "refused",
    ]  # fmt: skip
    for verdict, start in zip(
        verdicts, ("", "stage: ", "time: ", "source: ", "time: ", "stage: ", "subject: ", "type: "), strict=True
    ):
        assert verdict.reason.startswith(start)
    assert [(v.status, v.reason.partition(":")[0]) for v in tower.take_events(events)][1:] == [
        (v.status, v.reason.partition(":")[0]) for v in verdicts
    ][1:]


def test_what_was_made_ready_under_another_rulebook_is_held_against_the_one_in_force(
    tower: Tower, tmp_path: Path
) -> None:
    made = intake.ready(tower._engine, [lead(1, "sal"), lead(2, "raw")])
    assert made[0].ready is not None
    assert made[0].ready.flaw
    path = tmp_path / "new.yaml"
    path.write_text(BOOK.replace("[raw, mql]", "[mql, sal]"))
    tower.activate(load(path), by="test")
    assert [v.status for v in tower.take_events(made)] == ["accepted", "refused"]


def test_batches_go_in_one_after_the_other_each_with_its_verdicts(tower: Tower) -> None:
    bad = Refused(place="line 3", reason="no JSON", raw="{")
    batches = [Batch([lead(1), lead(2)], [], 0.5), Batch([lead(3), lead(1)], [bad], 1.0)]
    found = list(tower.take_batches(iter(batches), origin="file"))
    assert [batch for batch, _ in found] == batches
    assert [[v.status for v in verdicts] for _, verdicts in found] == [
        ["accepted", "accepted"], ["accepted", "duplicate"],
    ]  # fmt: skip
    assert told(tower) == [("stuck", "L1"), ("stuck", "L2"), ("stuck", "L3")]
    with tower.database.read() as conn:
        assert conn.exec_driver_sql("select reason from deadletter").scalars().all() == ["no JSON"]
