"""Who is told what: the messages that follow from decisions, written in the decisions' own transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec

from watchtower.contract import format_time
from watchtower.flow.subscribing import receivers
from watchtower.rulebook.model import Rulebook
from watchtower.rulebook.telling import Receiver
from watchtower.store import outbox
from watchtower.store.database import Connection
from watchtower.store.outbox import Decided, Known, NewMessage
from watchtower.store.silences import Silence, active_silences
from watchtower.store.work import NewProposal

RANKS = {"critical": 0, "high": 1, "medium": 2, "low": 3}
_SHOWN = ("id", "rule", "rulebook", "severity", "queue", "owner", "because", "ai_informed", "causes")
"""What a message says of its alert. Values that the rule read are left out: a receiver is a door to the outside."""


def tell(conn: Connection, book: Rulebook, after_seq: int, now: datetime, *, informed_only: bool = False) -> int:
    """Write the messages of the decisions that the journal holds after this number. How many there are.

    An alert that may be inhibited, or is silenced, waits, then is told at once or once nothing holds it back any more;
    where it ends before that, nobody is told of it at all. `informed_only`: a worker is the occasion, by which no other
    alert's wait ends.
    """
    everyone = receivers(conn, book)
    if not everyone:
        return 0
    told = _write(conn, book, everyone, outbox.decided(conn, after_seq), now)
    outbox.release(conn, now, informed_only=informed_only)
    return told


def tell_ended(conn: Connection, book: Rulebook, alerts: Sequence[str], event: str, now: datetime) -> int:
    """Write the messages of alerts that ended otherwise: a person resolved them, or their rule is no longer in force.

    `event` names what ended them. Who was never told of such an alert is not told of its end.
    """
    everyone = receivers(conn, book) if alerts else {}
    return _write(conn, book, everyone, outbox.ended(conn, alerts, event, now), now) if everyone else 0


def tell_proposals(conn: Connection, book: Rulebook, waiting: Sequence[NewProposal], now: datetime) -> int:
    """Write a message for each proposal that waits for a person, to the receivers that are told of such. How many."""
    messages = [
        NewMessage(
            id=message_id(f"{proposal.id}.review", name), receiver=name, alert=None, event=f"{proposal.id}.review",
            type="proposal.review", ai_informed=True, rank=RANKS["medium"], state="pending",
            body=msgspec.json.encode(_asked(proposal, now)).decode(),
            due_at=format_time(receiver.due("medium", now, book.zone)),
        )
        for name, receiver in book.receivers.items() if receiver.proposals
        for proposal in waiting
    ]  # fmt: skip
    outbox.add(conn, messages, now)
    return len(messages)


def _asked(proposal: NewProposal, now: datetime) -> dict[str, Any]:
    """What a message says of a proposal: its value and its quotes are what it is to be judged by."""
    shown = ("id", "field", "value", "confidence", "evidence", "method", "model", "because")
    record = f"{proposal.object}/{proposal.record}"
    said = {key: getattr(proposal, key) for key in shown} | {"record": record, "ai_informed": True}
    return {"type": "proposal.review", "timestamp": format_time(now), "data": said}


def _write(
    conn: Connection, book: Rulebook, everyone: Mapping[str, Receiver], decisions: Sequence[Decided], now: datetime
) -> int:
    messages: list[NewMessage] = []
    quiet = active_silences(conn, now) if decisions else []
    known = outbox.known(conn, sorted({d.alert["id"] for d in decisions})) if decisions else {}
    for decision in decisions:
        alert = decision.alert
        held = _held(alert, quiet)
        for name, receiver in everyone.items():
            if not _wants(receiver, alert):
                continue
            due = receiver.due(alert["severity"], now, book.zone)
            write = partial(_message, decision, name, due=due)
            knows = known.get((alert["id"], name), Known(told=False, waiting=False))
            if _ends(decision):
                if knows.told:
                    messages.append(write("pending"))
            elif held:
                messages.append(write("waiting", held=held))
                known[alert["id"], name] = knows._replace(waiting=True)
            else:
                messages.append(write("pending"))
                known[alert["id"], name] = knows._replace(told=True)
    outbox.add(conn, messages, now)
    return len(messages)


def _wants(receiver: Receiver, alert: Mapping[str, Any]) -> bool:
    """Whether it is told: of what is its own, and of what was escalated to it."""
    owners = {alert["owner"], alert["escalated_to"]} - {None}
    return any(receiver.wants(queue=alert["queue"], severity=alert["severity"], owner=owner) for owner in owners)


def _held(alert: Mapping[str, Any], quiet: Sequence[Silence]) -> str:
    """Why word of an alert must wait; empty where it need not."""
    if alert["inhibitors"]:
        return f"another alert may speak for it ({', '.join(alert['inhibitors'])})"
    covering = next((silence for silence in quiet if silence.covers(alert)), None)
    return f"silence {covering.id}: {covering.because}" if covering is not None else ""


def message_id(event: str, receiver: str) -> str:
    """The webhook-id: the same decision for the same receiver is the same message, however often it is sent."""
    return "msg_" + hashlib.blake2b(msgspec.json.encode((event, receiver)), digest_size=16).hexdigest()


def _ends(decision: Decided) -> bool:
    """Whether the alert is over by this decision; a correction may also bring it back."""
    return "resolution" in decision.data


def _message(decision: Decided, receiver: str, state: str, *, due: datetime, held: str = "") -> NewMessage:
    alert = decision.alert
    return NewMessage(
        id=message_id(decision.event, receiver), receiver=receiver, alert=alert["id"], event=decision.event,
        type=decision.type, ai_informed=alert["ai_informed"], rank=RANKS.get(alert["severity"], len(RANKS)),
        state=state, body=msgspec.json.encode(_content(decision)).decode(), due_at=format_time(due), held=held,
    )  # fmt: skip


def _content(decision: Decided) -> dict[str, Any]:
    alert = decision.alert
    said = {key: alert[key] for key in _SHOWN}
    if alert["level"]:
        said |= {"level": alert["level"], "escalated_to": alert["escalated_to"]}
    return {
        "type": decision.type,
        "timestamp": format_time(decision.at.astimezone(UTC)),
        "data": {
            **said,
            "record": f"{alert['object']}/{alert['record']}",
            "since": format_time(datetime.fromisoformat(alert["since"])),
            "status": "resolved" if _ends(decision) else "open",
            "note": decision.data.get("resolution") or decision.data.get("because") or "",
        },
    }
