"""What people do about an alert: acknowledge, snooze, resolve, reopen, assign, comment. Each act is an entry of the
journal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from watchtower.contract import Event, format_time
from watchtower.errors import InputError, Missing, Stale
from watchtower.store import journal
from watchtower.store.alerts import (
    CALLED_WRONG,
    Held,
    NewAction,
    add_actions,
    count_actions,
    last_action,
    lock_alert,
    set_alert,
    still_holds,
)
from watchtower.store.database import Connection

Verb = Literal["acknowledge", "snooze", "resolve", "reopen", "assign", "comment"]

ENTRIES: dict[Verb, str] = {
    "acknowledge": "alert.acknowledged",
    "snooze": "alert.snoozed",
    "resolve": "alert.resolved",
    "reopen": "alert.reopened",
    "assign": "alert.assigned",
    "comment": "alert.commented",
}
"""The entry of each act. Its source is `person:NAME`; the rule layer's own `alert.resolved` comes from `watchtower`."""
PERSON = "person:"
FALSE_ALARM = "false_alarm"
VERDICTS = ("", "done", FALSE_ALARM)
"""What a person says of an alert on resolving it: nothing, that it was right, that it should not have been told."""
WORDS = {
    "acknowledge": "acknowledged it", "snooze": "snoozed it", "resolve": "resolved it", "reopen": "reopened it",
    "assign": "assigned it", "comment": "commented on it", "opened": "opened it", "corrected": "corrected it",
    "resolved": "resolved it by the facts", "woken": "woke it", "escalated": "escalated it",
}  # fmt: skip


def act(
    conn: Connection,
    alert_id: str,
    verb: Verb,
    *,
    actor: str,
    note: str = "",
    until: datetime | None = None,
    assignee: str | None = None,
    verdict: str = "",
    expected: str | None = None,
    now: datetime,
) -> str:
    """A person acts on an alert: its row, a line of its history, an entry of the journal. What the line says.

    `expected`: the revision that the person saw; Stale where the alert has changed since, and nothing is written.
    Missing, InputError.
    """
    journal.wait(conn)
    held = lock_alert(conn, alert_id)
    if held is None:
        raise Missing(f"alert {alert_id!r} does not exist")
    if expected is not None and expected != held.revision:
        raise _stale(conn, alert_id, held)
    if verb not in ("comment", "reopen") and held.status == "resolved":
        raise InputError(f"alert {alert_id}: is resolved already", remedy="comment on it, or reopen it")
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
        if verdict not in VERDICTS:
            raise InputError(f"verdict: {verdict!r:.40} is not one of {', '.join(VERDICTS[1:])}")
        wrong = CALLED_WRONG[0] if verdict == FALSE_ALARM else ""
        data["resolution"] = ": ".join(filter(None, (wrong, note))) or f"{actor} says so"
        if verdict:
            data["verdict"] = verdict
        set_alert(
            conn, alert_id, status="resolved", assignee=held.assignee, resolved_at=now, resolution=data["resolution"]
        )
        note = data["resolution"] if verdict == FALSE_ALARM else note
    elif verb == "reopen":
        data["was"] = _reopen(conn, alert_id, held, actor, now)
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


def _reopen(conn: Connection, alert_id: str, held: Held, actor: str, now: datetime) -> str:
    """Take back what was done; how it stood. Who had it by acknowledging it no longer has it."""
    if held.status == "open":
        raise InputError(f"alert {alert_id}: is open already")
    if held.status == "resolved" and not still_holds(conn, held, now):
        raise InputError(
            f"alert {alert_id}: {held.rule} no longer holds since then", remedy="where it comes to hold, it opens anew"
        )
    mine = held.status == "acknowledged" and held.assignee == actor
    set_alert(conn, alert_id, status="open", assignee=None if mine else held.assignee)
    return held.status


def _stale(conn: Connection, alert_id: str, held: Held) -> Stale:
    last = last_action(conn, alert_id)
    told = "it changed"
    if last is not None:
        told = f"{last[0]} {WORDS.get(last[1], last[1])} at {last[2].astimezone(UTC):%H:%M:%S} UTC"
    return Stale(
        f"alert {alert_id}: is {held.status} now: {told}; nothing of yours was written",
        remedy="look at it as it is now, then decide again",
    )
