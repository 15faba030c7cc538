"""What has just been decided, as the journal has it: the feed of those who watch."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Connection, text


class Change(NamedTuple):
    """A decision, or a proposal. `alert`, `rule`, `actor`: empty where it has none."""

    seq: int
    type: str
    object: str
    record: str
    time: datetime
    alert: str
    rule: str
    actor: str


_LAST = text("select coalesce(max(seq), 0) from journal")
_CHANGES = text(
    """
    select seq, type, object, record, time, coalesce(data ->> 'alert', ''), coalesce(data ->> 'rule', ''),
      case when starts_with(source, 'person:') then substr(source, 8) else coalesce(data ->> 'actor', '') end
    from journal
    where seq > :after and layer <> 'core' and type ~ '^(alert|field|handoff|transition|rulebook)[.]'
    order by seq limit :limit
    """
)


def last_change(conn: Connection) -> int:
    """The number of the journal's last entry; 0 where it is empty."""
    return int(conn.execute(_LAST).scalar_one())


def changes(conn: Connection, after: int, limit: int) -> list[Change]:
    """What was decided after this entry, in order."""
    found = [Change(*row) for row in conn.execute(_CHANGES, {"after": after, "limit": limit})]
    return [change._replace(time=change.time.astimezone(UTC)) for change in found]
