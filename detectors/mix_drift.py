"""Drift of the mix of new records: their kind (ICP segment, industry, source), or a number (discount, amount).

A record counts in the week in which the field first had a value, with that value. Weeks, periods and the meaning of
the budget are those of detectors.segment_rate: of the series in which nothing changes, a share `budget` raises a
signal in a period, however often in it the detector runs; the threshold is simulated from the baseline of the
series itself, with its volumes and its scatter between weeks (detectors.mixes). A season that the baseline has not seen
is a drift to it: with `weeks: 52` it has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from detectors.mixes import (
    kind_factors,
    null_kinds,
    null_scores,
    quiet_kinds,
    quiet_scores,
    ridits,
    score_factors,
)
from detectors.outcomes import record_ids
from detectors.pvalues import Floats, seed_of
from detectors.snapshot import Longs, Versions, check_request, micros, read_versions, time_of
from detectors.weeks import WEEK, Period, period_at, weeks_asked
from detectors.wording import figure, plural
from watchtower.contract import Calibration, Contributor, DetectionRequest, Picture, Point, Signal

ENOUGH = 60
"""New records in the baseline under which a series is not judged."""
COMMON = 0.02
"""Kinds of a smaller share of the baseline, or not in it at all, are counted together."""
OTHER = "other"
DRAWS = 2_000
LIKE = 200
"""Series without a change of which one is taken, to see whether the promise is kept."""


@dataclass(frozen=True)
class Series:
    """The new records of the whole company, or of one segment, in order of time."""

    name: str
    """Empty: all of them."""
    row: Longs
    week: Longs
    values: Floats
    """Numbers, or codes of kinds."""


@dataclass(frozen=True)
class FittedMixes:
    """By series the largest values in a period without a change, ascending."""

    maxima: Mapping[str, Floats]
    abstentions: Mapping[str, str]
    at: int

    @property
    def tested(self) -> int:
        """Series that are judged."""
        return len(self.maxima)


class MixDrift:
    """One signal for each series whose mix changed; strength is the change of a share in points, or of the mean.

    `field`: what is mixed, text or number. Parameters: `by`, a field that splits the records into series; `weeks` of
    baseline and of a period (default 26). The signal is on the segment's own record where `of` names the object that
    is counted and `by` the field by which it names one; else on the first new record of the kind that grew most, or
    the first on the side to which the numbers moved.
    """

    name = "mix_drift"
    version = "1"
    whole = "what is judged is a series of new records, and these lie in all parts"
    """Why it does not work in parts."""

    def fit(self, snapshot: Any, request: DetectionRequest) -> FittedMixes:
        """The thresholds. ValueError for a missing field or a parameter that does not fit."""
        versions = read_versions(snapshot, request.at)
        period, names = period_at(versions.at, weeks_asked(request)), _kinds(versions, request)
        maxima: dict[str, Floats] = {}
        abstentions: dict[str, str] = {}
        for series in _series(versions, period, request):
            label = f"{request.parameters['by']}={series.name}" if series.name else plural(request.object)
            count = int((series.week < weeks_asked(request)).sum())
            if count < ENOUGH:
                weeks = weeks_asked(request)
                abstentions[label] = f"{count} new records in {weeks} weeks; at least {ENOUGH} are needed"
                continue
            seed = seed_of(f"{request.signal} {request.object} {series.name}")
            maxima[series.name] = _null(series, period, weeks_asked(request), names, seed)
        return FittedMixes(maxima, abstentions, micros(request.at))

    def raise_signals(self, snapshot: Any, fitted: FittedMixes, request: DetectionRequest) -> Sequence[Signal]:
        """Signals, strangest first, then by series. ValueError where `fitted` knows a later time."""
        if fitted.at > micros(request.at):
            known = time_of(fitted.at).isoformat()
            raise ValueError(f"at: {request.at.isoformat()} is before {known}, up to which the fit has read")
        versions = read_versions(snapshot, request.at)
        weeks = weeks_asked(request)
        period, names = period_at(versions.at, weeks), _kinds(versions, request)
        signals = []
        for series in _series(versions, period, request):
            if series.name not in fitted.maxima or not (series.week >= weeks).any():
                continue
            now = _now(series, period, weeks, names)
            maxima = fitted.maxima[series.name]
            above = maxima.size - int(np.searchsorted(maxima, now, side="left"))
            p_value = (1 + above) / (maxima.size + 1)
            if p_value <= request.budget:
                signals.append(self._signal(series, p_value, period, names, versions, request))
        return sorted(signals, key=lambda signal: (signal.p_value, signal.cohort))

    def calibrate(self, snapshot: Any, request: DetectionRequest, *, seed: int = 0) -> Sequence[Calibration]:
        """Each series drawn anew without a change, like its baseline, judged by a null of its own through a period."""
        versions, weeks = read_versions(snapshot, request.at), weeks_asked(request)
        fitted = self.fit(snapshot, request)
        period, names = period_at(versions.at, weeks), _kinds(versions, request)
        raised = 0
        for number, series in enumerate(_series(versions, period, request)):
            if series.name in fitted.maxima:
                most, maxima = _drawn(series, period, weeks, names, seed + 2 * number)
                above = maxima.size - int(np.searchsorted(maxima, most, side="left"))
                raised += (1 + above) / (maxima.size + 1) <= request.budget
        if not fitted.maxima:
            return []
        name = f"series by {request.parameters['by']}" if request.parameters.get("by") else plural(_about(request))
        per = f"{weeks} weeks"
        return [Calibration(cohort=name, promised=request.budget, raised=raised, judged=len(fitted.maxima), per=per)]

    def _signal(
        self, series: Series, p_value: float, period: Period, names: list[str], versions: Versions,
        request: DetectionRequest,
    ) -> Signal:  # fmt: skip
        weeks = weeks_asked(request)
        change = _change(series, period, weeks, names)
        before, after = series.week < change, series.week >= change
        began_at = time_of(period.begin + change * WEEK)
        prefix = f"{request.parameters['by']} {series.name!r}: " if series.name else ""
        since = f"since {began_at:%Y-%m-%d}, {{}} of {int(before.sum())} before"
        if names:
            codes = series.values.astype(np.int64)
            old = np.bincount(codes[before], minlength=len(names)) / before.sum()
            new = np.bincount(codes[after], minlength=len(names)) / after.sum()
            order = np.argsort(-np.abs(_root(new) - _root(old)), kind="stable")
            top = int(order[0])
            grown = int(np.argmax(_root(new) - _root(old)))
            row = series.row[np.flatnonzero(after & (codes == grown))[0]]
            text = f"{new[top]:.0%} of {int(after.sum())} new {plural(_about(request))} have {request.field} "
            text += f"{names[top]!r} {since.format(f'{old[top]:.0%}')}"
            strength, unit, up = 100 * abs(new[top] - old[top]), "points", bool(new[top] > old[top])
            changes = [(names[one], float(new[one] - old[one])) for one in order]
            drawn, usual = (codes == top).astype(np.float64), float(old[top])
            shows = f"{request.field} {names[top]!r}, share a week"
        else:
            drawn, shows = series.values, f"mean {request.field} a week"
            old_mean, new_mean = float(series.values[before].mean()), float(series.values[after].mean())
            up, usual = new_mean > old_mean, old_mean
            median = float(np.median(series.values[before]))
            side = series.values > median if up else series.values < median
            shown = np.flatnonzero(after & side)
            row = series.row[shown[0] if shown.size else np.flatnonzero(after)[0]]
            text = f"mean {request.field} of {int(after.sum())} new {plural(_about(request))} is {figure(new_mean)} "
            text += since.format(figure(old_mean))
            strength, unit = abs(new_mean - old_mean), request.field
            in_week = [(week, series.values[series.week == week]) for week in range(change, period.span)]
            changes = [
                (f"{time_of(period.begin + week * WEEK):%G-W%V}", float(values.mean()) - old_mean)
                for week, values in in_week
                if values.size
            ]
        total = sum(abs(one) for _, one in changes) or 1.0
        subject = series.name if request.parameters.get("of") else record_ids(versions, np.array([row]))[0]
        sentence = f"{prefix}{text}."
        return Signal(
            request=request.id, signal=request.signal, subject=f"{request.object}/{subject}", detector=self.name,
            version=self.version, p_value=p_value, strength=float(strength), unit=unit,
            direction="up" if up else "down", explanation=sentence[0].upper() + sentence[1:], began_at=began_at,
            window_from=time_of(period.begin), window_to=time_of(period.begin + period.span * WEEK),
            cohort=f"{request.parameters['by']}={series.name}" if series.name else plural(_about(request)),
            contributors=tuple(Contributor(name=name, value=one, weight=abs(one) / total) for name, one in changes),
            picture=_picture(series, period, change, drawn, usual, shows),
        )  # fmt: skip


def _picture(series: Series, period: Period, change: int, drawn: Floats, usual: float, shows: str) -> Picture:
    """The mean of what is drawn, week by week."""
    cases = np.bincount(series.week, minlength=period.span)
    means = np.bincount(series.week, weights=drawn, minlength=period.span) / np.maximum(cases, 1)
    points = (
        Point(f"{time_of(period.begin + week * WEEK):%G-W%V}", float(means[week]))
        for week in np.flatnonzero(cases).tolist()
    )
    return Picture(of=shows, points=tuple(points), since=int(np.count_nonzero(cases[:change])), usual=usual)


def _about(request: DetectionRequest) -> str:
    return str(request.parameters.get("of", request.object))


def _root(shares: Floats) -> Floats:
    """Shares on a scale on which each errs alike."""
    root: Floats = np.arcsin(np.sqrt(shares))
    return root


def _kinds(versions: Versions, request: DetectionRequest) -> list[str]:
    """The names of the kinds, `OTHER` last; none where the field is a number. Checks the request."""
    check_request(request, MixDrift.name, ("by", "of", "weeks"))
    if not request.field:
        raise ValueError(f"field: signal {request.signal!r} names none; mix_drift needs the field that is mixed")
    if request.parameters.get("of") and not request.parameters.get("by"):
        raise ValueError("parameters.by: missing; with `of` it names the field that names the signal's record")
    kind = versions.column(request.field).type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return []
    _, names = versions.codes(request.field)
    return [*sorted(names), OTHER]


def _series(versions: Versions, period: Period, request: DetectionRequest) -> Iterator[Series]:
    """Each series, by name, with the records that count in the period."""
    names = _kinds(versions, request)
    if names:
        codes, found = versions.codes(request.field)
        place = np.array([names.index(name) for name in found] + [-1], dtype=np.int64)
        values = place[codes].astype(np.float64)
        known = codes >= 0
    else:
        values = versions.numbers(request.field)
        known = np.isfinite(values)
    rows = np.flatnonzero(known)
    rows = rows[np.append(True, np.diff(versions.record[rows]) != 0)[: rows.size]]
    rows = rows[np.argsort(versions.start[rows], kind="stable")]
    week = period.week_of(versions.start[rows])
    rows, week = rows[(week >= 0) & (week < period.span)], week[(week >= 0) & (week < period.span)]
    by = str(request.parameters.get("by", ""))
    if not by:
        yield Series("", rows, week, values[rows])
        return
    codes, segments = versions.codes(by)
    for code in sorted(range(len(segments)), key=segments.__getitem__):
        here = codes[rows] == code
        yield Series(segments[code], rows[here], week[here], values[rows[here]])


def _counts(series: Series, period: Period, weeks: int, names: list[str]) -> Longs:
    """(weeks, kinds); what is rare in the baseline counts as `OTHER`, and kinds without any record are left out."""
    codes = series.values.astype(np.int64)
    shares = np.bincount(codes[series.week < weeks], minlength=len(names)) / max(1, int((series.week < weeks).sum()))
    codes = np.where(shares[codes] >= COMMON, codes, len(names) - 1)
    cell = series.week * len(names) + codes
    counts = np.bincount(cell, minlength=period.span * len(names)).reshape(period.span, len(names))
    kept = (shares >= COMMON) | (np.arange(len(names)) == len(names) - 1)
    common: Longs = counts[:, kept].astype(np.int64)
    return common


def _sums(series: Series, period: Period, weeks: int) -> tuple[Floats, Longs, float]:
    """Weekly sums of ridits and numbers of records, and one ridit's deviation."""
    pool = series.values[series.week < weeks]
    sums = np.zeros(period.span)
    np.add.at(sums, series.week, ridits(series.values, pool))
    cases = np.bincount(series.week, minlength=period.span).astype(np.int64)
    return sums, cases, max(float(ridits(pool, pool).std()), 1e-3)


