"""Which systems speak by webhook, how each signs, and what reads what it says: `HOOKS` is the table, by kind.

What a webhook of HubSpot's or Attio's names is read again: it holds ids only. HubSpot's merges are read there, too;
of Attio's nothing can be read any more, and the webhook is all that tells of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from watchtower.connectors import gong, outreach, stripe
from watchtower.contract.heard import Heard, Hears


@dataclass(frozen=True)
class Hook:
    """`scheme`: how it is signed, see `signatures`."""

    scheme: str
    hear: Hears


def _hubspot(payload: Any) -> Heard:
    """A list of changes: `{"subscriptionType": "contact.propertyChange", "objectId": 123, ...}`."""
    found = {(str(one["subscriptionType"]).partition(".")[0], str(one["objectId"])) for one in payload}
    return Heard(again=tuple(sorted(found)))


def _attio(payload: Any) -> Heard:
    """`{"webhook_id": ..., "events": [{"event_type": "record.updated", "id": {"object_id", "record_id", ...}}]}`."""
    ids = [one["id"] for one in payload["events"]]
    found = {(str(one.get("object_id", "")), str(one.get("record_id") or one.get("note_id", ""))) for one in ids}
    # Two for each merge, one for each of the two records: both name the new one, which holds the values of both.
    merged = {
        (str(one["duplicate_record_id"]), str(one["id"]["record_id"]))
        for one in payload["events"]
        if one["event_type"] == "record.merged" and one["duplicate_record_id"] != one["id"]["record_id"]
    }
    return Heard(again=tuple(sorted(found)), merged=tuple(sorted(merged)))


HOOKS: dict[str, Hook] = {
    "hubspot": Hook("hubspot", _hubspot),
    "attio": Hook("attio", _attio),
    "stripe": Hook("stripe", stripe.hear),
    "outreach": Hook("outreach", outreach.hear),
    "gong": Hook("gong", gong.hear),
}
