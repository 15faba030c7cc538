"""What the boards of the review pages count and draw: trends, handoffs, usage, what is due, who is silent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from watchtower.store.alerts import CALLED_WRONG
from watchtower.store.sealing import open_all


class Handed(NamedTuple):
    """A record in one of its handoffs."""

    object: str
    id: str
    state: dict[str, Any]
    status: str
    offered_at: str
    changed_at: datetime


class Point(NamedTuple):
    """One measurement."""

    at: datetime
    value: float


class Tally(NamedTuple):
    """Alerts of one rule: standing, ever, and those of which a person said that they were false."""

    standing: int
    ever: int
    false_alarms: int
    judged: int


class Heard(NamedTuple):
    """A source, when it last spoke, and how late its events come: the median from their time to their arrival."""

    source: str
    events: int
    last_at: datetime
    late: timedelta


_TREND = text(
    """
    select rule, floor(extract(epoch from (:now - opened_at)) / 604800)::int as weeks_ago, count(*)
    from alert where opened_at > :since and opened_at <= :now group by 1, 2
    """
)
_TALLIES = text(
    """
    select rule, count(*) filter (where status <> 'resolved'), count(*),
      count(*) filter (where lower(resolution) like any(:wrong)),
      count(*) filter (where resolution is not null and not starts_with(resolution, 'withdrawn') and
        resolution not in ('by the facts', 'the rule is no longer in force', 'the rule has changed'))
    from alert group by rule
    """
).bindparams(bindparam("wrong", [f"{words}%" for words in CALLED_WRONG], type_=ARRAY(Text)))
_LAST_ACTS = text("select alert, max(seq) from action where alert = any(:alerts) group by alert")
_STILL_SO = text(
    """
    select done.alert from action done
    where done.seq = any(:seqs) and done.actor = :actor and done.verb = :verb and not exists (
      select 1 from action later where later.alert = done.alert and later.seq > done.seq and later.verb <> 'comment')
    order by done.seq
    """
)
_HANDED = text(
    """
    select object, id, state, state ->> cast(:status as text) as status, state ->> cast(:offered as text) as offered_at,
      changed_at
    from record where object = :object and deleted_at is null and state ->> cast(:status as text) = :value
    order by state ->> cast(:offered as text) desc nulls last, id limit :limit
    """
)
_USAGE = text(
    """
    select time, data ->> 'metric', (data ->> 'value')::double precision from journal
    where object = :object and record = :record and type = 'usage.recorded' and layer = 'core'
      and jsonb_typeof(data -> 'value') = 'number'
    order by time desc, seq desc limit :limit
    """
)
_NEXT_DUE = text(
    """
    select rule, count(*), min(opens_at) from span
    where rule = any(:rules) and state = 'holds' and not opened and opens_at > :now
      and (until is null or until > opens_at)
    group by rule
    """
).bindparams(bindparam("rules", type_=ARRAY(Text)))
_SOURCES = text(
    """
    select source, count(*), max(received_at), percentile_disc(.5) within group (order by received_at - time) from (
      select source, received_at, time from journal where layer = 'core' order by seq desc limit :limit) recent
    group by source order by max(received_at)
    """
)
_STANDING_ON = text(
    """
    select a.object, a.record, count(*) from alert a
    join unnest(cast(:objects as text[]), cast(:records as text[])) as g(object, record)
      on a.object = g.object and a.record = g.record
    where a.status in ('open', 'acknowledged') group by 1, 2
    """
)
_ACCEPTED = text(
    "select model, count(*) from proposal where status = 'accepted' and model <> '' and proposed_at >= :since "
    "group by 1"
)
_WAITING = text(
    """
    select case kind when 'fields' then 'records asked about' else 'looks of detectors' end, count(*), min(asked_at)
    from request where answered_at is null group by 1
    union all
    select 'messages', count(*), min(due_at) from outbox where state = 'pending' and due_at <= :now having count(*) > 0
    """
)
_PUT_OFF = text(
    "select receiver, held, count(*), min(due_at) from outbox where held <> '' and state in ('pending', 'waiting') "
    "group by 1, 2 order by 1, 2"
)
_MODELS = text("select coalesce(nullif(model, ''), method), status, count(*) from proposal group by 1, 2 order by 1, 2")


def trends(conn: Connection, now: datetime, since: datetime) -> dict[str, dict[int, int]]:
    """For each rule, how many alerts it opened so many weeks ago."""
    found: dict[str, dict[int, int]] = {}
    for rule, weeks, count in conn.execute(_TREND, {"now": now, "since": since}):
        found.setdefault(rule, {})[weeks] = count
    return found


def tallies(conn: Connection) -> dict[str, Tally]:
    """For each rule, its alerts and what people said of them."""
    return {row[0]: Tally(*row[1:]) for row in conn.execute(_TALLIES)}


def handed(conn: Connection, object_name: str, handoff: str, status: str, limit: int) -> list[Handed]:
    """The records whose handoff stands so, the latest offered first."""
    values = {
        "object": object_name, "status": f"{handoff}.status", "offered": f"{handoff}.offered_at", "value": status,
        "limit": limit,
    }  # fmt: skip
    rows = conn.execute(_HANDED, values).all()
    opened = open_all(conn, [dict(row._mapping) for row in rows])
    return [Handed(**{**row, "changed_at": row["changed_at"].astimezone(UTC)}) for row in opened]


def usage(conn: Connection, object_name: str, record: str, *, limit: int = 400) -> dict[str, list[Point]]:
    """The last measurements of each metric, the oldest first."""
    found: dict[str, list[Point]] = {}
    values = {"object": object_name, "record": record, "limit": limit}
    for at, metric, value in conn.execute(_USAGE, values):
        found.setdefault(metric or "usage", []).append(Point(at.astimezone(UTC), float(value)))
    return {metric: points[::-1] for metric, points in sorted(found.items())}


def next_due(conn: Connection, rules: Sequence[str], now: datetime) -> dict[str, tuple[int, datetime]]:
    """For each of these rules: on how many records it will come to hold if nothing happens, and when first."""
    if not rules:
        return {}
    found = conn.execute(_NEXT_DUE, {"rules": list(rules), "now": now})
    return {rule: (count, at.astimezone(UTC)) for rule, count, at in found}


def sources(conn: Connection, *, limit: int = 20_000) -> list[Heard]:
    """The sources among the last so many events, the one that has been silent for longest first."""
    return [Heard(row[0], row[1], row[2].astimezone(UTC), row[3]) for row in conn.execute(_SOURCES, {"limit": limit})]


def accepted_of(conn: Connection, since: datetime) -> dict[str, int]:
    """By model, how many of its proposals since then became values."""
    return {row[0]: row[1] for row in conn.execute(_ACCEPTED, {"since": since})}


class Waiting(NamedTuple):
    """Work that nobody has done yet: fields asked for, looks of detectors, messages."""

    what: str
    many: int
    oldest: datetime


def waiting(conn: Connection, now: datetime) -> list[Waiting]:
    """What waits for a worker or a receiver, and since when the oldest does."""
    return [Waiting(row[0], row[1], row[2].astimezone(UTC)) for row in conn.execute(_WAITING, {"now": now})]


class PutOff(NamedTuple):
    """Messages to one receiver that could have left and wait; why, and until when."""

    receiver: str
    because: str
    many: int
    until: datetime


def put_off(conn: Connection) -> list[PutOff]:
    """What budgets and silences hold back, by receiver."""
    return [PutOff(row[0], row[1], row[2], row[3].astimezone(UTC)) for row in conn.execute(_PUT_OFF)]


def proposed_by(conn: Connection) -> Mapping[str, Mapping[str, int]]:
    """For each model or method, what became of its proposals."""
    found: dict[str, dict[str, int]] = {}
    for name, status, count in conn.execute(_MODELS):
        found.setdefault(name, {})[status] = count
    return found


def standing_on(conn: Connection, subjects: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """How many alerts are open or acknowledged on each of these records (object, id)."""
    different = list(dict.fromkeys(subjects))
    given = {"objects": [name for name, _ in different], "records": [record for _, record in different]}
    return {(row[0], row[1]): row[2] for row in conn.execute(_STANDING_ON, given)}


def last_acts(conn: Connection, alerts: Sequence[str]) -> list[int]:
    """The numbers of the last lines in the histories of these alerts, in order."""
    return sorted(row[1] for row in conn.execute(_LAST_ACTS, {"alerts": list(alerts)}))


def still_so(conn: Connection, seqs: Sequence[int], actor: str, verb: str) -> list[str]:
    """The alerts whose last act (comments aside) is the one with a number among `seqs`, is `actor`'s and is `verb`."""
    found = conn.execute(_STILL_SO, {"seqs": list(seqs), "actor": actor, "verb": verb})
    return [row[0] for row in found]


def any_record(conn: Connection) -> bool:
    """Whether any record has ever been heard of."""
    return bool(conn.execute(text("select exists (select 1 from record)")).scalar_one())
