"""From events to versions: what backtests and `rules eval` read, whatever the engine.

Only the columns that rules read are kept, and a version is written only where one of them changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, islice
from operator import attrgetter
from typing import Any, Protocol

import pyarrow as pa

from watchtower.contract import Event
from watchtower.errors import EventConflict, EventError
from watchtower.rules.compile import Program
from watchtower.rules.fold import ObjectFold, build_folds
from watchtower.rules.merging import Merges, Numbered, decides, in_force, led_by, redirect, stream
from watchtower.rules.spans import micros
from watchtower.store.journal_rows import body_hash, key_flaw

_ARROW: dict[str, pa.DataType] = {
    "integer": pa.int64(), "number": pa.float64(), "money": pa.float64(), "boolean": pa.bool_(),
    "list": pa.list_(pa.string()),
}  # fmt: skip

Problem = EventError | EventConflict

IN_MEMORY = 300_000
"""Events that a history may hold in memory; more are laid out on disk."""


@dataclass
class Versions:
    """The versions of one object's records, by column. `vto` is None where a version still holds."""

    types: dict[str, str]
    record: list[str] = field(default_factory=list)
    vfrom: list[int] = field(default_factory=list)
    vto: list[int | None] = field(default_factory=list)
    columns: dict[str, list[Any]] = field(default_factory=dict)

    def arrow(self) -> pa.Table:
        """record, vfrom, vto (timestamps, UTC; null: open), and the columns with their types."""
        time = pa.timestamp("us", "UTC")
        arrays = {
            "record": pa.array(self.record, pa.string()),
            "vfrom": pa.array(self.vfrom, pa.int64()).cast(time),
            "vto": pa.array(self.vto, pa.int64()).cast(time),
        }
        for name, kind in self.types.items():
            values = self.columns[name]
            if kind in ("timestamp", "date"):
                array = pa.array(values, pa.string()).cast(time if kind == "timestamp" else pa.date32())
            else:
                array = pa.array(values, _ARROW.get(kind, pa.string()))
            arrays[name] = array
        return pa.table(arrays)


class Table(Protocol):
    """The versions of one object's records, wherever they stand."""

    def arrow(self) -> pa.Table: ...


@dataclass
class History:
    """Every version of every record that the events make, and what could not be read."""

    versions: Mapping[str, Table]
    problems: list[Problem] = field(default_factory=list)
    events: int = 0
    ignored: int = 0
    spill: Any = None
    """Where the versions stand on disk, what keeps them there."""


def fold_history(
    program: Program,
    events: Iterable[Event],
    *,
    until: datetime | None = None,
    keep: list[Event] | None = None,
    in_memory: int = IN_MEMORY,
) -> History:
    """The versions made by the events with time <= until, in order of time, then of arrival.

    What the door would not take (a value that a field does not allow, a subject that is too long) is named in
    `problems` and set aside; the event on that record that puts it right may bear the same (source, id). Of the others
    a repeated (source, id) counts once, and one with another body is named, too. `keep` collects those that count.
    Events on objects that the rulebook does not name are only counted. More than `in_memory` events are laid out on
    disk, unless they are kept.
    """
    if keep is not None:
        return _in_memory(program, events, until, keep)
    coming = iter(events)
    first = list(islice(coming, in_memory + 1))
    if len(first) <= in_memory:
        return _in_memory(program, first, until, None)
    return _on_disk(program, chain(first, coming), until)


def _on_disk(program: Program, events: Iterable[Event], until: datetime | None) -> History:
    from watchtower.flow.spill import Spill  # it takes its time to load, and is seldom needed

    spill = Spill(program)
    unwritten: list[Problem] = []
    for event in events:
        try:
            spill.add(event)
        except EventError as error:
            unwritten.append(error)
    versions, folded = spill.fold(until)
    problems = unwritten + [problem for _, problem in folded.problems]
    return History(versions, problems, spill.events, folded.ignored, spill)


