"""Accounts whose usage has fallen, against their own weeks before, their cohort's season and what chance does.

A weekly CUSUM lets one healthy account in seven through; of those, and of the falling ones, the Bayes factor of a
fall is computed (detectors.usage_evidence) and read as a p-value against healthy accounts of the same size, simulated
from the cohort's own dispersion and autocorrelation (detectors.usage_null). What is promised: of the accounts in
which nothing happens, a share `budget` is ever raised in 26 weekly runs in a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from detectors.pvalues import Floats, seed_of
from detectors.snapshot import Longs, micros, time_of
from detectors.usage_calibration import realised
from detectors.usage_evidence import Weeks, levels
from detectors.usage_fit import LEAST, MINIMUM, Stratum, season_of, strata_of
from detectors.usage_null import BASELINE, MONITORED, WINDOW, Null, fit_null, p_values_now
from detectors.usage_series import Usage, read_usage
from detectors.wording import figure, plural
from watchtower.contract import Calibration, Contributor, DetectionRequest, Picture, Point, Signal

SIZES = (0.15, 0.25, 1 / 3, 0.5, 0.65, 0.8, 0.9, 0.98)
"""Falls among which the likeliest is shown."""
KNOWN = 0.75
"""Of the baseline's weeks, the share that must be known."""


@dataclass(frozen=True)
class Cohort:
    """A stratum, and what evidence its healthy accounts come to: in their first half-year of looks, and later."""

    stratum: Stratum
    young: Null | None
    older: Null | None

    def null(self, older: bool) -> Null | None:
        return self.older if older else self.young


@dataclass(frozen=True)
class FittedUsage:
    """The cohort's season, by week, and its strata."""

    season: Mapping[int, float]
    """By the week's start."""
    cohorts: tuple[Cohort, ...]
    abstentions: Mapping[str, str]
    """What the detector is silent on, and why."""
    at: int

    @property
    def tested(self) -> int:
        """Accounts that are judged."""
        return sum(cohort.stratum.rows.size for cohort in self.cohorts)


