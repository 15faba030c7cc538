"""Records that have been silent for longer than their own rhythm explains.

What is promised: of all gaps between activities that end, a share `budget` ever stands out, however often
the detector is run. A customer who calls every three days is missed after two weeks, one who calls every two months is
not; nothing is said of a record without a rhythm of its own. Where the cohort's own past shows that gaps tend to grow
(detectors.gap_tail), p-values grow with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from detectors.gap_tail import ENOUGH, Tail, past_gaps
from detectors.pvalues import Floats
from detectors.rhythm import Gaps, Rhythm
from detectors.snapshot import OPEN, Longs, Versions, check_request, micros, read_versions, time_of
from detectors.usage_evidence import Bools
from detectors.wording import HOUR, length, plural
from watchtower.contract import Calibration, DetectionRequest, Picture, Point, Signal

EARLIER = 5
"""Own gaps under which a record is not judged."""
SHOWN = 24
"""Earlier gaps in the picture."""
DAY = 24 * HOUR
MINIMUM = 30
"""Records with a rhythm under which the cohort's is not fitted."""
VISIT = 12 * HOUR
"""What follows an event sooner than this belongs to it: five mails of one afternoon are one activity."""
MEMORY = 50
"""The latest gaps of a record that are heeded."""


@dataclass(frozen=True)
class Silences:
    """Records with an activity, each with its earlier gaps and the one that is running. Microseconds."""

    ids: Any
    gaps: Gaps
    since: Longs
    """When the running gap began."""
    running: Floats
    owner: Longs
    """Of each single earlier gap: its record's place, ascending."""
    lengths: Floats


@dataclass(frozen=True)
class FittedGap:
    """The cohort's rhythm; None where too few records have one."""

    rhythm: Rhythm | None
    tail: Tail
    records: int
    abstentions: Mapping[str, str]
    """What the detector is silent on, and why."""
    at: int

    @property
    def tested(self) -> int:
        """Records that are judged."""
        return self.records if self.rhythm is not None else 0


class ActivityGap:
    """One signal for each record whose running gap has p <= budget; strength is hours beyond its usual gap.

    The request's `field` names a timestamp that holds when something last happened (last_activity_at): its values
    over the record's versions are the record's history.
    """

    name = "activity_gap"
    version = "1"
    in_parts = True

    def fit(self, snapshot: Any, request: DetectionRequest) -> FittedGap:
        """The rhythm of the gaps known at `request.at`. ValueError for a missing field or unknown parameter."""
        silences = _silences(snapshot, request)
        judged = silences.gaps.count >= EARLIER
        count, abstentions = int(judged.sum()), dict[str, str]()
        if count < judged.size:
            few = f"{judged.size - count} of {judged.size} {plural(request.object)}"
            abstentions["rhythm"] = f"{few} have fewer than {EARLIER} earlier gaps: no rhythm of their own"
        rhythm, tail = None, Tail()
        if count < MINIMUM:
            abstentions["cohort"] = f"{count} {plural(request.object)} have a rhythm; at least {MINIMUM} are needed"
        else:
            rhythm = Rhythm.fit(silences.gaps.take(np.flatnonzero(judged)))
            tail = Tail.fit(_past(rhythm, silences, judged))
        return FittedGap(rhythm, tail, count, abstentions, micros(request.at))

    def raise_signals(self, snapshot: Any, fitted: FittedGap, request: DetectionRequest) -> Sequence[Signal]:
        """Signals, strangest first, then by subject. ValueError where `fitted` knows a later time."""
        if fitted.at > micros(request.at):
            known = time_of(fitted.at).isoformat()
            raise ValueError(f"at: {request.at.isoformat()} is before {known}, up to which the fit has read")
        silences = _silences(snapshot, request)
        rows = np.flatnonzero((silences.gaps.count >= EARLIER) & (silences.running > 0))
        if fitted.rhythm is None or not rows.size:
            return []
        own = fitted.rhythm.p_values(silences.gaps.take(rows), silences.running[rows])
        p_values = fitted.tail.p_values(own)
        hits = np.flatnonzero(p_values <= request.budget)
        rows, p_values = rows[hits], p_values[hits]
        usual = fitted.rhythm.usual(silences.gaps.take(rows))
        signals = []
        for record, row, p_value, gap in zip(
            silences.ids.take(pa.array(rows)).to_pylist(), rows.tolist(), p_values.tolist(), usual.tolist(), strict=True
        ):
            silent = float(silences.running[row])
            began = time_of(int(silences.since[row]))
            signals.append(
                Signal(
                    request=request.id,
                    signal=request.signal,
                    subject=f"{request.object}/{record}",
                    detector=self.name,
                    version=self.version,
                    p_value=p_value,
                    strength=(silent - gap) / HOUR,
                    unit="hours",
                    direction="up",
                    explanation=(
                        f"Silent for {length(int(silent))}, where {length(int(gap))} are usual; "
                        f"its rhythm is told by {silences.gaps.count[row]} gaps before."
                    ),
                    began_at=began,
                    window_from=began,
                    window_to=request.at,
                    cohort=f"{fitted.records} {plural(request.object)}",
                    picture=_picture(silences, row, gap),
                )
            )
        return sorted(signals, key=lambda signal: (signal.p_value, signal.subject))

    def calibrate(self, snapshot: Any, request: DetectionRequest, *, seed: int = 0) -> Sequence[Calibration]:
        """Each record's gaps drawn anew from its rhythm; the cohort's rhythm fitted to them judges one gap more.

        And, where there are enough, the real gaps that ended: records of a random half judged by the other half's fit.
        """
        fitted = self.fit(snapshot, request)
        if fitted.rhythm is None:
            return []
        silences = _silences(snapshot, request)
        judged = silences.gaps.count >= EARLIER
        random = np.random.default_rng(seed)
        drawn, following = fitted.rhythm.draw(silences.gaps.take(np.flatnonzero(judged)), random)
        raised = int((Rhythm.fit(drawn).p_values(drawn, following) <= request.budget).sum())
        name = f"{fitted.records} {plural(request.object)}"
        found = [Calibration(cohort=name, promised=request.budget, raised=raised, judged=fitted.records, per="gap")]
        learnt = judged & (random.random(judged.size) < 0.5)
        rhythm = Rhythm.fit(silences.gaps.take(np.flatnonzero(learnt)))
        tail = Tail.fit(_past(rhythm, silences, learnt))
        if tail.ended >= ENOUGH:
            past = _past(rhythm, silences, judged & ~learnt)
            raised = int((tail.p_values(past) <= request.budget).sum())
            per = "real gap that ended"
            found.append(Calibration(cohort=name, promised=request.budget, raised=raised, judged=past.size, per=per))
        return found


