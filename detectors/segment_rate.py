"""Drift of a rate by team, owner, source or region: moves off the lifecycle, limits, empty fields, losses.

Weeks are counted in periods of `weeks` (26) from a fixed origin; the same number of weeks before the present period
is the baseline. Of the segments in which nothing changes, a share `budget` raises a signal in a period, however often
in it the detector runs: the threshold is that of the largest value in a whole period, simulated from the fitted
prior for each stratum of volume (detectors.rates). A signal stands while the evidence does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from detectors.lifecycle import PARAMETERS as LIFECYCLE
from detectors.outcomes import OUTCOMES, Outcomes, read_outcomes, record_ids
from detectors.outcomes import PARAMETERS as OUTCOME
from detectors.pvalues import Floats, seed_of
from detectors.rates import Prior, change_week, fit_prior, null_maxima, simulate, statistics, volume_strata
from detectors.snapshot import Longs, Versions, check_request, micros, read_versions, time_of
from detectors.weeks import WEEK, period_at, weeks_asked
from watchtower.contract import Calibration, Contributor, DetectionRequest, Picture, Point, Signal

RATIO = 2.0
ENOUGH = 20
"""Cases in the baseline under which a segment is not judged."""
SEGMENTS = 3
"""Segments under which nothing is known of how they differ."""
DRAWS = 10_000


@dataclass(frozen=True)
class Counts:
    """(segments, weeks) by segment, over the baseline and the whole weeks of the period so far."""

    segments: tuple[str, ...]
    counts: Longs
    cases: Longs
    begin: int
    """Microseconds since 1970 at which the first week begins."""
    outcomes: Outcomes
    segment: Longs
    """Of each outcome; -1 where none is known."""
    week: Longs
    """Of each outcome; out of range where it lies outside."""


@dataclass(frozen=True)
class FittedRates:
    """Prior and, by stratum of volume, the largest values in a period without a change. None: too little is there."""

    prior: Prior | None
    maxima: Mapping[int, Floats]
    stratum: Mapping[str, int]
    abstentions: Mapping[str, str]
    at: int

    @property
    def tested(self) -> int:
        """Segments that are judged."""
        return len(self.stratum)


class SegmentRate:
    """One signal for each segment whose rate went up; strength is how many times the baseline's rate.

    Parameters: `by`, the field that tells the segment; `outcome` and its own (detectors.outcomes), with those of a
    lifecycle where it needs one; `weeks` of baseline and of a period (default 26); `ratio`, the rise it is tuned to
    (default 2). The signal is on the segment's own record where `of` names the object that is counted, and `by` is
    the field by which it names one; else on the first record in the segment that went wrong since.
    """

    name = "segment_rate"
    version = "1"
    whole = "what is judged is a segment, and its records lie in all parts"
    """Why it does not work in parts."""

    def fit(self, snapshot: Any, request: DetectionRequest) -> FittedRates:
        """Prior from the baselines, thresholds by simulation. ValueError names a parameter that does not fit."""
        weeks, ratio = _parameters(request)
        data = _counts(read_versions(snapshot, request.at), request, weeks)
        baseline = data.cases[:, :weeks].sum(axis=1)
        abstentions = {
            f"{request.parameters['by']}={segment}": f"{count} cases in {weeks} weeks; at least {ENOUGH} are needed"
            for segment, count in zip(data.segments, baseline.tolist(), strict=True)
            if count < ENOUGH
        }
        if unknown := int((data.segment < 0).sum()):
            abstentions[f"{request.parameters['by']} unknown"] = f"{unknown} of {data.segment.size} outcomes"
        judged = baseline >= ENOUGH
        if judged.sum() < SEGMENTS:
            abstentions["segments"] = f"{int(judged.sum())} have enough cases; at least {SEGMENTS} are needed"
            return FittedRates(None, {}, {}, abstentions, micros(request.at))
        counts, cases = data.counts[judged, :weeks], data.cases[judged, :weeks]
        prior = fit_prior(counts, cases)
        strata = volume_strata(cases)
        maxima = {}
        for stratum in np.unique(strata).tolist():
            # the volumes of the weeks to come: those of the baseline once more
            volumes = np.concatenate((cases[strata == stratum],) * 2, axis=1)
            seed = seed_of(f"{request.signal} {request.object} {stratum}")
            maxima[stratum] = null_maxima(volumes, weeks, prior, ratio, DRAWS, seed)
        names = [segment for segment, enough in zip(data.segments, judged, strict=True) if enough]
        return FittedRates(
            prior, maxima, dict(zip(names, strata.tolist(), strict=True)), abstentions, micros(request.at)
        )

    def raise_signals(self, snapshot: Any, fitted: FittedRates, request: DetectionRequest) -> Sequence[Signal]:
        """Signals, strangest first, then by segment. ValueError where `fitted` knows a later time."""
        if fitted.at > micros(request.at):
            known = time_of(fitted.at).isoformat()
            raise ValueError(f"at: {request.at.isoformat()} is before {known}, up to which the fit has read")
        weeks, ratio = _parameters(request)
        if fitted.prior is None:
            return []
        versions = read_versions(snapshot, request.at)
        data = _counts(versions, request, weeks)
        if data.counts.shape[1] <= weeks:
            return []
        now = statistics(data.counts, data.cases, weeks, fitted.prior, ratio)[:, -1]
        signals = []
        for number, segment in enumerate(data.segments):
            if segment not in fitted.stratum:
                continue
            maxima = fitted.maxima[fitted.stratum[segment]]
            above = maxima.size - int(np.searchsorted(maxima, now[number], side="left"))
            p_value = (1 + above) / (maxima.size + 1)
            if p_value <= request.budget:
                signals += self._signal(number, p_value, data, versions, fitted.prior, request)
        return sorted(signals, key=lambda signal: (signal.p_value, signal.cohort))

    def calibrate(self, snapshot: Any, request: DetectionRequest, *, seed: int = 0) -> Sequence[Calibration]:
        """The segments drawn anew from the prior, without a change, fitted as if they were real, through a period."""
        weeks, ratio = _parameters(request)
        fitted = self.fit(snapshot, request)
        if fitted.prior is None:
            return []
        data = _counts(read_versions(snapshot, request.at), request, weeks)
        cases = data.cases[[segment in fitted.stratum for segment in data.segments], :weeks]
        volumes = np.concatenate((cases, cases), axis=1)
        counts = simulate(fitted.prior, volumes, np.random.default_rng(seed))
        prior, strata = fit_prior(counts[:, :weeks], cases), volume_strata(cases)
        found = []
        for stratum in np.unique(strata).tolist():
            mine, low = strata == stratum, 2**stratum if stratum else 0
            maxima = null_maxima(volumes[mine], weeks, prior, ratio, DRAWS, seed + 1 + stratum)
            most = statistics(counts[mine], volumes[mine], weeks, prior, ratio).max(axis=1)
            p_values = (1 + maxima.size - np.searchsorted(maxima, most, side="left")) / (maxima.size + 1)
            found.append(
                Calibration(
                    cohort=f"{request.parameters['by']}, {low} to {2 ** (stratum + 1)} cases a week",
                    promised=request.budget, raised=int((p_values <= request.budget).sum()), judged=int(mine.sum()),
                    per=f"{weeks} weeks",
                )
            )  # fmt: skip
        return found

    def _signal(
        self, number: int, p_value: float, data: Counts, versions: Versions, prior: Prior, request: DetectionRequest
    ) -> list[Signal]:
        weeks, ratio = _parameters(request)
        counts, cases = data.counts[number], data.cases[number]
        change, evidence = change_week(counts, cases, weeks, prior, ratio)
        before, after = _rate(counts[:change], cases[:change]), _rate(counts[change:], cases[change:])
        began_at = data.begin + change * WEEK
        segment, by = data.segments[number], str(request.parameters["by"])
        if request.parameters.get("of"):
            subject = segment
        else:
            here = data.outcomes.wrong & (data.segment == number) & (data.week >= change)
            wrong = np.flatnonzero(here & (data.week < counts.size))
            if wrong.size == 0:
                return []
            subject = record_ids(versions, data.outcomes.row[wrong[:1]])[0]
        since = range(change, counts.size)
        total = float(np.abs(evidence[change:]).sum()) or 1.0
        words = {name: request.parameters.get(name, "") for name in ("wrong", "date")}
        what = OUTCOMES[str(request.parameters["outcome"])].format(**words)
        return [
            Signal(
                request=request.id,
                signal=request.signal,
                subject=f"{request.object}/{subject}",
                detector=self.name,
                version=self.version,
                p_value=p_value,
                strength=after / before if before else float(counts[change:].sum()),
                unit="times the rate before" if before else "where there were none",
                direction="up",
                explanation=(
                    f"{by} {segment!r}: {what}, {after:.0%} ({counts[change:].sum()} of {cases[change:].sum()}) since "
                    f"{time_of(began_at):%Y-%m-%d}, {before:.0%} ({counts[:change].sum()} of {cases[:change].sum()}) "
                    f"before; {prior.mean:.0%} is usual among {len(data.segments)}."
                ),
                began_at=time_of(began_at),
                window_from=time_of(data.begin),
                window_to=time_of(data.begin + counts.size * WEEK),
                cohort=f"{by}={segment}",
                contributors=tuple(
                    Contributor(
                        name=f"{time_of(data.begin + week * WEEK):%G-W%V}",
                        value=_rate(counts[week : week + 1], cases[week : week + 1]),
                        weight=float(evidence[week]) / total,
                    )
                    for week in since
                    if cases[week]
                ),
                picture=Picture(
                    of=f"{what}, share a week",
                    points=tuple(
                        Point(
                            f"{time_of(data.begin + week * WEEK):%G-W%V}",
                            _rate(counts[week : week + 1], cases[week : week + 1]),
                        )
                        for week in np.flatnonzero(cases).tolist()
                    ),
                    since=int(np.count_nonzero(cases[:change])),
                    usual=before,
                ),
            )
        ]


def _rate(counts: Longs, cases: Longs) -> float:
    total = int(cases.sum())
    return float(counts.sum()) / total if total else 0.0


def _counts(versions: Versions, request: DetectionRequest, weeks: int) -> Counts:
    """What the request asks for, by segment and week."""
    outcomes = read_outcomes(versions, request)
    codes, names = versions.codes(str(request.parameters["by"]))
    period = period_at(versions.at, weeks)
    segment = codes[outcomes.row]
    week, span = period.week_of(outcomes.time), period.span
    counted = (segment >= 0) & (week >= 0) & (week < span)
    cell = segment[counted] * span + week[counted]
    size = len(names) * span
    cases = np.bincount(cell, minlength=size).reshape(len(names), span)
    counts = np.bincount(cell, weights=outcomes.wrong[counted], minlength=size).astype(np.int64)
    order = np.argsort(np.array(names, dtype=object), kind="stable") if names else np.zeros(0, dtype=np.int64)
    place = np.empty(len(names) + 1, dtype=np.int64)
    place[order], place[-1] = np.arange(len(names)), -1
    return Counts(
        segments=tuple(names[number] for number in order),
        counts=counts.reshape(len(names), span)[order],
        cases=cases.astype(np.int64)[order],
        begin=period.begin,
        outcomes=outcomes,
        segment=place[segment],
        week=week,
    )


def _parameters(request: DetectionRequest) -> tuple[int, float]:
    check_request(request, SegmentRate.name, ("by", "of", "weeks", "ratio", *OUTCOME, *LIFECYCLE))
    if not request.parameters.get("by"):
        raise ValueError("parameters.by: missing; name the field that tells the segment, such as 'owner'")
    ratio = request.parameters.get("ratio", RATIO)
    if isinstance(ratio, bool | str) or not 1.1 <= ratio <= 10:
        raise ValueError(f"parameters.ratio: {ratio!r} is not a number from 1.1 to 10")
    return weeks_asked(request), float(ratio)