class UsageDecline:
    """One signal for each account with p <= budget; strength is the fall in percent.

    Parameters: `events` (usage.recorded) and `metric`, what is summed by week; `missing`, what a week without an
    event is: zero (default) or unknown. An account is judged from 27 complete weeks and 0.5 counts a week on.
    A budget above the gate's 15% raises no more than one of 15%.
    """

    name = "usage_decline"
    version = "1"
    whole = "a week in which nothing was recorded at all is a gap of the measurement, which only the whole shows"
    """Why it does not work in parts."""

    def fit(self, snapshot: Any, request: DetectionRequest) -> FittedUsage:
        """Season, strata and nulls of the weeks complete at `request.at`. ValueError names what is wrong."""
        usage = read_usage(snapshot, request, self.name)
        rows, weeks, older, abstentions = _window(usage)
        cohorts: list[Cohort] = []
        if rows.size < MINIMUM:
            few = f"{rows.size} {plural(request.object)} have {BASELINE + 1} known weeks; at least {MINIMUM} are needed"
            abstentions["cohort"] = few
        else:
            seed = seed_of(f"{request.signal} {request.object}")
            found = strata_of(weeks)
            judged = sum(stratum.rows.size for stratum in found)
            if judged < rows.size:
                sparse = f"{rows.size - judged} of {rows.size} use less than {LEAST:g} a week: a fall cannot be told"
                abstentions["sparse"] = sparse if judged else f"{sparse}; under {MINIMUM} use more"
            for stratum in found:
                there = older[stratum.rows]
                young = None if there.all() else fit_null(stratum, weeks, seed, sliding=False)
                late = fit_null(stratum, weeks, seed, sliding=True) if there.any() else None
                cohorts.append(Cohort(stratum, young, late))
        season = dict(zip(usage.weeks[-weeks.season.size :].tolist(), weeks.season.tolist(), strict=True))
        return FittedUsage(season, tuple(cohorts), abstentions, micros(request.at))

    def raise_signals(self, snapshot: Any, fitted: FittedUsage, request: DetectionRequest) -> Sequence[Signal]:
        """Signals, strangest first, then by subject. ValueError where `fitted` knows a later time."""
        if fitted.at > micros(request.at):
            known = time_of(fitted.at).isoformat()
            raise ValueError(f"at: {request.at.isoformat()} is before {known}, up to which the fit has read")
        usage = read_usage(snapshot, request, self.name)
        rows, weeks, older, _ = _window(usage, fitted.season)
        signals: list[Signal] = []
        for cohort, members in _placed(fitted.cohorts, weeks):
            for late in (False, True):
                null = cohort.null(late)
                mine = members[older[members] == late]
                if null is None or not mine.size:
                    continue
                p_values = p_values_now(weeks.take(mine), cohort.stratum, null)
                hits = np.flatnonzero(p_values <= request.budget)
                signals += self._signals(usage, rows, weeks, mine[hits], p_values[hits], cohort.stratum, request)
        return sorted(signals, key=lambda signal: (signal.p_value, signal.subject))

    def calibrate(self, snapshot: Any, request: DetectionRequest, *, seed: int = 0) -> Sequence[Calibration]:
        """The accounts simulated anew from the fit, healthy; fitted as if they were real; looked at for 26 weeks."""
        fitted = self.fit(snapshot, request)
        _, weeks, older, _ = _window(read_usage(snapshot, request, self.name), fitted.season)
        strata = [cohort.stratum for cohort in fitted.cohorts]
        per = f"{MONITORED} weekly runs"
        return [
            Calibration(cohort=name, promised=request.budget, raised=raised, judged=judged, per=per)
            for name, judged, raised in realised(strata, weeks, older, request.budget, seed)
        ]

    def _signals(
        self,
        usage: Usage,
        rows: Longs,
        weeks: Weeks,
        hits: Longs,
        p_values: Floats,
        stratum: Stratum,
        request: DetectionRequest,
    ) -> Iterator[Signal]:
        some = weeks.take(hits)
        steps = _steps(some, stratum)
        offset = usage.weeks.size - weeks.season.size
        ids = usage.ids.take(pa.array(rows[hits])).to_pylist()
        cohort = f"{stratum.rows.size} {plural(request.object)}, {stratum.name}"
        for row, record in enumerate(ids):
            began, before, after = _change(some, row, steps[row])
            if before <= after:
                continue
            said = np.maximum(steps[row, began:], 0.0)
            total = float(said.sum()) or 1.0
            window = slice(began, steps.shape[1])
            first = max(int(usage.begins[rows[hits[row]]]), offset)
            name = usage.name(offset + began)
            drop = 100.0 * (1.0 - after / before)
            yield Signal(
                request=request.id,
                signal=request.signal,
                subject=f"{request.object}/{record}",
                detector=self.name,
                version=self.version,
                p_value=float(p_values[row]),
                strength=drop,
                unit="percent",
                direction="down",
                explanation=(
                    f"Down {drop:.0f}% since the week of {name}: {figure(after)} a week "
                    f"where {figure(before)} were usual, the season taken out."
                ),
                began_at=time_of(int(usage.weeks[offset + began])),
                window_from=time_of(int(usage.weeks[first])),
                window_to=time_of(usage.until),
                cohort=cohort,
                contributors=tuple(
                    Contributor(name=usage.name(offset + week), value=float(some.values[row, week]), weight=share)
                    for week, share in zip(range(window.start, window.stop), (said / total).tolist(), strict=True)
                    if some.known[row, week]
                ),
                picture=_picture(usage, some, row, offset, began, before, request),
            )


def _picture(
    usage: Usage, weeks: Weeks, row: int, offset: int, began: int, before: float, request: DetectionRequest
) -> Picture:
    """All known weeks as they were, and the level before the fall, the season taken out."""
    known = np.flatnonzero(weeks.known[row])
    return Picture(
        of=f"{request.parameters.get('metric', request.parameters['events'])} a week",
        points=tuple(Point(usage.name(offset + week), float(weeks.values[row, week])) for week in known.tolist()),
        since=int((known < began).sum()),
        usual=before,
    )


