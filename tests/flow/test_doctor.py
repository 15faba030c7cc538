"""The doctor names what is wrong, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from command_line import Ended, inside
from pydantic import SecretStr

from watchtower.bootstrap import Tower, build, system_clock
from watchtower.contract import format_time
from watchtower.flow.doctor import Finding, disk, examine, jobs
from watchtower.rulebook import load
from watchtower.settings import Settings
from watchtower.store import audit

BOOK = """
name: small
objects:
  lead:
    fields:
      stage: {type: enum, values: [raw, mql]}
      mql_at: {type: timestamp}
rules:
  - {id: waiting, object: lead, owner: sales, when: "stage = 'mql' and mql_at <= now() - interval '48 hours'"}
"""
NAMES = ("database", "tables", "time", "rulebook", "clock", "sources", "dead letters", "notifications")
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture
def tower(database_url: str, tmp_path: Path) -> Iterator[Tower]:
    (tmp_path / "rules.yaml").write_text(BOOK)
    settings = Settings(data=tmp_path, database_url=SecretStr(database_url))
    with build(settings, rulebook=tmp_path / "rules.yaml", clock=lambda: NOW) as built:
        yield built


def found(tower: Tower, name: str, now: datetime | None = None) -> Finding:
    (one,) = [one for one in examine(tower.database, now or system_clock()) if one.name == name]
    return one


def test_a_healthy_tower_has_nothing_wrong(tower: Tower) -> None:
    states = {one.name: one.state for one in examine(tower.database, system_clock())}
    assert states == dict.fromkeys(NAMES, "ok")


def test_a_clock_that_does_not_run_is_told_by_what_waits_for_it(tower: Tower) -> None:
    fields = {"stage": "mql", "mql_at": format_time(NOW)}
    sent = {"id": "e", "source": "crm", "type": "record.updated", "subject": "lead/L", "time": format_time(NOW)}
    later = sent | {"id": "f", "time": format_time(NOW + timedelta(days=2))}
    tower.take([sent | {"data": {"fields": fields}}, later | {"data": {}}])
    due = NOW + timedelta(days=2)
    assert found(tower, "clock", due + timedelta(seconds=50)).state == "ok"
    late = found(tower, "clock", due + timedelta(hours=3))
    assert late.state == "wrong" and "2 things are due and undone, the oldest for 3:00:00" in late.says
    tower.tick(due + timedelta(hours=3))
    assert found(tower, "clock", due + timedelta(hours=3)).state == "ok"
    assert "crm 2026-03-0" in found(tower, "sources").says


def test_a_clock_that_goes_wrong_is_told(tower: Tower) -> None:
    assert found(tower, "time", system_clock() + timedelta(seconds=8)).state == "wrong"


def test_a_rulebook_that_no_longer_loads_is_told(tower: Tower) -> None:
    with tower.database.begin() as conn:
        conn.exec_driver_sql("update rulebook set content = jsonb_set(content, '{rules,0,when}', '\"no such field\"')")
    assert found(tower, "rulebook").state == "wrong" and "does not load" in found(tower, "rulebook").says


def test_dead_letters_are_noted_and_a_full_disk_is_wrong(tower: Tower) -> None:
    tower.take([{"id": "bad"}])
    assert found(tower, "dead letters") == Finding(
        "dead letters", "note", "1 open, 0 events wait for their time",
        "watchtower deadletters list; then redrive or discard.",
    )  # fmt: skip
    assert disk(10_000, 10**12, "/data").state == "wrong"


def test_notifications_that_wait_or_were_given_up_are_wrong_until_they_are_tried_again(
    tower: Tower, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "told.yaml").write_text(
        BOOK + "receivers: {ops: {url: 'https://example.com/hook', secret: OPS_SECRET}}\n"
    )
    tower.activate(load(tmp_path / "told.yaml"), by="ann")
    fields = {"stage": "mql", "mql_at": format_time(NOW - timedelta(days=3))}
    sent = {"id": "e", "source": "crm", "type": "record.updated", "subject": "lead/L", "time": format_time(NOW)}
    tower.take([sent | {"data": {"fields": fields}}])
    tower.tick(NOW)
    assert found(tower, "notifications", NOW + timedelta(seconds=30)).state == "ok"
    late = found(tower, "notifications", NOW + timedelta(hours=2))
    assert late.state == "wrong" and "due and not tried, the oldest for 2:00:00" in late.says
    with tower.database.begin() as conn:
        conn.exec_driver_sql("update outbox set state = 'dead'")
    assert "1 were given up" in found(tower, "notifications", NOW).says
    monkeypatch.setenv("WATCHTOWER_DATA", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", database_url)
    assert Ended(*inside(capsys, "outbox", "retry", "--by", "ann")).code == 0
    assert found(tower, "notifications", NOW).state == "ok"
    with tower.database.read() as conn:
        assert [(row.actor, row.what, row.about) for row in audit.newest(conn, 1)] == [("ann", "outbox.retry", "all")]


def test_jobs_that_nobody_takes_are_told(tower: Tower) -> None:
    with tower.desk.database.begin() as conn:
        conn.exec_driver_sql("insert into batch (id, queue, body) values ('b', 'enrichment', '{}')")
        conn.exec_driver_sql("insert into asked (batch, request, place, parts) values ('b', 'r', 1, 1)")
    now = system_clock()
    soon, late = (jobs(tower.desk.database, now + timedelta(hours=hours)) for hours in (0, 5))
    assert (soon.state, late.state) == ("ok", "wrong")
    assert "1 batches wait, the oldest for 5:00:0" in late.says and "0 worker processes" in late.says
    assert "watchtower worker" in late.remedy


def test_the_command_says_it_and_ends_by_it(
    tower: Tower, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WATCHTOWER_DATA", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", database_url)
    fine = Ended(*inside(capsys, "doctor", "--json"))
    assert fine.code == 0 and fine.json()["wrong"] is False
    with tower.database.begin() as conn:
        conn.exec_driver_sql("update alembic_version set version_num = '0000_older'")
    ill = Ended(*inside(capsys, "doctor"))
    assert ill.code == 1 and "wrong  tables: revision 0000_older; this version needs" in ill.out
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/nowhere")
    away = Ended(*inside(capsys, "doctor"))
    assert away.code == 1 and "cannot be reached" in away.out and "Start the server" in away.out
