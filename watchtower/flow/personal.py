"""Personal data at the door: sealed before anything is written, and left out of what comes about an erased person.

What is personal: the fields that the rulebook marks `personal: true`, and the text of documents about a record of an
object that has such a field. From here on everything that follows from an event (journal, records, versions, what an
alert read) holds the sealed form, and only the read side opens it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from watchtower.contract import Event
from watchtower.flow.apply import Engine
from watchtower.store import journal
from watchtower.store.database import Connection
from watchtower.store.sealing import PREFIX, SubjectKey, is_sealed, keys_for

DOCUMENT = "document.added"


def forged(engine: Engine, event: Event) -> str:
    """Why an event cannot be taken that brings sealed values of its own; empty where it brings none."""
    personal = engine.program.book.personal.get(event.object)
    if not personal:
        return ""
    fields = event.data.get("fields")
    values = [*(fields.values() if isinstance(fields, dict) else ()), event.data.get("text"), event.data.get("url")]
    if any(is_sealed(value) for value in values):
        return f"data: a text that begins with {PREFIX!r} is not accepted here"
    return ""


def seal(conn: Connection, engine: Engine, events: Sequence[Event], now: datetime) -> list[Event]:
    """The events with what is personal in them sealed. Those without are the same objects, at no cost."""
    book = engine.program.book
    found = list(events)
    places = [n for n, event in enumerate(events) if _brings(event, book.personal.get(event.object, frozenset()))]
    if not places:
        return found
    subjects: dict[str, set[str]] = {}
    for n in places:
        subjects.setdefault(events[n].object, set()).add(events[n].record_id)
    keys = {name: keys_for(conn, name, sorted(records), now) for name, records in subjects.items()}
    erased = [n for n in places if keys[events[n].object][events[n].record_id].secret is None]
    # What came before the erasure and comes again can no longer be compared: its key makes it a repeat.
    before = journal.events_by_key(conn, [(events[n].source, events[n].id) for n in erased]) if erased else {}
    for n in places:
        event, key = events[n], keys[events[n].object][events[n].record_id]
        known = before.get((event.source, event.id))
        found[n] = known if known is not None else _sealed(engine, event, key, book.personal[event.object])
    return found


def _brings(event: Event, personal: frozenset[str]) -> bool:
    if not personal:
        return False
    fields = event.data.get("fields")
    return event.type == DOCUMENT or (isinstance(fields, dict) and not personal.isdisjoint(fields))


def _sealed(engine: Engine, event: Event, key: SubjectKey, personal: frozenset[str]) -> Event:
    data = dict(event.data)
    if event.type == DOCUMENT:
        # An erased person's document is kept as a fact, without a word of it.
        for name in ("text", "url"):
            if isinstance(value := data.get(name), str) and value:
                data[name] = f"{PREFIX}{key.id}:" if key.secret is None else key.seal(name, value)
    if isinstance(fields := data.get("fields"), dict):
        parsers = engine.folds[event.object].parsers
        data["fields"] = {
            name: key.seal(name, parsers[name](value))
            if name in personal and value is not None and key.secret
            else value
            for name, value in fields.items()
            if name not in personal or value is None or key.secret is not None
        }
    return msgspec.structs.replace(event, data=data)