def _window(usage: Usage, season: Mapping[int, float] | None = None) -> tuple[Longs, Weeks, np.ndarray, dict[str, str]]:
    """The accounts with enough known weeks, their last WINDOW weeks, which of them are older, and who is left out."""
    abstentions = dict(usage.gaps)
    length = min(usage.weeks.size, WINDOW)
    begin = usage.weeks.size - length
    values, known = usage.values[:, begin:], usage.known[:, begin:]
    first = np.maximum(length - MONITORED, usage.begins - begin + BASELINE)
    base = (np.arange(length) < first[:, None]) & known
    enough = (first < length) & (base.sum(axis=1) >= KNOWN * BASELINE)
    if not enough.all():
        short = int((~enough).sum())
        abstentions["short"] = f"{short} of {enough.size} have fewer than {BASELINE + 1} weeks, or too few known ones"
    rows = np.flatnonzero(enough)
    values, known, first = values[rows], known[rows], first[rows]
    if season is None:
        index = season_of(values, known) if rows.size else np.ones(length)
    else:
        index = _continued(season, usage.weeks[begin:], values, known)
    return rows, Weeks(values, known, first, index, MONITORED), usage.begins[rows] < begin, abstentions


def _continued(season: Mapping[int, float], starts: Longs, values: Floats, known: np.ndarray) -> Floats:
    """The fitted season; where the fit did not know a week, all are estimated anew: a season is no secret."""
    if all(int(start) in season for start in starts):
        return np.array([season[int(start)] for start in starts])
    return season_of(values, known) if len(values) else np.ones(starts.size)


def _placed(cohorts: Sequence[Cohort], weeks: Weeks) -> Iterator[tuple[Cohort, Longs]]:
    """Each cohort and the accounts whose baseline puts them there."""
    base = weeks.baseline
    mean = np.where(base, weeks.values, 0.0).sum(axis=1) / np.maximum((base * weeks.season).sum(axis=1), 1e-9)
    for cohort in cohorts:
        yield cohort, np.flatnonzero((mean >= cohort.stratum.low) & (mean < cohort.stratum.high))


def _steps(weeks: Weeks, stratum: Stratum) -> Floats:
    """(n, T) how much each week speaks for a fall, as a log-likelihood ratio; 0 in the baseline.

    The fall is the one of SIZES, and from the week, that is likeliest over all weeks.
    """
    level, _ = levels(weeks, stratum.shape)
    mu, r = np.exp(level)[:, None] * weeks.season, stratum.shape.dispersion
    counted = weeks.known & (np.arange(mu.shape[1]) >= weeks.first[:, None])
    found, best = np.zeros(mu.shape), np.full(len(mu), -np.inf)
    for drop in SIZES:
        ratio = weeks.values * np.log1p(-drop) - (r + weeks.values) * (np.log(r + mu * (1.0 - drop)) - np.log(r + mu))
        steps = np.where(counted, ratio, 0.0)
        likeliest = np.cumsum(steps[:, ::-1], axis=1).max(axis=1, initial=-np.inf)
        better = likeliest > best
        found[better], best[better] = steps[better], likeliest[better]
    return found


def _change(weeks: Weeks, row: int, steps: Floats) -> tuple[int, float, float]:
    """The likeliest week of the fall, and the level before it and from it on, the season taken out."""
    first = int(weeks.first[row])
    since = np.cumsum(steps[::-1])[::-1]
    began = first + int(since[first:].argmax())
    known, y = weeks.known[row], weeks.values[row]
    means = []
    for part in (slice(0, began), slice(began, steps.size)):
        exposure = float(weeks.season[part][known[part]].sum())
        means.append(float(y[part][known[part]].sum()) / exposure if exposure > 0 else 0.0)
    return began, means[0], means[1]
