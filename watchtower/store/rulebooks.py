"""Which rulebook is in force, and which were."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

_SAVE = text(
    "insert into rulebook (version, name, content, loaded_at) values (:version, :name, cast(:content as jsonb), :now) "
    "on conflict (version) do nothing"
)
_ACTIVATE = text("insert into activation (version, at, by) values (:version, :now, :by)")
_ACTIVE = text(
    "select r.content from activation a join rulebook r on r.version = a.version order by a.seq desc limit 1"
)
_DROP_SPANS = text("delete from span where rule <> all(:rules)").bindparams(bindparam("rules", type_=ARRAY(Text)))
_OLD = text("update span set opened = true, closed = true where state = 'holds' and not opened and until <= :now")
_RECORDS = text(
    "select object, id, created_at from record where (object, id) > (:object, :id) order by object, id limit :limit"
)
_ORPHANS = text("select id from alert where status <> 'resolved' and rule <> all(:rules) order by id").bindparams(
    bindparam("rules", type_=ARRAY(Text))
)


def save(conn: Connection, version: str, name: str, content: dict[str, Any], now: datetime) -> None:
    """Keep a rulebook's content under its version."""
    conn.execute(
        _SAVE,
        {"version": version, "name": name, "content": msgspec.json.encode(content).decode(), "now": now},
    )


def activate(conn: Connection, version: str, *, by: str, now: datetime) -> None:
    """From now on this version is in force."""
    conn.execute(_ACTIVATE, {"version": version, "by": by, "now": now})


def active(conn: Connection) -> dict[str, Any] | None:
    """The content of the rulebook in force; None where none ever was."""
    found: dict[str, Any] | None = conn.execute(_ACTIVE).scalar_one_or_none()
    return found


def drop_other_spans(conn: Connection, rules: list[str]) -> None:
    """Spans of rules that are no more."""
    conn.execute(_DROP_SPANS, {"rules": rules})


def orphaned_alerts(conn: Connection, rules: list[str]) -> list[str]:
    """Alerts that stand, of rules that are no more."""
    return list(conn.execute(_ORPHANS, {"rules": rules}).scalars())


def skip_past_spans(conn: Connection, now: datetime) -> None:
    """What a new rule says of the past is history; nobody is told of it."""
    conn.execute(_OLD, {"now": now})


def records_after(conn: Connection, object_name: str, record: str, limit: int) -> list[tuple[str, str, datetime]]:
    """(object, id, created_at) of the next records in order."""
    rows = conn.execute(_RECORDS, {"object": object_name, "id": record, "limit": limit})
    return [(row.object, row.id, row.created_at) for row in rows]
