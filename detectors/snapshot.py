"""Reading a snapshot: the versions of one object's records, cut at the time of the request.

A snapshot is a pyarrow Table with the columns `record` (text), `valid_from` and `valid_to` (timestamps;
null: still so) and one column for each field. What lies after the request's time is not read: a version
that begins later is dropped, an end that comes later is open.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from watchtower.contract import DetectionRequest

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OPEN = np.iinfo(np.int64).max
"""The end of a version that is still in force at the time of the request."""
FRAME = ("record", "valid_from", "valid_to")

Longs = NDArray[np.int64]


def micros(time: datetime) -> int:
    """Microseconds since 1970 in UTC. ValueError where the time has no offset."""
    if time.tzinfo is None:
        raise ValueError(f"at: {time.isoformat()} has no offset; give a time in UTC")
    return (time - EPOCH) // timedelta(microseconds=1)


def time_of(value: int) -> datetime:
    """The inverse of `micros`."""
    return EPOCH + timedelta(microseconds=int(value))


def check_request(request: DetectionRequest, detector: str, accepted: Collection[str]) -> None:
    """ValueError names a parameter that the detector does not know, or a budget out of (0, 1)."""
    for name in request.parameters:
        if name not in accepted:
            known = ", ".join(sorted(accepted))
            raise ValueError(f"parameters.{name}: not known to detector {detector}; accepted are {known}")
    if not 0.0 < request.budget < 1.0:
        raise ValueError(f"budget: {request.budget} of signal {request.signal!r} is not between 0 and 1")


def names_in(text: object) -> tuple[str, ...]:
    """`won, lost` as ('won', 'lost')."""
    return tuple(part.strip() for part in str(text).split(",") if part.strip())


@dataclass(frozen=True)
class Versions:
    """Rows ordered by record (as `ids` has them), then time; a record's rows do not overlap."""

    table: Any
    """The rows, a pyarrow Table."""
    ids: Any
    """Record ids by code, a pyarrow Array of text."""
    record: Longs
    """The code of each row's record, ascending."""
    start: Longs
    """Microseconds since 1970."""
    end: Longs
    """Exclusive; OPEN where still in force at `at`."""
    at: int

    @property
    def first(self) -> NDArray[np.bool_]:
        """True where a row is its record's first."""
        return np.concatenate((np.ones(min(1, self.record.size), dtype=np.bool_), np.diff(self.record) != 0))

    @property
    def joined(self) -> NDArray[np.bool_]:
        """True where a row takes up its record's previous row without a gap."""
        joined = ~self.first
        joined[1:] &= self.end[:-1] == self.start[1:]
        return joined

    def codes(self, field: str) -> tuple[Longs, list[str]]:
        """Each row's value as a code into the list of texts; -1 where it is null."""
        column = self.column(field)
        if pa.types.is_nested(column.type):
            raise ValueError(f"field: {field!r} is a {column.type}; a cohort needs a plain value")
        encoded = column.cast(pa.string()).combine_chunks().dictionary_encode()
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        return codes, encoded.dictionary.to_pylist()

    def numbers(self, field: str) -> NDArray[np.float64]:
        """Each row's value as a float; NaN where it is null."""
        column = self.column(field)
        kind = column.type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
            raise ValueError(f"field: {field!r} is a {kind}; accepted here are numbers")
        numbers: NDArray[np.float64] = column.cast(pa.float64(), safe=False).to_numpy()
        return numbers

    def column(self, field: str) -> Any:
        """The column of a field. ValueError names the field and those there are."""
        there = [name for name in self.table.column_names if name not in FRAME]
        if field not in there:
            raise ValueError(f"field: {field!r} is not in the snapshot; its fields are {', '.join(there) or 'none'}")
        return self.table.column(field)


def read_versions(snapshot: Any, at: datetime) -> Versions:
    """The versions known at `at`. ValueError where a column of the frame is missing or holds nulls."""
    for name in FRAME:
        if name not in snapshot.column_names:
            raise ValueError(f"snapshot: has no column {name!r}; it needs {', '.join(FRAME)}")
    moment = micros(at)
    start = instants(snapshot, "valid_from")
    if snapshot.column("record").null_count or snapshot.column("valid_from").null_count:
        raise ValueError("snapshot: record and valid_from must not be null")
    known = start <= moment
    if not known.all():
        snapshot, start = snapshot.filter(pa.array(known)), start[known]
    end = instants(snapshot, "valid_to")
    end = np.where(end <= moment, end, OPEN)

    encoded = pc.cast(snapshot.column("record"), pa.string()).combine_chunks().dictionary_encode()
    record = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    steps = np.diff(record)
    if ((steps < 0) | ((steps == 0) & (np.diff(start) < 0))).any():
        order = np.lexsort((start, record))
        snapshot, record, start, end = snapshot.take(pa.array(order)), record[order], start[order], end[order]
    # a version ends at the latest where the record's next one begins
    same = np.diff(record) == 0
    end[:-1] = np.where(same, np.minimum(end[:-1], start[1:]), end[:-1])
    lasting = end > start
    if not lasting.all():
        snapshot = snapshot.filter(pa.array(lasting))
        record, start, end = record[lasting], start[lasting], end[lasting]
    return Versions(snapshot, encoded.dictionary, record, start, end, moment)


def micros_of(column: Any) -> NDArray[np.float64]:
    """A column of times or dates (midnight in UTC) as microseconds since 1970; NaN where null."""
    exact = column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    instants: NDArray[np.float64] = pc.cast(exact, pa.float64(), safe=False).to_numpy()
    return instants


def instants(snapshot: Any, name: str) -> Longs:
    """A column of times as microseconds since 1970; OPEN where null."""
    column = snapshot.column(name)
    if pa.types.is_null(column.type):
        return np.full(len(column), OPEN, dtype=np.int64)
    if not pa.types.is_timestamp(column.type) or column.type.tz is None:
        raise ValueError(f"snapshot: {name} is a {column.type}; accepted is a timestamp with a time zone")
    exact = column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    instants: Longs = pc.fill_null(exact, OPEN).to_numpy()
    return instants
