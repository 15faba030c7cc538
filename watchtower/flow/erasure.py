"""A person is erased: the key is destroyed, and no copy of what it sealed can be read any more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import msgspec

from watchtower.contract import CORE_SOURCE, Event, format_time
from watchtower.errors import InputError
from watchtower.flow.apply import Engine
from watchtower.store import deadletters, journal, sealing
from watchtower.store.database import Connection

ERASED = "tower.erased"


@dataclass(frozen=True)
class Erasure:
    """What was done. `key` names the destroyed key; `entries` of the journal held values; `letters` were emptied."""

    subject: str
    key: str
    at: datetime
    entries: int
    letters: int


def erase(conn: Connection, engine: Engine, subject: str, *, because: str, by: str, now: datetime) -> Erasure:
    """Erase a person. A second time changes nothing. InputError where the subject's object holds nothing personal."""
    name, _, record = subject.partition("/")
    if not engine.program.book.personal.get(name) or not record:
        known = ", ".join(sorted(engine.program.book.personal)) or "none"
        raise InputError(
            f"{subject}: the rulebook marks nothing of {name!r} as personal",
            remedy=f"objects with personal fields: {known}",
        )
    if not because.strip():
        raise InputError("because: an erasure says why")
    entries = 0
    tokens: set[str] = set()
    for _, event, _ in journal.events_of(conn, name, [record]):
        held = _tokens(event)
        entries += bool(held)
        tokens |= held
    values = [value for value in sealing.open_all(conn, sorted(tokens)) if value != sealing.ERASED]
    key = sealing.destroy(conn, name, record, now)
    letters = deadletters.redact(conn, [subject, *(value for value in values if isinstance(value, str))])
    told = Event(
        id=f"erased.{key}.{format_time(now)}", source=CORE_SOURCE, type=ERASED, subject=subject, time=now,
        data={"because": because, "by": by, "entries": entries, "letters": letters},
    )  # fmt: skip
    journal.append(conn, [told], layer="decision", received_at=now)
    return Erasure(subject, key, now, entries, letters)


def _tokens(event: Event) -> set[str]:
    fields = event.data.get("fields")
    values = [*(fields.values() if isinstance(fields, dict) else ()), event.data.get("text"), event.data.get("url")]
    return {value for value in values if sealing.is_sealed(value)}


def to_json(done: Erasure) -> dict[str, object]:
    return {**msgspec.to_builtins(done), "at": format_time(done.at)}
