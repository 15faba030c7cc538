"""The dead man's switch: a source or a job that has fallen silent is an ordinary alert, with an owner."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tower_scene import Clock

from watchtower.bootstrap import Tower
from watchtower.contract import Event, Evidence, FieldRequest, Proposal, format_time
from watchtower.errors import RulebookError
from watchtower.flow.apply import evaluate_records, rebuild_records
from watchtower.flow.doctor import examine
from watchtower.flow.examples import run_examples
from watchtower.rulebook import load
from watchtower.rules.compile import compile_rulebook
from watchtower.store import rulebooks

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
BOOK = """
name: watched
timezone: Europe/Rome
objects:
  account:
    fields:
      employees: {type: integer, min: 1, fill: enrichment}
calendars:
  office: {days: [mon, tue, wed, thu, fri], hours: ["09:00", "18:00"]}
rules:
  - {id: small, object: account, when: employees < 10, owner: sales}
acceptance:
  account.employees: {accept_at: 0.9, review_at: 0.5}
sources:
  crm: {silent_after: 2 hours, owner: revops, queue: data-quality}
  billing: {silent_after: 4 hours, calendar: office, source: "https://billing.example/", owner: finance}
jobs:
  enrichment: {silent_after: 1 hour, owner: revops}
"""
TEXT = "It has 7 employees."


_numbers = iter(range(10**9))


def say(tower: Tower, source: str = "crm", **changes: Any) -> str:
    event = {
        "id": f"e{next(_numbers)}", "source": source, "type": "record.updated", "subject": "account/A",
        "time": format_time(tower.clock()), "data": {"fields": {}},
    }  # fmt: skip
    return tower.take([event | changes])[0].status


def alerts(tower: Tower) -> list[tuple[Any, ...]]:
    with tower.database.read() as conn:
        found = conn.exec_driver_sql("select rule, record, owner, since, resolved_at from alert order by since, rule")
        return [tuple(row) for row in found]


def tick(tower: Tower, clock: Clock, at: datetime) -> list[str]:
    clock.now = at
    tower.tick()
    return sorted(rule for rule, *_, resolved in alerts(tower) if resolved is None)


def test_a_source_that_falls_silent_is_an_alert_that_its_next_word_resolves(tower: Tower, clock: Clock) -> None:
    clock.now = START + timedelta(minutes=10, seconds=20)
    say(tower)
    silent = START + timedelta(minutes=11) + 2 * HOUR
    assert "source.crm.silent" not in tick(tower, clock, silent - timedelta(microseconds=1))
    assert "source.crm.silent" in tick(tower, clock, silent + 3 * MINUTE)
    assert [row[:4] for row in alerts(tower) if row[1] == "crm"] == [("source.crm.silent", "crm", "revops", silent)]
    clock.now = spoke = silent + HOUR
    say(tower)
    assert [row[4] for row in alerts(tower) if row[1] == "crm"] == [spoke]


def test_one_that_never_spoke_is_silent_from_when_it_was_first_watched(tower: Tower, clock: Clock) -> None:
    assert tick(tower, clock, START + 2 * HOUR) == ["job.enrichment.silent", "source.crm.silent"]


def test_with_a_calendar_its_open_hours_count_and_its_events_may_bear_another_name(tower: Tower, clock: Clock) -> None:
    """Monday 10:00 in Rome; it speaks on Friday at 17:00, and is silent on Monday at 12:00."""
    clock.now = friday = datetime(2026, 3, 6, 16, tzinfo=UTC)
    say(tower, "https://billing.example/")
    assert "source.billing.silent" not in tick(tower, clock, friday + 60 * HOUR)
    assert "source.billing.silent" in tick(tower, clock, datetime(2026, 3, 9, 11, tzinfo=UTC))


def test_a_busy_source_moves_its_record_once_a_minute(tower: Tower, clock: Clock) -> None:
    for second in range(0, 120, 10):
        clock.now = START + timedelta(seconds=second, microseconds=1)
        say(tower)
    with tower.database.read() as conn:
        heard = conn.exec_driver_sql(
            "select id from journal where type = 'tower.heard' and record = 'crm' and time > %s order by seq", (START,)
        ).scalars()
        assert list(heard) == [
            f"heard.source.crm.{format_time(START + MINUTE)}", f"heard.source.crm.{format_time(START + 2 * MINUTE)}",
        ]  # fmt: skip


def test_what_is_refused_or_a_repeat_is_no_word_of_a_source(tower: Tower, clock: Clock) -> None:
    say(tower, id="first")
    clock.now = START + HOUR
    assert say(tower, subject="nothing/A") == "refused"
    assert say(tower, id="first", time=format_time(START)) == "duplicate"
    assert "source.crm.silent" in tick(tower, clock, START + 2 * HOUR)


class Says:
    """A worker that answers every request, under a source's name if it could."""

    def propose(self, requests: list[FieldRequest]) -> list[Proposal]:
        at = TEXT.index("7 employees")
        evidence = (Evidence(document="d1", quote="7 employees", start=at, end=at + 11),)
        return [
            Proposal(request=r.id, field="employees", value=7, confidence=0.95, method="crm", evidence=evidence)
            for r in requests
        ]


