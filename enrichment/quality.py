"""How good a classifier is, told from answers to rows it had not seen, in figures that people can act on."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FEW = 20
"""Labelled rows below which a label's own figures show little, and more labels help most."""
PRECISIONS = (0.8, 0.9, 0.95)
BINS = 10


class AtPrecision(msgspec.Struct, frozen=True, kw_only=True):
    """The most answers that can be taken while at least `precision` of them are right.

    `coverage` is their share of all rows; `threshold` the least probability among them (None: no such answers).
    """

    precision: float
    coverage: float
    threshold: float | None


class Bin(msgspec.Struct, frozen=True, kw_only=True):
    """Answers whose probability lies in [low, high): how sure they were, and how many were right."""

    low: float
    high: float
    rows: int
    said: float
    right: float


class OfLabel(msgspec.Struct, frozen=True, kw_only=True):
    """`found`: right answers among rows of the label; `kept`: right answers among those that named it (None: none)."""

    label: str
    rows: int
    found: float
    kept: float | None


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """Shares in [0, 1]. `calibration_error`: mean gap between how sure answers were and how many were right."""

    rows: int
    accuracy: float
    majority: float
    """What always naming the commonest label would get right."""
    mean_probability: float
    calibration_error: float
    at_precision: tuple[AtPrecision, ...]
    reliability: tuple[Bin, ...]
    labels: tuple[OfLabel, ...]
    few: tuple[str, ...]
    """Labels with fewer than FEW rows."""


def quality(labels: Sequence[str], unseen: Floats, target: NDArray[np.int64]) -> Quality:
    """What the answers `unseen` (rows, labels) are worth, where `target` (rows,) are the right ones."""
    said, sure = unseen.argmax(axis=1), unseen.max(axis=1)
    right = said == target
    counts = np.bincount(target, minlength=len(labels))
    bins = _reliability(sure, right)
    return Quality(
        rows=len(target),
        accuracy=float(right.mean()),
        majority=float(counts.max() / len(target)),
        mean_probability=float(sure.mean()),
        calibration_error=sum(abs(b.said - b.right) * b.rows for b in bins) / len(target),
        at_precision=tuple(coverage_at(sure, right, p) for p in PRECISIONS),
        reliability=bins,
        labels=tuple(
            OfLabel(
                label=label,
                rows=int(counts[i]),
                found=float(right[target == i].mean()) if counts[i] else 0.0,
                kept=float(right[said == i].mean()) if (said == i).any() else None,
            )
            for i, label in enumerate(labels)
        ),
        few=tuple(label for i, label in enumerate(labels) if counts[i] < FEW),
    )


def coverage_at(sure: Floats, right: NDArray[np.bool_], precision: float) -> AtPrecision:
    """The longest run of the surest answers of which at least `precision` are right; equally sure ones go together."""
    order = np.argsort(-sure, kind="stable")
    sure, right = sure[order], right[order]
    shares = np.cumsum(right) / np.arange(1, len(right) + 1)
    last = np.append(sure[1:] < sure[:-1], True)  # a threshold cannot part answers that are equally sure
    fit = np.flatnonzero((shares >= precision) & last)
    if not len(fit):
        return AtPrecision(precision=precision, coverage=0.0, threshold=None)
    taken = int(fit[-1]) + 1
    return AtPrecision(precision=precision, coverage=taken / len(right), threshold=float(sure[taken - 1]))


def precision_at(sure: Floats, right: NDArray[np.bool_], coverage: float) -> float:
    """The share of right answers among the surest ones, so many that they are `coverage` of all rows."""
    taken = max(1, round(coverage * len(right)))
    return float(right[np.argsort(-sure, kind="stable")[:taken]].mean())


def _reliability(sure: Floats, right: NDArray[np.bool_]) -> tuple[Bin, ...]:
    place = np.clip((sure * BINS).astype(int), 0, BINS - 1)
    return tuple(
        Bin(
            low=b / BINS,
            high=(b + 1) / BINS,
            rows=int((place == b).sum()),
            said=float(sure[place == b].mean()),
            right=float(right[place == b].mean()),
        )
        for b in sorted(set(place.tolist()))
    )
