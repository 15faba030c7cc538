"""Which rulebook is in force, and which were."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

_SAVE = text(
    "insert into rulebook (version, name, content, loaded_at) values (:version, :name, cast(:content as jsonb), :now) "
    "on conflict (version) do nothing"
)
_ACTIVATE = text(
    "insert into activation (version, at, by, note, changes) "
    "values (:version, :now, :by, :note, cast(:changes as jsonb))"
)
_HISTORY = text(
    "select a.seq, a.version, r.name, a.at, a.by, a.note, a.changes "
    "from activation a join rulebook r on r.version = a.version order by a.seq"
)
_CONTENT = text("select content from rulebook where version = :version")
_VERSION = text("select version from activation order by seq desc limit 1")
_VERSION_AT = text("select version from activation where at <= :at order by seq desc limit 1")
_TURN = 0x72756C65_626F6F6B
"""The key of the lock of the rulebook in force: "rulebook" in ASCII."""
_SHARE = text("select pg_advisory_xact_lock_shared(:key)")
_HOLD = text("select pg_advisory_xact_lock(:key)")
_ACTIVE = text(
    "select r.content from activation a join rulebook r on r.version = a.version order by a.seq desc limit 1"
)
_DROP_SPANS = text("delete from span where rule <> all(:rules)").bindparams(bindparam("rules", type_=ARRAY(Text)))
_OLD = text("update span set opened = true, closed = true where state = 'holds' and not opened and until <= :now")
_TELL = text(
    """
    update span s set opened = false from unnest(cast(:rules as text[])) as g(rule)
    where s.rule = g.rule and s.state = 'holds' and s.opened and not s.closed and (s.until is null or s.until > :now)
      and not exists (select 1 from alert a where a.rule = s.rule and a.object = s.object and a.record = s.record
        and a.since = s.since)
    """
).bindparams(bindparam("rules", type_=ARRAY(Text)))
_SHADOW = text(
    """
    select g.rule, count(s.rule), count(s.rule) filter (where s.until is null or s.until > :now),
      count(distinct s.object || '/' || s.record)
    from unnest(cast(:rules as text[])) as g(rule)
    left join span s on s.rule = g.rule and s.state = 'holds' and s.opens_at <= :now and s.opens_at >= :since
      and (s.until is null or s.until > s.opens_at)
    group by g.rule order by g.rule
    """
).bindparams(bindparam("rules", type_=ARRAY(Text)))
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


@dataclass(frozen=True)
class Activation:
    """When a rulebook came into force, by whose hand, and what changed."""

    seq: int
    version: str
    name: str
    at: datetime
    by: str
    note: str
    changes: list[dict[str, Any]]


def activate(
    conn: Connection, version: str, *, by: str, now: datetime, note: str, changes: list[dict[str, Any]]
) -> None:
    """From now on this version is in force."""
    told = msgspec.json.encode(changes).decode()
    conn.execute(_ACTIVATE, {"version": version, "by": by, "now": now, "note": note, "changes": told})


def history(conn: Connection) -> list[Activation]:
    """Every activation, the first one first."""
    return [Activation(**row) for row in conn.execute(_HISTORY).mappings()]


def content(conn: Connection, version: str) -> dict[str, Any] | None:
    """The content of a version; None where it was never loaded."""
    found: dict[str, Any] | None = conn.execute(_CONTENT, {"version": version}).scalar_one_or_none()
    return found


def version_in_force(conn: Connection, at: datetime | None = None) -> str | None:
    """The version in force now, or at an instant; None before the first."""
    if at is None:
        found: str | None = conn.execute(_VERSION).scalar_one_or_none()
    else:
        found = conn.execute(_VERSION_AT, {"at": at}).scalar_one_or_none()
    return found


def share_turn(conn: Connection) -> None:
    """No other rulebook comes into force until this transaction ends."""
    conn.execute(_SHARE, {"key": _TURN})


def hold_turn(conn: Connection) -> None:
    """Nobody writes under any rulebook until this transaction ends; waits for those who do."""
    conn.execute(_HOLD, {"key": _TURN})


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


def tell_standing(conn: Connection, rules: list[str], now: datetime) -> None:
    """What these rules, which nobody was told of so far, find standing now is told."""
    conn.execute(_TELL, {"rules": rules, "now": now})


@dataclass(frozen=True)
class Shadow:
    """What a rule would have told since an instant: alerts, those that would stand now, records."""

    rule: str
    alerts: int
    standing: int
    records: int


def shadow(conn: Connection, rules: list[str], since: datetime, now: datetime) -> list[Shadow]:
    """How often each of these rules would have told."""
    return [Shadow(*row) for row in conn.execute(_SHADOW, {"rules": rules, "since": since, "now": now})]


def records_after(conn: Connection, object_name: str, record: str, limit: int) -> list[tuple[str, str, datetime]]:
    """(object, id, created_at) of the next records in order."""
    rows = conn.execute(_RECORDS, {"object": object_name, "id": record, "limit": limit})
    return [(row.object, row.id, row.created_at) for row in rows]
