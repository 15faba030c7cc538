"""What stands in the database now, for Prometheus: cheap however long the journal is.

Each statement reads a partial index, a table that is kept small, or the server's own estimates; what could be many is
counted up to MOST. Nothing here counts the journal, the records or their versions.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import text

from watchtower.store import deadletters, spans
from watchtower.store.database import Connection

MOST = 100_000
"""Up to where proposals in review and dead letters are counted."""

_ALERTS = text(
    "select queue, severity, status, ai_informed, count(*) from alert "
    "where status in ('open', 'acknowledged', 'snoozed') group by 1, 2, 3, 4"
)
_OUTBOX = text(
    "select receiver, ai_informed, 'pending', count(*), min(created_at) from outbox where state = 'pending' "
    "group by 1, 2 union all "
    "select receiver, ai_informed, 'waiting', count(*), min(created_at) from outbox where state = 'waiting' "
    "group by 1, 2"
)
_REVIEW = text("select count(*) from (select 1 from proposal where status = 'review' limit :most) as few")
_LETTERS = text(
    "select count(*) filter (where due_at is null), count(*) filter (where due_at is not null) "
    "from (select due_at from deadletter where closed_at is null limit :most) as few"
)
_SIZES = text(
    "select (select coalesce(max(seq), 0) from journal), "
    "(select greatest(sum(reltuples), 0)::bigint from pg_class where oid = to_regclass('record')), "
    "pg_database_size(current_database())"
)
_JOBS = text(
    "select queue_name, status::text, count(*) from procrastinate_jobs where queue_name = any(:queues) "
    "and status in ('todo', 'doing') group by 1, 2"
)
_OLDEST = text(
    "select b.queue, extract(epoch from now() - min(b.made_at)) from batch b "
    "join procrastinate_jobs j on j.id = b.job where j.status = 'todo' and b.queue = any(:queues) group by 1"
)
_TODAY = text("select calls, tokens, money from spend where day = (now() at time zone 'UTC')::date")
_QUOTA = text("select name, value from quota where name in ('calls_per_day', 'tokens_per_day', 'money_per_day')")


class Waiting(NamedTuple):
    """Notifications of a receiver that have not gone; `state` pending, or waiting (inhibited, silenced)."""

    receiver: str
    ai_informed: bool
    state: str
    many: int
    oldest: datetime


class Standing(NamedTuple):
    """`alerts`: (queue, severity, status, AI-informed, how many). `records` is the server's own estimate."""

    alerts: list[tuple[str, str, str, bool, int]]
    outbox: list[Waiting]
    review: int
    letters: int
    quarantined: int
    next_due: datetime | None
    journal: int
    records: int
    size: int


class Jobs(NamedTuple):
    """`depth`: (queue, status, how many); `ages`: seconds that the oldest job of a queue has waited. `calls`, `tokens`
    and `money` (millionths) of today, and what a day may cost, by name."""

    depth: list[tuple[str, str, int]]
    ages: dict[str, float]
    calls: int
    tokens: int
    money: float
    quota: dict[str, int]


def standing(conn: Connection) -> Standing:
    """The core's database."""
    alerts = [tuple(row) for row in conn.execute(_ALERTS)]
    outbox = [Waiting(*row) for row in conn.execute(_OUTBOX)]
    review = conn.execute(_REVIEW, {"most": MOST}).scalar_one()
    letters, quarantined = conn.execute(_LETTERS, {"most": MOST}).one()
    due = [at for at in (spans.next_instant(conn), deadletters.next_due(conn)) if at is not None]
    journal, records, size = conn.execute(_SIZES).one()
    next_due = min(due).astimezone(UTC) if due else None
    return Standing(alerts, outbox, review, letters, quarantined, next_due, journal, records, size)


def jobs_standing(conn: Connection, queues: list[str]) -> Jobs:
    """The jobs database."""
    depth = [tuple(row) for row in conn.execute(_JOBS, {"queues": queues})]
    ages = {queue: float(age) for queue, age in conn.execute(_OLDEST, {"queues": queues})}
    today = conn.execute(_TODAY).one_or_none() or (0, 0, 0.0)
    quota = {name: int(value) for name, value in conn.execute(_QUOTA)}
    return Jobs(depth, ages, int(today[0]), int(today[1]), float(today[2]), quota)
