"""What earlier events say and a rulebook that comes into force does not allow: found before anything is changed.

A field that is renamed, or an enum that loses a value, would empty the past: the author is told, and says what the old
names and values are now (`renamed_from`, `values_from`), or that they are to be passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from watchtower.errors import InputError
from watchtower.flow.apply import Engine
from watchtower.flow.streams import past_of
from watchtower.rulebook import Rulebook
from watchtower.store.database import Connection

SHOWN, KEPT = 8, 100


@dataclass
class Misfit:
    """A value that earlier events give a field, and the rulebook does not allow."""

    object: str
    field: str
    value: str
    """As JSON would show it, cut short."""
    why: str
    example: tuple[str, str]
    """(source, id) of the first such event."""
    events: int = 1

    def to_json(self) -> dict[str, Any]:
        return {"object": self.object, "field": self.field, "value": self.value, "events": self.events}

    def __str__(self) -> str:
        source, name = self.example
        counted = "1 event" if self.events == 1 else f"{self.events:,} events"
        return f"{self.object}.{self.why}: said by {counted}, the first of them ({source}, {name})"


def find_misfits(
    conn: Connection, engine: Engine, before: Rulebook, batches: Iterable[Sequence[tuple[str, str, datetime]]]
) -> list[Misfit]:
    """The misfits of the records in `batches`, the most frequent first; at most KEPT. Only objects are read of which a
    field admits other values than under the rulebook before."""
    changed = {
        name
        for name, model in engine.program.book.objects.items()
        if name in before.objects and _admits(before, name) != _admits(engine.program.book, name)
    }
    found: dict[tuple[str, str, str], Misfit] = {}
    for batch in batches if changed else ():
        by_object: dict[str, list[str]] = {}
        for name, record, _ in batch:
            if name in changed:
                by_object.setdefault(name, []).append(record)
        for name, records in by_object.items():
            for events in past_of(conn, name, records).values():
                for event in events:
                    for field, value, why in engine.folds[name].misfits(event):
                        shown = f"{value!r:.80}"
                        known = found.get((name, field, shown))
                        if known is None:
                            found[name, field, shown] = Misfit(name, field, shown, why, (event.source, event.id))
                        else:
                            known.events += 1
    return sorted(found.values(), key=lambda misfit: (-misfit.events, misfit.object, misfit.field, misfit.value))[:KEPT]


def _admits(book: Rulebook, name: str) -> dict[str, Any]:
    parts = {"type", "values", "min", "max", "to", "renamed_from", "values_from"}
    return {key: spec.model_dump(include=parts) for key, spec in book.objects[name].fields.items()}


def refused(misfits: Sequence[Misfit]) -> InputError:
    """What an author is told."""
    shown = [f"  {misfit}" for misfit in misfits[:SHOWN]]
    if len(misfits) > SHOWN:
        shown.append(f"  and {len(misfits) - SHOWN} more")
    return InputError(
        "earlier events say what this rulebook does not allow:\n" + "\n".join(shown),
        remedy="say what such values are now (values_from: {old: new} on the field), allow them, or pass them over "
        "(--pass-over): the fields then stay as the other events left them",
    )  # fmt: skip
