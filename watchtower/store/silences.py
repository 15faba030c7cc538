"""Silences: of what nobody is told for a while. They hold back messages, never an alert."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

MATCHED = ("rule", "object", "record", "queue", "owner", "severity")


class Silence(NamedTuple):
    """What it names must be so of an alert; None: whatever it is. Times are aware UTC."""

    id: str
    rule: str | None
    object: str | None
    record: str | None
    queue: str | None
    owner: str | None
    severity: str | None
    begins_at: datetime
    ends_at: datetime
    because: str
    made_by: str

    def covers(self, alert: Mapping[str, Any]) -> bool:
        """Whether nobody is to be told of this alert while it lasts."""
        return all(getattr(self, name) in (None, alert[name]) for name in MATCHED)


COVERED = (
    "exists (select 1 from silence s where s.begins_at <= :now and s.ends_at > :now and "
    + " and ".join(f"(s.{name} is null or s.{name} = a.{name})" for name in MATCHED)
    + ")"
)
"""SQL: whether a silence covers the alert `a` at :now."""

_COLUMNS = ", ".join(Silence._fields)
_ADD = text(f"insert into silence ({_COLUMNS}) values ({', '.join(':' + name for name in Silence._fields)})")
_END = text(f"update silence set ends_at = :now where id = :id and ends_at > :now returning {_COLUMNS}")
_LIST = text(f"select {_COLUMNS} from silence where :every or ends_at > :now order by ends_at desc, id limit :limit")
_ACTIVE = text(f"select {_COLUMNS} from silence where begins_at <= :now and ends_at > :now order by ends_at, id")
_COVERS = text(
    "select s.id, count(distinct a.id), count(o.seq) from silence s join alert a on a.status <> 'resolved' and "
    + " and ".join(f"(s.{name} is null or s.{name} = a.{name})" for name in MATCHED)
    + " left join outbox o on o.alert = a.id and o.state = 'waiting' where s.ends_at > :now group by s.id"
)


def _silence(row: Any) -> Silence:
    values: list[Any] = [value.astimezone(UTC) if isinstance(value, datetime) else value for value in row]
    return Silence(*values)


def add_silence(conn: Connection, silence: Silence) -> None:
    conn.execute(_ADD, silence._asdict())


def end_silence(conn: Connection, id_: str, now: datetime) -> Silence | None:
    """Let a silence end now; None where there is none, or it is over."""
    row = conn.execute(_END, {"id": id_, "now": now}).one_or_none()
    return None if row is None else _silence(row)


def silences(conn: Connection, now: datetime, *, every: bool = False, limit: int = 200) -> list[Silence]:
    """Those that last, or will; with `every` also those that are over. The last to end first."""
    return [_silence(row) for row in conn.execute(_LIST, {"now": now, "every": every, "limit": limit})]


def active_silences(conn: Connection, now: datetime) -> list[Silence]:
    """Those that last now."""
    return [_silence(row) for row in conn.execute(_ACTIVE, {"now": now})]


def covered(conn: Connection, now: datetime) -> dict[str, tuple[int, int]]:
    """For each silence that lasts, or will: how many standing alerts it is about, and how many messages of theirs
    wait."""
    return {row[0]: (row[1], row[2]) for row in conn.execute(_COVERS, {"now": now})}
