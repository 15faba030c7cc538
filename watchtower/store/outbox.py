"""The outbox: one row for each decision on an alert and each receiver that is told of it.

Rows are written in the transaction of the decision, and leave after it. `waiting` rows are of alerts that another
alert inhibits; a row that is delivered, dead or withheld is done with.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Row, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from watchtower.store.silences import COVERED

STATES = ("waiting", "withheld", "pending", "delivered", "dead")


class Decided(NamedTuple):
    """A decision on an alert, as the journal has it, and the alert as it stands now."""

    event: str
    type: str
    at: datetime
    data: dict[str, Any]
    alert: dict[str, Any]


class NewMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `outbox` as it is written."""

    id: str
    receiver: str
    alert: str | None
    event: str
    type: str
    ai_informed: bool
    rank: int
    state: str
    body: str
    due_at: str
    held: str = ""


class Known(NamedTuple):
    """What a receiver knows of an alert: it was told of it (or will be), or word of it still waits."""

    told: bool
    waiting: bool


class Lane(NamedTuple):
    """The messages of one receiver and one class: delivered one after another."""

    receiver: str
    ai_informed: bool


class Message(NamedTuple):
    """A message that is due."""

    id: str
    body: str
    attempts: int
    first_tried_at: datetime | None


class OutboxRow(NamedTuple):
    """A message as people see it. Times are aware UTC."""

    id: str
    receiver: str
    alert: str | None
    type: str
    ai_informed: bool
    state: str
    created_at: datetime
    due_at: datetime
    attempts: int
    tried_at: datetime | None
    error: str
    held: str


_DECIDED = text(
    """
    select j.id, j.type, j.time, j.data, to_jsonb(a) as alert
    from journal j join alert a on a.id = j.data ->> 'alert'
    where j.seq > :after and j.layer = 'decision' and (
      j.type in ('alert.opened', 'alert.resolved', 'alert.corrected', 'alert.escalated')
      or j.type = 'alert.reopened' and j.data ->> 'was' = 'resolved')
    order by j.seq
    """
)
_ALERTS = text("select to_jsonb(a) from alert a where id = any(:ids) order by id").bindparams(
    bindparam("ids", type_=ARRAY(Text))
)
_KNOWN = text(
    """
    select alert, receiver, bool_or(state in ('pending', 'delivered', 'dead')), bool_or(state = 'waiting')
    from outbox where alert = any(:alerts) group by alert, receiver
    """
).bindparams(bindparam("alerts", type_=ARRAY(Text)))
_ADD = text(
    """
    insert into outbox (id, receiver, alert, event, type, ai_informed, rank, state, body, created_at, due_at, held)
    select id, receiver, alert, event, type, ai_informed, rank, state, body, :now, due_at, held
    from json_to_recordset(cast(:rows as json)) as given(id text, receiver text, alert text, event text, type text,
      ai_informed boolean, rank int, state text, body text, due_at timestamptz, held text)
    on conflict (id) do nothing
    """
)
_RELEASE = text(
    f"""
    update outbox o set due_at = greatest(o.due_at, :now), held = '',
      state = case when a.status = 'resolved' then 'withheld' else 'pending' end
    from alert a
    where o.state = 'waiting' and (o.ai_informed or not :informed_only) and a.id = o.alert
      and (a.status = 'resolved' or not exists (
      select 1 from alert other
      where other.object = a.object and other.record = a.record and other.rule = any(a.inhibitors)
        and other.status <> 'resolved') and not {COVERED})
    """
)
_DIGEST = text(
    """
    select id, body, attempts, first_tried_at from outbox o
    where receiver = :receiver and ai_informed = :ai_informed and state = 'pending' and due_at <= :now
    order by rank, seq limit :limit for update of o skip locked
    """
)
_SENT = text(
    "select count(*) from outbox where receiver = :receiver and ai_informed = :ai_informed and state = 'delivered' "
    "and rank > 0 and tried_at >= :since"
)
_DEFER = text(
    "update outbox set due_at = :until, held = :held where receiver = :receiver and ai_informed = :ai_informed "
    "and state = 'pending' and rank > 0 and due_at <= :now"
)
_OF_ALERT = text(
    """
    select distinct on (receiver) id, receiver, alert, type, ai_informed, state, created_at, due_at, attempts, tried_at,
      error, held
    from outbox where alert = :alert order by receiver, seq desc
    """
)
_LANES = text(
    """
    select receiver, ai_informed
    from unnest(:receivers) as r(receiver) cross join (values (false), (true)) as c(ai_informed)
    where exists (select 1 from outbox o where o.receiver = r.receiver and o.ai_informed = c.ai_informed
      and o.state = 'pending' and o.due_at <= :now)
    order by ai_informed, receiver
    """
).bindparams(bindparam("receivers", type_=ARRAY(Text)))
_TAKE = text(
    """
    select id, body, attempts, first_tried_at from outbox o
    where receiver = :receiver and ai_informed = :ai_informed and state = 'pending' and due_at <= :now
      and not exists (select 1 from outbox e where e.alert = o.alert and e.receiver = o.receiver and e.seq < o.seq
        and e.state = 'pending')
      and not (o.ai_informed and exists (select 1 from outbox d where d.receiver = o.receiver and not d.ai_informed
        and d.state = 'pending' and d.due_at <= :now))
      and (select count(*) from outbox t where t.receiver = :receiver and t.ai_informed = :ai_informed
        and t.tried_at > :minute_ago) < :rate
    order by rank, seq limit 1 for update of o skip locked
    """
)
_TRIED = text(
    """
    update outbox set state = :state, attempts = attempts + 1, first_tried_at = coalesce(first_tried_at, :now),
      tried_at = :now, due_at = :due_at, error = :error
    where id = :id
    """
)
_LIST = """
    select id, receiver, alert, type, ai_informed, state, created_at, due_at, attempts, tried_at, error, held
    from outbox
    where (cast(:state as text) is null or state = :state) and (cast(:receiver as text) is null or receiver = :receiver)
    order by seq desc limit :limit
    """
