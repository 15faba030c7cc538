"""What stated confidence is worth: reliability by bins, and precision when only the surest answers are taken."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from evals import statistics

COVERAGES = (0.5, 0.8, 0.95)
"""Of the answers given, the surest share of them that is taken."""


class Bin(msgspec.Struct, frozen=True, kw_only=True):
    """The answers whose confidence lies in [start, end); the last bin holds its end. All shares in [0, 1]."""

    start: float
    end: float
    answers: int
    confidence: float
    """Their mean."""
    right: float
    """The share of them that is right; a calibrated worker has it equal to `confidence`."""
    low: float
    high: float
    """Wilson, 95%."""


class AtCoverage(msgspec.Struct, frozen=True, kw_only=True):
    """Precision of the surest `coverage` of the answers, in [0, 1]; higher is better. Wilson, 95%."""

    coverage: float
    threshold: float
    """The confidence of the last answer taken; those as sure as it are taken with it."""
    answers: int
    precision: float
    low: float
    high: float


def reliability(confidence: Sequence[float], right: Sequence[bool], bins: int) -> tuple[Bin, ...]:
    """The bins that hold an answer, the least sure first."""
    stated = np.clip(np.asarray(confidence, float), 0.0, 1.0)
    was = np.asarray(right, bool)
    column = np.minimum((stated * bins).astype(np.intp), bins - 1)
    found = []
    for place in np.unique(column):
        inside = column == place
        count, hits = int(inside.sum()), int(was[inside].sum())
        near = statistics.wilson(hits, count)
        found.append(
            Bin(
                start=int(place) / bins,
                end=(int(place) + 1) / bins,
                answers=count,
                confidence=float(stated[inside].mean()),
                right=hits / count,
                low=near.low,
                high=near.high,
            )
        )
    return tuple(found)


def precision_at(confidence: Sequence[float], right: Sequence[bool]) -> tuple[AtCoverage, ...]:
    """For each of COVERAGES; none without answers. Ties are taken together, so no order within them matters."""
    if not len(confidence):
        return ()
    stated, was = np.asarray(confidence, float), np.asarray(right, bool)
    ordered = np.sort(stated)[::-1]
    found = []
    for coverage in COVERAGES:
        threshold = float(ordered[max(int(np.ceil(coverage * len(ordered))), 1) - 1])
        taken = stated >= threshold
        count, hits = int(taken.sum()), int(was[taken].sum())
        near = statistics.wilson(hits, count)
        found.append(
            AtCoverage(
                coverage=coverage,
                threshold=threshold,
                answers=count,
                precision=hits / count,
                low=near.low,
                high=near.high,
            )
        )
    return tuple(found)
