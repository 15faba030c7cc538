"""Who is told what: the messages that follow from decisions, written in the decisions' own transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from watchtower.contract import format_time
from watchtower.rulebook.model import Receiver
from watchtower.store import outbox
from watchtower.store.database import Connection
from watchtower.store.outbox import Decided, Known, NewMessage

RANKS = {"critical": 0, "high": 1, "medium": 2, "low": 3}
_SHOWN = ("id", "rule", "rulebook", "severity", "queue", "owner", "because", "ai_informed", "causes")
"""What a message says of its alert. Values that the rule read are left out: a receiver is a door to the outside."""


def tell(conn: Connection, receivers: Mapping[str, Receiver], after_seq: int, now: datetime) -> int:
    """Write the messages of the decisions that the journal holds after this number. How many there are.

    An alert that may be inhibited waits, then is told at once or once nothing inhibits it any more; where it ends
    before that, nobody is told of it at all.
    """
    if not receivers:
        return 0
    told = _write(conn, receivers, outbox.decided(conn, after_seq), now)
    outbox.release(conn, now)
    return told


def tell_ended(
    conn: Connection, receivers: Mapping[str, Receiver], alerts: Sequence[str], event: str, now: datetime
) -> int:
    """Write the messages of alerts that ended otherwise: a person resolved them, or their rule is no longer in force.

    `event` names what ended them. Who was never told of such an alert is not told of its end.
    """
    return _write(conn, receivers, outbox.ended(conn, alerts, event, now), now) if receivers and alerts else 0


def _write(conn: Connection, receivers: Mapping[str, Receiver], decisions: Sequence[Decided], now: datetime) -> int:
    messages: list[NewMessage] = []
    known = outbox.known(conn, sorted({d.alert["id"] for d in decisions})) if decisions else {}
    for decision in decisions:
        alert = decision.alert
        for name, receiver in receivers.items():
            if not receiver.wants(queue=alert["queue"], severity=alert["severity"], owner=alert["owner"]):
                continue
            knows = known.get((alert["id"], name), Known(told=False, waiting=False))
            if _ends(decision):
                if knows.told:
                    messages.append(_message(decision, name, "pending"))
            elif alert["inhibitors"]:
                messages.append(_message(decision, name, "waiting"))
                known[alert["id"], name] = knows._replace(waiting=True)
            else:
                messages.append(_message(decision, name, "pending"))
                known[alert["id"], name] = knows._replace(told=True)
    outbox.add(conn, messages, now)
    return len(messages)


def message_id(event: str, receiver: str) -> str:
    """The webhook-id: the same decision for the same receiver is the same message, however often it is sent."""
    return "msg_" + hashlib.blake2b(msgspec.json.encode((event, receiver)), digest_size=16).hexdigest()


def _ends(decision: Decided) -> bool:
    """Whether the alert is over by this decision; a correction may also bring it back."""
    return "resolution" in decision.data


def _message(decision: Decided, receiver: str, state: str) -> NewMessage:
    alert = decision.alert
    return NewMessage(
        id=message_id(decision.event, receiver), receiver=receiver, alert=alert["id"], event=decision.event,
        type=decision.type, ai_informed=alert["ai_informed"], rank=RANKS.get(alert["severity"], len(RANKS)),
        state=state, body=msgspec.json.encode(_content(decision)).decode(),
    )  # fmt: skip


def _content(decision: Decided) -> dict[str, Any]:
    alert = decision.alert
    said = {key: alert[key] for key in _SHOWN}
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
