"""Rows into events, a chunk at a time: each entry of the mapping is compiled once, and works by column.

A chunk of some thousand rows is read as columns; each part of an entry (subject, time, type, data) is one
pass over the columns it needs; a fault is kept beside its row, so that the good rows pay nothing for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import repeat
from typing import Any

import msgspec

from watchtower.connectors import values
from watchtower.connectors.mapping import Cell, Entry, Template, Test, TypeOf
from watchtower.connectors.mapping import Mapping as RowMapping
from watchtower.connectors.repeats import Repeats
from watchtower.connectors.source import Refused
from watchtower.contract import Event

SKIP = "skip"
_MEMO_LIMIT = 50_000
_ENCODE = msgspec.json.Encoder().encode

Columns = Mapping[str, Sequence[Any]]
Faults = dict[int, str]


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows as columns, None where a cell is empty."""

    columns: Columns
    rows: int
    place: Callable[[int], str]
    """Where a row stands, by its number in the chunk."""

    def row(self, number: int) -> dict[str, Any]:
        """One row as plain JSON values, as `Refused.raw` shows it."""
        return {name: _shown(column[number]) for name, column in self.columns.items()}


def _shown(cell: Any) -> Any:
    try:
        return values.plain(cell)
    except ValueError:
        return str(cell)


class _Memo(dict[Any, Any]):
    """Results by cell, for columns that repeat few values. Forgets all when it has grown too large."""

    def __init__(self, reckon: Callable[[Any], Any]) -> None:
        super().__init__()
        self.reckon = reckon

    def __missing__(self, cell: Any) -> Any:
        if len(self) >= _MEMO_LIMIT:
            self.clear()
        self[cell] = result = self.reckon(cell)
        return result


@dataclass
class Compiled:
    """A mapping made ready for one reading of one file. Counts rows that are equal, so it is used once."""

    mapping: RowMapping
    repeats: Repeats = field(default_factory=Repeats)

    def __post_init__(self) -> None:
        self._entries = [_Entry(entry, self.mapping) for entry in self.mapping.events]

    def events(self, chunk: Chunk) -> tuple[list[Event], list[Refused]]:
        """The chunk's events in the order of its rows, then of the entries; and the rows set aside.

        A row is set aside for an entry, with that entry's reason; its other entries still give their events.
        """
        keys = _row_keys(chunk) if any(entry.id is None for entry in self.mapping.events) else []
        found: list[tuple[int, Event]] = []
        refused: list[tuple[int, str]] = []
        for entry in self._entries:
            events, faults = entry.events(chunk, keys, self.repeats)
            found += events
            refused += faults.items()
        if len(self._entries) > 1:
            found.sort(key=lambda pair: pair[0])  # stable: entries keep their order within a row
        refused.sort(key=lambda pair: pair[0])
        return (
            [event for _, event in found],
            [Refused(chunk.place(row), reason, chunk.row(row)) for row, reason in refused],
        )


def _row_keys(chunk: Chunk) -> list[bytes]:
    """Each row as bytes, equal for equal rows: what the usual id is a hash of."""
    columns = [_encodable(column) for column in chunk.columns.values()]
    return list(map(_ENCODE, zip(*columns, strict=True)))


def _encodable(column: Sequence[Any]) -> Sequence[Any]:
    known = {str, int, float, bool, type(None), datetime}
    return column if set(map(type, column)) <= known else [_shown(cell) for cell in column]


