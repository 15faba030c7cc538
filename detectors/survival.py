"""The product-limit estimate of how long a stay lasts, and the p-value of one that has not ended.

Source: Kaplan, Meier, "Nonparametric estimation from incomplete observations", JASA 53 (1958).
Durations are int64 in any one unit; a stay that has not ended is censored at its present age.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.pvalues import Floats

Longs = NDArray[np.int64]

NOT_COUNTED = -1
"""The `counted` age of a stay that is not among those of the curve."""


def _cumulative(factors: Floats) -> Floats:
    """(k + 1,) sums of logarithms: the i-th is the log of the product of the first i factors."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.concatenate(([0.0], np.cumsum(np.log(np.clip(factors, 0.0, None)))))


@dataclass(frozen=True)
class Survival:
    """One cohort's curve. Compare with it through `p_values` and `share_sooner`."""

    durations: Longs
    """All stays, ended or not, ascending."""
    times: Longs
    """The distinct durations of ended stays, ascending, (k,)."""
    ended_at: Longs
    """How many ended at each of `times`."""
    completed: int
    log_with: Floats
    """(k + 1,) log S by the stays as counted."""
    log_one_more: Floats
    """The same with one more stay at risk throughout."""
    log_one_less: Floats
    """The same with one stay less at risk throughout."""

    @classmethod
    def fit(cls, durations: Longs, ended: NDArray[np.bool_]) -> Survival:
        """From (n,) durations; where `ended` is false, the stay went on at least that long."""
        ordered = np.sort(durations)
        times, ended_at = np.unique(durations[ended], return_counts=True)
        at_risk = ordered.size - np.searchsorted(ordered, times, side="left")
        return cls(
            durations=ordered,
            times=times,
            ended_at=ended_at.astype(np.int64),
            completed=int(ended_at.sum()),
            log_with=_cumulative(1.0 - ended_at / at_risk),
            log_one_more=_cumulative(1.0 - ended_at / (at_risk + 1.0)),
            log_one_less=_cumulative(1.0 - ended_at / np.maximum(at_risk - 1.0, 1.0)),
        )

    def p_values(self, ages: Longs, counted: Longs, uniform: Floats) -> Floats:
        """P(T > age) + U P(T = age), the stay itself being one of those that could have ended there.

        `ages` (m,) of stays that have not ended (or the durations of ended ones outside the curve);
        `counted` (m,): the age to which each is in the curve already, NOT_COUNTED where it is not, so
        that it counts exactly once; `uniform` (m,) in (0, 1). Returns (m,) in (0, 1]; smaller is
        stranger. Without censoring this is the randomised conformal p-value, exactly uniform for a
        duration exchangeable with the cohort's; with censoring it is so in large cohorts.
        """
        before, own = self._steps(ages, counted)
        log_reached = self.log_with[own] + self.log_one_more[before] - self.log_one_more[own]
        upto = np.searchsorted(self.times, ages, side="right")
        totals = np.concatenate(([0], np.cumsum(self.ended_at)))
        ending_here = 1.0 + totals[upto] - totals[before]
        others = self.durations.size - np.searchsorted(self.durations, ages, side="left")
        at_risk = 1.0 + others - (counted >= ages)
        p_values: Floats = np.exp(log_reached) * (1.0 - (1.0 - uniform) * ending_here / at_risk)
        return np.clip(p_values, np.finfo(np.float64).tiny, 1.0)

    def share_sooner(self, ages: Longs, counted: Longs) -> Floats:
        """P(T < age) by the other stays alone, in [0, 1]: the number to tell people."""
        before, own = self._steps(ages, counted)
        share: Floats = 1.0 - np.exp(self.log_one_less[own] + self.log_with[before] - self.log_with[own])
        return share

    @property
    def never_ended(self) -> float:
        """The share, in [0, 1], that had not ended at the longest completed stay: p-values end there."""
        return float(np.exp(self.log_with[-1]))

    def draw(self, random: np.random.Generator, count: int) -> tuple[Longs, NDArray[np.bool_]]:
        """(count,) stays as the curve has them, and whether each ended: one that stays for good is the longest."""
        place = np.searchsorted(1.0 - np.exp(self.log_with[1:]), random.random(count), side="left")
        ended = place < self.times.size
        lengths: Longs = np.where(ended, self.times[np.minimum(place, self.times.size - 1)], self.durations[-1])
        return lengths, ended

    def median(self) -> int:
        """The least duration by which half have ended; the longest known where fewer than half have."""
        return self.left_by(0.5)

    def left_by(self, share: float) -> int:
        """The least duration by which this share, in (0, 1), have ended; the longest known where fewer have."""
        reached = np.flatnonzero(np.exp(self.log_with[1:]) <= 1.0 - share + 1e-12)
        return int(self.times[reached[0]]) if reached.size else int(self.durations[-1])

    def _steps(self, ages: Longs, counted: Longs) -> tuple[Longs, Longs]:
        """How many of `times` lie before each age, and at how many of these the stay itself is counted."""
        before = np.searchsorted(self.times, ages, side="left")
        own = np.minimum(before, np.searchsorted(self.times, counted, side="right"))
        return before, own
