"""The one door. Whoever speaks is stamped here; what is written here is acknowledged, once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from watchtower.contract import CORE_SOURCE, Event, event_json, parse_event
from watchtower.flow.apply import Engine, apply_events
from watchtower.flow.personal import forged, seal
from watchtower.flow.settle import Settled, settle
from watchtower.flow.watching import sources_heard
from watchtower.flow.work import DETECTORS, ENRICHMENT
from watchtower.store import journal
from watchtower.store.database import Connection
from watchtower.store.deadletters import DeadLetter, add_deadletters
from watchtower.store.journal_rows import JournalRow, row_of

FUTURE = timedelta(minutes=5)
"""How far ahead of our clock an event may be: clocks differ a little, time does not run backwards."""

KEPT = frozenset({"refused", "conflict", "quarantined"})
"""Verdicts whose events are kept among the dead letters."""
HORIZON = timedelta(days=366)
"""How far ahead an event may lie to wait for its time: what lies further (9999-12-31) is a date that means nothing."""
RESERVED_SOURCES = frozenset({CORE_SOURCE, ENRICHMENT, DETECTORS, "ai"})
"""The names of the rule layer and of the workers: under them a source could take their keys, or pass for them."""
_RESERVED = ("alert.", "field.", "signal.", "clock.", "rulebook.", "transition.", "handoff.refused", "tower.")
"""Types that only workers and the rule layer speak; a source that sends one is refused."""


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What became of one event: accepted, duplicate, conflict, quarantined or refused, and why."""

    id: str
    status: str
    reason: str = ""


@dataclass(frozen=True)
class Taken:
    """A batch taken: a verdict for each event, in order, and what the clock did meanwhile."""

    verdicts: list[Verdict]
    settled: Settled


class Ready(msgspec.Struct, frozen=True, gc=False):
    """What can be said of an event before its transaction, under one rulebook."""

    engine: Engine
    never: str
    """Why it is refused, whatever the time; empty where it is not."""
    flaw: str
    """Why it is refused where its time is not what it is refused for."""
    row: JournalRow | str | None
    """As the journal takes it; None where it does not come so far."""


class Sent(msgspec.Struct, frozen=True, gc=False):
    """One thing as it was sent: the event, or why there is none; its JSON as it came; and whose credential it bore."""

    what: Event | Verdict
    raw: Any = None
    credential: str | None = None
    ready: Ready | None = None


def decode(raw: Sequence[Mapping[str, Any]], source: str | None) -> list[Sent]:
    """CloudEvents JSON as events; a refusal where one is malformed, or speaks under a name not its own."""
    return [Sent(_decoded(item, source), item, source) for item in raw]


def _decoded(item: Mapping[str, Any], source: str | None) -> Event | Verdict:
    name = str(item.get("id", "")) if isinstance(item, Mapping) else ""
    try:
        event = parse_event(item)
    except ValueError as error:
        return Verdict(name, "refused", str(error))
    if source is not None and event.source != source:
        return Verdict(name, "refused", f"source: {event.source!r} is not the credential's {source!r}")
    return event


def ready(engine: Engine, items: Sequence[Event | Sent]) -> list[Sent]:
    """The same, each with all that can be said of it without the database and without the time.

    A transaction holds others up: what is made ready before it, or beside it in another thread, costs it nothing.
    """
    sent = [item if isinstance(item, Sent) else Sent(item) for item in items]
    return [
        item
        if isinstance(what := item.what, Verdict) or ((known := item.ready) is not None and known.engine is engine)
        else Sent(what, item.raw, item.credential, _ready(engine, what))
        for item in sent
    ]


def _ready(engine: Engine, event: Event) -> Ready:
    if never := _stranger(engine, event):
        return Ready(engine, never, "", None)
    if flaw := _flaw(engine, event):
        return Ready(engine, "", flaw, None)
    return Ready(engine, "", "", row_of(event))


