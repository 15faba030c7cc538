"""A view of another database as a system: read whole once, then what changed, late commits and deletions included."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr
from tower_scene import Clock

from watchtower.bootstrap import Tower, build
from watchtower.errors import SystemFault
from watchtower.settings import Settings
from watchtower.store import queries
from watchtower.store.tables import Tables

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
BOOK = """
name: warehouse
objects:
  account:
    fields:
      name: {type: text}
      revenue: {type: money}
      since: {type: date}
      seen_at: {type: timestamp}
rules:
  - {id: unnamed, object: account, when: name is null, owner: ops}
systems:
  warehouse:
    kind: sql
    owner: ops
    objects:
      account: {from: crm.accounts_view, fields: {name: name, revenue: revenue, since: since, seen_at: seen_at}}
"""
TABLES = """
create schema crm;
create table crm.accounts (key int primary key, name text, revenue numeric(12, 2), since date,
  seen_at timestamp, changed timestamptz not null, removed timestamptz);
create view crm.accounts_view as
  select key as id, name, revenue, since, seen_at, changed as updated_at, removed as deleted_at from crm.accounts;
"""


@pytest.fixture
def there(empty_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(empty_url, autocommit=True) as conn:
        conn.execute(TABLES)
        yield conn


@pytest.fixture
def tower(
    database_url: str, empty_url: str, there: psycopg.Connection[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Tower]:
    monkeypatch.setenv("WATCHTOWER_WAREHOUSE_URL", empty_url)
    (tmp_path / "book.yaml").write_text(BOOK)
    settings = Settings(data=tmp_path, database_url=SecretStr(database_url))
    with build(settings, rulebook=tmp_path / "book.yaml", clock=Clock(START)) as built:
        yield built


def put(there: psycopg.Connection[Any], key: int, at: datetime, **values: Any) -> None:
    given = {"key": key, "changed": at, **values}
    names = sql.SQL(", ").join(map(sql.Identifier, given))
    marks = sql.SQL(", ").join(map(sql.Placeholder, given))
    sets = sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in given)
    there.execute(
        sql.SQL("insert into crm.accounts ({}) values ({}) on conflict (key) do update set {}").format(
            names, marks, sets
        ),
        given,
    )


def record(tower: Tower, key: int) -> dict[str, Any] | None:
    with tower.database.read() as conn:
        found = queries.record_by_id(conn, "account", str(key))
    return None if found is None or found.deleted_at else {k: v for k, v in found.state.items() if v is not None}


def test_a_view_is_read_once_whole_and_then_what_changed_in_it(tower: Tower, there: psycopg.Connection[Any]) -> None:
    for key in range(1, 51):
        put(there, key, START - timedelta(hours=2, seconds=key % 3), name=f"N{key}", revenue="1200.50",
            since="2025-01-31", seen_at="2026-03-01T08:00:00")  # fmt: skip
    first = tower.sync("warehouse")
    assert (first.fault, first.took.events) == ("", 50)
    assert record(tower, 7) == {
        "name": "N7", "revenue": 1200.5, "since": "2025-01-31", "seen_at": "2026-03-01T08:00:00.000000Z",
    }  # fmt: skip
    put(there, 7, START - timedelta(hours=1), name="Seven", revenue=None)
    put(there, 8, START - timedelta(hours=1), removed=START - timedelta(hours=1))
    put(there, 60, START - timedelta(hours=1, seconds=50), name="Sixty")
    second = tower.sync("warehouse")
    assert (second.fault, second.took.events) == ("", 3)
    assert record(tower, 7) == {"name": "Seven", "since": "2025-01-31", "seen_at": "2026-03-01T08:00:00.000000Z"}
    assert record(tower, 8) is None
    put(there, 61, START - timedelta(hours=1, seconds=30), name="Late")
    third = tower.sync("warehouse")
    assert (third.took.events, record(tower, 61)) == (1, {"name": "Late"}), "it was committed after newer ones"
    assert tower.sync("warehouse").took.events == 0


def test_a_row_that_was_deleted_outright_is_found_by_a_full_reading(
    tower: Tower, there: psycopg.Connection[Any]
) -> None:
    for key in (1, 2, 3):
        put(there, key, START - timedelta(hours=2), name=f"N{key}")
    tower.sync("warehouse")
    there.execute("delete from crm.accounts where key = 2")
    assert tower.sync("warehouse").fault == "" and record(tower, 2) is not None
    tower.clock.now += timedelta(minutes=1)  # type: ignore[attr-defined]
    assert tower.sync("warehouse", full=True).gone == 1
    assert record(tower, 2) is None and record(tower, 3) == {"name": "N3"}


def test_rows_of_one_moment_are_not_skipped_between_two_pages(empty_url: str, there: psycopg.Connection[Any]) -> None:
    for key in range(10):
        put(there, key, START, name=f"N{key}")
    tables, found, after = Tables(empty_url), [], None
    while rows := list(tables.rows("crm.accounts_view", ("name",), after, 3)):
        found += [row.id for row in rows]
        after = (rows[-1].changed.isoformat(), rows[-1].id)
    assert found == list(range(10))
    assert tables.there("crm.accounts_view", ["3", "99", "x"]) == {"3"}
    tables.close()


def test_nothing_is_written_there(empty_url: str, there: psycopg.Connection[Any]) -> None:
    there.execute("create function crm.touch() returns int language sql as $$ "
                  "insert into crm.accounts (key, changed) values (1, now()) returning key $$")  # fmt: skip
    there.execute("create view crm.sly as select crm.touch() as id, now() as updated_at")
    tables = Tables(empty_url)
    with pytest.raises(SystemFault, match="read-only transaction"):
        list(tables.rows("crm.sly", (), None, 3))
    tables.close()


def test_what_cannot_be_read_is_a_fault_that_shows_no_password(
    tower: Tower, empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = Tables(empty_url)
    with pytest.raises(SystemFault, match="has no table or view 'crm.nothing'"):
        list(tables.rows("crm.nothing", (), None, 1))
    with pytest.raises(SystemFault, match=r"has no column id, updated_at; it has: key, name") as fault:
        list(tables.rows("crm.accounts", (), None, 1))
    assert "make a view" in fault.value.remedy
    tables.close()
    for address, said in (
        ("nonsense", "is no database's address"), ("oracle+nothing://u:pw@h/x", "cannot be opened"),
        ("postgresql://u:hush@127.0.0.1:1/x", "127.0.0.1"),
    ):  # fmt: skip
        monkeypatch.setenv("WATCHTOWER_WAREHOUSE_URL", address)
        done = tower.sync("warehouse")
        assert said in done.fault and "hush" not in done.fault