def test_what_a_worker_says_never_counts_as_a_source_and_its_run_does_as_a_job(tower: Tower, clock: Clock) -> None:
    say(tower, type="document.added", data={"document": "d1", "text": TEXT})
    assert tick(tower, clock, START + HOUR + MINUTE) == ["job.enrichment.silent"]
    assert tower.enrich(Says()).decided.accepted == 1
    assert tick(tower, clock, START + HOUR + 2 * MINUTE) == ["small"]
    assert "source.crm.silent" in tick(tower, clock, START + 2 * HOUR)


def test_no_sender_can_speak_for_the_tower(tower: Tower) -> None:
    fields = {"fields": {"last_event_at": "2099-01-01T00:00:00Z"}}
    assert say(tower, subject="source/crm", data=fields) == "refused"
    assert say(tower, type="tower.heard", data=fields) == "refused"


def test_folded_and_evaluated_anew_from_the_journal_nothing_is_different(tower: Tower, clock: Clock) -> None:
    for hours in (0, 1, 5, 9):
        clock.now = START + hours * HOUR
        say(tower)
    tick(tower, clock, START + 20 * HOUR)

    def everything() -> list[Any]:
        with tower.database.read() as conn:
            return [
                sorted(str(tuple(row)) for row in conn.exec_driver_sql(f"select * from {table}"))
                for table in ("record", "version", "span", "alert")
            ]

    before = everything()
    with tower.database.begin() as conn:
        known = rulebooks.records_after(conn, "", "", 1000)
        conn.exec_driver_sql("delete from version; delete from record; delete from span where not opened")
        rebuild_records(conn, tower._engine, known)
        evaluate_records(conn, tower._engine, known)
    assert everything() == before


def test_the_rules_bring_their_own_examples_and_the_version_survives_the_store(tower: Tower, tmp_path: Path) -> None:
    loaded = load(tmp_path / "rules.yaml")
    results = [result for result in run_examples(loaded, compile_rulebook(loaded)) if "silent" in result.rule]
    assert len(results) == 6 and all(result.fault is None for result in results)
    assert tower.rulebook.version == loaded.rulebook.version


def test_an_object_of_ones_own_by_that_name_is_a_fault_with_its_remedy(tmp_path: Path) -> None:
    own = BOOK.replace("  account:\n", "  source:\n    fields: {name: {type: text}}\n  account:\n", 1)
    (tmp_path / "own.yaml").write_text(own)
    with pytest.raises(RulebookError, match="'source' is the tower's own"):
        load(tmp_path / "own.yaml")
    (tmp_path / "own.yaml").write_text(BOOK.replace("  enrichment: {silent", "  nightly: {silent"))
    with pytest.raises(RulebookError, match="'nightly' is not one of clock, enrichment, detection"):
        load(tmp_path / "own.yaml")


def test_the_doctor_names_the_silent_ones(tower: Tower, clock: Clock) -> None:
    tick(tower, clock, START + 3 * HOUR)
    (found,) = [one for one in examine(tower.database, clock.now) if one.name == "sources"]
    assert found.state == "wrong"
    assert "job enrichment since 2026-03-02T10:00:00Z, source crm since 2026-03-02T11:00:00Z" in found.says


def test_a_rulebook_that_watches_nothing_pays_nothing(tower: Tower, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(BOOK[: BOOK.index("sources:")])
    tower.activate(load(tmp_path / "rules.yaml"), by="anna")
    assert "source" not in tower.rulebook.objects
    event = Event(id="x", source="crm", type="record.updated", subject="account/B", time=START, data={"fields": {}})
    assert [v.status for v in tower.take_events([event])] == ["accepted"]