def _null(series: Series, period: Period, weeks: int, names: list[str], seed: int) -> Floats:
    """The watched weeks are taken to have the volumes of the baseline's."""
    if names:
        counts = _counts(series, period, weeks, names)[:weeks]
        return null_kinds(counts, counts.sum(axis=1), DRAWS, seed)
    sums, cases, deviation = _sums(series, period, weeks)
    return null_scores(sums[:weeks], cases[:weeks], cases[:weeks], deviation, DRAWS, seed)


def _drawn(series: Series, period: Period, weeks: int, names: list[str], seed: int) -> tuple[float, Floats]:
    """The largest log R of a series without a change, drawn by this one's baseline, and its own null's."""
    # one of many that are like this one: the very nearest would be more like it than chance allows
    which = int(np.random.default_rng(seed).integers(LIKE))
    if names:
        counts = _counts(series, period, weeks, names)[:weeks]
        cases = counts.sum(axis=1)
        kinds = quiet_kinds(counts, cases, LIKE, seed)[which]
        return float(kind_factors(kinds[None], weeks).max()), null_kinds(kinds[:weeks], cases, DRAWS, seed + 1)
    sums, cases, deviation = _sums(series, period, weeks)
    cases = cases[:weeks]
    drawn = quiet_scores(sums[:weeks], cases, cases, deviation, LIKE, seed)[which]
    both = np.concatenate((cases, cases))
    most = float(score_factors(drawn[None], both[None], deviation, weeks).max())
    return most, null_scores(drawn[:weeks], cases, cases, deviation, DRAWS, seed + 1)


