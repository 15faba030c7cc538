"""How long a record has stood in its present stage, against those that stood there before.

The p-value is the chance that a stay in the same cohort lasts at least as long, by the product-limit
estimate in which running stays count as censored (detectors.survival). Its false alarms are promised per
stay: of all stays that begin, a share `budget` ever stands out. Of those that stand in a stage at one
moment more do, since long stays are met more often; that is the make-up of a queue, not a false alarm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from detectors.pvalues import uniform_of
from detectors.snapshot import Longs, check_request, micros, names_in, read_versions, time_of
from detectors.spells import Spells, read_spells
from detectors.survival import NOT_COUNTED, Survival
from detectors.wording import HOUR, length, plural, share_of
from watchtower.contract import Calibration, DetectionRequest, Picture, Point, Signal

SHOWN = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
"""Shares that had left, in the picture."""
DAY = 24 * HOUR
MINIMUM = 30
"""Completed stays under which a cohort is not judged."""

Cohort = tuple[str, str]
"""Stage and stratum; the stratum is empty where the request does not stratify."""


@dataclass(frozen=True)
class Standing:
    """Stays that are running at the time of a request, as columns."""

    ids: Any
    """Record ids, a pyarrow Array of text."""
    start: Longs
    """Microseconds since 1970."""
    age: Longs
    """Microseconds."""

    def take(self, rows: Longs) -> Standing:
        return Standing(self.ids.take(pa.array(rows)), self.start[rows], self.age[rows])

    def ages_in(self, other: Standing) -> Longs:
        """The age at which each stay is among `other`; NOT_COUNTED where it is not."""
        if len(other.ids) == 0:
            return np.full(self.age.size, NOT_COUNTED, dtype=np.int64)
        row = pc.index_in(self.ids, value_set=other.ids).fill_null(-1)
        place = row.to_numpy(zero_copy_only=False).astype(np.int64)
        same = (place >= 0) & (other.start[place] == self.start)
        ages: Longs = np.where(same, other.age[place], NOT_COUNTED)
        return ages


@dataclass(frozen=True)
class FittedDwell:
    """What is usual by cohort, and which running stays are in it already."""

    curves: Mapping[Cohort, Survival]
    abstentions: Mapping[str, str]
    """The cohorts on which the detector is silent, and why."""
    standing: Standing
    at: int


class StageDwell:
    """One signal for each record whose stay has p <= budget; strength is hours beyond the cohort's median.

    Parameters: `by`, a field that splits each stage into cohorts; `terminal`, stages that are meant to
    last, parted by commas. A stage that nobody has left is terminal too.
    """

    name = "stage_dwell"
    version = "1"
    in_parts = True

    def fit(self, snapshot: Any, request: DetectionRequest) -> FittedDwell:
        """Curves of the stays known at `request.at`. ValueError for a missing field or unknown parameter."""
        spells = _spells(snapshot, request)
        terminal = names_in(request.parameters.get("terminal", ""))
        left = {spells.stages[code] for code in np.unique(spells.stage[spells.completed])}
        curves: dict[Cohort, Survival] = {}
        abstentions: dict[str, str] = {}
        for code, members in _by_cohort(spells.cohort):
            cohort = spells.cohort_names(code)
            completed = int(spells.completed[members].sum())
            if cohort[0] in terminal:
                abstentions[_cohort_text(request, cohort)] = "terminal, as the request says"
            elif cohort[0] not in left:
                abstentions[_cohort_text(request, cohort)] = "terminal: no record has ever left it"
            elif completed < MINIMUM:
                reason = f"{completed} completed stays; at least {MINIMUM} are needed"
                abstentions[_cohort_text(request, cohort)] = reason
            else:
                curve = Survival.fit(spells.duration[members], spells.completed[members])
                if curve.never_ended > request.budget:
                    reason = f"{curve.never_ended:.0%} had not ended at the longest completed stay"
                    abstentions[_cohort_text(request, cohort)] = f"{reason}: none is strange at p <= {request.budget:g}"
                else:
                    curves[cohort] = curve
        return FittedDwell(
            curves=curves,
            abstentions=dict(sorted(abstentions.items())),
            standing=_standing(spells, np.flatnonzero(spells.running)),
            at=micros(request.at),
        )

    def raise_signals(self, snapshot: Any, fitted: FittedDwell, request: DetectionRequest) -> Sequence[Signal]:
        """Signals, strangest first, then by subject. ValueError where `fitted` knows a later time."""
        if fitted.at > micros(request.at):
            known = time_of(fitted.at).isoformat()
            raise ValueError(f"at: {request.at.isoformat()} is before {known}, up to which the fit has read")
        spells = _spells(snapshot, request)
        running = np.flatnonzero(spells.running)
        standing = _standing(spells, running)
        counted = standing.ages_in(fitted.standing)
        signals: list[Signal] = []
        for cohort, members in _by_cohort(spells.cohort[running]):
            name = spells.cohort_names(cohort)
            if name in fitted.curves:
                signals += self._signals(name, standing.take(members), counted[members], fitted, request)
        return sorted(signals, key=lambda signal: (signal.p_value, signal.subject))

    def calibrate(self, snapshot: Any, request: DetectionRequest, *, seed: int = 0) -> Sequence[Calibration]:
        """Stays drawn anew from each cohort's curve; a curve fitted to them judges as many fresh ones at their end."""
        random = np.random.default_rng(seed)
        found = []
        for cohort, curve in self.fit(snapshot, request).curves.items():
            count = curve.durations.size
            again = Survival.fit(*curve.draw(random, count))
            lengths, _ = curve.draw(random, count)
            p_values = again.p_values(lengths, np.full(count, NOT_COUNTED), random.random(count))
            raised = int((p_values <= request.budget).sum())
            name = _cohort_text(request, cohort)
            found.append(Calibration(cohort=name, promised=request.budget, raised=raised, judged=count, per="stay"))
        return found

    def _signals(
        self,
        cohort: Cohort,
        standing: Standing,
        counted: Longs,
        fitted: FittedDwell,
        request: DetectionRequest,
    ) -> Iterator[Signal]:
        curve = fitted.curves[cohort]
        # the least that each can be: most records need no number drawn
        least = curve.p_values(standing.age, counted, np.zeros(standing.age.size))
        near = np.flatnonzero(least <= request.budget)
        standing, counted = standing.take(near), counted[near]
        ids: list[str] = standing.ids.to_pylist()
        # one number for the whole stay: drawn anew at each run, small cohorts would alarm up to thrice
        # as often as promised (30 stays, 1%, daily runs: 2.8% against 1.1%)
        keys = (f"{record} {start}" for record, start in zip(ids, standing.start.tolist(), strict=True))
        seed = f"{request.signal} {request.object} {request.field}"
        p_values = curve.p_values(standing.age, counted, uniform_of(seed, keys))
        sooner = curve.share_sooner(standing.age, counted)
        median = curve.median()
        known = [Point(f"{share:.0%} have left by", curve.left_by(share) / DAY) for share in SHOWN]
        for row in np.flatnonzero(p_values <= request.budget):
            age, began_at = int(standing.age[row]), time_of(standing.start[row])
            yield Signal(
                request=request.id,
                signal=request.signal,
                subject=f"{request.object}/{ids[row]}",
                detector=self.name,
                version=self.version,
                p_value=float(p_values[row]),
                strength=(age - median) / HOUR,
                unit="hours",
                direction="up",
                explanation=_explanation(request, cohort, age, float(sooner[row]), curve.completed),
                began_at=began_at,
                window_from=began_at,
                window_to=request.at,
                cohort=_cohort_text(request, cohort),
                picture=Picture(
                    of="days in the stage", points=(*known, Point("this one", age / DAY)), since=len(known),
                    usual=median / DAY,
                ),
            )  # fmt: skip


