"""How large the evidence gets where nothing is wrong: simulated from a stratum's fit, and read as p-values.

The p-value of an account is the chance that a healthy one of its stratum comes to at least this evidence at any of
MONITORED weekly looks in a row. So of the healthy accounts that are looked at each week for half a year, a share a
ever has p <= a: weekly looks need no further correction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import ndtr
from scipy.stats import gamma

from detectors.pvalues import Floats
from detectors.usage_evidence import Weeks, evidence, gate, levels
from detectors.usage_fit import Stratum

BASELINE = 26
MONITORED = 26
WINDOW = BASELINE + MONITORED
PATHS = 40_000
SLIDING_PATHS = 4_000
PASSING = 0.15
"""Of the healthy accounts, the share that ever comes through the gate."""
TAIL = 0.02
"""From here on the tail is a Pareto's: it decides at 1%, and beyond what was simulated."""
DRAWS = 6
"""Rounds of drawing paths, at most: a stratum into which few fall has fewer."""
_Z = np.linspace(-5.0, 5.0, 2_001)


@dataclass(frozen=True)
class Null:
    """The evidence of healthy accounts, as sorted maxima over the looks."""

    gate: float
    """A CUSUM below it: the evidence is not computed, and the p-value is 1."""
    maxima: Floats
    start: float
    """Where the Pareto tail begins."""
    index: float
    """Its index: P(evidence >= w) = TAIL (w / start)^-index."""

    def p_values(self, found: Floats) -> Floats:
        """(n,) in (0, 1]; smaller is stranger."""
        least = self.maxima.size - np.searchsorted(self.maxima, found, side="left")
        simulated = (1.0 + least) / (self.maxima.size + 1.0)
        with np.errstate(divide="ignore", over="ignore"):
            beyond = TAIL * (np.maximum(found, self.start) / self.start) ** -self.index
        chosen: Floats = np.where(found > self.start, beyond, simulated)
        return np.clip(chosen, 1e-300, 1.0)


class Draw(Protocol):
    """Intensities of mean 1, (n, T)."""

    def __call__(self, random: np.random.Generator, count: int, length: int) -> Floats: ...


def intensities(stratum: Stratum) -> Draw:
    """Gamma intensities with the stratum's dispersion and autocorrelation (a Gaussian copula of order one)."""
    spread = stratum.log_r_sd
    atoms = np.exp(stratum.log_r + spread * np.linspace(-1.5, 1.5, 7)) if spread else np.exp([stratum.log_r])
    chances = np.exp(-0.5 * np.linspace(-1.5, 1.5, 7) ** 2) if spread else np.ones(1)
    chances = chances / chances.sum()

    def draw(random: np.random.Generator, count: int, length: int) -> Floats:
        which = random.choice(atoms.size, count, p=chances)
        if stratum.rho < 0.01:
            r = atoms[which][:, None]
            return random.gamma(r, 1.0 / r, (count, length))
        step = _normal_correlation(stratum.rho, float(np.exp(stratum.log_r)))
        z = np.empty((count, length))
        z[:, 0] = random.standard_normal(count)
        for week in range(1, length):
            z[:, week] = step * z[:, week - 1] + np.sqrt(1.0 - step**2) * random.standard_normal(count)
        found = np.empty_like(z)
        for place, r in enumerate(atoms):
            mine = which == place
            found[mine] = np.interp(z[mine], _Z, gamma.ppf(ndtr(_Z), r) / r)
        return found

    return draw


