"""What has been kept for long enough: people nobody has heard of, and what only the past of operations needs."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, text

_PEOPLE = text(
    """
    select k.record from subject_key k left join record r on r.object = k.object and r.id = k.record
    where k.object = :object and k.wrapped is not null and coalesce(r.changed_at, k.made_at) < :before
    order by k.record
    """
)
_MESSAGES = """
    from outbox o using alert a
    where a.id = o.alert and a.status = 'resolved' and a.resolved_at < :before and o.created_at < :before
      and o.state in ('delivered', 'withheld')
    """
_LOOSE = """
    from outbox o where o.alert is null and o.state in ('delivered', 'withheld')
      and o.created_at < :before and coalesce(o.tried_at, o.created_at) < :before
    """
"""What is about no alert: fields that went back to a system, proposals that came to review."""
_LETTERS = "from deadletter where closed_at < :before"


def people(conn: Connection, object_name: str, before: datetime) -> list[str]:
    """Ids of records of an object whose last event is older, and whose personal values can still be read."""
    return list(conn.execute(_PEOPLE, {"object": object_name, "before": before}).scalars())


def prune(conn: Connection, before: datetime) -> tuple[int, int]:
    """Delete notifications that went out about alerts resolved before then, and those that are about no alert; and dead
    letters closed before then; how many of each. The journal, and all that follows from it, is not touched."""
    messages = conn.execute(text(f"delete {_MESSAGES}"), {"before": before}).rowcount
    messages += conn.execute(text(f"delete {_LOOSE}"), {"before": before}).rowcount
    return messages, conn.execute(text(f"delete {_LETTERS}"), {"before": before}).rowcount


def prunable(conn: Connection, before: datetime) -> tuple[int, int]:
    """How many `prune` would delete."""
    told = f"select (select count(*) {_MESSAGES.replace(' using ', ', ')}) + (select count(*) {_LOOSE})"
    messages = conn.execute(text(told), {"before": before})
    return messages.scalar_one(), conn.execute(text(f"select count(*) {_LETTERS}"), {"before": before}).scalar_one()
