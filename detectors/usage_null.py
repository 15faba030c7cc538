"""How large the evidence gets where nothing is wrong: simulated from a stratum's fit, and read as p-values.

The p-value of an account is the chance that a healthy one of its stratum comes to at least this evidence at any of
MONITORED weekly looks in a row. So of the healthy accounts that are looked at each week for half a year, a share a
ever has p <= a: weekly looks need no further correction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr
from scipy.stats import gamma

from detectors.pvalues import Floats
from detectors.usage_evidence import Shape, Weeks, evidence, gate, levels
from detectors.usage_fit import Stratum

BASELINE = 26
MONITORED = 26
WINDOW = BASELINE + MONITORED
PATHS = 40_000
SLIDING_PATHS = 4_000
PASSING = 0.15
"""Of the healthy accounts, the share that ever comes through the gate."""
MARGIN = 1.05
"""What p-values are multiplied by: the null is fitted, not known. Of 88 strata of simulated companies (fitted on
40,000 accounts, independent and autocorrelated weeks) false alarms came to 1.0% on the mean where 1% is promised, and
to 1.2% where the fit was unlucky."""
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
        return np.clip(MARGIN * chosen, 1e-300, 1.0)


def intensities(random: np.random.Generator, r: Floats, length: int, rho: float, typical: float) -> Floats:
    """(n, length) gamma intensities of mean 1 and shape `r` (n,), a week apart correlated by about `rho`.

    A Gaussian copula of order one, exact at the shape `typical`.
    """
    if rho < 0.01:
        return random.gamma(r[:, None], 1.0 / r[:, None], (r.size, length))
    step = _normal_correlation(rho, typical)
    z = np.empty((r.size, length))
    z[:, 0] = random.standard_normal(r.size)
    for week in range(1, length):
        z[:, week] = step * z[:, week - 1] + np.sqrt(1.0 - step**2) * random.standard_normal(r.size)
    found = np.empty_like(z)
    for one in np.unique(r):
        mine = r == one
        found[mine] = np.interp(z[mine], _Z, gamma.ppf(ndtr(_Z), one) / one)
    return found


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
    models = stratum.models
    logs, deviations = levels(weeks.take(models.rows), stratum.shape)
    below = np.cumsum(models.beliefs, axis=1)
    season = np.resize(weeks.season[-WINDOW:], length)
    kept = np.empty((0, length))
    more = count
    for _ in range(DRAWS):
        some = random.choice(models.rows.size, more, p=models.chances)
        r = models.dispersions[np.minimum((below[some] < random.random((more, 1))).sum(axis=1), below.shape[1] - 1)]
        mean = np.exp(logs[some] + deviations[some] * random.standard_normal(more))
        rate = mean[:, None] * season * intensities(random, r, length, stratum.rho, stratum.typical)
        values = random.poisson(np.minimum(rate, 1e15)).astype(np.float64)
        observed = values[:, :first].sum(axis=1) / season[:first].sum()
        inside = (observed >= stratum.low) & (observed < stratum.high)
        kept = np.concatenate([kept, values[inside]])
        if len(kept) >= count:
            break
        more = min(int(1.2 * (count - len(kept)) * more / max(int(inside.sum()), 1)) + 100, count)
    return kept[:count] if len(kept) else values


def fit_null(stratum: Stratum, weeks: Weeks, seed: int, *, sliding: bool) -> Null:
    """The null of a stratum: of accounts in their first half-year of looks, or (sliding) of older ones."""
    random = np.random.default_rng(seed)
    count, length = (SLIDING_PATHS, WINDOW + MONITORED - 1) if sliding else (PATHS, WINDOW)
    windows = looks(healthy(stratum, weeks, random, count, length), weeks.season)
    cusum = np.max([gate(some, stratum.shape, highest=not sliding) for some in windows], axis=0)
    floor = float(np.quantile(cusum, 1.0 - PASSING))
    return _tail(floor, _most(windows, stratum.shape, floor))


def looks(values: Floats, season: Floats) -> list[Weeks]:
    """What weekly runs see of histories that begin together, one window for each run after the first half-year.

    A history of up to WINDOW weeks is one window that grows with the runs; a longer one slides on by a week a run.
    """
    count, length = values.shape
    index = np.resize(season[-WINDOW:], length)
    known = np.ones(values.shape, dtype=np.bool_)
    first = np.full(count, BASELINE)
    return [
        Weeks(values[:, start : start + WINDOW], known[:, :WINDOW], first, index[start : start + WINDOW], MONITORED)
        for start in range(max(1, length - WINDOW + 1))
    ]


def ever(windows: list[Weeks], stratum: Stratum, null: Null) -> Floats:
    """(n,) the least p-value of each account over all its looks."""
    return null.p_values(_most(windows, stratum.shape, null.gate))


def p_values_now(weeks: Weeks, stratum: Stratum, null: Null) -> Floats:
    """(n,) the p-value after the last week; 1 where the gate is shut."""
    p_values = np.ones(len(weeks.first))
    passed = np.flatnonzero(gate(weeks, stratum.shape) >= null.gate)
    if passed.size:
        p_values[passed] = null.p_values(evidence(weeks.take(passed), stratum.shape)[:, -1])
    return p_values


def _most(windows: list[Weeks], shape: Shape, floor: float) -> Floats:
    """(n,) the greatest evidence at any look; 0 where the gate was always shut."""
    single = len(windows) == 1
    most = np.zeros(len(windows[0].first))
    for some in windows:
        rows = np.flatnonzero(gate(some, shape, highest=single) >= floor)
        if rows.size:
            found = evidence(some.take(rows), shape)
            most[rows] = np.maximum(most[rows], found.max(axis=1) if single else found[:, -1])
    return most


def _tail(floor: float, maxima: Floats) -> Null:
    """The Pareto index by Hill's estimator over the largest share TAIL."""
    ordered = np.sort(maxima)
    start = float(ordered[int(ordered.size * (1.0 - TAIL))])
    above = ordered[ordered > start]
    index = 1.0 / max(float(np.log(above / start).mean()), 0.05) if start > 0 and above.size else 1.0
    return Null(floor, ordered, max(start, 1e-9), index)
