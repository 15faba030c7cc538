"""How each connected system stands, for people: `watchtower systems`, the doctor, and the rules that watch it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from watchtower.flow.apply import Engine
from watchtower.flow.watching import system_heard
from watchtower.rulebook import Rulebook
from watchtower.store import outbox
from watchtower.store import systems as store
from watchtower.store.database import Connection

LANE = "system."
"""Before a system's name: the receiver of what goes back to it."""


@dataclass(frozen=True)
class Standing:
    """One system. Times are aware UTC; None where it has not been."""

    name: str
    kind: str
    owner: str
    every: str
    began_at: datetime | None = None
    succeeded_at: datetime | None = None
    moved_at: datetime | None = None
    """When the cursor last moved."""
    failed_at: datetime | None = None
    failure: str = ""
    """Why its last round was broken off; empty where the last one succeeded."""
    records: dict[str, int] = field(default_factory=dict)
    """By the system's objects."""
    writes: dict[str, int] = field(default_factory=dict)
    """What goes back to it, by state of the outbox."""


def standing(conn: Connection, book: Rulebook) -> list[Standing]:
    """Every system of the rulebook, in its order."""
    states, found = store.states(conn), []
    writes: dict[str, dict[str, int]] = {}
    for receiver, state, count in outbox.counts(conn):
        if receiver.startswith(LANE):
            writes.setdefault(receiver.removeprefix(LANE), {})[state] = count
    for name, system in book.systems.items():
        known = states.get(name)
        every = (system.every or "15 minutes") if system.is_a.pulls else ""
        if known is None:
            found.append(Standing(name, system.kind, system.owner, every))
            continue
        found.append(Standing(
            name, system.kind, system.owner, every, known.began_at, known.succeeded_at, known.moved_at, known.failed_at,
            known.failure, store.counts(conn, name), writes.get(name, {}),
        ))  # fmt: skip
    return found


def note_success(conn: Connection, engine: Engine, name: str, now: datetime) -> None:
    """A round has ended well. What follows from it for its alerts is the next tick's."""
    store.succeeded(conn, name, now)
    system_heard(conn, engine, name, now)


def note_failure(conn: Connection, engine: Engine, name: str, failure: str, now: datetime, *, refused: bool) -> None:
    """A round was broken off. Where it was refused, its owner is told by the next tick; else silence will tell."""
    store.failed(conn, name, failure, now)
    if refused:
        system_heard(conn, engine, name, now, failure)
