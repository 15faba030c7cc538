"""Who is told of alerts: the receivers of the rulebook, and those who subscribed over HTTP (Zapier, n8n, programs).

A subscription is a receiver like any other: its messages are written with the decision, wait, are tried again and are
signed as those of the rulebook's webhooks. The service's settings say to which hosts one may go.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from urllib.parse import urlsplit

from pydantic import ValidationError

from watchtower.errors import InputError, Missing
from watchtower.rulebook.model import Rulebook
from watchtower.rulebook.telling import Receiver
from watchtower.store import audit
from watchtower.store.database import Connection
from watchtower.store.subscriptions import Subscription, add_subscription, end_subscription, subscriptions

MOST = 1_000
"""Subscriptions at once."""
_SECRET = "SUBSCRIPTION_"
"""What the name of a subscription's secret begins with: it stands in the database, not in the environment."""


def receivers(conn: Connection, book: Rulebook) -> dict[str, Receiver]:
    """Everyone who is told of alerts, by name."""
    return {**book.receivers, **{one.id: receiver_of(one) for one in subscriptions(conn)}}


def receiver_of(one: Subscription) -> Receiver:
    """A subscription as a receiver."""
    return Receiver.model_validate(
        {"kind": "webhook", "url": one.url, "secret": secret_name(one.id), "queues": one.queues,
         "severities": one.severities, "owners": one.owners}
    )  # fmt: skip


def secret_name(id_: str) -> str:
    """Under which name a subscription's secret is asked for."""
    return _SECRET + id_.removeprefix("su_").upper()


def subscribe(
    conn: Connection,
    url: str,
    narrowed: Mapping[str, Sequence[str]],
    *,
    hosts: Collection[str],
    by: str,
    now: datetime,
) -> Subscription:
    """Tell this address of alerts from now on. `narrowed`: queues, severities, owners. InputError."""
    if not allowed(url, hosts):
        shown = ", ".join(sorted(hosts)) or "none"
        raise InputError(
            f"url: {url!r:.200} is at none of the hosts that may be subscribed: {shown}",
            remedy="WATCHTOWER_SUBSCRIBER_HOSTS names them, separated by commas",
        )
    made = Subscription(
        id=f"su_{secrets.token_hex(8)}", url=url, secret="whsec_" + base64.b64encode(secrets.token_bytes(32)).decode(),
        queues=list(narrowed.get("queues", ())), severities=list(narrowed.get("severities", ())),
        owners=list(narrowed.get("owners", ())), made_by=by, made_at=now,
    )  # fmt: skip
    try:
        receiver_of(made)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise InputError(f"{'.'.join(map(str, fault['loc']))}: {fault['msg'].removeprefix('Value error, ')}") from None
    if len(subscriptions(conn)) >= MOST:
        raise InputError(f"there are {MOST} subscriptions already", remedy="end those that nobody needs")
    add_subscription(conn, made)
    audit.note(conn, actor=by, what="subscription.add", about=made.id, now=now, data={"note": url})
    return made


def unsubscribe(conn: Connection, id_: str, *, by: str, now: datetime) -> Subscription:
    """Tell it of nothing any more. Missing where there is none, or it is over."""
    ended = end_subscription(conn, id_, now, by)
    if ended is None:
        raise Missing(f"subscription {id_!r:.60} does not exist, or is over")
    audit.note(conn, actor=by, what="subscription.end", about=id_, now=now)
    return ended


def allowed(url: str, hosts: Collection[str]) -> bool:
    """Whether an address may be subscribed: its host is named, or is one of a named domain (`.example.com`). Over plain
    HTTP only this machine: whoever listens on the way would read along."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".").lower()
        _ = parts.port
    except ValueError:
        return False
    if parts.scheme != "https" and not (parts.scheme == "http" and host in ("localhost", "127.0.0.1", "::1")):
        return False
    return any(host == one or (one.startswith(".") and host.endswith(one)) for one in hosts)