def _past(rhythm: Rhythm, silences: Silences, judged: Bools) -> Floats:
    """The p-values of the past gaps of these records."""
    mine = judged[silences.owner]
    owner, lengths = silences.owner[mine], silences.lengths[mine]
    return past_gaps(rhythm, owner, lengths, silences.running, EARLIER).p_values


def _picture(silences: Silences, row: int, usual: float) -> Picture:
    """The latest gaps, and the one that is running."""
    first, last = np.searchsorted(silences.owner, [row, row + 1])
    earlier = silences.lengths[max(first, last - SHOWN) : last]
    ends = silences.since[row] - np.append(np.cumsum(earlier[::-1])[::-1][1:], 0.0)
    points = [
        Point(f"until {time_of(int(end)):%Y-%m-%d}", float(gap) / DAY) for end, gap in zip(ends, earlier, strict=True)
    ]
    points.append(Point("running", float(silences.running[row]) / DAY))
    return Picture(of="days between activities", points=tuple(points), since=len(points) - 1, usual=usual / DAY)


def _silences(snapshot: Any, request: DetectionRequest) -> Silences:
    check_request(request, ActivityGap.name, ())
    if not request.field:
        raise ValueError(
            f"field: signal {request.signal!r} names none; activity_gap needs the time of the last activity"
        )
    versions = read_versions(snapshot, request.at)
    record, instant = _activities(versions, request.field)
    # a record that has ended is silent for good
    alive = np.zeros(len(versions.ids), dtype=np.bool_)
    alive[versions.record[versions.end == OPEN]] = True
    kept = alive[record]
    record, instant = record[kept], instant[kept]
    same = record[1:] == record[:-1]
    far = np.diff(instant) >= VISIT
    # a visit ends with its last event; a gap runs from there to the next visit's first
    pairs = np.flatnonzero(same & far)
    last = np.append(~same, True) if record.size else np.empty(0, dtype=np.bool_)
    owners, whose = np.unique(record[last], return_inverse=True)
    place = np.full(len(versions.ids), -1, dtype=np.int64)
    place[owners] = whose
    mine = place[record[pairs]]
    recent = _recent(mine)
    gaps = np.diff(instant)[pairs][recent].astype(np.float64)
    since = instant[last]
    return Silences(
        ids=versions.ids.take(pa.array(owners)),
        gaps=Gaps.of(mine[recent], gaps, owners.size),
        since=since,
        running=(versions.at - since).astype(np.float64),
        owner=mine[recent],
        lengths=gaps,
    )


def _recent(owner: Longs) -> Longs:
    """Of rows in order of their owner, the last MEMORY of each."""
    ends = np.append(np.flatnonzero(np.diff(owner)), owner.size - 1)
    from_end = np.repeat(ends, np.diff(ends, prepend=-1)) - np.arange(owner.size)
    return np.flatnonzero(from_end < MEMORY) if owner.size else owner


def _activities(versions: Versions, field: str) -> tuple[Longs, Longs]:
    """(record, time) of each value that the field ever had up to the versions' time, in order, each once."""
    column = versions.column(field)
    if not pa.types.is_timestamp(column.type):
        raise ValueError(f"field: {field!r} is a {column.type}; accepted here are timestamps")
    filled = pc.fill_null(column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()), OPEN)
    instant = filled.to_numpy()
    known = instant <= versions.at
    record, instant = versions.record[known], instant[known]
    order = np.lexsort((instant, record))
    record, instant = record[order], instant[order]
    fresh = np.ones(record.size, dtype=np.bool_)
    fresh[1:] = (record[1:] != record[:-1]) | (instant[1:] != instant[:-1])
    return record[fresh], instant[fresh]
