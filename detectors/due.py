"""Days on which something is to be: a field with a date, such as the expected close, and how often it was moved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from detectors.snapshot import OPEN, Longs, Versions
from detectors.weeks import MONDAY, WEEK
from detectors.wording import HOUR

DAY = 24 * HOUR
SECOND = 1_000_000


def due_times(versions: Versions, field: str) -> Longs:
    """Each row's date as microseconds since 1970 (a date is its midnight in UTC); OPEN where it is null."""
    column = versions.column(field)
    if not (pa.types.is_date(column.type) or pa.types.is_timestamp(column.type)):
        raise ValueError(f"field: {field!r} is a {column.type}; accepted here are dates and timestamps")
    exact = column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    times: Longs = pc.fill_null(exact, OPEN).to_numpy()
    return times


def in_stages(versions: Versions, field: str, names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Whether each row's value is one of these."""
    codes, found = versions.codes(field)
    member = np.array([name in names for name in found] + [False], dtype=np.bool_)
    return member[codes]


@dataclass(frozen=True)
class Pushes:
    """Columns of equal length, ordered by record, then time: each time a date was moved to a later one."""

    row: Longs
    """The row that has the later date."""
    days: NDArray[np.float64]
    """By how many."""


def pushes_of(versions: Versions, due: Longs, closed: NDArray[np.bool_]) -> Pushes:
    """A date that was cleared and set again is held against the last one known. After closing nothing is a push."""
    known = np.flatnonzero((due != OPEN) & ~closed)
    same = versions.record[known[1:]] == versions.record[known[:-1]]
    later = np.flatnonzero(same & (due[known[1:]] > due[known[:-1]])) + 1
    return Pushes(known[later], (due[known[later]] - due[known[later - 1]]) / DAY)


def open_weeks(versions: Versions, rows: NDArray[np.bool_]) -> tuple[Longs, Longs]:
    """(row, time) for each end of a week at which one of these rows was in force, up to the versions' time."""
    which = np.flatnonzero(rows)
    begin = (versions.start[which] - MONDAY) // WEEK
    end = (np.minimum(versions.end[which], versions.at) - MONDAY) // WEEK
    count = end - begin
    row = np.repeat(which, count)
    number = np.arange(row.size) - np.repeat(np.cumsum(count) - count, count)
    return row, MONDAY + (np.repeat(begin, count) + 1 + number) * WEEK


def rows_at(versions: Versions, record: Longs, time: Longs) -> Longs:
    """The row of each record that is in force at each time, to the second; -1 where none is."""
    if versions.record.size == 0:
        return np.full(record.size, -1, dtype=np.int64)
    origin = int(versions.start.min())
    span = (versions.at - origin) // SECOND + 2
    keys = versions.record * span + (versions.start - origin) // SECOND
    wanted = record * span + np.clip((time - origin) // SECOND, -1, span - 1)
    place = np.searchsorted(keys, wanted, side="right") - 1
    there = (place >= 0) & (versions.record[place] == record) & (versions.end[place] > time)
    rows: Longs = np.where(there, place, -1)
    return rows
