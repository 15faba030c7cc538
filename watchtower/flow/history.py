"""From events to versions, in memory: what backtests and `rules eval` read, whatever the engine.

Only the columns that rules read are kept, and a version is written only where one of them changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Any

import pyarrow as pa

from watchtower.contract import Event
from watchtower.errors import EventConflict, EventError
from watchtower.rules.compile import Program
from watchtower.rules.fold import ObjectFold, build_folds
from watchtower.rules.spans import micros

_ARROW: dict[str, pa.DataType] = {
    "integer": pa.int64(), "number": pa.float64(), "money": pa.float64(), "boolean": pa.bool_(),
    "list": pa.list_(pa.string()),
}  # fmt: skip

Problem = EventError | EventConflict


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


@dataclass
class History:
    """Every version of every record that the events make, and what could not be read."""

    versions: dict[str, Versions]
    problems: list[Problem] = field(default_factory=list)
    events: int = 0
    ignored: int = 0


def fold_history(
    program: Program, events: Iterable[Event], *, until: datetime | None = None, keep: list[Event] | None = None
) -> History:
    """The versions made by the events with time <= until, in order of time, then of arrival.

    A repeated (source, id) counts once; with another body, or with a value that a field does not allow, the
    event is named in `problems` and set aside; `keep` collects those that count. Events on objects that the
    rulebook does not name are only counted.
    """
    folds = build_folds(program)
    history = History({name: _empty(program, name) for name in program.book.objects})
    by_record: dict[str, list[Event]] = {}
    seen: dict[tuple[str, str], Event] = {}
    for event in events:
        history.events += 1
        first = seen.setdefault((event.source, event.id), event)
        if first is not event:
            if first != event:
                problem = f"event ({event.source}, {event.id}) stands twice with different bodies; the first counts"
                history.problems.append(EventConflict(problem))
            continue
        fold = folds.get(event.subject.partition("/")[0])
        if fold is None:
            history.ignored += 1
            continue
        try:
            fold.check(event)
        except ValueError as error:
            history.problems.append(EventError(f"event ({event.source}, {event.id}) on {event.subject}: {error}"))
            continue
        if until is None or event.time <= until:
            if keep is not None:
                keep.append(event)
            by_record.setdefault(event.subject, []).append(event)
    for subject, found in by_record.items():
        name, _, record = subject.partition("/")
        found.sort(key=attrgetter("time"))
        _append(folds[name], record, found, history.versions[name])
    return history


def _empty(program: Program, name: str) -> Versions:
    types = {column.name: column.type for column in program.columns_of[name].values()}
    return Versions(types, columns={column: [] for column in types})


def _append(fold: ObjectFold, record: str, events: Sequence[Event], into: Versions) -> None:
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