class _Entry:
    """One entry of the mapping, compiled."""

    def __init__(self, entry: Entry, mapping: RowMapping) -> None:
        self.entry = entry
        self.source = mapping.source
        self.zone = mapping.zone
        time = entry.time or mapping.time
        assert time is not None, "the mapping was validated"
        self.time = time
        self.fixed = time.fixed
        self.tests = [(name, _Memo(_tester(test))) for name, test in entry.when.items()]
        self.type = _Memo(lambda cell: entry.kind.of("" if cell is None else values.text(cell)))
        self.data = [_Reader(key, cell, self.zone, "omit") for key, cell in entry.data.items()]
        self.fields = [_Reader(key, cell, self.zone, entry.empty) for key, cell in (entry.fields or {}).items()]

    def events(self, chunk: Chunk, keys: list[bytes], repeats: Repeats) -> tuple[list[tuple[int, Event]], Faults]:
        """(row, event) in order of rows, and the reason for each row that gives none."""
        rows, columns, types, faults = self._chosen(chunk)
        if not rows:
            return [], faults
        wrong: Faults = {}  # by place among the chosen rows
        subjects = self._text(self.entry.subject, columns, "subject", wrong)
        times = self._times(columns, len(rows), wrong)
        datas = self._data(columns, len(rows), wrong)
        if self.entry.id is not None:
            ids: Sequence[str] = self._text(self.entry.id, columns, "id", wrong)
        else:
            ids = self._ids(rows, types, subjects, keys, repeats)
        source = self.source
        parts = zip(rows, ids, types, subjects, times, datas, strict=True)
        if wrong:
            faults.update((rows[place], reason) for place, reason in wrong.items())
            parts = (part for place, part in enumerate(parts) if place not in wrong)  # type: ignore[assignment]
        return [
            (row, Event(id=id_, source=source, type=type_, subject=subject, time=time, data=data))
            for row, id_, type_, subject, time, data in parts
        ], faults

    def _chosen(self, chunk: Chunk) -> tuple[Sequence[int], Columns, list[str], Faults]:
        """The rows that the entry applies to, their columns and types, and rows whose type is not told."""
        rows: Sequence[int] = range(chunk.rows)
        for name, test in self.tests:
            column = chunk.columns[name]
            rows = [row for row in rows if test[column[row]]]
        kind: TypeOf = self.entry.kind
        faults: Faults = {}
        if kind.name is not None or kind.column is None:
            types = [kind.name or ""] * len(rows)
        else:
            column = chunk.columns[kind.column]
            told = [self.type[column[row]] for row in rows]
            if None in told:
                accepted = ", ".join([*(f"{key}..." for key in kind.prefix or {}), *(kind.equals or {})])
                for row, type_ in zip(rows, told, strict=True):
                    if type_ is None:
                        faults[row] = f"type: {kind.column} is {column[row]!r:.60}; the mapping knows {accepted}"
            if None in told or SKIP in told:
                rows = [row for row, type_ in zip(rows, told, strict=True) if type_ not in (None, SKIP)]
                told = [type_ for type_ in told if type_ not in (None, SKIP)]
            types = told
        if len(rows) == chunk.rows:
            return rows, chunk.columns, types, faults
        picked = {name: [column[row] for row in rows] for name, column in chunk.columns.items()}
        return rows, picked, types, faults

    def _text(self, form: Template, columns: Columns, what: str, wrong: Faults) -> list[str]:
        texts: list[list[str]] = []
        for name in form.columns:
            column = columns[name]
            if set(map(type, column)) != {str}:
                column = ["" if cell is None else values.text(cell) for cell in column]
            if not all(column):
                for place, cell in enumerate(column):
                    if not cell:
                        wrong.setdefault(place, f"{what}: the column {name} is empty")
            texts.append(list(column))
        parts = form.parts
        filled: list[str]
        if len(texts) == 1:
            before, after = parts
            filled = [f"{before}{cell}{after}" for cell in texts[0]]
        else:
            rest = parts[1:]
            filled = [
                parts[0] + "".join(cell + fixed for cell, fixed in zip(cells, rest, strict=True))
                for cells in zip(*texts, strict=True)
            ]
        if max(map(len, filled), default=0) > 1024 or "\0" in "".join(filled):
            for place, one in enumerate(filled):
                if len(one) > 1024 or "\0" in one:
                    wrong.setdefault(place, f"{what}: {one!r:.60} is longer than 1024 characters, or has a NUL")
        return filled

    def _times(self, columns: Columns, count: int, wrong: Faults) -> Sequence[datetime]:
        if self.fixed is not None:
            return [self.fixed] * count
        column = columns[self.time.column or ""]
        times: list[datetime] = []
        for place, cell in enumerate(column):
            if type(cell) is datetime and cell.tzinfo is UTC:
                times.append(cell)
                continue
            try:
                if cell is None:
                    raise ValueError("is empty")
                times.append(values.instant(cell, self.zone, self.time.format))
            except ValueError as error:
                wrong.setdefault(place, f"time: the column {self.time.column}: {error}")
                times.append(values.EPOCH)
        return times

    def _data(self, columns: Columns, count: int, wrong: Faults) -> list[dict[str, Any]]:
        datas = _dicts(self.data, columns, count, wrong)
        if self.entry.fields is not None:
            for data, fields in zip(datas, _dicts(self.fields, columns, count, wrong), strict=True):
                data["fields"] = fields
        return datas

    def _ids(
        self,
        rows: Sequence[int],
        types: list[str],
        subjects: list[str],
        keys: list[bytes],
        repeats: Repeats,
    ) -> list[str]:
        """A hash of the row, of what it is taken for and of whom; equal rows are told apart by a count.

        The hash is over the whole row, not over the event: where the mapping is changed later, importing
        the file again is a conflict that is named, and not a second set of events.
        """
        digests = [
            blake2b(b"%b\n%b\n%b" % (keys[row], type_.encode(), subject.encode()), digest_size=16).digest()
            for row, type_, subject in zip(rows, types, subjects, strict=True)
        ]
        counts = repeats.number(digests)
        return [
            digest.hex() if count == 1 else f"{digest.hex()}.{count}"
            for digest, count in zip(digests, counts, strict=True)
        ]