_LISTED = text(_LIST)
_RETRY = text(
    """
    update outbox set state = 'pending', due_at = :now, attempts = 0, first_tried_at = null
    where state in ('dead', 'pending') and (cast(:receiver as text) is null or receiver = :receiver)
      and (case when cardinality(:ids) = 0 then state = 'dead' else id = any(:ids) end)
    returning id
    """
).bindparams(bindparam("ids", type_=ARRAY(Text)))
_COUNTS = text("select receiver, state, count(*) from outbox group by receiver, state order by receiver, state")


def decided(conn: Connection, after_seq: int) -> list[Decided]:
    """The decisions on alerts that the journal holds after this number, in order."""
    return [Decided(*row) for row in conn.execute(_DECIDED, {"after": after_seq})]


def ended(conn: Connection, alerts: Sequence[str], event: str, now: datetime) -> list[Decided]:
    """These alerts, as ended now by an entry of the journal that is not a decision on each of them."""
    found = conn.execute(_ALERTS, {"ids": list(alerts)}).scalars()
    return [
        Decided(f"{event} {alert['id']}", "alert.resolved", now, {"resolution": alert["resolution"]}, alert)
        for alert in found
    ]


def known(conn: Connection, alerts: Sequence[str]) -> dict[tuple[str, str], Known]:
    """(alert, receiver) -> what it knows; nothing where it was never to be told."""
    return {(row[0], row[1]): Known(row[2], row[3]) for row in conn.execute(_KNOWN, {"alerts": list(alerts)})}


def add(conn: Connection, messages: Sequence[NewMessage], now: datetime) -> None:
    """Write messages. One that is there already stays as it is."""
    if messages:
        conn.execute(_ADD, {"rows": msgspec.json.encode(messages).decode(), "now": now})


def release(conn: Connection, now: datetime, *, informed_only: bool = False) -> int:
    """What waits for an inhibiting alert that no longer stands, or a silence that is over, is due; where the alert
    itself is over, it is withheld. How many there were. `informed_only`: of messages of AI-informed alerts alone."""
    return conn.execute(_RELEASE, {"now": now, "informed_only": informed_only}).rowcount


def due_lanes(conn: Connection, receivers: Sequence[str], now: datetime) -> list[Lane]:
    """The lanes in which something is due, those of deterministic alerts first."""
    return [Lane(*row) for row in conn.execute(_LANES, {"receivers": list(receivers), "now": now})]


def take(conn: Connection, lane: Lane, now: datetime, *, rate: int) -> Message | None:
    """The next message of a lane, held until the transaction ends: the gravest first, then the oldest.

    None where nothing is due, another process holds what is, the lane has had `rate` messages within the last
    minute, or the lane is AI-informed and the receiver has a deterministic message due.
    """
    values = lane._asdict() | {"now": now, "minute_ago": now - timedelta(minutes=1), "rate": rate}
    row = conn.execute(_TAKE, values).one_or_none()
    return None if row is None else Message(*row)


def digest(conn: Connection, lane: Lane, now: datetime, *, limit: int = 200) -> list[Message]:
    """All that is due in a lane, held until the transaction ends: the gravest first, then the oldest."""
    return [Message(*row) for row in conn.execute(_DIGEST, lane._asdict() | {"now": now, "limit": limit})]


def sent(conn: Connection, lane: Lane, since: datetime) -> int:
    """How many messages have gone this way since then, but for critical ones."""
    return int(conn.execute(_SENT, lane._asdict() | {"since": since}).scalar_one())


def defer(conn: Connection, lane: Lane, now: datetime, until: datetime, held: str) -> int:
    """Put off what is due in a lane, but for what is critical; `held` says why. How many there were."""
    return conn.execute(_DEFER, lane._asdict() | {"now": now, "until": until, "held": held}).rowcount


def of_alert(conn: Connection, alert: str) -> list[OutboxRow]:
    """The last message about an alert to each receiver."""
    return [_row(row) for row in conn.execute(_OF_ALERT, {"alert": alert})]


def tried(conn: Connection, message: str, state: str, now: datetime, due_at: datetime, error: str = "") -> None:
    """Note an attempt: how it stands now, and when it is due again."""
    conn.execute(_TRIED, {"id": message, "state": state, "now": now, "due_at": due_at, "error": error[:1000]})


def listed(conn: Connection, *, state: str | None, receiver: str | None, limit: int) -> list[OutboxRow]:
    """Messages, the latest first."""
    rows = conn.execute(_LISTED, {"state": state, "receiver": receiver, "limit": limit})
    return [_row(row) for row in rows]


def retry(conn: Connection, ids: Sequence[str], receiver: str | None, now: datetime) -> list[str]:
    """Make messages due now, as if never tried: these, or (where none is named) all dead ones. Their ids."""
    return sorted(conn.execute(_RETRY, {"ids": list(ids), "receiver": receiver, "now": now}).scalars())


def counts(conn: Connection) -> list[tuple[str, str, int]]:
    """(receiver, state, how many)."""
    return [(row[0], row[1], row[2]) for row in conn.execute(_COUNTS)]


def _row(row: Row[Any]) -> OutboxRow:
    values: list[Any] = [value.astimezone(UTC) if isinstance(value, datetime) else value for value in row]
    return OutboxRow(*values)
