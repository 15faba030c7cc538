"""More tickets, or a worse mood, than a record's own past and its cohort lead one to expect.

Weeks are whole ones, to the last Monday 00:00 UTC: looks of one week see the same and say the same. A score compares
the last `weeks` with the record's own baseline before them, drawn towards the cohort where its own past is short, and
moved by what the whole cohort did in the same weeks (so that a season is nobody's fault). Its p-value is conformal:
against the same score of the cohort in the three windows before. So it needs no model to be true, only that this
window is like those were.

Sources: Robbins, "An empirical Bayes approach to statistics" (1956) for drawing rates towards the cohort's; Vovk,
Gammerman, Shafer, "Algorithmic Learning in a Random World" (2005) for the p-value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from detectors.pvalues import Floats, conformal
from detectors.snapshot import OPEN, Longs, Versions, check_request, micros, read_versions, time_of
from detectors.wording import figure, plural
from watchtower.contract import Contributor, DetectionRequest, Picture, Point, Signal

WEEK = 604_800_000_000
MONDAY = 4 * 86_400_000_000
"""1970-01-05 was one."""
WEEKS, BASELINE, LEAST = 4, 26, 8
"""The window, the baseline before it at most, and at least, in weeks."""
WINDOWS = 3
"""Earlier windows that the score is compared with."""
MINIMUM = 50
"""Scores to compare with under which a cohort is not judged."""
SHOWN = 12
"""Weeks that a signal shows."""


class Scores(NamedTuple):
    """Of each record; NaN where it is not judged. Larger is stranger."""

    score: Floats
    seen: Floats
    expected: Floats


class Usual(NamedTuple):
    """What a cohort tells of one window: learnt from all of it, and read by each record's score."""

    level: float = 0.0
    """Of counts: their mean in a week. Of values: nothing."""
    spread: float = 0.0
    """Of counts: the variance of rates between records. Of values: the usual weekly variance of one record."""
    season: float = 1.0
    """Of counts: how many times as many all have. Of values: by how much all have moved."""
    bursts: float = 0.0


@dataclass(frozen=True)
class Weekly:
    """One value for each record and whole week, the latest week first: (n, weeks)."""

    ids: list[str]
    values: Floats
    age: Longs
    """Whole weeks for which the record has been there."""
    stratum: NDArray[np.object_]
    until: int


@dataclass(frozen=True)
class FittedShift:
    """By cohort: past scores, ascending, and what is usual in the present window."""

    scores: Mapping[str, Floats]
    usual: Mapping[str, Usual]
    tested: int
    abstentions: Mapping[str, str]
    at: int


Learn = Callable[[Floats, Longs, int, int], Usual]
Score = Callable[[Floats, Longs, int, int, Usual], Scores]


