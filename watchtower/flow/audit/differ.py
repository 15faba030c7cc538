"""Do groups differ beyond chance? Pure NumPy and SciPy; each p-value is in (0, 1], smaller is stranger."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

SHUFFLES = 4999
SEED = 20120315
ENOUGH = 5.0
"""Where each cell is expected to hold this many, the chi-square distribution is close enough. Source: Cochran (1954),
Biometrics 10:417-451."""

Table = NDArray[np.int64]


def table_p(table: Table) -> float:
    """p-value that rows (groups) of a table of counts spread alike over its columns.

    Pearson's chi-square; where cells are expected to be small, against tables with the same margins drawn at random
    (so never below 1 / (SHUFFLES + 1)). 1.0 where there is one row or one column with cases.
    """
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    if min(table.shape) < 2:
        return 1.0
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    observed = float(((table - expected) ** 2 / expected).sum())
    if expected.min() >= ENOUGH:
        return float(stats.chi2.sf(observed, (table.shape[0] - 1) * (table.shape[1] - 1)))
    drawn = stats.random_table(table.sum(axis=1), table.sum(axis=0)).rvs(SHUFFLES, random_state=SEED)
    chance = ((drawn - expected) ** 2 / expected).sum(axis=(1, 2))
    return float((1 + np.count_nonzero(chance >= observed * (1 - 1e-9))) / (SHUFFLES + 1))


def strangest(table: Table) -> tuple[int, int]:
    """(row, column) of the cell that departs most from what its margins let expect: the greatest adjusted residual.

    Source: Haberman (1973), Biometrics 29:205-220.
    """
    rows, columns, n = table.sum(axis=1), table.sum(axis=0), table.sum()
    expected = np.outer(rows, columns) / n
    spread = expected * np.outer(1 - rows / n, 1 - columns / n)
    residual = np.abs(table - expected) / np.sqrt(np.where(spread > 0, spread, np.inf))
    row, column = np.unravel_index(int(residual.argmax()), table.shape)
    return int(row), int(column)


def durations_p(lengths: ArrayLike, ended: ArrayLike, group: ArrayLike) -> tuple[float, NDArray[np.float64]]:
    """p-value that durations of `group` 0..k-1 come from one distribution, and each group's departure (positive: its
    stays end sooner than those of all).

    The log-rank test of k samples: a stay that has not ended counts as at least as long as it has lasted, so that a
    group whose stays began lately is not called quick. Source: Mantel (1966), Cancer Chemotherapy Reports 50:163-170.
    """
    time, event = np.asarray(lengths, dtype=float), np.asarray(ended, dtype=bool)
    member = np.asarray(group, dtype=np.int64)
    k = int(member.max()) + 1 if len(member) else 0
    instants = np.unique(time[event])
    if k < 2 or not len(instants):
        return 1.0, np.zeros(k)
    at_risk, deaths = np.empty((len(instants), k)), np.empty((len(instants), k))
    for g in range(k):
        mine = np.sort(time[member == g])
        gone = np.sort(time[(member == g) & event])
        at_risk[:, g] = len(mine) - np.searchsorted(mine, instants, side="left")
        deaths[:, g] = np.searchsorted(gone, instants, side="right") - np.searchsorted(gone, instants, side="left")
    n, d = at_risk.sum(axis=1), deaths.sum(axis=1)
    share = at_risk / n[:, None]
    excess = deaths.sum(axis=0) - (d[:, None] * share).sum(axis=0)
    weight = d * (n - d) / np.maximum(n - 1, 1)
    variance = np.diag((weight[:, None] * share).sum(axis=0)) - share.T @ (weight[:, None] * share)
    statistic = float(excess @ np.linalg.pinv(variance) @ excess)
    spread = np.sqrt(np.where(np.diag(variance) > 0, np.diag(variance), np.inf))
    return float(stats.chi2.sf(max(statistic, 0.0), k - 1)), excess / spread


def median_duration(lengths: Sequence[float], ended: Sequence[bool]) -> float | None:
    """The time by which half have ended; None where fewer have. Source: Kaplan and Meier (1958), JASA 53:457-481."""
    alive, at_risk = 1.0, len(lengths)
    for length, over in sorted(zip(lengths, ended, strict=True), key=lambda pair: (pair[0], not pair[1])):
        if over:
            alive *= 1 - 1 / at_risk
            if alive <= 0.5 + 1e-12:
                return length
        at_risk -= 1
    return None


def adjusted(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for how many were asked, in the given order: of those at or below q, at most a share q is
    expected to be due to chance. Source: Benjamini and Hochberg (1995), JRSS B 57:289-300."""
    found, lowest = [1.0] * len(p_values), 1.0
    order = sorted(range(len(p_values)), key=lambda index: p_values[index], reverse=True)
    for place, index in enumerate(order):
        lowest = min(lowest, p_values[index] * len(p_values) / (len(p_values) - place))
        found[index] = lowest
    return found
