"""Has a rate gone up? Weekly counts of many segments, each against its own past and its peers' rates.

The model. Segment i has rate p_i, drawn from Beta(a, b); of its n cases in a week, x go wrong: beta-binomial with
mean p_i and intra-week correlation rho (0: binomial). a, b and rho are fitted to the baselines of all segments by
marginal likelihood: empirical Bayes. What the baseline says of p_i is its posterior on a grid.

The statistic. Shiryaev and Roberts' sum over the week k in which the rate may have gone to `ratio` times itself,

    R_t = sum over k <= t of  integral of posterior(p) f(x_1..x_{k-1} | p) f(x_k..x_t | ratio p) dp
                              / integral of posterior(p) f(x_1..x_t | p) dp,

with p integrated out in numerator and denominator: a CUSUM with a plugged-in rate takes the error of a short
baseline for a change and needs a threshold that much higher. Weeks under watch go on teaching the rate.

Sources: Shiryaev, "On optimum methods in quickest detection problems", Theory Prob. Appl. 8 (1963); Roberts,
Technometrics 8 (1966); Pollak, "Optimal detection of a change in distribution", Annals of Statistics 13 (1985), for
the mixture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, logsumexp
from scipy.stats import beta

from detectors.pvalues import Floats
from detectors.snapshot import Longs

GRID = 41
"""Points of a segment's possible rates, equally probable before its baseline is seen."""
RHOS = (0.0, 0.005, 0.01, 0.02, 0.04, 0.08)
SPREADS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
"""Standard deviations of rates between segments, as shares of their mean, that are tried."""
SHIFTS = (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4)
"""Means that are tried, as multiples of the pooled rate."""
RATES = 1.0 / (1.0 + np.exp(-np.linspace(-9.0, 9.0, 181)))
RISE = 0.02
"""Twice hardly anything is hardly anything: where nothing has gone wrong yet, a rise is one to this at least."""
CHUNK = 2_000


@dataclass(frozen=True)
class Prior:
    """How rates lie between segments, and how weeks scatter about them."""

    a: float
    b: float
    rho: float
    """In [0, 1): the correlation between cases of one week."""

    @property
    def mean(self) -> float:
        return self.a / (self.a + self.b)

    def rates(self) -> Floats:
        """(GRID,) rates, equally probable."""
        points: Floats = np.clip(beta.ppf((np.arange(GRID) + 0.5) / GRID, self.a, self.b), 1e-6, 1 - 1e-6)
        return points


def raised(rates: Floats, ratio: float) -> Floats:
    """`ratio` times the rates, and RISE more at least; at most half-way to 1."""
    up: Floats = np.minimum(np.maximum(ratio * rates, rates + RISE), (1.0 + rates) / 2.0)
    return up