class _Reader:
    """One key of the event's data (or fields), from its cell."""

    def __init__(self, key: str, cell: Cell, zone: Any, empty: str) -> None:
        self.key = key
        self.cell = cell
        self.clears = (cell.empty or empty) == "clear"
        self.typed = cell.kind is not None or cell.values is not None
        convert = values.converter(cell.kind, zone, cell.format)
        if (named := cell.values) is not None:
            accepted = ", ".join(named)

            def convert(given: Any) -> Any:
                if (said := values.text(given).strip()) not in named:
                    raise ValueError(f"{said!r:.60} is not one of {accepted}")
                return named[said]

        self.memo = _Memo(convert)

    def read(self, columns: Columns, count: int, wrong: Faults) -> Sequence[Any]:
        """The values, None where empty; faults go to `wrong`."""
        if self.cell.column is None:
            return list(repeat(self.cell.value, count))
        column = columns[self.cell.column]
        if not self.typed and set(map(type, column)) <= {str, int, bool, type(None)}:
            return column
        result: list[Any] = []
        for place, cell in enumerate(column):
            try:
                if cell is None or cell == "":
                    result.append(None)
                elif isinstance(cell, str):
                    result.append(self.memo[cell])
                else:
                    result.append(self.memo.reckon(cell))
            except ValueError as error:
                wrong.setdefault(place, f"{self.key}: the column {self.cell.column}: {error}")
                result.append(None)
        return result


def _dicts(readers: list[_Reader], columns: Columns, count: int, wrong: Faults) -> list[dict[str, Any]]:
    """One dict a row. An empty cell is left out, or null where it clears."""
    keys = [reader.key for reader in readers]
    if not keys:
        return [{} for _ in range(count)]
    read = [reader.read(columns, count, wrong) for reader in readers]
    keeps = [reader.clears or reader.cell.column is None or None not in read[n] for n, reader in enumerate(readers)]
    rows = zip(*read, strict=True)
    if all(keeps):
        return [dict(zip(keys, row, strict=True)) for row in rows]
    kept = list(zip(keys, keeps, strict=True))
    return [
        {key: cell for (key, keep), cell in zip(kept, row, strict=True) if keep or cell is not None} for row in rows
    ]


def _tester(test: Test) -> Callable[[Any], bool]:
    wanted = None if test.any_of is None else {values.text(value) for value in test.any_of}
    unwanted = None if test.none_of is None else {values.text(value) for value in test.none_of}

    def holds(cell: Any) -> bool:
        said = "" if cell is None else values.text(cell)
        return (
            (wanted is None or said in wanted)
            and (unwanted is None or said not in unwanted)
            and (test.prefix is None or said.startswith(test.prefix))
            and (test.empty is None or (said == "") == test.empty)
        )

    return holds