class Shift:
    """A signal for each record with p <= budget. Parameters: `weeks` (default 4); `by`, a field that parts cohorts."""

    version = "1"
    in_parts = True

    def __init__(self, name: str, *, counts: bool, learn: Learn, score: Score, direction: str, unit: str) -> None:
        self.name, self._counts, self._direction, self._unit = name, counts, direction, unit
        self._learn, self._score = learn, score

    def fit(self, snapshot: Any, request: DetectionRequest) -> FittedShift:
        """The scores of the windows before. ValueError for a missing field or unknown parameter."""
        weekly, weeks = self._weekly(snapshot, request)
        scores, usual, abstentions, tested = dict[str, Floats](), dict[str, Usual](), dict[str, str](), 0
        for stratum in sorted(set(weekly.stratum.tolist())):
            here = weekly.stratum == stratum
            values, age = weekly.values[here], weekly.age[here]
            windows = [(weeks * back, self._learn(values, age, weeks, weeks * back)) for back in range(WINDOWS + 1)]
            past = [self._score(values, age, weeks, back, known).score for back, known in windows[1:]]
            known = np.concatenate(past)
            known = np.sort(known[~np.isnan(known)])
            least = 1.0 / (known.size + 1.0)
            if known.size < MINIMUM:
                reason = f"{known.size} earlier windows to compare with; at least {MINIMUM} are needed"
            elif least > request.budget:
                reason = (
                    f"{known.size} earlier windows: no p-value is below {least:.3g}, the budget is {request.budget:g}"
                )
            else:
                scores[stratum], usual[stratum] = known, windows[0][1]
                now = self._score(values, age, weeks, 0, usual[stratum]).score
                tested += int((~np.isnan(now)).sum())
                short = int(np.isnan(now).sum())
                if short:
                    abstentions[_cohort(request, stratum) + ": short histories"] = (
                        f"{short} {plural(request.object)} have fewer than {weeks + LEAST} weeks behind them"
                    )
                continue
            abstentions[_cohort(request, stratum)] = reason
        return FittedShift(scores, usual, tested, abstentions, micros(request.at))

    def raise_signals(self, snapshot: Any, fitted: FittedShift, request: DetectionRequest) -> Sequence[Signal]:
        """Signals, strangest first, then by subject. ValueError where `fitted` knows a later time."""
        if fitted.at > micros(request.at):
            known = time_of(fitted.at).isoformat()
            raise ValueError(f"at: {request.at.isoformat()} is before {known}, up to which the fit has read")
        weekly, weeks = self._weekly(snapshot, request)
        signals: list[Signal] = []
        for stratum, past in fitted.scores.items():
            here = np.flatnonzero(weekly.stratum == stratum)
            now = self._score(weekly.values[here], weekly.age[here], weeks, 0, fitted.usual[stratum])
            p_values = np.where(np.isnan(now.score), 1.0, conformal(past, np.nan_to_num(now.score, nan=-np.inf)))
            for n in np.flatnonzero(p_values <= request.budget).tolist():
                signals.append(self._signal(weekly, int(here[n]), float(p_values[n]), now, n, weeks, request, stratum))
        return sorted(signals, key=lambda signal: (signal.p_value, -signal.strength, signal.subject))

    def _signal(
        self,
        weekly: Weekly,
        row: int,
        p_value: float,
        now: Scores,
        n: int,
        weeks: int,
        request: DetectionRequest,
        stratum: str,
    ) -> Signal:
        seen, expected = float(now.seen[n]), float(now.expected[n])
        began = time_of(weekly.until - weeks * WEEK)
        if self._counts:
            strength = 100.0 * (seen / max(expected, 1e-9) - 1.0)
            told = f"{figure(seen)} {request.field} in {weeks} weeks; {figure(expected)} were to be expected"
        else:
            strength = abs(seen - expected)
            told = f"{request.field} {figure(seen)} over {weeks} weeks; {figure(expected)} was to be expected"
        shown = min(SHOWN, int(weekly.age[row]), weekly.values.shape[1])
        return Signal(
            request=request.id,
            signal=request.signal,
            subject=f"{request.object}/{weekly.ids[row]}",
            detector=self.name,
            version=self.version,
            p_value=p_value,
            strength=strength,
            unit=self._unit,
            direction=self._direction,
            explanation=f"{told} from its own past and that of {plural(request.object)} like it.",
            began_at=began,
            window_from=began,
            window_to=time_of(weekly.until),
            cohort=_cohort(request, stratum),
            contributors=tuple(
                Contributor(
                    name=f"week of {time_of(weekly.until - (back + 1) * WEEK):%Y-%m-%d}",
                    value=float(np.nan_to_num(weekly.values[row, back])),
                )
                for back in reversed(range(shown))
            ),
            picture=_picture(weekly, row, weeks, expected / weeks if self._counts else expected, request),
        )

    def _weekly(self, snapshot: Any, request: DetectionRequest) -> tuple[Weekly, int]:
        check_request(request, self.name, ("weeks", "by"))
        if not request.field:
            raise ValueError(f"field: signal {request.signal!r} names none; {self.name} needs the number to watch")
        weeks = request.parameters.get("weeks", WEEKS)
        if isinstance(weeks, bool) or not isinstance(weeks, int) or not 1 <= weeks <= 26:
            raise ValueError(f"parameters.weeks: {weeks!r} is not a whole number from 1 to 26")
        versions = read_versions(snapshot, request.at)
        until = (micros(request.at) - MONDAY) // WEEK * WEEK + MONDAY
        width = weeks * (WINDOWS + 1) + BASELINE
        read = _counted if self._counts else _standing_value
        values = read(versions, versions.numbers(request.field), until, width)
        lasts = np.append(np.flatnonzero(np.diff(versions.record)), versions.record.size - 1)
        lasts = lasts[versions.end[lasts] == OPEN] if versions.record.size else lasts[:0]
        firsts = np.flatnonzero(versions.first)
        record = versions.record[lasts]
        age = np.maximum(0, (until - versions.start[firsts][record]) // WEEK)
        by = str(request.parameters.get("by", ""))
        stratum = np.full(record.size, "", dtype=object)
        if by:
            codes, texts = versions.codes(by)
            stratum = np.array([*texts, "unknown"], dtype=object)[codes[lasts]]
        ids = versions.ids.take(pa.array(record)).to_pylist()
        return Weekly(ids, values[record], age, stratum, until), weeks


def _picture(weekly: Weekly, row: int, weeks: int, usual: float, request: DetectionRequest) -> Picture:
    """The weeks that are known, the oldest first."""
    back = np.arange(min(int(weekly.age[row]), weekly.values.shape[1]))[::-1]
    back = back[~np.isnan(weekly.values[row, back])]
    return Picture(
        of=f"{request.field} a week",
        points=tuple(
            Point(f"{time_of(weekly.until - (one + 1) * WEEK):%Y-%m-%d}", float(weekly.values[row, one]))
            for one in back.tolist()
        ),
        since=int((back >= weeks).sum()),
        usual=usual,
    )


def _counted(versions: Versions, number: Floats, until: int, width: int) -> Floats:
    """How much a counter rose in each week. What it stood at when the record appeared is nobody's week."""
    number = np.nan_to_num(number)
    rise = np.zeros(number.size)
    rise[1:] = np.maximum(0.0, np.diff(number))
    rise[versions.first] = 0.0
    week = (until - 1 - versions.start) // WEEK
    inside = (versions.start < until) & (week < width)
    found = np.zeros((len(versions.ids), width))
    np.add.at(found, (versions.record[inside], week[inside]), rise[inside])
    return found


def _standing_value(versions: Versions, number: Floats, until: int, width: int) -> Floats:
    """The value in force at the end of each week; NaN where there was none."""
    found = np.full((len(versions.ids), width), np.nan)
    for back in range(width):
        at = until - back * WEEK
        rows = np.flatnonzero((versions.start < at) & (versions.end >= at))
        found[versions.record[rows], back] = number[rows]
    return found


def usual_counts(values: Floats, age: Longs, weeks: int, back: int) -> Usual:
    """From (n, weeks) counts: the window begins `back + weeks` weeks ago and ends `back` ago."""
    baseline, exposure, judged = _before(values, age, weeks, back)
    if not judged.any() or baseline[judged].sum() == 0:
        return Usual()
    exposed = exposure[judged].astype(np.float64)
    rate = baseline[judged].sum(axis=1) / exposed
    # what varies between records beyond the chance of counting
    between = max(float(rate.var() - (rate / exposed).mean()), 1e-3 * float(rate.mean()) ** 2)
    recent = values[judged, back : back + weeks].sum()
    season = float(np.clip(recent / (weeks * rate.sum()), 0.2, 5.0))
    return Usual(float(rate.mean()), between, season, _bursts(baseline[judged], exposure[judged]))


def more_counts(values: Floats, age: Longs, weeks: int, back: int, usual: Usual) -> Scores:
    """How unlikely so many are: minus the logarithm of a negative binomial's tail.

    Its spread is that of the rate's gamma posterior, and that of bursts, which a season makes larger with all else.
    """
    from scipy.stats import nbinom

    baseline, exposure, judged = _before(values, age, weeks, back)
    recent = values[:, back : back + weeks].sum(axis=1)
    if usual.level == 0.0:
        nothing = np.full(len(values), np.nan)
        return Scores(nothing, recent, nothing)
    shape, scale = usual.level**2 / usual.spread, usual.level / usual.spread
    size, inverse = shape + baseline.sum(axis=1), (scale + exposure) / usual.season
    expected = size / inverse * weeks
    size = 1.0 / (1.0 / size + usual.bursts / weeks)
    tail = nbinom.logsf(recent - 1, size, size / (size + expected))
    return Scores(np.where(judged, -tail, np.nan), recent, np.where(judged, expected, np.nan))


def _before(values: Floats, age: Longs, weeks: int, back: int) -> tuple[Floats, Longs, NDArray[np.bool_]]:
    """The counts of the baseline (0 where the record was not there), its weeks, and which records have enough."""
    exposure = np.clip(age - back - weeks, 0, BASELINE)
    baseline = values[:, back + weeks : back + weeks + BASELINE]
    there = np.arange(baseline.shape[1]) < exposure[:, None]
    return np.where(there, baseline, 0.0), exposure, exposure >= LEAST


def _bursts(baseline: Floats, exposure: Longs) -> float:
    """How much weeks of one record vary beyond the chance of counting, as a share of the squared mean; 0 or more."""
    known = np.arange(baseline.shape[1]) < exposure[:, None]
    counted = known.sum(axis=1)
    mean = np.where(known, baseline, 0.0).sum(axis=1) / counted
    variance = (np.where(known, baseline - mean[:, None], 0.0) ** 2).sum(axis=1) / (counted - 1)
    squares = float((mean**2 - mean / counted).sum())
    return max(0.0, float((variance - mean).sum()) / squares) if squares > 0 else 0.0


def usual_values(values: Floats, age: Longs, weeks: int, back: int) -> Usual:
    """From (n, weeks) values, NaN where there is none: what one record varies, and how all have moved."""
    mean, squares, count, now, judged = _moments(values, weeks, back)
    if not judged.any():
        return Usual()
    spread = float(np.median(squares[judged] / np.maximum(count[judged] - 1, 1))) or 1e-9
    return Usual(spread=spread, season=float(np.median((now - mean)[judged])))


def lower_values(values: Floats, age: Longs, weeks: int, back: int, usual: Usual) -> Scores:
    """How far a mean has fallen, in its own weekly deviations; these are drawn towards the cohort's."""
    mean, squares, count, now, judged = _moments(values, weeks, back)
    if usual.spread == 0.0:
        nothing = np.full(len(values), np.nan)
        return Scores(nothing, nothing, nothing)
    variance = (LEAST * usual.spread + squares) / (LEAST + np.maximum(count, 1) - 1)
    fallen = (mean + usual.season - now) / np.sqrt(variance)
    return Scores(np.where(judged, fallen, np.nan), now, mean + usual.season)


def _moments(values: Floats, weeks: int, back: int) -> tuple[Floats, Floats, Longs, Floats, NDArray[np.bool_]]:
    """Of each record: the baseline's mean, sum of squares and weeks, the window's mean, and whether it is judged."""
    baseline, recent = values[:, back + weeks : back + weeks + BASELINE], values[:, back : back + weeks]
    known = ~np.isnan(baseline)
    count = known.sum(axis=1)
    judged = (count >= LEAST) & (~np.isnan(recent)).all(axis=1)
    mean = np.where(known, baseline, 0.0).sum(axis=1) / np.maximum(count, 1)
    squares = (np.where(known, baseline - mean[:, None], 0.0) ** 2).sum(axis=1)
    return mean, squares, count, np.where(np.isnan(recent), 0.0, recent).mean(axis=1), judged


def _cohort(request: DetectionRequest, stratum: str) -> str:
    by = request.parameters.get("by")
    return f"{by}={stratum}" if by else f"all {plural(request.object)}"


TICKET_SHIFT = Shift("ticket_shift", counts=True, learn=usual_counts, score=more_counts, direction="up", unit="percent")
SENTIMENT_SHIFT = Shift(
    "sentiment_shift", counts=False, learn=usual_values, score=lower_values, direction="down", unit="points"
)
