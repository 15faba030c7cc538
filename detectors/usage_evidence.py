"""How strongly weekly counts say that an account's usage has fallen: a gate, and a Bayes factor.

A week's count is negative binomial with mean m s(w) and variance mu + mu^2 / r: m is the account's level, s the
cohort's seasonal index, r the dispersion (small: bursty). Null: m stays. Alternative: from an unknown week on it is
m (1 - d). The Bayes factor integrates m and r over their posterior given the weeks so far, and mixes over the
week (Shiryaev-Roberts: each of the monitored weeks has the same chance) and over d.

For the posterior a monitored week counts for HEEDED of one of the baseline, since usage may have fallen before it.
Heeded whole, a small loss is soon taken for the level (power at -30%, 1% false alarms, all parameters known: .36; half
heeded .41); not at all, the error of the baseline's mean stays (at -50%: .79 against .85). The price is that Ville's
bound on an e-process does not hold: evidence is read as a p-value by simulation (detectors.usage_null).

Sources: Page, "Continuous inspection schemes", Biometrika 41 (1954); Roberts, "A comparison of some control chart
procedures", Technometrics 8 (1966); Holmes, Walker, "Assigning a value to a power likelihood in a general Bayesian
model", Biometrika 104 (2017), for likelihoods that count in part.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from detectors.pvalues import Floats

DROPS = (0.3, 0.45)
"""The drops that are mixed, with equal chances. A greater one is found by the second as fast as by its own."""
HEEDED = 0.65
GATE_DROP = 0.4
NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(9)
CHUNK = 2_048
"""Accounts computed at once: the arrays stay in the processor's cache."""
MOST = 1e250
THREADS = 2

Bools = NDArray[np.bool_]
Longs = NDArray[np.int64]


@dataclass(frozen=True)
class Shape:
    """What a stratum's counts look like."""

    dispersions: Floats
    """(R,) values of r."""
    chances: Floats
    """(R,), of sum 1."""
    level: float
    level_sd: float
    """The prior of log m over the whole cohort."""

    @property
    def dispersion(self) -> float:
        """One r for all: of the mean variance."""
        return float(1.0 / (self.chances / self.dispersions).sum())


@dataclass(frozen=True)
class Weeks:
    """Accounts by week. `first` is the account's first monitored week; all before it are its baseline."""

    values: Floats
    """(n, T)"""
    known: Bools
    """(n, T); an unknown week says nothing."""
    first: Longs
    """(n,) in [0, T]"""
    season: Floats
    """(T,)"""
    span: int
    """Monitored weeks over which the prior chance of a change is spread."""

    def take(self, rows: slice | Longs | Bools) -> Weeks:
        """Some of the accounts."""
        return Weeks(self.values[rows], self.known[rows], self.first[rows], self.season, self.span)

    @property
    def baseline(self) -> Bools:
        """(n, T), the known weeks before the first monitored one."""
        before: Bools = np.arange(self.values.shape[1]) < self.first[:, None]
        return before & self.known


def levels(weeks: Weeks, shape: Shape) -> tuple[Floats, Floats]:
    """(n,) the mode of log m given the baseline, about, and its deviation."""
    base = weeks.baseline
    exposure = (base * weeks.season).sum(axis=1)
    total = np.where(base, weeks.values, 0.0).sum(axis=1)
    # a prior worth of half a count keeps an account without any usage finite
    raw = np.log((total + 0.5) / np.maximum(exposure, 0.5))
    count = np.maximum(base.sum(axis=1), 1)
    variance = (np.exp(-raw) + 1.0 / shape.dispersion) / count
    share = shape.level_sd**2 / (shape.level_sd**2 + variance)
    return share * raw + (1.0 - share) * shape.level, np.sqrt(share * variance)


def gate(weeks: Weeks, shape: Shape, *, highest: bool = False) -> Floats:
    """(n,) the plug-in CUSUM of a drop by 40% after the last week, or the highest it ever was."""
    level, _ = levels(weeks, shape)
    mean, r = np.exp(level), shape.dispersion
    lost = np.log1p(-GATE_DROP)
    now, most = np.zeros(mean.size), np.zeros(mean.size)
    for week in range(int(weeks.first.min(initial=weeks.values.shape[1])), weeks.values.shape[1]):
        mu, y = mean * weeks.season[week], weeks.values[:, week]
        step = y * lost - (r + y) * (np.log(r + mu * (1.0 - GATE_DROP)) - np.log(r + mu))
        step[~weeks.known[:, week] | (week < weeks.first)] = 0.0
        now = np.maximum(now + step, 0.0)
        if highest:
            np.maximum(most, now, out=most)
    return most if highest else now


def evidence(weeks: Weeks, shape: Shape) -> Floats:
    """(n, T) the Bayes factor after each week, 0 before the account's first monitored one. Computed in chunks."""
    rows = [slice(start, start + CHUNK) for start in range(0, len(weeks.first), CHUNK)]
    if len(rows) < 2:
        return _evidence(weeks, shape)
    with ThreadPoolExecutor(THREADS) as pool:  # the heavy functions of NumPy leave the interpreter free
        return np.concatenate(list(pool.map(lambda some: _evidence(weeks.take(some), shape), rows)))


def _evidence(weeks: Weeks, shape: Shape) -> Floats:
    count, length = weeks.values.shape
    found = np.zeros((count, length))
    r = shape.dispersions
    centre, deviation = levels(weeks, shape)
    log_m = centre[:, None] + deviation[:, None] * NODES
    m = np.exp(log_m)[:, :, None]
    # the quadrature's weights are of a normal of this centre: what is integrated is prior x likelihood over it
    start = np.log(NODE_WEIGHTS) + 0.5 * NODES**2 - 0.5 * ((log_m - shape.level) / shape.level_sd) ** 2
    log_weight = start[:, :, None] + np.log(shape.chances)
    mounted = np.zeros((len(DROPS), count, NODES.size, r.size))
    begin = int(weeks.first.min(initial=length))
    for week in range(length):
        known = weeks.known[:, week]
        if not known.any():
            if week > begin:
                found[:, week] = found[:, week - 1]
            continue
        y = np.where(known, weeks.values[:, week], 0.0)
        mu = m * weeks.season[week]
        usual = np.log(r + mu)
        more = (y[:, None] + r)[:, None, :]
        said = y[:, None, None] * log_m[:, :, None] - more * usual
        if r.size > 1:
            said += (gammaln(y[:, None] + r) - gammaln(r) + r * np.log(r))[:, None, :]
        heeded = known * np.where(week < weeks.first, 1.0, HEEDED)
        log_weight += np.where(known[:, None, None], said, 0.0) * heeded[:, None, None]
        if week < begin:
            continue
        weight = np.exp(log_weight - log_weight.max(axis=(1, 2), keepdims=True))
        weight /= weight.sum(axis=(1, 2), keepdims=True)
        fresh = ((week >= weeks.first) / weeks.span)[:, None, None]
        for place, drop in enumerate(DROPS):
            ratio = y[:, None, None] * np.log1p(-drop) - more * (np.log(r + mu * (1.0 - drop)) - usual)
            grown = (mounted[place] + fresh) * np.exp(np.where(known[:, None, None], ratio, 0.0))
            np.minimum(grown, MOST, out=mounted[place])
            found[:, week] += np.einsum("nmr,nmr->n", weight, mounted[place]) / len(DROPS)
    return found
