"""What a look at the database tells about its health, in one transaction that changes nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from watchtower.store import rulebooks, turns
from watchtower.store.database import revision_of

_SERVER = text(
    "select current_setting('server_version'), clock_timestamp(), pg_database_size(current_database()), "
    "(select max(clock_timestamp() - xact_start) from pg_stat_activity "
    " where datname = current_database() and pid <> pg_backend_pid())"
)
_OVERDUE = text(
    """
    select count(*), min(at) from (
      select opens_at as at from span where state = 'holds' and not opened and (until is null or until > opens_at)
        and opens_at <= :before
      union all
      select until from span where state = 'holds' and opened and not closed and until <= :before
      union all
      select due_at from deadletter where closed_at is null and due_at <= :before) as late
    """
)
_SOURCES = text(
    """
    with recursive known as (
      (select source from journal order by source limit 1)
      union all
      select (select j.source from journal j where j.source > known.source order by j.source limit 1)
      from known where known.source is not null)
    select k.source, (select max(received_at) from journal j where j.source = k.source and j.layer = 'core')
    from known k where k.source is not null
    """
)
_SILENT = text(
    "select object || ' ' || record, since from alert where object in ('source', 'job') "
    "and rule = object || '.' || record || '.silent' and status <> 'resolved' order by 1"
)
_LETTERS = text(
    "select count(*) filter (where due_at is null), count(*) filter (where due_at is not null) "
    "from deadletter where closed_at is null"
)
_NOTIFICATIONS = text(
    "select count(*) filter (where state = 'dead'), min(due_at) filter (where state = 'pending' and due_at <= :before) "
    "from outbox where receiver = any(:receivers)"
).bindparams(bindparam("receivers", type_=ARRAY(Text)))
_JOBS = text(
    """
    select count(distinct b.id), min(b.made_at),
      (select count(*) from procrastinate_workers where last_heartbeat > now() - make_interval(secs => :stalled))
    from batch b join asked a on a.batch = b.id where a.answered_at is null
    """
)


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the database. From `rulebook` on: as far as its tables are there."""

    server: str
    clock: datetime
    size: int
    longest: timedelta | None
    """How long the oldest open transaction has lasted."""
    revision: str | None
    rulebook: dict[str, Any] | None = None
    importing: bool = False
    overdue: int = 0
    """Alerts to open or resolve, and events to take from quarantine, that should have been by `before`."""
    oldest: datetime | None = None
    sources: dict[str, datetime] = {}
    """When each source was last heard."""
    silent: list[tuple[str, datetime]] = []
    letters: int = 0
    quarantined: int = 0
    given_up: int = 0
    """Notifications to receivers of the rulebook in force that were tried for days."""
    untold: datetime | None = None
    """Since when the oldest notification has been due, of those that should have been sent by `before`."""


class JobsFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the jobs database."""

    waiting: int
    """Batches with requests that nobody has answered."""
    oldest: datetime | None
    workers: int
    """Worker processes whose heart beats."""


def jobs_facts(conn: Connection, stalled: float) -> JobsFacts:
    """What can be told of the jobs database. `stalled`: seconds without a beat after which a worker counts as dead."""
    waiting, oldest, workers = conn.execute(_JOBS, {"stalled": stalled}).one()
    return JobsFacts(waiting=waiting, oldest=oldest, workers=workers)


def server_facts(conn: Connection) -> Facts:
    """What can be told of any database."""
    version, clock, size, longest = conn.execute(_SERVER).one()
    return Facts(server=version, clock=clock, size=size, longest=longest, revision=revision_of(conn))


def tower_facts(conn: Connection, before: datetime) -> Facts:
    """What can be told of one whose tables are at the newest revision."""
    overdue, oldest = conn.execute(_OVERDUE, {"before": before}).one()
    letters, quarantined = conn.execute(_LETTERS).one()
    rulebook = rulebooks.active(conn)
    receivers = sorted((rulebook or {}).get("receivers", {}))
    given_up, untold = conn.execute(_NOTIFICATIONS, {"before": before, "receivers": receivers}).one()
    return msgspec.structs.replace(
        server_facts(conn),
        rulebook=rulebook,
        importing=turns.import_under_way(conn),
        overdue=overdue,
        oldest=oldest,
        sources={source: at for source, at in conn.execute(_SOURCES) if at is not None},
        silent=[(record, since) for record, since in conn.execute(_SILENT)],
        letters=letters,
        quarantined=quarantined,
        given_up=given_up,
        untold=untold,
    )
