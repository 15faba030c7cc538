"""Reading weekly usage: one row for each account and week with usage, as the tower's weekly snapshots have it.

Columns: `record`, `valid_from` and `valid_to` (the week's bounds, in the company's time zone) and `value` (the sum of
what was recorded). A week without a row is one without usage, from the account's first week on, or, where the
request says `missing: unknown`, one that nobody knows. A week in which far fewer accounts reported than usual
is left out for all: a feed that stopped is not a fall of usage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from detectors.pvalues import Floats
from detectors.snapshot import FRAME, Longs, check_request, instants, micros, time_of
from detectors.usage_evidence import Bools
from watchtower.contract import DetectionRequest

PARAMETERS = ("events", "metric", "missing")
"""`events` and `metric` say what is in the snapshot: they are read where it is made."""
WEEK = 7 * 86_400_000_000
REPORTING = 0.5
"""Of the accounts that usually report, the share under which a week counts as not delivered."""


@dataclass(frozen=True)
class Usage:
    """Accounts by week, up to the last week that was complete at the request's time."""

    ids: Any
    """(n,) record ids, a pyarrow Array of text."""
    values: Floats
    """(n, T); 0 where nothing is known"""
    known: Bools
    """(n, T); False before an account's first week"""
    begins: Longs
    """(n,) the column of the account's first week"""
    weeks: Longs
    """(T,) each week's start, microseconds since 1970"""
    until: int
    """The end of the last week."""
    gaps: Mapping[str, str]
    """Weeks that are left out, and why."""

    def name(self, week: int) -> str:
        """The week's first day in UTC, or the day that begins within hours of it: `2026-03-02`."""
        return f"{time_of(int(self.weeks[week]) + WEEK // 14):%Y-%m-%d}"


def read_usage(snapshot: Any, request: DetectionRequest, detector: str) -> Usage:
    """The weeks complete at `request.at`. ValueError where the snapshot is not one of weekly usage."""
    check_request(request, detector, PARAMETERS)
    missing = request.parameters.get("missing", "zero")
    if missing not in ("zero", "unknown"):
        raise ValueError(f"parameters.missing: {missing!r} is not known; accepted are zero, unknown")
    for name in (*FRAME, "value"):
        if name not in snapshot.column_names:
            raise ValueError(
                f"snapshot: has no column {name!r}; {detector} reads weekly usage: "
                "give the signal the parameter `events`, such as usage.recorded"
            )
    start, end = instants(snapshot, "valid_from"), instants(snapshot, "valid_to")
    whole = end <= micros(request.at)
    if not whole.all():
        snapshot, start, end = snapshot.filter(pa.array(whole)), start[whole], end[whole]
    value = snapshot.column("value").cast(pa.float64(), safe=False).to_numpy()
    wrong = np.flatnonzero(~np.isfinite(value) | (value < 0))
    if wrong.size:
        record, when = snapshot.column("record")[int(wrong[0])].as_py(), time_of(start[wrong[0]])
        raise ValueError(f"value: {value[wrong[0]]} of {record} in the week of {when:%Y-%m-%d}: usage is 0 or more")
    record = snapshot.column("record").combine_chunks()
    encoded = record if pa.types.is_dictionary(record.type) else record.cast(pa.string()).dictionary_encode()
    # in order of id, so that nothing depends on the order of rows
    order = pc.array_sort_indices(encoded.dictionary)
    ids = encoded.dictionary.take(order)
    rank = np.empty(len(ids), dtype=np.int64)
    rank[order.to_numpy()] = np.arange(len(ids))
    code = rank[encoded.indices.to_numpy(zero_copy_only=False)]
    if not code.size:
        none = np.empty(0, dtype=np.int64)
        return Usage(ids, np.empty((0, 0)), np.empty((0, 0), dtype=np.bool_), none, none, 0, {})
    # a week is 167 or 169 hours long where clocks change: the nearest whole number counts
    first = int(start.min())
    week = np.rint((start - first) / WEEK).astype(np.int64)
    last = int(np.rint((_whole_until(int(end.max()), micros(request.at)) - first) / WEEK))
    count, place = len(ids), code * last + week
    values = np.bincount(place, weights=value, minlength=count * last).reshape(count, last).astype(np.float64)
    there = (np.bincount(place, minlength=count * last) > 0).reshape(count, last)
    begins = there.argmax(axis=1).astype(np.int64)
    known = there if missing == "unknown" else np.arange(last) >= begins[:, None]
    starts = first + np.arange(last, dtype=np.int64) * WEEK
    starts[week] = start
    usage = Usage(ids, values, known, begins, starts, int(end.max()), {})
    return _without_gaps(usage, there)


def _whole_until(end: int, at: int) -> int:
    """The end of the last week that is complete: of the last with a row, or later where nobody used anything."""
    return end + (at - end) // WEEK * WEEK


def _without_gaps(usage: Usage, there: Bools) -> Usage:
    """Left out are weeks in which under half as many accounts reported as is the median of the eight before."""
    reported = there.sum(axis=0)
    found: list[tuple[int, int, float]] = []
    known = usage.known
    for week in range(1, reported.size):
        usual = float(np.median(reported[max(0, week - 8) : week]))
        if usual >= 10 and reported[week] < REPORTING * usual:
            if known is usage.known:
                known = known.copy()
            known[:, week] = False
            reported[week] = usual
            found.append((week, int(there[:, week].sum()), usual))
    return Usage(usage.ids, usage.values, known, usage.begins, usage.weeks, usage.until, _told(usage, found))


def _told(usage: Usage, gaps: list[tuple[int, int, float]]) -> dict[str, str]:
    """One line for all weeks that are left out: `the weeks of 2026-01-19 to 2026-02-02 and of 2026-03-02`."""
    if not gaps:
        return {}
    runs: list[list[int]] = []
    for week, _, _ in gaps:
        if runs and week == runs[-1][-1] + 1:
            runs[-1].append(week)
        else:
            runs.append([week])
    names = [usage.name(run[0]) + (f" to {usage.name(run[-1])}" if len(run) > 1 else "") for run in runs]
    which = " and of ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    reported, usual = sorted({there for _, there, _ in gaps}), sorted({often for _, _, often in gaps})
    said = f"{_range(reported)} accounts reported where {_range(usual)} usually do"
    many = len(gaps) > 1
    left_out = f"the {len(gaps)} weeks are left out" if many else "the week is left out"
    return {f"the week{'s' if many else ''} of {which}": f"{said}: the feed looks incomplete, and {left_out}"}


def _range(values: Sequence[float]) -> str:
    """`20`, or `20 to 41`; ascending."""
    return f"{values[0]:g}" if len(values) == 1 else f"{values[0]:g} to {values[-1]:g}"
