"""The dead man's switch: when each watched source last spoke, each watched job ran, each system was last read.

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


def system_heard(conn: Connection, engine: Engine, name: str, now: datetime, failure: str = "") -> Applied | None:
    """A round of a connected system has succeeded; or it refused us, and why. Nothing where that is known already."""
    if name not in engine.program.book.systems:
        return None
    known = records.load(conn, "system", [name])
    state = known[name].state if name in known else {}
    until = format_time(_end_of_minute(now))
    fields: dict[str, str | None]
    if failure:
        if state.get("failure") == failure:
            return None
        fields = {"failing_since": state.get("failing_since") or format_time(now), "failure": failure}
    else:
        if state.get("last_event_at", "") >= until and "failing_since" not in state:
            return None
        fields = {"last_event_at": until, "failing_since": None, "failure": None}
    what = "failed" if failure else "read"
    said = Event(
        id=f"heard.system.{name}.{format_time(now)}.{what}", source=CORE_SOURCE, type=HEARD, subject=f"system/{name}",
        time=now, data={"fields": {"name": name, **fields}, "ran": True},
    )  # fmt: skip
    journal.append(conn, [said], layer="decision", received_at=now)
    return apply_events(conn, engine, [said])


def begin_watching(conn: Connection, engine: Engine, now: datetime) -> None:
    """What is watched for the first time has, from now on, as long as it may be silent."""
    for kind, parts in engine.program.book.watched.items():
        known = records.load(conn, kind, list(parts)) if parts else {}
        found = [_event(kind, name, now, now) for name in parts if name not in known]
        journal.append(conn, found, layer="decision", received_at=now)
        if found:
            apply_events(conn, engine, found)


def _heard(conn: Connection, kind: str, names: list[str], now: datetime, *, ran: bool = False) -> list[Event]:
    until = _end_of_minute(now)
    known = records.load(conn, kind, names) if names else {}
    found = [
        _event(kind, name, now, until, ran=ran)
        for name in names
        if name not in known or known[name].state.get("last_event_at", "") < format_time(until)
    ]
    appended = journal.append(conn, found, layer="decision", received_at=now)
    return [event for event, result in zip(found, appended, strict=True) if result.verdict == "new"]


def _end_of_minute(now: datetime) -> datetime:
    until = now.replace(second=0, microsecond=0)
    return until if until == now else until + MINUTE


def _event(kind: str, name: str, now: datetime, until: datetime, *, ran: bool = False) -> Event:
    """`ran`: a job has run, which nothing else in the journal tells; a replay takes it as it stands."""
    at = format_time(until)
    more = {"ran": True} if ran else {}
    return Event(
        id=f"heard.{kind}.{name}.{at}", source=CORE_SOURCE, type=HEARD, subject=f"{kind}/{name}", time=now,
        data={"fields": {"name": name, "last_event_at": at}, **more},
    )  # fmt: skip
