"""What is usual in a cohort's weekly counts: season, size strata, dispersion, autocorrelation.

Sources: the dispersion by marginal likelihood, its spread between accounts by empirical Bayes (Efron, "Large-scale
inference", 2010, chapter 1); a week's intensity is the level times a gamma process of autocorrelation rho, so that
counts a week apart have the covariance mu mu' rho / r.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, logsumexp

from detectors.pvalues import Floats
from detectors.usage_evidence import NODE_WEIGHTS, NODES, Bools, Longs, Shape, Weeks, levels

LEAST = 0.5
"""Counts a week below which a drop cannot be told from chance within months: no judgement."""
BOUNDS = LEAST * 2.0 ** np.arange(11)
"""Where size strata begin, in counts a week."""
MINIMUM = 30
"""Accounts under which a cohort is not judged."""
ENOUGH = 300
"""Accounts under which a stratum is joined with the next: of 100, dispersion and autocorrelation are told too badly."""
SAMPLED = 1_500
"""Accounts of a stratum on which its dispersion is fitted."""
NEARLY = 1.0
"""Units of log-likelihood: one standard error."""
MOST_RHO = 0.95
TYPICAL = 4.0
"""The dispersion that is assumed where none is fitted yet."""
SEASON_SAMPLE = 100_000
GRID = np.geomspace(0.25, 256.0, 41)
BROAD, ROUNDS = 0.7, 200
"""The standard deviation of log r between accounts from which the fit begins, and its steps."""


@dataclass(frozen=True)
class Models:
    """Accounts by which healthy ones are simulated: some of the stratum's, and some of those just outside, within a
    factor 2 of its bounds, which chance may put into it."""

    rows: Longs
    """(k,)"""
    chances: Floats
    """(k,) of being drawn, of sum 1"""
    dispersions: Floats
    """(R,)"""
    beliefs: Floats
    """(k, R) how likely each dispersion is the account's own, given its weeks. Drawn by itself, not from the stratum's
    shares: where bursty accounts are the small ones, those that chance lifts into the stratum are bursty too."""


@dataclass(frozen=True)
class Stratum:
    """Accounts of about one size. `rows` are theirs in the cohort, as are all row numbers here."""

    low: float
    high: float
    """Counts a week: [low, high), infinite at the top."""
    rows: Longs
    models: Models
    shape: Shape
    dispersions: Floats
    shares: Floats
    """Of the accounts. `shape` has them in short."""
    rho: float
    """The autocorrelation of the intensity from one week to the next, in [0, MOST_RHO]."""

    @property
    def typical(self) -> float:
        """One dispersion for all: of the mean variance."""
        return float(1.0 / (self.shares / self.dispersions).sum())

    @property
    def name(self) -> str:
        """`8 to 32 a week`"""
        return f"from {self.low:g} a week" if np.isinf(self.high) else f"{self.low:g} to {self.high:g} a week"


def season_of(values: Floats, known: Bools, dispersion: float = TYPICAL) -> Floats:
    """(T,) each week's usual share of an account's level, of mean 1; drawn in to 1 as far as chance explains it.

    An account's weight is bounded: none counts for more than `dispersion` of the smallest ones. Its level is taken
    over all its weeks, not its baseline: a week that had a part in the level would look fuller than one that had not.
    """
    step = max(1, len(values) // SEASON_SAMPLE)
    values, known = values[::step], known[::step]
    season = np.ones(values.shape[1])
    filled = np.where(known, values, 0.0)
    used = filled.sum(axis=1)
    for _ in range(4):
        mean = used / np.maximum(known @ season, 1e-9)
        weight = np.where(mean > 0, 1.0 / (1.0 + mean / dispersion), 0.0)
        exposure = (weight * mean) @ known
        raw = np.where(exposure > 0, (weight @ filled) / np.maximum(exposure, 1e-9), 1.0)
        season = np.maximum(raw / raw.mean(), 1e-3)
    chance = ((weight**2 * (mean + mean**2 / dispersion)) @ known) / np.maximum(exposure, 1e-9) ** 2
    real = max(float(np.mean((season - 1.0) ** 2 - chance)), 0.0)
    drawn: Floats = 1.0 + (season - 1.0) * (real / (real + float(chance.mean())) if real > 0 else 0.0)
    return drawn


def strata_of(weeks: Weeks) -> list[Stratum]:
    """The strata of the accounts with at least LEAST counts a week, smallest first; fewer than MINIMUM: none."""
    base = weeks.baseline
    mean = np.where(base, weeks.values, 0.0).sum(axis=1) / np.maximum((base * weeks.season).sum(axis=1), 1e-9)
    judged = np.flatnonzero(mean >= LEAST)
    if judged.size < MINIMUM:
        return []
    log_mean = np.log(mean[judged])
    # what chance adds to the spread of observed means does not belong to the prior
    chance = ((1.0 / mean[judged] + 1.0 / TYPICAL) / np.maximum(base[judged].sum(axis=1), 1)).mean()
    level, level_sd = float(log_mean.mean()), float(np.sqrt(max(log_mean.var() - chance, 0.01)))
    bounds = _joined(np.histogram(mean[judged], [*BOUNDS, np.inf])[0])
    parts = []
    for low, high in bounds:
        rows = judged[(mean[judged] >= low) & (mean[judged] < high)]
        sampled = rows[:: max(1, rows.size // SAMPLED)]
        profile = _profile(weeks.take(sampled), level, level_sd)
        parts.append(_Part(rows, sampled, profile, _heterogeneity(profile)))
    return [_fitted(low, high, place, parts, mean, weeks, level, level_sd) for place, (low, high) in enumerate(bounds)]


@dataclass(frozen=True)
class _Part:
    """Accounts of a stratum, some of them with their log-likelihood at each dispersion of GRID, and its shares."""

    rows: Longs
    sampled: Longs
    profile: Floats
    share: Floats


def _joined(counts: Longs) -> list[tuple[float, float]]:
    """Neighbouring strata joined until each has ENOUGH accounts: their bounds, upwards."""
    groups: list[list[int]] = []
    for place in np.flatnonzero(counts).tolist():
        if groups and (counts[place:].sum() < ENOUGH or counts[groups[-1]].sum() < ENOUGH):
            groups[-1].append(place)
        else:
            groups.append([place])
    ends = [*BOUNDS.tolist(), np.inf]
    return [(ends[group[0]], ends[group[-1] + 1]) for group in groups]


def _fitted(
    low: float, high: float, place: int, parts: list[_Part], mean: Floats, weeks: Weeks, level: float, level_sd: float
) -> Stratum:
    rows, share = parts[place].rows, parts[place].share
    shape = Shape(*_nodes(share), level, level_sd)
    more = weeks.take(rows[:: max(1, rows.size // (20 * SAMPLED))])
    rho, slow_r = autocorrelation(more, shape)
    # independent weeks: the likelihood's r is the better one
    slower = min(slow_r / shape.dispersion, 1.0) if rho > 0.05 else 1.0
    there = share > 1e-3
    models = _models([part for part in parts if part.rows.size], mean, low / 2, high * 2, GRID * slower)
    return Stratum(low, high, rows, models, shape, GRID[there] * slower, share[there] / share[there].sum(), rho)


def _models(parts: list[_Part], mean: Floats, low: float, high: float, dispersions: Floats) -> Models:
    """The sampled accounts of all strata within these bounds; one stands for as many as its stratum has a sample."""
    rows, chances, beliefs = [], [], []
    for part in parts:
        inside = (mean[part.sampled] >= low) & (mean[part.sampled] < high)
        if inside.any():
            rows.append(part.sampled[inside])
            chances.append(np.full(int(inside.sum()), part.rows.size / part.sampled.size))
            beliefs.append(_belief(part.profile[inside], part.share))
    chance = np.concatenate(chances)
    return Models(np.concatenate(rows), chance / chance.sum(), dispersions, np.concatenate(beliefs))


def _profile(weeks: Weeks, level: float, level_sd: float) -> Floats:
    """(n, grid) the log-likelihood of each baseline at each dispersion."""
    return np.column_stack([_marginal(weeks, Shape(np.array([r]), np.ones(1), level, level_sd)) for r in GRID])


def _belief(profile: Floats, share: Floats) -> Floats:
    """(n, grid) of sum 1: how likely each dispersion is an account's own."""
    belief: Floats = np.exp(profile - profile.max(axis=1, keepdims=True)) * share
    belief /= np.maximum(belief.sum(axis=1, keepdims=True), 1e-300)
    return belief


