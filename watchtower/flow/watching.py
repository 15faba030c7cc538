"""The dead man's switch: when each watched source last spoke, and each watched job last ran.

Each is a record of a built-in object, so that its silence is an ordinary rule. What moves the record is a decision in
the journal, `tower.heard`: of a source, at most one a minute, made of the core events that were new in that minute.
It follows from when they were received, and so a replay makes the same. Only what sources and people say comes
through the one door, and only there a source is heard: a worker's event never counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from watchtower.contract import CORE_SOURCE, Event, format_time
from watchtower.flow.apply import Applied, Engine, apply_events
from watchtower.rules.fold import HEARD
from watchtower.store import journal, records
from watchtower.store.database import Connection

MINUTE = timedelta(minutes=1)


def sources_heard(conn: Connection, engine: Engine, fresh: Iterable[Event], now: datetime) -> list[Event]:
    """The entries, journalled and yet to be applied, that say which watched sources these new events came from."""
    book = engine.program.book
    if not book.sources:
        return []
    speaking = {event.source for event in fresh}
    return _heard(
        conn, "source", [key for key, watch in book.sources.items() if (watch.source or key) in speaking], now
    )


def job_heard(conn: Connection, engine: Engine, name: str, now: datetime) -> Applied | None:
    """A job of the tower's own has run; nothing where the rulebook does not watch it."""
    if name not in engine.program.book.jobs:
        return None
    found = _heard(conn, "job", [name], now, ran=True)
    return apply_events(conn, engine, found) if found else None


def begin_watching(conn: Connection, engine: Engine, now: datetime) -> None:
    """What is watched for the first time has, from now on, as long as it may be silent."""
    for kind, parts in (("source", engine.program.book.sources), ("job", engine.program.book.jobs)):
        known = records.load(conn, kind, list(parts)) if parts else {}
        found = [_event(kind, name, now, now) for name in parts if name not in known]
        journal.append(conn, found, layer="decision", received_at=now)
        if found:
            apply_events(conn, engine, found)


def _heard(conn: Connection, kind: str, names: list[str], now: datetime, *, ran: bool = False) -> list[Event]:
    until = now.replace(second=0, microsecond=0)
    until = until if until == now else until + MINUTE
    known = records.load(conn, kind, names) if names else {}
    found = [
        _event(kind, name, now, until, ran=ran)
        for name in names
        if name not in known or known[name].state.get("last_event_at", "") < format_time(until)
    ]
    appended = journal.append(conn, found, layer="decision", received_at=now)
    return [event for event, result in zip(found, appended, strict=True) if result.verdict == "new"]


def _event(kind: str, name: str, now: datetime, until: datetime, *, ran: bool = False) -> Event:
    """`ran`: a job has run, which nothing else in the journal tells; a replay takes it as it stands."""
    at = format_time(until)
    more = {"ran": True} if ran else {}
    return Event(
        id=f"heard.{kind}.{name}.{at}", source=CORE_SOURCE, type=HEARD, subject=f"{kind}/{name}", time=now,
        data={"fields": {"name": name, "last_event_at": at}, **more},
    )  # fmt: skip
