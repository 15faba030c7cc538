"""The schema `reporting`: its views say what the tower says, in the documented columns, to who may only read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from watchtower.bootstrap import Tower, build
from watchtower.contract import format_time
from watchtower.settings import Settings
from watchtower.store import reporting

NOW = datetime(2026, 3, 10, 9, tzinfo=UTC)
BOOK = """
name: story
timezone: Europe/Rome
objects:
  account:
    fields:
      employees: {type: integer}
      revenue: {type: money}
      segment: {type: enum, values: [smb, enterprise]}
      live: {type: boolean}
      signed_on: {type: date}
      tags: {type: list}
      id: {type: text}
  contact:
    fields:
      mail: {type: email, personal: true}
      account: {type: ref, to: account}
rules:
  - {id: no_segment, object: account, when: segment is null, severity: high, queue: care, owner: ops, because: None.}
  - {id: large, object: account, when: employees > 100, severity: low, queue: care, owner: ops}
handoffs:
  closing: {object: account, from: sales, to: delivery, requires: [employees]}
metrics:
  accounts: {kind: count, object: account, unit: accounts, owner: ops, target: 2}
"""


class Clock:
    now = NOW - timedelta(days=5)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def tower(database_url: str, tmp_path: Path) -> Iterator[Tower]:
    (tmp_path / "book.yaml").write_text(BOOK)
    clock = Clock()
    settings = Settings(data=tmp_path, database_url=SecretStr(database_url))
    with build(settings, rulebook=tmp_path / "book.yaml", clock=clock) as built:
        then = format_time(clock.now)
        common = {"specversion": "1.0", "source": "crm", "type": "record.updated", "time": then}
        sent: list[dict[str, Any]] = [
            {"id": "1", "subject": "account/A1", "data": {"fields": {
                "employees": 240, "revenue": 1.5, "live": True, "signed_on": "2026-01-02", "tags": ["x", "y"],
                "id": "own"}}},
            {"id": "2", "subject": "account/A2", "data": {"fields": {"segment": "smb"}}},
            {"id": "3", "subject": "contact/C1", "data": {"fields": {"mail": "kanarie@example.com", "account": "A1"}}},
            {"id": "4", "subject": "account/A1", "type": "handoff.offered",
             "data": {"handoff": "closing", "fields": {}}},
        ]  # fmt: skip
        assert {v.status for v in built.take([common | one for one in sent])} == {"accepted"}
        clock.now += timedelta(hours=1)
        with built.database.read() as conn:
            alert = conn.execute(text("select id from alert where rule = 'no_segment'")).scalar_one()
        built.act(alert, "acknowledge", actor="Anna")
        clock.now += timedelta(hours=1)
        built.act(alert, "resolve", actor="Anna", note="done")
        clock.now = NOW
        yield built


def rows(tower: Tower, query: str) -> list[dict[str, Any]]:
    with tower.database.read() as conn:
        return [dict(row._mapping) for row in conn.execute(text(query))]


def test_the_views_say_what_the_tower_says(tower: Tower) -> None:
    views, metrics = tower.refresh_reporting(months=2, viewer=None)
    assert {"alerts", "fields", "object_account", "object_contact", "sla"} <= set(views) and metrics == 2
    [done, standing] = rows(tower, "select * from reporting.alerts order by rule desc")
    assert (done["rule"], done["status"], done["seconds_to_acknowledge"], done["seconds_to_resolve"]) == (
        "no_segment", "resolved", 3600, 7200
    )  # fmt: skip
    assert standing["record"] == "account/A1" and standing["acknowledged_at"] is None
    verbs = [row["verb"] for row in rows(tower, "select * from reporting.alert_history order by seq")]
    assert verbs.count("resolve") == 1
    [sla] = rows(tower, "select * from reporting.sla where rule = 'no_segment'")
    assert (sla["alerts"], sla["kept"], sla["adherence"], sla["median_seconds_to_resolve"]) == (1, 1, 1.0, 7200)

    account = rows(tower, "select * from reporting.object_account order by record")[0]
    assert account["employees"] == 240 and float(account["revenue"]) == 1.5 and account["live"] is True
    assert account["signed_on"].isoformat() == "2026-01-02" and account["tags"] == ["x", "y"]
    assert (account["id"], account["field_id"]) == ("A1", "own")
    [field] = rows(tower, "select * from reporting.fields where field = 'employees'")
    assert (field["value"], field["source"], field["set_by"], field["event"]) == ("240", "crm", "crm", "1")
    assert [row["outcome"] for row in rows(tower, "select * from reporting.handoffs")] == ["offered"]
    values = rows(tower, "select * from reporting.metrics order by period_start")
    assert [row["value"] for row in values] == [0, 2] and values[1]["target"] == 2
    assert values[1]["period_start"] == datetime(2026, 2, 28, 23, tzinfo=UTC), "a month of the rulebook's zone"


def test_the_views_are_made_anew_and_kept_metrics_stay(tower: Tower, tmp_path: Path) -> None:
    tower.refresh_reporting(months=1, viewer=None)
    (tmp_path / "new.yaml").write_text(BOOK.replace("employees: {type: integer}", "employees: {type: text}"))
    with tower.database.begin() as conn:
        conn.execute(text("create view reporting.object_gone as select 1 as x"))
    views, _ = tower.refresh_reporting(months=0, viewer=None)
    assert "object_gone" not in views
    assert rows(tower, "select count(*) as n from reporting.metrics")[0]["n"] == 1


def test_what_an_earlier_rulebook_left_in_another_type_is_null_and_breaks_no_view(tower: Tower) -> None:
    with tower.database.begin() as conn:
        conn.execute(
            text("update record set state = cast(:state as jsonb) where id = 'A1'"),
            {"state": json.dumps({"employees": "many", "revenue": "x", "live": "no", "signed_on": 7, "tags": None})},
        )
    tower.refresh_reporting(months=0, viewer=None)
    account = rows(tower, "select * from reporting.object_account order by record")[0]
    assert [account[key] for key in ("employees", "revenue", "live", "signed_on", "tags")] == [None] * 5


def test_the_viewer_reads_every_view_writes_none_and_sees_nothing_personal(tower: Tower, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("drop role if exists bi_viewer")
        conn.execute("create role bi_viewer login")
        try:
            tower.refresh_reporting(months=1, viewer="bi_viewer")
            with tower.database.read() as read:
                found = reporting.columns(read)
            with psycopg.connect(database_url.replace("watchtower@", "bi_viewer@"), autocommit=True) as viewer:
                said = "".join(str(viewer.execute(f"select * from reporting.{name}").fetchall()) for name in found)  # type: ignore[call-overload]
                for name in ("api_key", "subject_key", "session"):
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        viewer.execute(f"select * from {name}")  # type: ignore[call-overload]
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    viewer.execute("insert into reporting.metrics select * from reporting.metrics")
            assert "(sealed)" in said and "kanarie" not in said and "sealed:1" not in said
        finally:
            conn.execute("drop owned by bi_viewer")
            conn.execute("drop role bi_viewer")


def test_every_column_is_documented_and_every_documented_one_is_there(tower: Tower, project: Path) -> None:
    tower.refresh_reporting(months=0, viewer=None)
    with tower.database.read() as conn:
        found = reporting.columns(conn)
    told = {}
    for line in (project / "docs" / "reporting.md").read_text().splitlines():
        cells = line.split(" | ")
        if len(cells) == 3 and (named := re.fullmatch(r"\| `(\w+)`", cells[0])):
            told[named[1]] = re.findall(r"`(\w+)`", cells[1])
    assert told.pop("object_NAME") == found["object_account"][:4]
    assert told == {name: names for name, names in found.items() if not name.startswith("object_")}
