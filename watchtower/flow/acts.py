"""What people do about an alert: acknowledge, snooze, resolve, assign, comment. Each act is an entry of the journal."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from watchtower.contract import Event, format_time
from watchtower.errors import InputError, Missing
from watchtower.store import journal
from watchtower.store.alerts import NewAction, add_actions, count_actions, lock_alert, set_alert
from watchtower.store.database import Connection

Verb = Literal["acknowledge", "snooze", "resolve", "assign", "comment"]

ENTRIES: dict[Verb, str] = {
    "acknowledge": "alert.acknowledged",
    "snooze": "alert.snoozed",
    "resolve": "alert.resolved",
    "assign": "alert.assigned",
    "comment": "alert.commented",
}
"""The entry of each act. Its source is `person:NAME`; the rule layer's own `alert.resolved` comes from `watchtower`."""
PERSON = "person:"


def act(
    conn: Connection,
    alert_id: str,
    verb: Verb,
    *,
    actor: str,
    note: str = "",
    until: datetime | None = None,
    assignee: str | None = None,
    now: datetime,
) -> str:
    """A person acts on an alert: its row, a line of its history, an entry of the journal. What the line says.

    Missing, InputError.
    """
    journal.wait(conn)
    held = lock_alert(conn, alert_id)
    if held is None:
        raise Missing(f"alert {alert_id!r} does not exist")
    if verb != "comment" and held.status == "resolved":
        raise InputError(f"alert {alert_id}: is resolved already", remedy="only a comment can be added")
    data: dict[str, Any] = {
        "alert": alert_id, "rule": held.rule, "since": format_time(held.since), "note": note,
    }  # fmt: skip
    if verb == "acknowledge":
        set_alert(conn, alert_id, status="acknowledged", assignee=held.assignee or actor)
    elif verb == "snooze":
        if until is None or until <= now:
            raise InputError("until: a snooze ends at a time in the future")
        set_alert(conn, alert_id, status="snoozed", assignee=held.assignee, snoozed_until=until)
        data["until"] = format_time(until)
        note = note or f"until {format_time(until)}"
    elif verb == "resolve":
        data["resolution"] = note or f"{actor} says so"
        set_alert(
            conn, alert_id, status="resolved", assignee=held.assignee, resolved_at=now, resolution=data["resolution"]
        )
    elif verb == "assign":
        if not assignee:
            raise InputError("assignee: name the person it goes to")
        set_alert(conn, alert_id, status=held.status, assignee=assignee, snoozed_until=held.snoozed_until)
        data["assignee"] = assignee
        note = note or f"to {assignee}"
    elif not note.strip():
        raise InputError("note: a comment says something")
    number = count_actions(conn, [alert_id]).get(alert_id, 0)
    entry = Event(
        id=f"{alert_id}.{number}.{verb}", source=f"{PERSON}{actor}", type=ENTRIES[verb],
        subject=f"{held.object}/{held.record}", time=now, data=data,
    )  # fmt: skip
    written = journal.append(conn, [entry], layer="decision", received_at=now)[0]
    if written.verdict != "new":
        raise InputError(f"alert {alert_id}: {written.because or written.verdict}")
    add_actions(conn, [NewAction(alert=alert_id, at=format_time(now), actor=actor, verb=verb, note=note)])
    return note
