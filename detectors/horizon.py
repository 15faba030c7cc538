"""Who came to an outcome within a horizon, as it could be known; and the columns that know it too well.

A record counts as it stood `horizon` before the request; whether the outcome came is what happened since. Features are
read as they were then, so what was written with the outcome or after it is not among them. Where records were filled
in afterwards it may be: a field that by itself tells the outcome almost perfectly, or that is only ever filled once the
outcome has come, is refused by name.

Source for the two kinds of leak: Kaufman, Rosset, Perlich, "Leakage in data mining", ACM TKDD 6 (2012).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from detectors.features import Column, is_number, missing
from detectors.pvalues import Floats
from detectors.snapshot import OPEN, Longs, Versions

SEPARATES = 0.98
"""The area under the curve from which a field alone tells too well to be true."""
AFTERWARDS = 0.02
"""The share of records with a value before the outcome up to which a field counts as filled afterwards only."""
FILLED = 0.5
"""The share of outcomes with a value afterwards from which it does."""

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Examples:
    """Rows of the versions: the records as they stood, ordered by id, and whether the outcome came."""

    rows: Longs
    came: Bools
    before: Longs
    """Of those to which it came: the row in force just before."""
    after: Longs
    """Of the same: the last row."""


def is_outcome(versions: Versions, label: str, values: Sequence[str]) -> Bools:
    """For each row, whether the label field has one of the values."""
    codes, texts = versions.codes(label)
    wanted = np.array([text.lower() in values for text in texts] + [False])
    found: Bools = wanted[codes]
    return found


def standing(versions: Versions, outcome: Bools) -> Longs:
    """The rows in force now, of records to which the outcome has not come, ordered by id."""
    return _by_id(versions, np.flatnonzero((versions.end == OPEN) & ~outcome))


def examples(versions: Versions, outcome: Bools, then: int) -> Examples:
    """The records that stood at `then` without the outcome. Those deleted since, without it, are left out."""
    rows = np.flatnonzero((versions.start <= then) & (versions.end > then) & ~outcome)
    firsts = np.full(len(versions.ids), -1, dtype=np.int64)
    later = np.flatnonzero(outcome & (versions.start > then))
    firsts[versions.record[later][::-1]] = later[::-1]
    lasts = np.full(len(versions.ids), -1, dtype=np.int64)
    lasts[versions.record] = np.arange(versions.record.size)
    came = firsts[versions.record[rows]] >= 0
    there = versions.end[lasts[versions.record[rows]]] == OPEN
    rows = _by_id(versions, rows[came | there])
    record = versions.record[rows]
    came = firsts[record] >= 0
    return Examples(rows, came, firsts[record[came]] - 1, lasts[record[came]])


def leaks(names: Sequence[str], columns: Sequence[Column], found: Examples, versions: Versions) -> Mapping[str, str]:
    """The fields that are refused, with the reason."""
    refused: dict[str, str] = {}
    for name, column in zip(names, columns, strict=True):
        alone = area_alone(column, found.came)
        if alone >= SEPARATES:
            refused[name] = f"refused: it tells the outcome by itself (area under the curve {alone:.3f})"
            continue
        filled = ~missing(column)
        before, after = (_filled(versions, name, rows) for rows in (found.before, found.after))
        if filled.mean() <= AFTERWARDS and before.mean() <= AFTERWARDS and after.mean() >= FILLED:
            refused[name] = f"refused: it is filled only once the outcome has come ({after.mean():.0%} of them)"
    return refused


def area(scores: Floats, came: Bools) -> float:
    """The chance, in [0, 1], that a record to which the outcome came scores above one to which it did not."""
    from scipy.stats import rankdata

    ranks = rankdata(scores)
    positives = int(came.sum())
    negatives = came.size - positives
    return float((ranks[came].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def area_alone(column: Column, came: Bools) -> float:
    """How well one field tells the outcome in whatever shape: by the share of outcomes in each value, or tenth."""
    if is_number(column):
        numbers = column.astype(np.float64)
        known = ~np.isnan(numbers)
        if not known.any():
            return 0.5
        edges = np.unique(np.quantile(numbers[known], np.linspace(0.1, 0.9, 9)))
        groups = np.where(known, np.searchsorted(edges, numbers, side="left"), edges.size + 1)
        ranked = area(np.where(known, numbers, np.median(numbers[known])), came)
    else:
        groups = np.unique(np.array([str(value) for value in column]), return_inverse=True)[1]
        ranked = 0.5
    totals = np.bincount(groups)
    share = np.bincount(groups, weights=came.astype(np.float64)) / np.maximum(totals, 1)
    return max(area(share[groups], came), ranked, 1.0 - ranked)


def _filled(versions: Versions, field: str, rows: Longs) -> Bools:
    filled: Bools = pc.is_valid(versions.column(field).take(pa.array(rows))).to_numpy()
    return filled


def _by_id(versions: Versions, rows: Longs) -> Longs:
    """In order of id, so that what is drawn does not depend on the order of the snapshot."""
    ids = versions.ids.take(pa.array(versions.record[rows]))
    order: Longs = pc.sort_indices(ids).to_numpy().astype(np.int64)
    return rows[order]
