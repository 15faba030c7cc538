"""Subscriptions: who asked over HTTP to be told of alerts, where, and with which secret the messages are signed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY


class Subscription(NamedTuple):
    """One of them. An empty list narrows nothing. Times are aware UTC."""

    id: str
    url: str
    secret: str
    queues: list[str]
    severities: list[str]
    owners: list[str]
    made_by: str
    made_at: datetime
    ended_at: datetime | None = None
    ended_by: str = ""


_COLUMNS = ", ".join(Subscription._fields)
_LISTS = [bindparam(name, type_=ARRAY(Text)) for name in ("queues", "severities", "owners")]
_ADD = text(f"insert into subscription ({_COLUMNS}) values ({', '.join(':' + n for n in Subscription._fields)})")
_ADD = _ADD.bindparams(*_LISTS)
_END = text(
    f"update subscription set ended_at = :now, ended_by = :by where id = :id and ended_at is null returning {_COLUMNS}"
)
_LASTING = text(f"select {_COLUMNS} from subscription where ended_at is null order by made_at, id")
_GIVE_UP = text(
    "update outbox set state = 'dead', tried_at = :now, error = :because where receiver = :id and state = 'pending'"
)


def add_subscription(conn: Connection, subscription: Subscription) -> None:
    conn.execute(_ADD, subscription._asdict())


def end_subscription(conn: Connection, id_: str, now: datetime, by: str) -> Subscription | None:
    """Let one end now, and give up what was still to be told there; None where there is none, or it is over."""
    row = conn.execute(_END, {"id": id_, "now": now, "by": by}).one_or_none()
    if row is None:
        return None
    conn.execute(_GIVE_UP, {"id": id_, "now": now, "because": f"the subscription was ended by {by}"})
    return _subscription(row)


def subscriptions(conn: Connection) -> list[Subscription]:
    """Those that last, the oldest first."""
    return [_subscription(row) for row in conn.execute(_LASTING)]


def _subscription(row: Any) -> Subscription:
    values: list[Any] = [value.astimezone(UTC) if isinstance(value, datetime) else value for value in row]
    return Subscription(*values)
