"""Why was I told, or not? For an alert: each receiver of the rulebook, whether it knows, and why so."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from watchtower.contract import format_time
from watchtower.errors import Missing
from watchtower.flow.subscribing import receivers
from watchtower.rulebook.model import Rulebook
from watchtower.rulebook.telling import Receiver
from watchtower.store import outbox, queries
from watchtower.store.database import Connection
from watchtower.store.outbox import OutboxRow
from watchtower.store.rows import AlertRow
from watchtower.store.silences import active_silences

State = Literal["told", "due", "waiting", "deferred", "failing", "given up", "not told"]


@dataclass(frozen=True)
class Told:
    """Whether one receiver knows of an alert, and why. `at`: when it was told, or will be."""

    receiver: str
    person: str
    kind: str
    state: State
    because: str
    at: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"at": None if self.at is None else format_time(self.at)}


def why_told(conn: Connection, book: Rulebook, alert_id: str, now: datetime, *, person: str = "") -> list[Told]:
    """For each receiver of the rulebook in force (or those of one person), and each former one that was told.

    Missing where there is no such alert, or the rulebook names no receiver for this person.
    """
    alert = queries.alert_by_id(conn, alert_id)
    if alert is None:
        raise Missing(f"alert {alert_id!r:.80} does not exist")
    rows = {row.receiver: row for row in outbox.of_alert(conn, alert_id)}
    quiet = [silence for silence in active_silences(conn, now) if silence.covers(_matched(alert))]
    found = []
    for name, receiver in receivers(conn, book).items():
        if person and person not in (receiver.person, name):
            continue
        row = rows.pop(name, None)
        state, because, at = _known(receiver, row, now) if row is not None else _untold(receiver, alert)
        if state == "waiting" and quiet:
            because = f"{because}; until {format_time(quiet[0].ends_at)}"
        found.append(Told(name, receiver.person, receiver.kind, state, because, at))
    for name, row in rows.items():
        if not person:
            found.append(
                Told(name, "", "", "told" if row.state == "delivered" else "not told", _gone(row), row.tried_at)
            )
    if person and not found:
        raise Missing(
            f"{person!r:.60}: no receiver of the rulebook is of this person, and so nobody is told in this name",
            remedy="give a receiver `person: NAME` (docs/notifications.md)",
        )
    return found


def _matched(alert: AlertRow) -> dict[str, Any]:
    return {name: getattr(alert, name) for name in ("rule", "object", "record", "queue", "owner", "severity")}


def _known(receiver: Receiver, row: OutboxRow, now: datetime) -> tuple[State, str, datetime | None]:
    if row.state == "delivered":
        return "told", f"{row.type} was delivered", row.tried_at
    if row.state == "dead":
        return "given up", f"{row.type} was tried {row.attempts} times: {row.error}", row.tried_at
    if row.state == "withheld":
        return "not told", "the alert ended while word of it waited", None
    if row.state == "waiting":
        return "waiting", row.held or "another alert may speak for it", None
    if row.attempts:
        return "failing", f"{row.type} was tried {row.attempts} times: {row.error}", row.due_at
    if row.held:
        return "deferred", row.held, row.due_at
    if receiver.digest and row.due_at > now:
        return "due", f"with the digest of {', '.join(receiver.digest)}", row.due_at
    return "due", "it is about to leave", row.due_at


def _untold(receiver: Receiver, alert: AlertRow) -> tuple[State, str, datetime | None]:
    owners = [owner for owner in (alert.owner, alert.escalated_to) if owner is not None]
    reasons = [receiver.unwanted(queue=alert.queue, severity=alert.severity, owner=owner) for owner in owners]
    if "" not in reasons:
        return "not told", reasons[0], None
    return "not told", "the rulebook did not name this receiver, or not so, when the alert opened", None


def _gone(row: OutboxRow) -> str:
    return f"{row.type}: {row.state}; the rulebook no longer names this receiver"
