"""Deals whose expected close is put off again and again, against other deals at the same age.

An open deal that was put off m times by age a is held against all deals that were still open at age a, those decided
since and those open now: the p-value is the share of them, itself included, that had been put off at least m times by
then. Age runs from the first date. Of deals like the others a share `budget` at most stands out at any one run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from detectors.due import due_times, in_stages, pushes_of
from detectors.pvalues import Floats
from detectors.snapshot import OPEN, Longs, Versions, check_request, micros, names_in, read_versions, time_of
from detectors.wording import plural, share_of
from watchtower.contract import Contributor, DetectionRequest, Picture, Point, Signal

MINIMUM = 30
"""Other deals that reached an age, under which none is judged at it."""
SHOWN = 40
"""Points of a picture at most."""


@dataclass(frozen=True)
class Histories:
    """By record, in the order of the versions' ids: when its date was first known, and when it was decided."""

    begun: Longs
    """OPEN where it never had a date."""
    ended: Longs
    """OPEN where it is still open."""
    pushed: tuple[Longs, Longs, Floats]
    """Record, time and days of each push, in order of record and time."""
    rows: Longs
    """The row of each push."""


@dataclass(frozen=True)
class FittedPushes:
    """Ages, in microseconds: of the m-th push of each deal that had so many, and to which each deal was open."""

    at_push: tuple[Longs, ...]
    """The n-th ascending: ages at push n + 1."""
    lengths_of: tuple[Longs, ...]
    """The n-th ascending: lengths of the deals with at least n + 1 pushes."""
    lengths: Longs
    """Ascending."""
    abstentions: Mapping[str, str]
    at: int

    def p_value(self, pushes: int, age: int) -> tuple[float, int]:
        """Of a deal of these that is open at `age`; and how many others reached that age.

        A push cannot come after the end: of the deals with an m-th push by then, those that ended before are
        all that ended before with so many.
        """
        reached = self.lengths.size - int(np.searchsorted(self.lengths, age, side="left"))
        early = int(np.searchsorted(self.at_push[pushes - 1], age, side="right"))
        over = int(np.searchsorted(self.lengths_of[pushes - 1], age, side="left"))
        return (early - over) / reached, reached - 1

    def usual(self, age: int) -> int:
        """How often half of the deals that are open at an age had been put off by then, or more often."""
        counts = (count for count in range(len(self.at_push), 0, -1) if self.p_value(count, age)[0] >= 0.5)
        return next(counts, 0)


