"""Whether a record's trace of stages keeps to the declared lifecycle: facts, not statistics.

A trace is what a record's stage was, in order, each stay with its length. Told apart, per stay:

    unknown    a stage that is in none of the declared moves
    start      the record began where none may begin
    skip       a move that is not allowed, to a stage that allowed moves lead to: something in between was left out
    move       a move that is not allowed, to a stage that no allowed moves lead to
    loop       into the same stage for more than `visits` times
    late       longer in the stage than its limit; a stay that goes on is late as soon as it reaches the limit
    lacking    left the stage while a field was empty that must be known by then

The moves are looked up in a sorted array (detectors.lifecycle), all records at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from detectors.facts import FACT
from detectors.lifecycle import PARAMETERS, Compiled, Lifecycle, among
from detectors.snapshot import Longs, check_request, micros, read_versions, time_of
from detectors.spells import Spells, read_spells
from detectors.wording import HOUR, length, plural
from watchtower.contract import Contributor, DetectionRequest, Signal

KINDS = ("unknown", "start", "skip", "move", "loop", "late", "lacking")
"""What a stay can break; the n-th is bit n of its mask."""
UNKNOWN, START, SKIP, MOVE, LOOP, LATE, LACKING = (1 << bit for bit in range(len(KINDS)))
RECENT_DAYS = 30
SHOWN = 3
"""Violations that the sentence names."""

Masks = NDArray[np.uint8]
Flags = NDArray[np.bool_]


def check_traces(record: Longs, stage: Longs, duration: Longs, cycle: Compiled, lacking: Flags | None = None) -> Masks:
    """Which kinds each of n stays breaks, as a mask of `KINDS`; 0: none.

    `record` (n,) in blocks, each in order of time; `stage` (n,) codes into the cycle's names; `duration` (n,)
    microseconds; `lacking` (n,): left while a field that must be known was empty. A stay that follows one in the
    same stage (a gap in between) is no move and no new visit.
    """
    size = stage.size
    if size == 0:
        return np.zeros(0, dtype=np.uint8)
    masks = (~cycle.declared[stage]).astype(np.uint8)
    first = np.empty(size, dtype=np.bool_)
    first[0] = True
    np.not_equal(record[1:], record[:-1], out=first[1:])
    masks[first & ~cycle.starts[stage]] |= START

    moved = np.flatnonzero(~first[1:] & (stage[1:] != stage[:-1])) + 1
    moves = stage[moved - 1] * len(cycle.names) + stage[moved]
    wrong = np.flatnonzero(~among(cycle.moves, moves))
    # a move from or to a stage that nobody declared is told as that, not as a second fault
    wrong = wrong[cycle.declared[stage[moved[wrong] - 1]] & cycle.declared[stage[moved[wrong]]]]
    masks[moved[wrong]] |= np.where(among(cycle.skips, moves[wrong]), SKIP, MOVE).astype(np.uint8)

    masks[_repeated(record, stage, np.concatenate((np.flatnonzero(first), moved)), cycle)] |= LOOP
    masks[duration >= cycle.limits[stage]] |= LATE
    if lacking is not None:
        masks[lacking] |= LACKING
    return masks


def _repeated(record: Longs, stage: Longs, entered: Longs, cycle: Compiled) -> Longs:
    """The stays among `entered` that are one visit too many."""
    # only a record with more than twice as many stays as visits are allowed can come back that often
    ordinal = record[entered]
    ordinal = ordinal - ordinal.min()
    many = np.bincount(ordinal) > 2 * cycle.visits
    if not many.any():
        return np.zeros(0, dtype=np.int64)
    entered = np.sort(entered[many[ordinal]])
    keys = record[entered] * len(cycle.names) + stage[entered]
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    repeated: Longs = entered[order[cycle.visits :][keys[cycle.visits :] == keys[: -cycle.visits]]]
    return repeated


def lacking_fields(versions: Any, spells: Spells, cycle: Lifecycle) -> tuple[Flags, dict[str, Flags]]:
    """Which stays were left with an empty field that must be known by then; and the same for each field.

    What the record was when its next stage began decides: a field that came with the move was in time.
    """
    size = spells.stage.size
    missing: dict[str, Flags] = {}
    following = np.flatnonzero((spells.record[1:] == spells.record[:-1]) & (spells.stage[1:] != spells.stage[:-1]))
    for stage, names in cycle.requires.items():
        if stage not in spells.stages:
            continue
        left = following[spells.stage[following] == spells.stages.index(stage)]
        rows = pa.array(spells.row[left + 1])
        for name in names:
            null = versions.column(name).take(rows).is_null().to_numpy()
            missing.setdefault(name, np.zeros(size, dtype=np.bool_))[left[null]] = True
    anything = np.zeros(size, dtype=np.bool_)
    for flags in missing.values():
        anything |= flags
    return anything, missing


@dataclass(frozen=True)
class FittedConformance:
    """The lifecycle that the request declares: there is nothing to learn."""

    cycle: Lifecycle
    abstentions: Mapping[str, str]


class Conformance:
    """One signal for each record that broke its lifecycle of late; strength is how often, or hours over the limit.

    Parameters: those of a lifecycle (detectors.lifecycle; `lifecycle: NAME` in a rulebook fills them in), and
    `recent_days`: how long a violation is told (default 30). A stay that is late and goes on is always told.
    """

    name = "conformance"
    version = "1"
    in_parts = True

    def fit(self, snapshot: Any, request: DetectionRequest) -> FittedConformance:
        """The lifecycle. ValueError for a missing field or a lifecycle that cannot be read."""
        check_request(request, self.name, (*PARAMETERS, "recent_days"))
        _recent(request)
        if not request.field:
            raise ValueError(f"field: signal {request.signal!r} names none; conformance needs the stage field")
        return FittedConformance(Lifecycle.read(request.parameters), {})

    def raise_signals(self, snapshot: Any, fitted: FittedConformance, request: DetectionRequest) -> Sequence[Signal]:
        """Signals by subject. All have the p-value of a fact."""
        versions = read_versions(snapshot, request.at)
        spells = read_spells(versions, request.field)
        cycle = fitted.cycle
        lacking, missing = lacking_fields(versions, spells, cycle)
        compiled = cycle.compiled(spells.stages)
        masks = check_traces(spells.record, spells.stage, spells.duration, compiled, lacking)
        broken = np.flatnonzero(masks)
        since = micros(request.at - _recent(request))
        told: dict[int, list[_Violation]] = {}
        for row in broken.tolist():
            for violation in _violations(row, int(masks[row]), spells, cycle, compiled, missing):
                if violation.at > since or (violation.kind == "late" and spells.running[row]):
                    told.setdefault(int(spells.record[row]), []).append(violation)
        ids = spells.ids.take(pa.array(sorted(told), pa.int64())).to_pylist()
        signals = [self._signal(record, told[code], request) for code, record in zip(sorted(told), ids, strict=True)]
        return sorted(signals, key=lambda signal: signal.subject)

    def _signal(self, record: str, violations: Sequence[_Violation], request: DetectionRequest) -> Signal:
        over = max((one.hours for one in violations), default=0.0)
        only_late = all(one.kind == "late" for one in violations)
        began_at = time_of(min(one.at for one in violations))
        texts = [one.text for one in violations]
        more = f"; and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
        sentence = "; ".join(texts[:SHOWN]) + more + "."
        return Signal(
            request=request.id,
            signal=request.signal,
            subject=f"{request.object}/{record}",
            detector=self.name,
            version=self.version,
            p_value=FACT,
            strength=over if only_late else float(len(violations)),
            unit="hours over" if only_late else "violations",
            direction="up",
            explanation=sentence[0].upper() + sentence[1:],
            began_at=began_at,
            window_from=began_at,
            window_to=request.at,
            cohort=plural(request.object),
            contributors=tuple(
                Contributor(name=f"{one.kind} {one.what}", value=one.hours or 1.0, weight=1.0 / len(violations))
                for one in violations
            ),
        )


@dataclass(frozen=True)
class _Violation:
    kind: str
    what: str
    at: int
    text: str
    hours: float = 0.0


def _violations(
    row: int, mask: int, spells: Spells, cycle: Lifecycle, compiled: Compiled, missing: Mapping[str, Flags]
) -> Iterator[_Violation]:
    """What one stay broke, in words."""
    stage, start = spells.stages[spells.stage[row]], int(spells.start[row])
    before = spells.stages[spells.stage[row - 1]] if row else ""
    if mask & UNKNOWN:
        yield _Violation("unknown", stage, start, f"stood in {stage!r}, which the lifecycle does not know")
    if mask & START:
        yield _Violation("start", stage, start, f"began in {stage!r}, where none may begin")
    if mask & SKIP:
        way = cycle.path(before, stage)
        left_out = " and ".join(repr(one) for one in way)
        yield _Violation("skip", f"{before}>{stage}", start, f"went from {before!r} to {stage!r} without {left_out}")
    if mask & MOVE:
        yield _Violation("move", f"{before}>{stage}", start, f"went from {before!r} to {stage!r}, which is not allowed")
    if mask & LOOP:
        times = f"more than {cycle.visits} times"
        yield _Violation("loop", stage, start, f"came into {stage!r} {times}")
    if mask & LATE:
        limit = int(compiled.limits[spells.stage[row]])
        over = int(spells.duration[row]) - limit
        text = f"stood in {stage!r} for {length(int(spells.duration[row]))}; {length(limit)} are allowed"
        yield _Violation("late", stage, start + limit, text, hours=over / HOUR)
    if mask & LACKING:
        empty = [name for name, flags in missing.items() if flags[row]]
        left = start + int(spells.duration[row])
        yield _Violation("lacking", stage, left, f"left {stage!r} without {' and '.join(empty)}")


def _recent(request: DetectionRequest) -> timedelta:
    days = request.parameters.get("recent_days", RECENT_DAYS)
    if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= 36_600:
        raise ValueError(f"parameters.recent_days: {days!r} is not a whole number from 1 to 36600")
    return timedelta(days=days)
