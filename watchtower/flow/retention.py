"""Retention: whom the rulebook keeps no longer (`keep_personal`), and what only the past of operations needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from watchtower.flow.apply import Engine
from watchtower.rules.spans import parse_span, shift
from watchtower.store import retention
from watchtower.store.database import Connection

AT_ONCE = 100
"""People erased in one transaction."""


@dataclass(frozen=True)
class Retained:
    """What is to go, or has gone. `people`: subjects, each with the reason."""

    people: Mapping[str, str]
    notifications: int
    letters: int
    snapshots: tuple[Path, ...]

    @property
    def anything(self) -> bool:
        return bool(self.people or self.notifications or self.letters or self.snapshots)

    def counts(self) -> dict[str, int]:
        return {
            "people": len(self.people), "notifications": self.notifications, "letters": self.letters,
            "snapshots": len(self.snapshots),
        }  # fmt: skip


def due(conn: Connection, engine: Engine, now: datetime, days: int, snapshots: Path) -> Retained:
    """What is to go: people whose last event is older than their object's `keep_personal`; and, older than `days`,
    notifications that went out about alerts that are over or about none, closed dead letters, detectors' snapshots."""
    book, people = engine.program.book, dict[str, str]()
    for name, model in book.objects.items():
        if model.keep_personal:
            before = shift(now, -parse_span(model.keep_personal.lower()), book.zone)
            because = f"kept for {model.keep_personal} after the last event, as the rulebook says"
            people |= {f"{name}/{record}": because for record in retention.people(conn, name, before)}
    before = now - timedelta(days=days)
    taken = f"{before:%Y%m%dT%H%M%SZ}"
    old = tuple(path for path in sorted(snapshots.glob("*.parquet")) if path.stem.rpartition("-")[2] < taken)
    return Retained(people, *retention.prunable(conn, before), old)


def lots(people: Mapping[str, str]) -> Iterator[list[tuple[str, str]]]:
    """People, AT_ONCE together."""
    items = list(people.items())
    yield from (items[first : first + AT_ONCE] for first in range(0, len(items), AT_ONCE))


def let_go(conn: Connection, found: Retained, now: datetime, days: int) -> Retained:
    """Delete what operations no longer need; what went. People are erased before, each by its own decision."""
    messages, letters = retention.prune(conn, now - timedelta(days=days))
    for path in found.snapshots:
        path.unlink(missing_ok=True)
    return replace(found, notifications=messages, letters=letters)
