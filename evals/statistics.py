"""Intervals and tests, each with its range, its direction and its source. Pure NumPy and SciPy.

A share is never reported without an interval here, and a comparison never without pairing: the same cases
are hard for both runs, and a test that forgets it wastes most of its power.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

RESAMPLES = 1000
FEW = 20
"""With fewer clusters a bootstrap's percentiles cover too rarely: too little was there to be drawn."""
_CHUNK = 64
"""Resamples drawn at a time: 64 x 10,000 clusters are 5 MB."""
_ALIKE = 4
"""From so many clusters a kind on, kinds are drawn and not clusters."""


class Interval(msgspec.Struct, frozen=True):
    """A two-sided interval, low <= high."""

    low: float
    high: float


def _counts(successes: float, trials: int) -> None:
    if trials < 0 or not 0 <= successes <= trials:
        raise ValueError(f"successes: {successes} of {trials} trials; accepted is 0 <= successes <= trials")


def wilson(successes: float, trials: int, confidence: float = 0.95) -> Interval:
    """Score interval of a share. In [0, 1]; [0, 1] itself where there are no trials.

    `successes` may be a fraction (a share of as many clusters).
    Close to its nominal coverage on average, also near 0 and 1. Source: Wilson (1927), JASA 22:209-212.
    """
    _counts(successes, trials)
    if trials == 0:
        return Interval(0.0, 1.0)
    z = float(stats.norm.ppf(0.5 + confidence / 2))
    share = successes / trials
    spread = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / spread
    half = z * np.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials)) / spread
    # Exactly 0 and 1 at the ends: rounding must not put the interval beside its own estimate.
    low = 0.0 if successes == 0 else max(0.0, float(centre - half))
    high = 1.0 if successes == trials else min(1.0, float(centre + half))
    return Interval(low, high)


def clopper_pearson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Exact interval of a share. In [0, 1]; covers at least as often as it says, so it is wider.

    For promises ("false alarms at most at this rate"). Source: Clopper and Pearson (1934), Biometrika 26.
    """
    _counts(successes, trials)
    tail = (1 - confidence) / 2
    low = 0.0 if successes == 0 else float(stats.beta.ppf(tail, successes, trials - successes + 1))
    high = 1.0 if successes == trials else float(stats.beta.ppf(1 - tail, successes + 1, trials - successes))
    return Interval(low, high)


def mcnemar_exact(lost: int, gained: int) -> float:
    """Two-sided p-value that as many cases were lost as gained. In (0, 1]; smaller is stranger.

    `lost`: right before and wrong now; `gained`: the reverse. Pairs that agree say nothing.
    Source: McNemar (1947), Psychometrika 12; the exact binomial form.
    """
    if lost < 0 or gained < 0:
        raise ValueError(f"lost, gained: {lost}, {gained}; accepted are counts from 0")
    if lost + gained == 0:
        return 1.0
    return min(1.0, 2 * float(stats.binom.cdf(min(lost, gained), lost + gained, 0.5)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the given order. In [0, 1]; each >= its raw value; smaller is stranger.

    Rejecting those <= alpha keeps the chance of any false rejection in the family at most alpha,
    whatever their dependence. Source: Holm (1979), Scandinavian Journal of Statistics 6:65-70.
    """
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def _cluster_sums(values: NDArray[np.float64], clusters: Sequence[str]) -> NDArray[np.float64]:
    """Rows of `values` (n x k) added up by cluster: (clusters x k), in order of first appearance."""
    index: dict[str, int] = {}
    rows = np.fromiter((index.setdefault(name, len(index)) for name in clusters), dtype=np.intp)
    if len(rows) != len(values):
        raise ValueError(f"clusters: {len(rows)} names for {len(values)} values")
    sums = np.zeros((len(index), values.shape[1]))
    np.add.at(sums, rows, values)
    return sums


def _resampled_totals(sums: NDArray[np.float64], seed: int, resamples: int) -> NDArray[np.float64]:
    """Totals (resamples x k) of as many clusters, drawn with replacement."""
    generator = np.random.default_rng(seed)
    count = len(sums)
    kinds, held = np.unique(sums, axis=0, return_counts=True)
    if len(kinds) <= count // _ALIKE:
        # Drawing a cluster is drawing its kind: how often each kind comes is multinomial. The same distribution.
        return np.asarray(generator.multinomial(count, held / count, size=resamples) @ kinds)
    totals = np.empty((resamples, sums.shape[1]))
    for start in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - start)
        drawn = generator.integers(0, count, size=(size, count), dtype=np.int32)
        drawn += np.arange(size, dtype=np.int32)[:, None] * count
        weights = np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count)
        totals[start : start + size] = weights @ sums
    return totals


def _percentile(values: NDArray[np.float64], confidence: float) -> Interval:
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(float(low), float(high))