def _marginal(weeks: Weeks, shape: Shape) -> Floats:
    """(n,) the log-likelihood of each baseline, the level integrated out."""
    r = float(shape.dispersions[0])
    base, values = weeks.baseline, np.where(weeks.baseline, weeks.values, 0.0)
    centre, deviation = levels(weeks, shape)
    log_m = centre[:, None] + deviation[:, None] * NODES
    said = values.sum(axis=1)[:, None] * log_m
    for week in range(int(weeks.first.max(initial=0))):
        known, y = base[:, week], values[:, week]
        said -= np.where(known[:, None], (r + y)[:, None] * np.log(r + np.exp(log_m) * weeks.season[week]), 0.0)
    constant = np.where(base, gammaln(values + r) - gammaln(r) + r * np.log(r), 0.0).sum(axis=1)
    prior = -0.5 * ((log_m - shape.level) / shape.level_sd) ** 2 + 0.5 * NODES**2 + np.log(NODE_WEIGHTS)
    found: Floats = logsumexp(said + prior, axis=1) + np.log(deviation) + constant
    return found


def _heterogeneity(profile: Floats) -> Floats:
    """(grid,) the share of accounts at each dispersion, from the (n, grid) profiles of the accounts.

    Expectation-maximisation, from a broad start and stopped early: a few bursty accounts among even ones matter
    most, and no curve of two parameters has them.
    """
    relative = np.exp(profile - profile.max(axis=1, keepdims=True))
    middle = np.log(GRID[profile.sum(axis=0).argmax()])
    share: Floats = np.exp(-0.5 * ((np.log(GRID) - middle) / BROAD) ** 2)
    share /= share.sum()
    for _ in range(ROUNDS):
        belongs = relative * share
        share = (belongs / np.maximum(belongs.sum(axis=1, keepdims=True), 1e-300)).mean(axis=0)
    return share