def _spells(snapshot: Any, request: DetectionRequest) -> Spells:
    check_request(request, StageDwell.name, ("by", "terminal"))
    if not request.field:
        raise ValueError(f"field: signal {request.signal!r} names none; stage_dwell needs the stage field")
    versions = read_versions(snapshot, request.at)
    return read_spells(versions, request.field, by=str(request.parameters.get("by", "")))


def _standing(spells: Spells, rows: Longs) -> Standing:
    ids = spells.ids.take(pa.array(spells.record[rows]))
    return Standing(ids, spells.start[rows], spells.duration[rows])


def _by_cohort(cohorts: Longs) -> Iterator[tuple[int, Longs]]:
    """Each number that occurs, and where."""
    order = np.argsort(cohorts, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(cohorts[order])) + 1):
        if members.size:
            yield int(cohorts[members[0]]), members


def _cohort_text(request: DetectionRequest, cohort: Cohort) -> str:
    stage, stratum = cohort
    by = request.parameters.get("by")
    return f"{request.field}={stage}, {by}={stratum}" if by else f"{request.field}={stage}"


def _explanation(request: DetectionRequest, cohort: Cohort, age: int, sooner: float, completed: int) -> str:
    """`In 'proposal' for 41 days; 97% of 312 deals left it sooner.`"""
    stage, stratum = cohort
    by = request.parameters.get("by")
    among = f"{plural(request.object)} with {by} {stratum!r}" if by else plural(request.object)
    return f"In {stage!r} for {length(age)}; {share_of(sooner, completed)} {among} left it sooner."