class ClosePush:
    """One signal for each open deal put off more often than its peers; strength is by how many days in all.

    Parameters: `date`, the field of the expected close; `closed`, the stages in which a deal is decided, parted by
    commas. The request's field is the stage.
    """

    name = "close_push"
    version = "1"
    in_parts = True

    def fit(self, snapshot: Any, request: DetectionRequest) -> FittedPushes:
        """What was put off when. ValueError for a missing field or parameter."""
        _, found = _histories(snapshot, request)
        dated = found.begun != OPEN
        length = np.minimum(found.ended, micros(request.at)) - found.begun
        record, time, _ = found.pushed
        ordinal = np.arange(record.size) - np.searchsorted(record, record, side="left")
        most = int(ordinal.max(initial=-1)) + 1
        having = [ordinal == number for number in range(most)]
        count = int(dated.sum())
        return FittedPushes(
            at_push=tuple(np.sort(time[one] - found.begun[record[one]]) for one in having),
            lengths_of=tuple(np.sort(length[record[one]]) for one in having),
            lengths=np.sort(length[dated]),
            abstentions={}
            if count > MINIMUM
            else {plural(request.object): f"{count} have had a date; more than {MINIMUM} are needed"},
            at=micros(request.at),
        )

    def raise_signals(self, snapshot: Any, fitted: FittedPushes, request: DetectionRequest) -> Sequence[Signal]:
        """Signals, strangest first, then by subject. ValueError where `fitted` knows another time."""
        if fitted.at != micros(request.at):
            known = time_of(fitted.at).isoformat()
            raise ValueError(f"at: {request.at.isoformat()} is not {known}, up to which the fit has read")
        versions, found = _histories(snapshot, request)
        record, time, days = found.pushed
        due = due_times(versions, str(request.parameters["date"]))
        going_on = np.flatnonzero(found.ended[record] == OPEN)
        signals = []
        for code in np.unique(record[going_on]).tolist():
            mine = np.flatnonzero(record == code)
            p_value, others = fitted.p_value(mine.size, fitted.at - int(found.begun[code]))
            if others < MINIMUM or p_value > request.budget:
                continue
            name = versions.ids[code].as_py()
            total = float(days[mine].sum())
            began_at, now = time_of(int(time[mine[0]])), time_of(int(due[found.rows[mine[-1]]]))
            less = share_of(1.0 - (p_value * (others + 1) - 1) / others, others)
            times = "once" if mine.size == 1 else f"{mine.size} times"
            signals.append(
                Signal(
                    request=request.id, signal=request.signal, subject=f"{request.object}/{name}", detector=self.name,
                    version=self.version, p_value=p_value, strength=total, unit="days later", direction="up",
                    explanation=(
                        f"Put off {times}, by {total:.0f} days in all, now to {now:%Y-%m-%d}; {less} "
                        f"{plural(request.object)} had been put off less often at this age."
                    ),
                    began_at=began_at, window_from=time_of(int(found.begun[code])), window_to=request.at,
                    cohort=f"{others + 1} {plural(request.object)}",
                    contributors=tuple(
                        Contributor(
                            name=f"{time_of(int(time[one])):%Y-%m-%d}", value=float(days[one]),
                            weight=float(days[one]) / total,
                        )
                        for one in mine
                    ),
                    picture=Picture(
                        of="times put off so far",
                        points=tuple(
                            Point(f"{time_of(int(time[one])):%Y-%m-%d}", float(count))
                            for count, one in enumerate(mine[-SHOWN:].tolist(), start=max(1, mine.size - SHOWN + 1))
                        ),
                        since=0,
                        usual=float(fitted.usual(fitted.at - int(found.begun[code]))),
                    ),
                )
            )  # fmt: skip
        return sorted(signals, key=lambda signal: (signal.p_value, -signal.strength, signal.subject))


def _histories(snapshot: Any, request: DetectionRequest) -> tuple[Versions, Histories]:
    check_request(request, ClosePush.name, ("date", "closed"))
    for name in ("date", "closed"):
        if not request.parameters.get(name):
            raise ValueError(f"parameters.{name}: missing; such as date: close_date, closed: 'won,lost'")
    if not request.field:
        raise ValueError(f"field: signal {request.signal!r} names none; close_push needs the stage field")
    versions = read_versions(snapshot, request.at)
    due = due_times(versions, str(request.parameters["date"]))
    closed = in_stages(versions, request.field, names_in(request.parameters["closed"]))
    pushes = pushes_of(versions, due, closed)
    size = len(versions.ids)
    begun = np.full(size, OPEN, dtype=np.int64)
    dated = np.flatnonzero((due != OPEN) & ~closed)
    np.minimum.at(begun, versions.record[dated], versions.start[dated])
    first, last = np.flatnonzero(versions.first), np.flatnonzero(np.append(versions.first[1:], True)[: due.size])
    last_open = first - 1
    open_rows = np.flatnonzero(~closed)
    last_open[np.searchsorted(versions.record[first], versions.record[open_rows])] = open_rows
    # decided: since the first of the closed versions at the end, so that a decision taken back is none; else deleted
    decided = versions.start[np.minimum(last_open + 1, last)]
    ended = np.full(size, OPEN, dtype=np.int64)
    ended[versions.record[last]] = np.where(closed[last], decided, versions.end[last])
    record = versions.record[pushes.row]
    return versions, Histories(begun, ended, (record, versions.start[pushes.row], pushes.days), pushes.row)
