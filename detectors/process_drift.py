"""Whether records have begun to take other ways through their stages: drift of the process, not of one record.

A trace is complete when its record stands in a stage that ends it; traces are taken in the order in which they ended,
since of those that began together only the quick ones have ended yet. Where the shares of what traces show
(detectors.trace_features) change, there is a drift (detectors.segmentation). Of 100 runs over traces that did not
change, at most 100 * budget find one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from detectors.pvalues import Floats, seed_of
from detectors.segmentation import LEAST, ROUNDS, Split, segment
from detectors.snapshot import Longs, check_request, micros, names_in, read_versions, time_of
from detectors.spells import Spells, read_spells
from detectors.trace_features import Features, features_of
from detectors.wording import plural
from watchtower.contract import Contributor, DetectionRequest, Picture, Point, Signal

RECENT_DAYS = 90
SHOWN = 5
BLOCK, MOST_BLOCKS = 10, 30
"""Traces in a point of the picture, and points on either side."""


@dataclass(frozen=True)
class Traces:
    """Complete traces in the order of their ends."""

    ids: list[str]
    end: Longs
    """When each came into its last stage; microseconds since 1970."""
    features: Features


@dataclass(frozen=True)
class FittedDrift:
    """The drifts of the whole history up to `at`."""

    splits: tuple[Split, ...]
    abstentions: Mapping[str, str]
    at: int

    @property
    def tested(self) -> int:
        """One history, in which each drift is found at the whole budget."""
        return max(1, len(self.splits))


class ProcessDrift:
    """One signal for each drift that began of late, on the first record after it that shows what there is more of.

    Strength is the change of the share that changed most, in points. Parameters: `terminal`, stages that end a trace,
    parted by commas (a stage that no record has left ends one too); `recent_days`: how long a drift is told
    (default 90).
    """

    name = "process_drift"
    version = "1"
    whole = "what is judged is the whole history"
    """Why it does not work in parts."""

    def fit(self, snapshot: Any, request: DetectionRequest) -> FittedDrift:
        """The drifts. ValueError for a missing field or unknown parameter, or a budget below 1 in 200."""
        _recent(request)
        if request.budget < 1.0 / (ROUNDS + 1):
            raise ValueError(
                f"budget: {request.budget:g} of signal {request.signal!r} is below 1/{ROUNDS + 1}, "
                f"the least p-value of {ROUNDS} permutations"
            )
        traces = _traces(snapshot, request)
        count = len(traces.ids)
        if count < 2 * LEAST:
            reason = f"{count} have come to an end; at least {2 * LEAST} are needed"
            return FittedDrift((), {plural(request.object): reason}, micros(request.at))
        # the first ids, not the time: a run tomorrow permutes as today's did
        seed = seed_of(f"{request.signal} {request.object} {traces.ids[:10]}")
        return FittedDrift(tuple(segment(traces.features.values, request.budget, seed)), {}, micros(request.at))

    def raise_signals(self, snapshot: Any, fitted: FittedDrift, request: DetectionRequest) -> Sequence[Signal]:
        """Signals in order of time. ValueError where `fitted` knows another time."""
        if fitted.at != micros(request.at):
            known = time_of(fitted.at).isoformat()
            raise ValueError(f"at: {request.at.isoformat()} is not {known}, up to which the fit has read")
        if not fitted.splits:
            return []
        traces = _traces(snapshot, request)
        since = micros(request.at - _recent(request))
        bounds = [0, *(split.at for split in fitted.splits), len(traces.ids)]
        return [
            self._signal(split, traces, bounds[number], bounds[number + 2], request)
            for number, split in enumerate(fitted.splits)
            if traces.end[split.at] > since
        ]

    def _signal(self, split: Split, traces: Traces, begin: int, end: int, request: DetectionRequest) -> Signal:
        values, names = traces.features.values, traces.features.names
        before, after = values[begin : split.at].mean(axis=0), values[split.at : end].mean(axis=0)
        z2 = _evidence(before, after, split.at - begin, end - split.at)
        order = np.argsort(-z2, kind="stable")[:SHOWN]
        top = int(order[0])
        gone_up = after[top] > before[top]
        shows = np.flatnonzero((values[split.at : end, top] > 0) == gone_up)
        first = split.at + int(shows[0])
        began_at = time_of(int(traces.end[split.at]))
        total = float(z2[order].sum()) or 1.0
        return Signal(
            request=request.id,
            signal=request.signal,
            subject=f"{request.object}/{traces.ids[first]}",
            detector=self.name,
            version=self.version,
            p_value=split.p_value,
            strength=100 * abs(float(after[top] - before[top])),
            unit="points",
            direction="up" if gone_up else "down",
            explanation=(
                f"Since {began_at:%Y-%m-%d} {after[top]:.0%} of {end - split.at} {plural(request.object)} "
                f"{_shared(names[top])}, {before[top]:.0%} of {split.at - begin} before."
            ),
            began_at=began_at,
            window_from=time_of(int(traces.end[begin])),
            window_to=time_of(int(traces.end[end - 1])),
            cohort=f"{len(traces.ids)} {plural(request.object)}",
            contributors=tuple(
                Contributor(name=names[one], value=float(after[one] - before[one]), weight=float(z2[one]) / total)
                for one in order
            ),
            picture=_picture(traces, values[:, top], names[top], begin, split.at, end),
        )


def _picture(traces: Traces, shows: Floats, name: str, begin: int, at: int, end: int) -> Picture:
    """The share of the traces that show it, block by block, each named by the day on which its last one ended."""
    points: list[Point] = []
    since = 0
    for low, high in ((begin, at), (at, end)):
        bounds = np.linspace(low, high, max(1, (high - low) // BLOCK) + 1).astype(np.int64).tolist()
        since = len(points)
        points += [
            Point(f"{time_of(int(traces.end[last - 1])):%Y-%m-%d}", float(shows[first:last].mean()))
            for first, last in zip(bounds, bounds[1:], strict=False)
        ][-MOST_BLOCKS:]
    return Picture(of=f"{name}, share", points=tuple(points), since=since, usual=float(shows[begin:at].mean()))


def _shared(name: str) -> str:
    """`passes 'a'` as said of many."""
    return name.replace("passes", "pass", 1)


def _evidence(before: Floats, after: Floats, earlier: int, later: int) -> Floats:
    """z^2 of each feature's two shares."""
    mean = (before * earlier + after * later + 0.5) / (earlier + later + 1.0)
    z2: Floats = (after - before) ** 2 / (mean * (1.0 - mean) * (1.0 / earlier + 1.0 / later))
    return z2


