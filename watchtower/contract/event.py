"""Events: CloudEvents 1.0, structured JSON, with the names the specification gives.

Source: CloudEvents specification 1.0.2, sections "Required Attributes" and "JSON Event Format".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

CORE_SOURCE = "watchtower"
"""The source of decisions. No other party may speak under it."""


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One thing that happened, at `time` (UTC, microseconds), to `subject` (`object/id`)."""

    id: str
    source: str
    type: str
    subject: str
    time: datetime
    data: dict[str, Any] = {}
    specversion: str = "1.0"

    @property
    def object(self) -> str:
        """The part of the subject before the first slash: `lead` of `lead/L-17`."""
        return self.subject.partition("/")[0]

    @property
    def record_id(self) -> str:
        """The part of the subject after the first slash: `L-17` of `lead/L-17`."""
        return self.subject.partition("/")[2]


def parse_time(text: str) -> datetime:
    """ISO 8601 text with an offset, as UTC. ValueError (with a message for people) otherwise.

    `t` and `z` may be small, as RFC 3339 has it (section 5.6), whose times CloudEvents are to have.
    """
    try:
        time = datetime.fromisoformat(text.upper())
    except (ValueError, TypeError, AttributeError):
        raise ValueError(f"time: {text!r} is not an ISO 8601 time such as 2026-03-02T09:00:00Z") from None
    if time.tzinfo is None:
        raise ValueError(f"time: {text!r} has no offset; write it with Z or +01:00")
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"time: {text!r} lies outside the years 1 to 9999 in UTC") from None


@lru_cache(maxsize=1 << 14)
def format_time(time: datetime) -> str:
    """`2026-03-04T09:00:00.000000Z`: UTC, always six digits, so that text order is time order."""
    if time.tzinfo is not UTC:
        time = time.astimezone(UTC)
    return time.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def parse_event(raw: Mapping[str, Any]) -> Event:
    """One event from decoded JSON. ValueError names the attribute, its value and what is accepted."""
    if not isinstance(raw, Mapping):
        raise ValueError(f"event: {raw!r:.60} is not a JSON object")
    version = raw.get("specversion", "1.0")
    if version != "1.0":
        raise ValueError(f"specversion: {version!r} is not supported; accepted is 1.0")
    values: dict[str, str] = {}
    for name in ("id", "source", "type", "subject"):
        value = raw.get(name)
        if not isinstance(value, str) or not value or len(value) > 1024 or "\x00" in value:
            raise ValueError(f"{name}: {value!r:.60} is not a non-empty text of at most 1024 characters")
        values[name] = value
    kind, slash, record = values["subject"].partition("/")
    if not (kind and slash and record):
        raise ValueError(f"subject: {values['subject']!r} is not of the form object/id")
    if "time" not in raw:
        raise ValueError("time: missing; an event says when it happened")
    data = raw.get("data")
    if "data_base64" in raw:
        raise ValueError("data_base64: is not JSON in Base64, or stands beside data; send the data as JSON, in data")
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ValueError(f"data: {data!r:.60} is not a JSON object")
    return Event(time=parse_time(raw["time"]), data=data, **values)


def event_json(event: Event) -> dict[str, Any]:
    """The event as CloudEvents JSON, the inverse of `parse_event`."""
    return {
        "specversion": event.specversion,
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "subject": event.subject,
        "time": format_time(event.time),
        "data": event.data,
    }