def _in_memory(program: Program, events: Iterable[Event], until: datetime | None, keep: list[Event] | None) -> History:
    folds = build_folds(program)
    versions = {
        name: empty_versions({column.name: column.type for column in program.columns_of[name].values()})
        for name in program.book.objects
    }
    history = History(versions)
    by_record: dict[str, list[Event]] = {}
    seen: dict[tuple[str, str], Event] = {}
    vacant: set[tuple[str, str]] = set()
    """Keys under which nothing was taken so far."""
    merging: list[Event] = []
    for event in events:
        history.events += 1
        key = (event.source, event.id)
        first = seen.setdefault(key, event)
        if first is not event and not (key in vacant and first.subject == event.subject):
            if not same_body(first, event):
                history.problems.append(conflict(event))
            continue
        fold = folds.get(event.object)
        if fold is None:
            history.ignored += 1
            continue
        if because := unfit(fold, event):
            history.problems.append(refused(event, because))
            vacant.add(key)
            continue
        if first is not event:
            vacant.remove(key)
            del seen[key]  # anew, so that it stands in order of arrival
            seen[key] = event
        if decides(event):
            merging.append(event)
            continue
        if led_by(event) is not None:
            merging.append(event)
        if until is None or event.time <= until:
            if keep is not None:
                keep.append(event)
            by_record.setdefault(event.subject, []).append(event)
    if merges := merges_by(merging, until):
        numbers = {(event.source, event.id): number for number, event in enumerate(seen.values())}
        numbered = {
            subject: [(numbers[event.source, event.id], event) for event in found]
            for subject, found in by_record.items()
        }
        by_record = join(folds, numbered, merges)
    for subject, found in by_record.items():
        name, _, record = subject.partition("/")
        fold_record(folds[name], record, found, versions[name])
    return history


def merges_by(decisions: Iterable[Event], until: datetime | None) -> Merges:
    """The merges of these decisions that count: made by `until`, and not undone up to this day."""
    return Merges([merge for merge in in_force(decisions) if until is None or merge.at <= until])


def join(folds: Mapping[str, ObjectFold], said: Mapping[str, list[Numbered]], merges: Merges) -> dict[str, list[Event]]:
    """By subject, what each record is folded from, for what was said of each. All of a family must be there."""
    told: dict[str, dict[str, list[Numbered]]] = {}
    for subject, events in said.items():
        name, _, record = subject.partition("/")
        events = sorted(events, key=lambda one: (one[1].time, one[0]))
        fold = folds[name]
        told.setdefault(name, {})[record] = redirect(events, merges, fold.mentions, fold.rewrite, fold.refs.values())
    found: dict[str, list[Event]] = {}
    for name, records in told.items():
        for record in records:
            found[f"{name}/{record}"] = stream(name, record, records, merges)
    return found


def conflict(event: Event) -> EventConflict:
    return EventConflict(f"event ({event.source}, {event.id}) stands twice with different bodies; the first counts")


def refused(event: Event, because: str) -> EventError:
    return EventError(f"event ({event.source}, {event.id}) on {event.subject}: {because}")


def unfit(fold: ObjectFold, event: Event) -> str:
    """Why the door would not take this event; empty where it would."""
    if decides(event):
        return ""
    try:
        fold.check(event)
    except ValueError as error:
        return str(error)
    return key_flaw(event)


def same_body(one: Event, other: Event) -> bool:
    """Whether two events say the same, as the journal compares them: 1, 1.0 and true are three values there, and
    equal in Python."""
    return one == other and body_hash(one) == body_hash(other)


def empty_versions(types: Mapping[str, str]) -> Versions:
    return Versions(dict(types), columns={column: [] for column in types})


def fold_record(fold: ObjectFold, record: str, events: list[Event], into: Versions) -> None:
    """Add the versions of one record, whose events come in order of arrival."""
    events.sort(key=attrgetter("time"))
    names = tuple(into.columns)
    last: tuple[Any, ...] | None = None
    for time, now in fold.versions(events):
        values = tuple(map(now.state.get, names)) if now.alive else None
        if values == last:
            continue
        at = micros(time)
        if last is not None:
            into.vto[-1] = at
        last = values
        if values is None:
            continue
        into.record.append(record)
        into.vfrom.append(at)
        into.vto.append(None)
        for name, value in zip(names, values, strict=True):
            into.columns[name].append(value)