def _now(series: Series, period: Period, weeks: int, names: list[str]) -> float:
    """log R after the last whole week."""
    if names:
        return float(kind_factors(_counts(series, period, weeks, names)[None], weeks)[0, -1])
    sums, cases, deviation = _sums(series, period, weeks)
    return float(score_factors(sums[None], cases[None], deviation, weeks)[0, -1])


def _change(series: Series, period: Period, weeks: int, names: list[str]) -> int:
    """The first week of the split of all weeks that tells the two sides apart best."""
    if names:
        columns = _counts(series, period, weeks, names).astype(np.float64)
        cases = columns.sum(axis=1)
    else:
        sums, number, _ = _sums(series, period, weeks)
        columns, cases = sums[:, None], number.astype(np.float64)
    candidates = [week for week in range(weeks, period.span) if cases[week:].sum() > 0]

    def apart(week: int) -> float:
        before, after = columns[:week].sum(axis=0), columns[week:].sum(axis=0)
        n, m = cases[:week].sum(), cases[week:].sum()
        if not names:
            return float(((after / m - before / n) ** 2 * n * m / (n + m))[0])
        share = (before + after + 0.5) / (n + m + 0.5 * len(before))
        return float((((after / m - before / n) ** 2) / (share * (1 - share))).max() * n * m / (n + m))

    return max(candidates, key=apart)
