"""How far the p-values of gaps hold among records that came back: an empirical null from the cohort's own past gaps.

Each past gap is judged by those before it, as the running one is now. Looked at are the gaps that began so early that
by now they would have come to p <= FOLLOWED, had they not ended: which those are depends on nothing that came
after. (Of all ended gaps the long ones are missing, since they still run.) Of them, those that ended show what p-values
records reach that come back; those still running have left, and are what is looked for. From FROM downwards the
distribution is taken to be a power of p, by Hill's estimator.

Why: customers slow down. The gap after five gaps is longer on the whole than these, also where the record stays, so
that the rhythm's own p-value, exact for gaps in any order alike, comes out small too often.

Sources: Hill, "A simple general approach to inference about the tail of a distribution", Annals of Statistics 3
(1975); Efron, "Large-scale simultaneous hypothesis testing: the choice of a null hypothesis", JASA 99 (2004).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detectors.pvalues import Floats
from detectors.rhythm import Gaps, Rhythm
from detectors.snapshot import Longs

ENOUGH = 300
"""Ended gaps under which the rhythm's own p-values stand."""
FROM = 0.1
"""The p-value from which downwards the power law holds."""
FOLLOWED = 0.005
"""The p-value that a gap must have had the time to reach."""


@dataclass(frozen=True)
class Past:
    """Gaps that were followed and ended: p-value by the rhythm, and each one's place among all past gaps."""

    p_values: Floats
    place: Longs


@dataclass(frozen=True)
class Tail:
    """P(p <= x) = share (x / FROM)^power for x <= FROM, over gaps that end."""

    share: float = FROM
    power: float = 1.0
    ended: int = 0
    """Gaps from which it is known; under ENOUGH p stands."""

    @staticmethod
    def fit(p_values: Floats) -> Tail:
        """From past gaps that ended, (n,)."""
        low = p_values[p_values <= FROM]
        if p_values.size < ENOUGH or not low.size:
            return Tail(ended=p_values.size)
        spread = float(np.log(FROM / np.maximum(low, 1e-300)).mean())
        return Tail(low.size / p_values.size, 1.0 / max(spread, 1e-3), p_values.size)

    def p_values(self, p_values: Floats) -> Floats:
        """(n,) the same, or greater where the cohort's past says so. In (0, 1]."""
        if self.ended < ENOUGH:
            return p_values
        mapped = self.share * (np.minimum(p_values, FROM) / FROM) ** self.power
        found: Floats = np.clip(np.maximum(p_values, mapped), 1e-300, 1.0)
        return found


def past_gaps(rhythm: Rhythm, owner: Longs, lengths: Floats, running: Floats, earlier: int) -> Past:
    """Each past gap with at least `earlier` own ones before it, judged by these.

    `owner` (n,) ascending, `lengths` (n,) in order of time; `running` (records,), by owner: since the last one's end.
    """
    if not owner.size:
        return Past(np.empty(0), np.empty(0, dtype=np.int64))
    first = np.searchsorted(owner, owner, side="left")
    before = np.arange(owner.size) - first
    total, logs = np.append(0.0, np.cumsum(lengths)), np.append(0.0, np.cumsum(np.log(lengths)))
    judged = np.flatnonzero(before >= earlier)
    start = first[judged]
    gaps = Gaps(before[judged], total[judged] - total[start], logs[judged] - logs[start])
    end = np.searchsorted(owner, owner[judged], side="right")
    until_now = total[end] - total[judged] + running[owner[judged]]
    followed = rhythm.p_values(gaps, until_now) <= FOLLOWED
    p_values = rhythm.p_values(gaps, lengths[judged])
    return Past(p_values[followed], judged[followed])