def log_likelihoods(counts: Longs, cases: Longs, rates: Floats, rho: float) -> tuple[Floats, Longs]:
    """log P(count | cases, rate) without the binomial coefficient, which cancels, for each distinct pair.

    `counts`, `cases` of one shape; returns (pairs, rates) and the pair's number for each entry, in that shape.
    """
    base = int(cases.max(initial=0)) + 1
    keys, inverse = np.unique(cases * base + counts, return_inverse=True)
    cases_of, counts_of = (keys // base)[:, None], (keys % base)[:, None]
    if rho > 0:
        size = 1.0 / rho - 1.0
        up, down = rates * size, (1.0 - rates) * size
        table = betaln(counts_of + up, cases_of - counts_of + down) - betaln(up, down)
    else:
        table = counts_of * np.log(rates) + (cases_of - counts_of) * np.log1p(-rates)
    return table, inverse.reshape(counts.shape)


def fit_prior(counts: Longs, cases: Longs) -> Prior:
    """The most likely prior for (segments, weeks) of baseline; on a grid, so that it is the same everywhere."""
    pooled = (counts.sum() + 0.5) / (cases.sum() + 1.0)
    width = np.gradient(RATES)
    best, found = -np.inf, Prior(1.0, 1.0, 0.0)
    for rho in RHOS:
        table, pairs = log_likelihoods(counts, cases, RATES, rho)
        of_segment = table[pairs].sum(axis=1)
        for shift in SHIFTS:
            mean = min(shift * pooled, 0.95)
            for spread in SPREADS:
                size = mean * (1 - mean) / min(spread * mean, 0.9 * np.sqrt(mean * (1 - mean))) ** 2 - 1.0
                a, b = mean * size, (1 - mean) * size
                log_weight = beta.logpdf(RATES, a, b) + np.log(width)
                log_weight -= logsumexp(log_weight)
                likelihood = float(logsumexp(of_segment + log_weight, axis=1).sum())
                if likelihood > best + 1e-9:
                    best, found = likelihood, Prior(float(a), float(b), rho)
    return found


def statistics(counts: Longs, cases: Longs, baseline: int, prior: Prior, ratio: float) -> Floats:
    """log R after each watched week: (segments, weeks - baseline) from (segments, weeks) of counts and cases."""
    size, weeks = counts.shape
    found = np.empty((size, weeks - baseline))
    for begin in range(0, size, CHUNK):
        part = slice(begin, begin + CHUNK)
        found[part] = _statistics(counts[part], cases[part], baseline, prior, ratio)
    return found


def _statistics(counts: Longs, cases: Longs, baseline: int, prior: Prior, ratio: float) -> Floats:
    size, weeks = counts.shape
    rates = prior.rates()
    table, pairs = log_likelihoods(counts, cases, np.concatenate((rates, raised(rates, ratio))), prior.rho)
    log_before = np.zeros((size, GRID))
    for week in range(baseline):
        log_before += table[pairs[:, week], :GRID]
    unchanged = np.exp(log_before - log_before.max(axis=1, keepdims=True))
    unchanged /= unchanged.sum(axis=1, keepdims=True)
    # scaled by the largest of each row: rare counts must not underflow
    scaled = np.exp(table - table.max(axis=1, keepdims=True))
    changed = np.zeros((size, GRID))
    found = np.empty((size, weeks - baseline))
    for week in range(baseline, weeks):
        likelihood = scaled[pairs[:, week]]
        changed = (changed + unchanged) * likelihood[:, GRID:]
        unchanged = unchanged * likelihood[:, :GRID]
        total = unchanged.sum(axis=1, keepdims=True) + 1e-300
        changed, unchanged = changed / total, unchanged / total
        found[:, week - baseline] = np.log(changed.sum(axis=1) + 1e-300)
    return found


def simulate(
    prior: Prior, cases: Longs, random: np.random.Generator, change: int | None = None, ratio: float = 2.0
) -> Longs:
    """Counts of segments that draw their rates from the prior; from week `change` on at `ratio` times the rate."""
    size, weeks = cases.shape
    rates: Floats = np.asarray(random.beta(prior.a, prior.b, size))[:, None]
    by_week: Floats = np.broadcast_to(rates, cases.shape)
    if change is not None:
        by_week = np.where(np.arange(weeks) >= change, raised(rates, ratio), by_week)
    if prior.rho > 0:
        scale = 1.0 / prior.rho - 1.0
        by_week = random.beta(np.maximum(by_week * scale, 1e-9), np.maximum((1.0 - by_week) * scale, 1e-9))
    counts: Longs = random.binomial(cases, by_week).astype(np.int64)
    return counts


def null_maxima(cases: Longs, baseline: int, prior: Prior, ratio: float, draws: int, seed: int) -> Floats:
    """The largest log R of each of `draws` segments without a change, ascending.

    `cases` (segments, weeks) of one stratum: a draw takes the volumes of one of them, whole.
    """
    random = np.random.default_rng(seed)
    volumes = cases[random.integers(0, len(cases), draws)]
    counts = simulate(prior, volumes, random)
    maxima: Floats = np.sort(statistics(counts, volumes, baseline, prior, ratio).max(axis=1))
    return maxima


def change_week(counts: Longs, cases: Longs, baseline: int, prior: Prior, ratio: float) -> tuple[int, Floats]:
    """For one segment's (weeks,): the most likely first week of the raised rate, and each week's evidence.

    Evidence (weeks,): log likelihood ratio of raised against unchanged at the posterior mean of the baseline.
    """
    own = (prior.a + counts[:baseline].sum()) / (prior.a + prior.b + cases[:baseline].sum())
    both = np.array([own, float(raised(np.array([own]), ratio)[0])])
    table, pairs = log_likelihoods(counts, cases, both, prior.rho)
    evidence: Floats = table[pairs, 1] - table[pairs, 0]
    from_here = np.cumsum(evidence[::-1])[::-1]
    return baseline + int(np.argmax(from_here[baseline:])), evidence


def volume_strata(cases: Longs) -> NDArray[np.int64]:
    """Each segment's stratum: how often its mean weekly number of cases doubles from 1."""
    mean = cases.mean(axis=1)
    strata: NDArray[np.int64] = np.floor(np.log2(np.maximum(mean, 1.0))).astype(np.int64)
    return strata