def take(
    conn: Connection, engine: Engine, items: Sequence[Event | Sent], now: datetime, *, origin: str = "api"
) -> Taken:
    """Journal a batch, fold it, evaluate what it touches and settle what is due: one transaction.

    One bad event does not stop the others: it is kept among the dead letters with the reason. One of the future waits
    there until its time has come.
    """
    sent = ready(engine, items)
    verdicts: list[Verdict | None] = []
    good: list[int] = []
    events: list[Event] = []
    rows: list[JournalRow | str] = []
    for index, item in enumerate(sent):
        verdict = _judged(item, now)
        verdicts.append(verdict)
        known = item.ready
        if verdict is None and isinstance(item.what, Event) and known is not None and known.row is not None:
            good.append(index)
            events.append(item.what)
            rows.append(known.row)
    sealed = seal(conn, engine, events, now)
    rows = [row if shut is event else row_of(shut) for row, event, shut in zip(rows, events, sealed, strict=True)]
    fresh: list[Event] = []
    appended = journal.append(conn, sealed, layer="core", received_at=now, rows=rows)
    for index, event, result in zip(good, sealed, appended, strict=True):
        status = "accepted" if result.verdict == "new" else result.verdict
        verdicts[index] = Verdict(event.id, status, result.because)
        if result.verdict == "new":
            fresh.append(event)
    given = [verdict for verdict in verdicts if verdict is not None]
    kept = [_letter(item, verdict, origin) for item, verdict in zip(sent, given, strict=True) if verdict.status in KEPT]
    add_deadletters(conn, kept, now)
    return Taken(given, follow(conn, engine, fresh, now))


def follow(conn: Connection, engine: Engine, fresh: Sequence[Event], now: datetime) -> Settled:
    """What follows from new entries of sources and people: records, spans, decisions. A replay comes here, too."""
    if not fresh:
        # What is refused, or was said before, is no tick: whoever sends it must not choose when alerts are told.
        return Settled()
    heard = sources_heard(conn, engine, fresh, now)
    return settle(conn, engine, now, apply_events(conn, engine, [*fresh, *heard]), spoken=True)


def _judged(sent: Sent, now: datetime) -> Verdict | None:
    """What can be said before the journal is asked; None where it is to be written."""
    event, known = sent.what, sent.ready
    if isinstance(event, Verdict) or known is None:
        assert isinstance(event, Verdict)
        return event
    if reason := known.never or (_far(event, now) if event.time > now + HORIZON else known.flaw):
        return Verdict(event.id, "refused", reason)
    return Verdict(event.id, "quarantined", _ahead(event, now)) if event.time > now + FUTURE else None


def _letter(sent: Sent, verdict: Verdict, origin: str) -> DeadLetter:
    event = sent.what if isinstance(sent.what, Event) else None
    body = sent.raw if sent.raw is not None else event_json(event) if event is not None else {"id": verdict.id}
    due = event.time if event is not None and verdict.status == "quarantined" else None
    return DeadLetter(origin=origin, reason=verdict.reason, body=body, credential=sent.credential, due=due)


def _ahead(event: Event, now: datetime) -> str:
    return (
        f"time: {event.time.isoformat()} lies more than 5 minutes ahead of {now.isoformat(timespec='seconds')}; "
        "it is taken by itself when its time has come"
    )


def _far(event: Event, now: datetime) -> str:
    return f"time: {event.time.isoformat()} lies more than a year ahead of {now.isoformat(timespec='seconds')}"


def _stranger(engine: Engine, event: Event) -> str:
    """Why nothing of this source, type and subject is taken; empty where it is."""
    if event.source in RESERVED_SOURCES:
        return f"source: {event.source!r} is reserved for the rule layer and the workers"
    if event.type.startswith(_RESERVED):
        return f"type: {event.type!r} is spoken by workers and the rule layer only"
    name = event.object
    if engine.program.book.watched.get(name):
        return f"subject: {name!r} is the tower's own: it says itself when it heard a source, a job or a system"
    if name not in engine.folds:
        return f"subject: the rulebook has no object {name!r}; it has {', '.join(engine.folds)}"
    return ""


def _flaw(engine: Engine, event: Event) -> str:
    """Why what an event says cannot be taken; empty where it can."""
    if flaw := forged(engine, event):
        return flaw
    if event.type == "document.added":
        return _document_flaw(event)
    try:
        engine.folds[event.object].check(event)
    except ValueError as error:
        return str(error)
    return ""


def _document_flaw(event: Event) -> str:
    for key in ("document", "text"):
        value = event.data.get(key)
        if not isinstance(value, str) or not value:
            return f"data.{key}: {msgspec.json.encode(value).decode():.60} is not a non-empty text"
    return ""
