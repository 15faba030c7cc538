"""What a replay made beside what is there: entries against entries, rows against rows. Pure, but for where rows go."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from watchtower.store.journal_rows import body_hash
from watchtower.store.scratch import Entry, Line

SAID = ("type", "object", "record", "time", "received_at", "data", "layer", "hash")
"""What of a decision must come out the same; its source and id tell which one it is."""
_EXACT = 10**16
"""Whole numbers from here on may have been written as floating-point ones, of which JSON text keeps no trace."""


@dataclass(frozen=True)
class Difference:
    """One thing that is not the same. `place`: `journal` or a table; `key`: which row; None: it is not there at all."""

    place: str
    key: str
    column: str
    kept: Any
    replayed: Any

    def __str__(self) -> str:
        if self.column == "":
            return f"{self.place} {self.key}: {_shown(self.kept)}, replayed: {_shown(self.replayed)}"
        return f"{self.place} {self.key}: {self.column} is {_shown(self.kept)}, replayed: {_shown(self.replayed)}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return "not there" if value is None else text if len(text) <= 200 else text[:200] + "..."


def body_differs(entry: Entry) -> Difference | None:
    """Whether an entry no longer is what was hashed when it was written."""
    event = entry.event
    made = body_hash(event).hex()
    if made == entry.hash or not _keeps_its_numbers(event.data):
        return None
    return Difference("journal", f"{entry.seq} ({entry.source}, {entry.id})", "body_hash", entry.hash, made)


def _keeps_its_numbers(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_keeps_its_numbers, value.values()))
    if isinstance(value, list):
        return all(map(_keeps_its_numbers, value))
    if isinstance(value, float):
        return value != 0.0
    return not isinstance(value, int) or -_EXACT < value < _EXACT


def alike(kept: Sequence[Entry], made: Sequence[Entry]) -> bool:
    """Whether these are the same entries under the same numbers, whoever's transaction wrote them."""
    return [msgspec.structs.replace(e, txn=None) for e in kept] == [msgspec.structs.replace(e, txn=None) for e in made]


def decisions_differ(kept: Sequence[Entry], made: Sequence[Entry]) -> list[Difference]:
    """How the decisions of one transaction differ from those made again: missing, added, changed, in another order."""
    known = {(entry.source, entry.id): entry for entry in kept}
    again = {(entry.source, entry.id): entry for entry in made}
    found = []
    for key in [*known, *(key for key in again if key not in known)]:
        old, new = known.get(key), again.get(key)
        name = f"{(old or again[key]).type} ({key[0]}, {key[1]})"
        if old is None or new is None:
            found.append(Difference("journal", name, "", _said(old), _said(new)))
            continue
        place = f"{old.seq} {name}"
        for column in SAID:
            if getattr(old, column) != getattr(new, column):
                found.append(Difference("journal", place, column, _plain(old, column), _plain(new, column)))
    if not found and list(known) != list(again):
        first = next(n for n, (a, b) in enumerate(zip(known, again, strict=True)) if a != b)
        found.append(Difference("journal", f"{kept[first].seq}", "order", list(known)[first][1], list(again)[first][1]))
    return found


def _said(entry: Entry | None) -> Any:
    return None if entry is None else msgspec.json.decode(entry.data)


def _plain(entry: Entry, column: str) -> Any:
    value = getattr(entry, column)
    return value if isinstance(value, str) else value.isoformat()


@dataclass(frozen=True)
class Digest:
    """A table in brief: how many rows, and BLAKE2b over them in the order of their keys."""

    rows: int
    digest: str


class Reader:
    """Lines as they go by, counted and hashed."""

    def __init__(self, lines: Iterable[Line], keep: Callable[[str], object] | None = None) -> None:
        self._lines, self._keep = iter(lines), keep
        self._hash, self._rows = hashlib.blake2b(digest_size=16), 0

    def __iter__(self) -> Iterator[Line]:
        for line in self._lines:
            self._rows += 1
            self._hash.update(line[1].encode() + b"\n")
            if self._keep is not None:
                self._keep(line[1] + "\n")
            yield line

    def digest(self) -> Digest:
        """Of what has gone by."""
        return Digest(self._rows, self._hash.hexdigest())


def rows_differ(table: str, kept: Iterable[Line], made: Iterable[Line]) -> tuple[int, Difference | None]:
    """How many rows differ, and the first of them. Both in the order of their keys."""
    count, first = 0, None
    left, right = iter(kept), iter(made)
    a, b = next(left, None), next(right, None)
    while a is not None or b is not None:
        ahead = a is not None and (b is None or a[0] < b[0])
        behind = b is not None and (a is None or b[0] < a[0])
        old, new = (None if behind else a), (None if ahead else b)
        if old != new:
            count += 1
            first = first or _row_difference(table, old, new)
        if not behind:
            a = next(left, None)
        if not ahead:
            b = next(right, None)
    return count, first


def _row_difference(table: str, old: Line | None, new: Line | None) -> Difference:
    key = "/".join((old or new or ((), ""))[0])
    was, now = (msgspec.json.decode(line[1]) if line is not None else None for line in (old, new))
    if was is None or now is None:
        return Difference(table, key, "", was, now)
    column = next(name for name in was | now if was.get(name) != now.get(name))
    return Difference(table, key, column, was.get(column), now.get(column))