def _traces(snapshot: Any, request: DetectionRequest) -> Traces:
    check_request(request, ProcessDrift.name, ("terminal", "recent_days"))
    if not request.field:
        raise ValueError(f"field: signal {request.signal!r} names none; process_drift needs the stage field")
    spells = read_spells(read_versions(snapshot, request.at), request.field)
    last = np.append(spells.record[1:] != spells.record[:-1], np.ones(min(1, spells.record.size), dtype=np.bool_))
    closing = np.flatnonzero(last & _ends(spells, request)[spells.stage])
    ids: list[str] = spells.ids.take(pa.array(spells.record[closing], pa.int64())).to_pylist()
    # by end, then by id: ties must not depend on the order of the snapshot
    order = np.lexsort((np.argsort(np.argsort(np.array(ids, dtype=object), kind="stable")), spells.start[closing]))
    place = np.full(int(spells.record.max(initial=-1)) + 1, -1, dtype=np.int64)
    place[spells.record[closing[order]]] = np.arange(order.size)
    kept = np.flatnonzero(place[spells.record] >= 0)
    by_trace = kept[np.argsort(place[spells.record[kept]], kind="stable")]
    # stages by name, so that of equal features always the same one is kept
    stages = sorted(spells.stages)
    code = np.array([stages.index(name) for name in spells.stages], dtype=np.int64)
    features = features_of(place[spells.record[by_trace]], code[spells.stage[by_trace]], stages)
    return Traces([ids[one] for one in order], spells.start[closing[order]], features)


def _ends(spells: Spells, request: DetectionRequest) -> np.ndarray:
    """For each stage whether it ends a trace."""
    terminal = names_in(request.parameters.get("terminal", ""))
    ends = np.array([name in terminal for name in spells.stages], dtype=np.bool_)
    ends[np.setdiff1d(np.arange(ends.size), np.unique(spells.stage[spells.completed]))] = True
    return ends


def _recent(request: DetectionRequest) -> timedelta:
    days = request.parameters.get("recent_days", RECENT_DAYS)
    if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= 36_600:
        raise ValueError(f"parameters.recent_days: {days!r} is not a whole number from 1 to 36600")
    return timedelta(days=days)
