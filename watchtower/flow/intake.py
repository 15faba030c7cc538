"""The one door. Whoever speaks is stamped here; what is written here is acknowledged, once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from watchtower.contract import CORE_SOURCE, Event, event_json, parse_event
from watchtower.flow.apply import Engine, apply_events
from watchtower.flow.settle import Settled, settle
from watchtower.flow.work import DETECTORS, ENRICHMENT
from watchtower.store import journal
from watchtower.store.database import Connection
from watchtower.store.deadletters import DeadLetter, add_deadletters

FUTURE = timedelta(minutes=5)
"""How far ahead of our clock an event may be: clocks differ a little, time does not run backwards."""

RESERVED_SOURCES = frozenset({CORE_SOURCE, ENRICHMENT, DETECTORS, "ai"})
"""The names of the rule layer and of the workers: under them a source could take their keys, or pass for them."""
_RESERVED = ("alert.", "field.", "signal.", "clock.", "rulebook.", "transition.", "handoff.refused")
"""Types that only workers and the rule layer speak; a source that sends one is refused."""


@dataclass(frozen=True)
class Verdict:
    """What became of one event: accepted, duplicate, conflict or refused, and why."""

    id: str
    status: str
    reason: str = ""


@dataclass(frozen=True)
class Taken:
    """A batch taken: a verdict for each event, in order, and what the clock did meanwhile."""

    verdicts: list[Verdict]
    settled: Settled


def decode(raw: Sequence[Mapping[str, Any]], source: str | None) -> list[Event | Verdict]:
    """CloudEvents JSON as events; a refusal where one is malformed, or speaks under a name not its own."""
    found: list[Event | Verdict] = []
    for item in raw:
        name = str(item.get("id", "")) if isinstance(item, Mapping) else ""
        try:
            event = parse_event(item)
        except ValueError as error:
            found.append(Verdict(name, "refused", str(error)))
            continue
        if source is not None and event.source != source:
            found.append(Verdict(name, "refused", f"source: {event.source!r} is not the credential's {source!r}"))
            continue
        found.append(event)
    return found


def take(
    conn: Connection, engine: Engine, items: Sequence[Event | Verdict], now: datetime, *, origin: str = "api"
) -> Taken:
    """Journal a batch, fold it, evaluate what it touches and settle what is due: one transaction.

    One bad event does not stop the others: it is kept among the dead letters with the reason.
    """
    verdicts: list[Verdict | None] = [item if isinstance(item, Verdict) else None for item in items]
    dead = [
        DeadLetter(origin=origin, reason=item.reason, body={"id": item.id})
        for item in items
        if isinstance(item, Verdict)
    ]
    good: list[int] = []
    for index, item in enumerate(items):
        if isinstance(item, Verdict):
            continue
        reason = refusal(engine, item, now)
        if reason:
            verdicts[index] = Verdict(item.id, "refused", reason)
            dead.append(DeadLetter(origin=origin, reason=reason, body=event_json(item)))
        else:
            good.append(index)
    events = [item for index in good if isinstance(item := items[index], Event)]
    fresh: list[Event] = []
    appended = journal.append(conn, events, layer="core", received_at=now)
    for index, event, result in zip(good, events, appended, strict=True):
        status = "accepted" if result.verdict == "new" else result.verdict
        verdicts[index] = Verdict(event.id, status, result.because)
        if result.verdict == "new":
            fresh.append(event)
        elif result.verdict == "refused":
            dead.append(
                DeadLetter(origin=origin, reason=result.because, body={"id": event.id[:200].replace("\x00", "")})
            )
    add_deadletters(conn, dead, now)
    return Taken([verdict for verdict in verdicts if verdict is not None], follow(conn, engine, fresh, now))


def follow(conn: Connection, engine: Engine, fresh: Sequence[Event], now: datetime) -> Settled:
    """What follows from new entries of sources and people: records, spans, decisions. A replay comes here, too."""
    # What is refused, or was said before, is no tick: whoever sends it must not choose when alerts are told.
    return settle(conn, engine, now, apply_events(conn, engine, fresh), spoken=True) if fresh else Settled()


def refusal(engine: Engine, event: Event, now: datetime) -> str:
    """Why a source's event cannot be taken; empty where it can."""
    if event.source in RESERVED_SOURCES:
        return f"source: {event.source!r} is reserved for the rule layer and the workers"
    if event.type.startswith(_RESERVED):
        return f"type: {event.type!r} is spoken by workers and the rule layer only"
    fold = engine.folds.get(event.object)
    if fold is None:
        known = ", ".join(engine.folds)
        return f"subject: the rulebook has no object {event.object!r}; it has {known}"
    if event.time > now + FUTURE:
        return f"time: {event.time.isoformat()} lies more than 5 minutes ahead of {now.isoformat(timespec='seconds')}"
    if event.type == "document.added":
        return _document_flaw(event)
    try:
        fold.check(event)
    except ValueError as error:
        return str(error)
    return ""


def _document_flaw(event: Event) -> str:
    for key in ("document", "text"):
        value = event.data.get(key)
        if not isinstance(value, str) or not value:
            return f"data.{key}: {msgspec.json.encode(value).decode():.60} is not a non-empty text"
    return ""
