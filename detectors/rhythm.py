"""The rhythm of events: how long a gap is against the record's own earlier gaps.

Gaps are gamma with a shape a and a scale of the record's own. Given the scale is unknown, a new gap's share of the
whole, g / (g + sum of n earlier gaps), is Beta(a, n a): an exact p-value that needs no scale. a is near 1 where
events come at random and greater where they are regular; its distribution over the cohort is fitted to the
proportions of the earlier gaps, which are Dirichlet(a, ..., a) whatever the scale.

Sources: Johnson, Kotz, Balakrishnan, "Continuous univariate distributions 2" (1995), chapter 25, for the beta of gamma
sums; Robbins, "An empirical Bayes approach to statistics" (1956), for a fitted over the cohort.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betainc, betaincinv, gammaln

from detectors.pvalues import Floats
from detectors.snapshot import Longs

SHAPES = np.geomspace(0.2, 40.0, 24)
ROUNDS = 100
_TINY = 1e-300


@dataclass(frozen=True)
class Gaps:
    """Earlier gaps of records, summed up: what the rhythm needs to know of them. Any unit of time."""

    count: Longs
    """(n,)"""
    total: Floats
    """(n,) their sum"""
    logs: Floats
    """(n,) the sum of their logarithms"""

    @staticmethod
    def of(record: Longs, gaps: Floats, records: int) -> Gaps:
        """From one row a gap, each of positive length."""
        return Gaps(
            np.bincount(record, minlength=records).astype(np.int64),
            np.bincount(record, weights=gaps, minlength=records).astype(np.float64),
            np.bincount(record, weights=np.log(gaps), minlength=records).astype(np.float64),
        )

    def take(self, rows: Longs) -> Gaps:
        """Some of the records."""
        return Gaps(self.count[rows], self.total[rows], self.logs[rows])


@dataclass(frozen=True)
class Rhythm:
    """The share of the cohort's records at each of SHAPES."""

    shares: Floats

    @staticmethod
    def fit(gaps: Gaps) -> Rhythm:
        """By expectation-maximisation, over records with two gaps or more."""
        said = _log_likelihood(gaps.take(np.flatnonzero(gaps.count > 1)))
        relative = np.exp(said - said.max(axis=1, keepdims=True))
        shares: Floats = np.full(SHAPES.size, 1.0 / SHAPES.size)
        for _ in range(ROUNDS if len(said) else 0):
            belongs = relative * shares
            shares = (belongs / belongs.sum(axis=1, keepdims=True)).mean(axis=0)
        return Rhythm(shares)

    def p_values(self, gaps: Gaps, length: Floats) -> Floats:
        """(n,) the chance that the next gap is at least so long. In (0, 1]; smaller is stranger."""
        weight = self._belief(gaps)
        rest = (gaps.total / (gaps.total + length))[:, None]
        tail = betainc(gaps.count[:, None] * SHAPES, SHAPES, rest)
        p_values: Floats = np.clip((weight * tail).sum(axis=1), _TINY, 1.0)
        return p_values

    def usual(self, gaps: Gaps) -> Floats:
        """(n,) the gap that half of the next ones exceed."""
        weight = self._belief(gaps)
        share = betaincinv(SHAPES, gaps.count[:, None] * SHAPES, 0.5)
        median: Floats = (weight * gaps.total[:, None] * share / (1.0 - share)).sum(axis=1)
        return median

    def draw(self, gaps: Gaps, random: np.random.Generator) -> tuple[Gaps, Floats]:
        """As many earlier gaps for each record, and a next one, of a shape that its own gaps make likely; scale 1."""
        chance = np.cumsum(self._belief(gaps), axis=1)
        place = (random.random((len(chance), 1)) > chance).sum(axis=1)
        shape = SHAPES[np.minimum(place, SHAPES.size - 1)]
        owner = np.repeat(np.arange(shape.size), gaps.count)
        # a gap of length 0 has no logarithm
        earlier = np.maximum(random.gamma(shape[owner]), 1e-12)
        return Gaps.of(owner, earlier, shape.size), random.gamma(shape)

    def _belief(self, gaps: Gaps) -> Floats:
        said = _log_likelihood(gaps) + np.log(np.maximum(self.shares, _TINY))
        weight: Floats = np.exp(said - said.max(axis=1, keepdims=True))
        weight /= weight.sum(axis=1, keepdims=True)
        return weight


def _log_likelihood(gaps: Gaps) -> Floats:
    """(n, SHAPES) of the proportions of a record's gaps."""
    count = gaps.count[:, None]
    spread = (gaps.logs - gaps.count * np.log(gaps.total))[:, None]
    found: Floats = gammaln(count * SHAPES) - count * gammaln(SHAPES) + (SHAPES - 1.0) * spread
    return found