def _normal_correlation(rho: float, r: float) -> float:
    """The correlation of normals whose gamma images, of shape r, have the correlation rho."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    image = gamma.ppf(ndtr(np.clip(nodes, _Z[0], _Z[-1])), r)
    series, factorial = [], 1.0
    for order in range(1, 12):
        factorial *= order
        polynomial = np.polynomial.hermite_e.hermeval(nodes, np.eye(order + 1)[order])
        series.append(float((weights * image * polynomial).sum()) ** 2 / factorial)
    steps = np.linspace(0.0, 0.99, 100)
    reached = sum(term * steps ** (order + 1) for order, term in enumerate(series)) / sum(series)
    return float(np.interp(rho, reached, steps))


def healthy(
    stratum: Stratum, weeks: Weeks, random: np.random.Generator, count: int, length: int, first: int = BASELINE
) -> Floats:
    """(count, length) weeks of accounts in which nothing happens, whose first `first` weeks put them in the stratum.

    Levels are drawn from the posteriors of the cohort's accounts of about that size: where only the stratum's own
    were drawn, those that chance has put there would seem to be rightly there.
    """
    rows = np.concatenate([stratum.rows, stratum.near])
    rows = rows[:: max(1, rows.size // PATHS)]
    logs, deviations = levels(weeks.take(rows), stratum.shape)
    season = np.resize(weeks.season[-WINDOW:], length)
    draw = intensities(stratum)
    kept = np.empty((0, length))
    more = count
    for _ in range(DRAWS):
        some = random.integers(0, rows.size, more)
        mean = np.exp(logs[some] + deviations[some] * random.standard_normal(more))
        rate = mean[:, None] * season * draw(random, more, length)
        values = random.poisson(np.minimum(rate, 1e15)).astype(np.float64)
        observed = values[:, :first].sum(axis=1) / season[:first].sum()
        inside = (observed >= stratum.low) & (observed < stratum.high)
        kept = np.concatenate([kept, values[inside]])
        if len(kept) >= count:
            break
        more = min(int(1.2 * (count - len(kept)) * more / max(int(inside.sum()), 1)) + 100, count)
    return kept[:count] if len(kept) else values


def fit_null(stratum: Stratum, weeks: Weeks, seed: int, *, sliding: bool) -> Null:
    """The null of a stratum: of accounts in their first half-year of looks, or (sliding) of older ones.

    A young account's window grows from BASELINE weeks to WINDOW; an older one's slides on by a week at each look.
    """
    random = np.random.default_rng(seed)
    season = np.resize(weeks.season[-WINDOW:], WINDOW + MONITORED)
    if not sliding:
        windows = _windows(healthy(stratum, weeks, random, PATHS, WINDOW), season[:WINDOW])
        cusum = gate(windows, stratum.shape, highest=True)
        floor = float(np.quantile(cusum, 1.0 - PASSING))
        passed = np.flatnonzero(cusum >= floor)
        most = np.zeros(cusum.size)
        most[passed] = evidence(windows.take(passed), stratum.shape).max(axis=1)
        return _tail(floor, most)
    values = healthy(stratum, weeks, random, SLIDING_PATHS, WINDOW + MONITORED - 1)
    several = [_windows(values[:, look : look + WINDOW], season[look : look + WINDOW]) for look in range(MONITORED)]
    looks = np.stack([gate(windows, stratum.shape) for windows in several])
    floor = float(np.quantile(looks.max(axis=0), 1.0 - PASSING))
    most = np.zeros(len(values))
    for windows, cusum in zip(several, looks, strict=True):
        rows = np.flatnonzero(cusum >= floor)
        most[rows] = np.maximum(most[rows], evidence(windows.take(rows), stratum.shape)[:, -1])
    return _tail(floor, most)


def _windows(values: Floats, season: Floats) -> Weeks:
    known = np.ones(values.shape, dtype=np.bool_)
    return Weeks(values, known, np.full(len(values), BASELINE), season, MONITORED)


def _tail(floor: float, maxima: Floats) -> Null:
    """The Pareto index by Hill's estimator over the largest share TAIL."""
    ordered = np.sort(maxima)
    start = float(ordered[int(ordered.size * (1.0 - TAIL))])
    above = ordered[ordered > start]
    index = 1.0 / max(float(np.log(above / start).mean()), 0.05) if start > 0 and above.size else 1.0
    return Null(floor, ordered, max(start, 1e-9), index)