def _nodes(share: Floats) -> tuple[Floats, Floats]:
    """Three dispersions and their chances in place of the whole grid: means of log r over sixths of the accounts."""
    below = np.cumsum(share)
    edges = np.array([0.0, 1 / 6, 5 / 6, 1.0])
    parts = np.clip(below[:, None], edges[:-1], edges[1:]) - np.clip((below - share)[:, None], edges[:-1], edges[1:])
    chances = parts.sum(axis=0)
    return np.exp(np.log(GRID) @ parts / chances), chances / chances.sum()


def autocorrelation(weeks: Weeks, shape: Shape) -> tuple[float, float]:
    """(rho, r): lag-one covariance of the intensity over its variance, which is 1 / r; from the baselines' deviations.

    An account's level is estimated from the same weeks, which draws variance and covariances down by the variance
    of that mean; it is put back. r is less than the fitted one where the weeks hang together: what moves slowly
    is taken for the level.
    """
    base = weeks.baseline
    exposure = (base * weeks.season).sum(axis=1)
    mean = np.where(base, weeks.values, 0.0).sum(axis=1) / np.maximum(exposure, 1e-9)
    usable = (mean > 0) & (base.sum(axis=1) > 2)
    if not usable.any():
        return 0.0, shape.dispersion
    base, mean = base[usable], mean[usable]
    expected = mean[:, None] * weeks.season
    off = np.where(base, weeks.values[usable] / expected - 1.0, 0.0)
    count, pairs = base.sum(axis=1), (base[:, 1:] & base[:, :-1]).sum(axis=1)
    weight = 1.0 / (1.0 / mean + 1.0 / shape.dispersion) ** 2
    weight /= weight.sum()
    by_chance = np.where(base, 1.0 / expected, 0.0).sum(axis=1) / count
    lagged = float(weight @ ((off[:, 1:] * off[:, :-1]).sum(axis=1) / np.maximum(pairs, 1)))
    varied = float(weight @ ((off**2).sum(axis=1) / count))
    noise, length = float(weight @ by_chance), float(count.mean())
    lags = np.arange(1, int(length))
    rho, variance = 0.0, max(varied - noise, 1e-6)
    for _ in range(50):
        of_mean = (noise + variance * (1.0 + 2.0 * ((1.0 - lags / length) * rho**lags).sum())) / length
        variance = max(varied - noise + of_mean, 1e-6)
        rho = min(max((lagged + of_mean) / variance, 0.0), MOST_RHO)
    return float(rho), float(1.0 / variance)
