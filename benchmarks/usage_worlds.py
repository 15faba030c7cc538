"""Simulated usage, and real purchases pooled into accounts: what benchmarks/usage_decline.py measures on.

The simulation: accounts of log-normal size (median 20 a week, sd of the log 1.2), negative-binomial weeks with r = 3, 5
or 8 (below 10, below 40, from 40 a week), a year with dips by 20 to 40%, 26 weeks of baseline and 26 monitored. A fall
begins in one of the first 14 monitored weeks, or ramps down over 12 weeks from one of the first 17. These weeks and
r are chosen so that the oracle comes out where the field study that set the figures has it (.547, .907, .653).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from scipy.special import ndtr, ndtri

Array = np.ndarray[Any, np.dtype[Any]]
BASELINE, LENGTH = 26, 52
SIZE, SIZE_SD = np.log(20.0), 1.2
BOUNDS, DISPERSIONS = (10.0, 40.0), np.array([3.0, 5.0, 8.0])
CDNOW = Path(__file__).parents[2] / "shared/data/churn/cdnow_transactions.parquet"


def season() -> Array:
    """Easter, summer and the turn of the year."""
    index = np.ones(LENGTH)
    index[18:22], index[30], index[40:42] = 0.8, 0.85, 0.6
    return index


@dataclass(frozen=True)
class Fall:
    """What happens to an account: usage is multiplied by 1 - drop, over `ramp` weeks, from a week that is drawn."""

    name: str
    drop: float
    ramp: int = 1
    latest: int = 13
    """The last monitored week, from 0, in which it may begin."""

    def factors(self, random: np.random.Generator, count: int) -> Array:
        """(count, LENGTH)"""
        begins = BASELINE + random.integers(0, self.latest + 1, count)
        gone = np.clip((np.arange(LENGTH) - begins[:, None] + 1) / self.ramp, 0.0, 1.0)
        return 1.0 - self.drop * gone


FALLS = (Fall("-30%", 0.3), Fall("-50%", 0.5), Fall("ramp to -50%", 0.5, ramp=12, latest=16))


@dataclass(frozen=True)
class World:
    """Accounts whose truth is known."""

    counts: Array
    """(n, LENGTH)"""
    means: Array
    dispersions: Array

    @property
    def kind(self) -> Array:
        """(n,) which of DISPERSIONS is theirs."""
        return np.digitize(self.means, BOUNDS)


def simulate(
    random: np.random.Generator,
    count: int,
    fall: Fall | None = None,
    *,
    rho: float = 0.0,
    process: str = "beta-gamma",
    between: tuple[float, float] = (0.0, np.inf),
) -> World:
    """`process`, of autocorrelated weeks: beta-gamma (marginals as without) or log-normal. `between`: of the
    population, the accounts with a mean within these bounds."""
    low, high = (ndtr((np.log(np.maximum(bound, 1e-9)) - SIZE) / SIZE_SD) for bound in between)
    means = np.exp(SIZE + SIZE_SD * ndtri(random.uniform(low, high, count)))
    r = DISPERSIONS[np.digitize(means, BOUNDS)]
    if rho == 0.0:
        intensity = random.gamma(r[:, None], 1.0 / r[:, None], (count, LENGTH))
    else:
        intensity = _autocorrelated(random, r, rho, process)
    factors = fall.factors(random, count) if fall else 1.0
    counts = random.poisson(means[:, None] * season() * factors * intensity).astype(np.float64)
    return World(counts, means, r)


def _autocorrelated(random: np.random.Generator, r: Array, rho: float, process: str) -> Array:
    found = np.empty((r.size, LENGTH))
    if process == "beta-gamma":
        found[:, 0] = random.gamma(r, 1.0 / r)
        for week in range(1, LENGTH):
            kept = random.beta(r * rho, r * (1.0 - rho)) * found[:, week - 1]
            found[:, week] = kept + random.gamma(r * (1.0 - rho), 1.0 / r)
        return found
    deviation = np.sqrt(np.log1p(1.0 / r))
    state = random.standard_normal(r.size)
    for week in range(LENGTH):
        found[:, week] = np.exp(deviation * state - deviation**2 / 2)
        state = rho * state + np.sqrt(1.0 - rho**2) * random.standard_normal(r.size)
    return found


def purchases(weeks_skipped: int = 12) -> tuple[Array, int]:
    """(customer, week) of each purchase in CDNOW, one a row, and the number of weeks.

    The first 12 weeks are left out: all customers came in them, and what follows is no season.
    """
    table = pq.read_table(CDNOW, columns=["customer_id", "date"])
    day = table["date"].cast("timestamp[s]").cast("int64").to_numpy() // 86_400
    week = (day - day.min()) // 7 - weeks_skipped
    week_count = int((day.max() - day.min() + 1) // 7) - weeks_skipped
    customer = np.unique(table["customer_id"].to_numpy(), return_inverse=True)[1]
    kept = (week >= 0) & (week < week_count)
    return np.column_stack([customer[kept], week[kept]]), week_count


def pooled(random: np.random.Generator, bought: Array, week_count: int, accounts: int, customers: int) -> Array:
    """(accounts, weeks) purchases of accounts that are so many customers each, drawn at random."""
    people = int(bought[:, 0].max()) + 1
    by_customer = np.zeros((people, week_count))
    np.add.at(by_customer, (bought[:, 0], bought[:, 1]), 1.0)
    return np.stack([by_customer[random.choice(people, customers, replace=False)].sum(axis=0) for _ in range(accounts)])


def thinned(random: np.random.Generator, counts: Array, fall: Fall) -> Array:
    """Each purchase after the fall's begin kept with the chance 1 - drop."""
    return random.binomial(counts.astype(np.int64), fall.factors(random, len(counts))).astype(np.float64)
