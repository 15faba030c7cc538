"""Alerts and their history: written by the rule layer's decisions and by people's actions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from watchtower.store.schema import REVISION

CALLED_WRONG = ("a false alarm", "false alarm", "false positive", "noise", "not useful", "wrong")
"""A resolution by a person that begins so, in any case, calls the alert wrong; any other calls it right. The first is
what the button writes."""


class NewAlert(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `alert` as it opens. Times as ISO text."""

    id: str
    rule: str
    rulebook: str
    object: str
    record: str
    since: str
    opened_at: str
    severity: str
    queue: str
    owner: str
    because: str
    ai_informed: bool
    inhibitors: list[str]
    causes: list[dict[str, Any]]
    reads: dict[str, Any]


class Closing(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that ends, and why. Times as ISO text."""

    id: str
    at: str
    resolution: str


class NewAction(msgspec.Struct, frozen=True, kw_only=True):
    alert: str
    at: str
    actor: str
    verb: str
    note: str = ""


_OPEN = text(
    """
    insert into alert (id, rule, rulebook, object, record, since, opened_at, status, severity, queue, owner,
      because, ai_informed, inhibitors, causes, reads)
    select id, rule, rulebook, object, record, since, opened_at, 'open', severity, queue, owner, because,
      ai_informed, inhibitors, causes, reads
    from json_to_recordset(cast(:rows as json)) as given(
      id text, rule text, rulebook text, object text, record text, since timestamptz, opened_at timestamptz,
      severity text, queue text, owner text, because text, ai_informed boolean,
      inhibitors text[], causes jsonb, reads jsonb)
    on conflict (id) do update set status = 'open', resolved_at = null, resolution = null
      where alert.resolution is null or alert.resolution in ('by the facts', 'the rule is no longer in force',
        'the rule has changed') or alert.resolution like 'withdrawn: %'
    returning id
    """
)
_CLOSE = text(
    """
    update alert a set status = 'resolved', resolved_at = g.at, resolution = g.resolution
    from json_to_recordset(cast(:rows as json)) as g(id text, at timestamptz, resolution text)
    where a.id = g.id and (a.status <> 'resolved' or a.resolution = 'by the facts')
    returning a.id
    """
)
_REOPEN = text(
    """
    update alert a set status = 'open', resolved_at = null, resolution = null
    from json_to_recordset(cast(:rows as json)) as g(id text)
    where a.id = g.id and a.resolution = 'by the facts'
    returning a.id
    """
)
_ACTIONS = text(
    """
    insert into action (alert, at, actor, verb, note)
    select alert, at, actor, verb, note from json_to_recordset(cast(:rows as json)) as given(
      alert text, at timestamptz, actor text, verb text, note text)
    """
)
_COUNT = text("select alert, count(*) from action where alert = any(:ids) group by alert").bindparams(
    bindparam("ids", type_=ARRAY(Text))
)
_EXISTING = text("select id from alert where id = any(:ids)").bindparams(bindparam("ids", type_=ARRAY(Text)))
_LOCK = text(
    f"""
    select rule, object, record, since, status, assignee, snoozed_until, resolution, {REVISION} as revision
    from alert where id = :id for update
    """
)
_LAST = text("select actor, verb, at from action where alert = :id order by seq desc limit 1")
_HOLDS = text(
    """
    select count(*) from span where rule = :rule and object = :object and record = :record and since = :since
      and state = 'holds' and not closed and (until is null or until > :now)
    """
)
_SET = text(
    """
    update alert set status = :status, resolved_at = :resolved_at, resolution = :resolution,
      snoozed_until = :snoozed_until, assignee = :assignee where id = :id
    """
)
WAKING = "status = 'snoozed' and snoozed_until <= :now"
_WAKE = text(
    f"update alert set status = 'open', snoozed_until = null where {WAKING} returning id, rule, object, record, since"
)


def _json(rows: Sequence[msgspec.Struct]) -> str:
    return msgspec.json.encode(rows).decode()


def open_alerts(conn: Connection, alerts: Sequence[NewAlert]) -> set[str]:
    """Write opened alerts; one that was withdrawn before under the same id is open again, one that a person resolved
    is not. The ids that are open now."""
    return set(conn.execute(_OPEN, {"rows": _json(alerts)}).scalars()) if alerts else set()


def existing_alerts(conn: Connection, ids: Sequence[str]) -> set[str]:
    """Which of these alerts there are."""
    return set(conn.execute(_EXISTING, {"ids": list(ids)}).scalars()) if ids else set()


def close_alerts(conn: Connection, closings: Sequence[Closing]) -> set[str]:
    """Resolve; what a person resolved stays as the person left it. The ids that changed."""
    if not closings:
        return set()
    return set(conn.execute(_CLOSE, {"rows": _json(closings)}).scalars())


def reopen_alerts(conn: Connection, ids: Sequence[str]) -> set[str]:
    """Undo a resolution by the facts. The ids that changed."""
    if not ids:
        return set()
    rows = msgspec.json.encode([{"id": id_} for id_ in ids]).decode()
    return set(conn.execute(_REOPEN, {"rows": rows}).scalars())


def add_actions(conn: Connection, actions: Sequence[NewAction]) -> None:
    """Write lines of history, in order."""
    if actions:
        conn.execute(_ACTIONS, {"rows": _json(actions)})


def count_actions(conn: Connection, ids: Sequence[str]) -> dict[str, int]:
    """How many lines of history each alert has."""
    if not ids:
        return {}
    return {str(row[0]): int(row[1]) for row in conn.execute(_COUNT, {"ids": list(ids)})}


class Held(NamedTuple):
    """An alert as it stands, held until the transaction ends."""

    rule: str
    object: str
    record: str
    since: datetime
    status: str
    assignee: str | None
    snoozed_until: datetime | None
    resolution: str | None
    revision: str


def lock_alert(conn: Connection, alert_id: str) -> Held | None:
    """An alert, held until the transaction ends; None where there is none."""
    row = conn.execute(_LOCK, {"id": alert_id}).one_or_none()
    return None if row is None else Held(*row)


def last_action(conn: Connection, alert_id: str) -> tuple[str, str, datetime] | None:
    """(actor, verb, at) of the last line of an alert's history."""
    row = conn.execute(_LAST, {"id": alert_id}).one_or_none()
    return None if row is None else (row[0], row[1], row[2])


def still_holds(conn: Connection, held: Held, now: datetime) -> bool:
    """Whether the rule still holds on the record, since the same instant, by the facts."""
    values = {"rule": held.rule, "object": held.object, "record": held.record, "since": held.since, "now": now}
    return bool(conn.execute(_HOLDS, values).scalar_one())


def set_alert(
    conn: Connection,
    alert_id: str,
    *,
    status: str,
    assignee: str | None,
    resolved_at: datetime | None = None,
    resolution: str | None = None,
    snoozed_until: datetime | None = None,
) -> None:
    """What a person decided on an alert."""
    conn.execute(
        _SET,
        {
            "id": alert_id, "status": status, "resolved_at": resolved_at, "resolution": resolution,
            "snoozed_until": snoozed_until, "assignee": assignee,
        },
    )  # fmt: skip


class Woken(NamedTuple):
    """An alert whose snooze is over."""

    id: str
    rule: str
    object: str
    record: str
    since: datetime


def wake_snoozed(conn: Connection, now: datetime) -> list[Woken]:
    """Alerts whose snooze is over are open again; ordered by id."""
    return sorted(Woken(*row) for row in conn.execute(_WAKE, {"now": now}))


class Rung(NamedTuple):
    """A rung of a queue's ladder, the lowest is 1: who hears of an alert so many seconds after it opened."""

    queue: str
    level: int
    after: float
    to: str


class Escalated(NamedTuple):
    """An alert that climbed a rung. `at`: when that fell due."""

    id: str
    rule: str
    object: str
    record: str
    since: datetime
    level: int
    to: str
    was: str
    at: datetime


CLIMBING = """select a.id, a.status as was, g.level, g.to, a.opened_at + make_interval(secs => g.after) as at
      from alert a join json_to_recordset(cast(:rungs as json)) as g(
        queue text, level int, after double precision, "to" text) on a.queue = g.queue and a.level = g.level - 1
      where a.status in ('open', 'snoozed')
        and a.opened_at <= cast(:now as timestamptz) - make_interval(secs => g.after)"""
_ESCALATE = text(
    f"""
    with due as ({CLIMBING}
      order by a.id for update of a)
    update alert a set level = due.level, escalated_to = due.to, status = 'open', snoozed_until = null
    from due where a.id = due.id
    returning a.id, a.rule, a.object, a.record, a.since, due.level, due.to, due.was, due.at
    """
)


def escalate(conn: Connection, rungs: Sequence[Rung], now: datetime) -> list[Escalated]:
    """Alerts that nobody has acknowledged climb one rung, those for which it is time; who snoozes wakes. By id."""
    if not rungs:
        return []
    return sorted(Escalated(*row) for row in conn.execute(_ESCALATE, {"rungs": rungs_json(rungs), "now": now}))


def rungs_json(rungs: Sequence[Rung]) -> str:
    """As the statements read them."""
    return msgspec.json.encode([rung._asdict() for rung in rungs]).decode()


_TOLD = text("select rule, object, record, since from alert where coalesce(resolution, '') not like 'withdrawn%'")


def told(conn: Connection) -> list[tuple[str, str, datetime]]:
    """(rule, object/record, since) of every alert that was told and not withdrawn."""
    return [(row.rule, f"{row.object}/{row.record}", row.since) for row in conn.execute(_TOLD)]