def clustered_bootstrap(
    numerator: ArrayLike,
    denominator: ArrayLike,
    clusters: Sequence[str],
    *,
    seed: int,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
) -> Interval:
    """Percentile interval of sum(numerator) / sum(denominator), clusters drawn with replacement.

    For shares whose units are not independent (the fields of one case, the texts of one company).
    [0, 1] where the denominator is empty; resamples with an empty one are left out.
    The same seed gives the same interval.
    Source: Efron and Tibshirani (1993), chapters 8 and 13; Field and Welsh (2007), JRSS B 69.
    """
    pairs = np.column_stack([np.asarray(numerator, float), np.asarray(denominator, float)])
    if len(pairs) == 0 or pairs[:, 1].sum() == 0:
        return Interval(0.0, 1.0)
    totals = _resampled_totals(_cluster_sums(pairs, clusters), seed, resamples)
    totals = totals[totals[:, 1] > 0]
    return _percentile(totals[:, 0] / totals[:, 1], confidence)


def clustered_share(
    hits: ArrayLike, units: ArrayLike, clusters: Sequence[str], *, seed: int, confidence: float = 0.95
) -> Interval:
    """Interval of sum(hits) / sum(units) for units that hang together. In [0, 1].

    The clustered bootstrap, save where it would be blind: with few clusters, or where all or none are hits,
    Wilson's with the clusters as trials, as if the units of a cluster all said the same (wider than need be).
    """
    hit, unit = float(np.sum(hits)), float(np.sum(units))
    count = len(set(clusters))
    if unit and count >= FEW and 0 < hit < unit:
        return clustered_bootstrap(hits, units, clusters, seed=seed, confidence=confidence)
    return wilson(count * hit / unit if unit else 0, count if unit else 0, confidence)


def paired_bootstrap(
    before: ArrayLike,
    after: ArrayLike,
    clusters: Sequence[str],
    *,
    seed: int,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
) -> Interval:
    """Percentile interval of mean(after) - mean(before), pairs kept together. In [-1, 1] for shares.

    Above 0 where `after` is larger. Source: Efron and Tibshirani (1993), chapter 16.
    """
    first, second = np.asarray(before, float), np.asarray(after, float)
    if first.shape != second.shape:
        raise ValueError(f"before, after: {first.shape} and {second.shape} are not pairs")
    return clustered_bootstrap(
        second - first, np.ones_like(first), clusters, seed=seed, confidence=confidence, resamples=resamples
    )


def _bin_table(confidence: NDArray[np.float64], right: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    """(n x bins): confidence - right, in the column of its bin [k/bins, (k+1)/bins); the last is closed."""
    column = np.minimum((confidence * bins).astype(np.intp), bins - 1)
    table = np.zeros((len(confidence), bins))
    table[np.arange(len(confidence)), column] = confidence - right
    return table


def calibration_error(confidence: ArrayLike, right: ArrayLike, bins: int = 10) -> float:
    """Expected calibration error over equal-width bins. In [0, 1]; smaller is better; nan without cases.

    Biased upwards in small samples: noise within a bin counts as error.
    Source: Naeini, Cooper and Hauskrecht (2015), AAAI.
    """
    stated, was = np.asarray(confidence, float), np.asarray(right, float)
    if len(stated) == 0:
        return float("nan")
    return float(np.abs(_bin_table(stated, was, bins).sum(axis=0)).sum() / len(stated))


def calibration_interval(
    confidence: ArrayLike,
    right: ArrayLike,
    clusters: Sequence[str],
    *,
    seed: int,
    bins: int = 10,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> Interval:
    """Interval of the calibration error, from Jeffreys draws of the share right in each bin. In [0, 1].

    A bootstrap would draw a bin in which all are right as if nothing else could be, and give an interval
    without width. Rows of one cluster count as one case between them. Contains the point estimate.
    Source: Brown, Cai and DasGupta (2001), Statistical Science 16, for the Jeffreys prior.
    """
    stated, was = np.asarray(confidence, float), np.asarray(right, float)
    if len(stated) == 0:
        return Interval(0.0, 1.0)
    column = np.minimum((stated * bins).astype(np.intp), bins - 1)
    count = np.bincount(column, minlength=bins).astype(float)
    used = count > 0
    hits = np.bincount(column, weights=was, minlength=bins)[used]
    mean = np.bincount(column, weights=stated, minlength=bins)[used] / count[used]
    count = count[used]
    worth = len(set(clusters)) / len(stated)
    draws = np.random.default_rng(seed).beta(
        hits * worth + 0.5, (count - hits) * worth + 0.5, size=(resamples, len(count))
    )
    errors = np.abs(draws - mean) @ count / len(stated)
    found = _percentile(errors, level)
    point = calibration_error(stated, was, bins)
    return Interval(min(found.low, point), max(found.high, point))
