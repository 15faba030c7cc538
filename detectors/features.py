"""Fields as features of an additive model: each field's own columns, so that each field's own part can be told.

A number becomes itself and hinges at its quantiles (so that a risk may rise, level off and fall), a category one column
for each value, and a gap a column of its own. Times become days before the moment at which the record is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from detectors.pvalues import Floats
from detectors.snapshot import Longs, Versions, micros_of

DAY = 86_400_000_000
KINDS = 30
"""Values of a text field up to which it is a category; a field with more is a name, and no feature."""
SEEN = 5
"""Records that a category needs for a column of its own."""
HINGES = (0.1, 0.25, 0.5, 0.75, 0.9)

Column = Floats | NDArray[np.object_]
"""Numbers with NaN for a gap, or texts with None."""


def column_of(versions: Versions, field: str, rows: Longs, at: int, *, most: int | None = KINDS) -> Column | str:
    """The field's values in these rows, as they are seen at `at` (microseconds); a text says why it is no feature.

    `most`: how many values a category may have; None where that was seen to before.
    """
    column = versions.column(field)
    kind = column.type
    if pa.types.is_null(kind):
        return "is empty"
    if pa.types.is_nested(kind):
        return f"is a {kind}"
    taken = column.take(pa.array(rows))
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        instants = micros_of(taken)
        days: Floats = np.where(np.isnan(instants), np.nan, (at - instants) / DAY)
        return days
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers: Floats = taken.cast(pa.float64(), safe=False).to_numpy().copy()
        numbers[~np.isfinite(numbers)] = np.nan
        return numbers
    texts = np.array(taken.cast(pa.string()).to_pylist(), dtype=object)
    kinds = {text for text in texts if text is not None}
    if most is not None and len(kinds) > most:
        return f"has {len(kinds)} values; a category has at most {most}"
    return texts


def is_number(column: Column) -> bool:
    return column.dtype != object


def missing(column: Column) -> NDArray[np.bool_]:
    """Where a value is absent."""
    gaps: NDArray[np.bool_] = (
        np.isnan(column.astype(np.float64)) if is_number(column) else np.array([value is None for value in column])
    )
    return gaps


@dataclass(frozen=True)
class Basis:
    """The columns of one field, as learnt. `knots` of numbers: least, hinges, greatest; `values` of a category."""

    knots: Floats
    values: tuple[str, ...]
    gap: bool
    centre: Floats
    spread: Floats

    @classmethod
    def fit(cls, column: Column) -> Basis | None:
        """None where the field says nothing: it is the same throughout, or absent."""
        gaps = missing(column)
        known = column[~gaps]
        knots, values = np.empty(0), ()
        if is_number(column) and known.size:
            numbers = known.astype(np.float64)
            inner = np.quantile(numbers, HINGES)
            low, high = float(numbers.min()), float(numbers.max())
            knots = np.unique(np.concatenate(([low], inner, [high])))
        elif known.size:
            kinds, counts = np.unique(known.astype(str), return_counts=True)
            values = tuple(kinds[counts >= SEEN])
        # the last of the values is what the others are compared with, where there is no gap
        basis = cls(knots, values, bool(gaps.sum() >= SEEN), np.zeros(0), np.ones(0))
        raw = basis._raw(column)
        spread = raw.std(axis=0)
        if raw.shape[1] == 0 or not (spread > 0).any():
            return None
        return cls(knots, values, basis.gap, raw.mean(axis=0), np.where(spread > 0, spread, 1.0))

    def columns(self, column: Column) -> Floats:
        """(n, k), each of mean 0 and deviation 1 where the basis was learnt."""
        scaled: Floats = (self._raw(column) - self.centre) / self.spread
        return scaled

    def _raw(self, column: Column) -> Floats:
        gaps = missing(column)
        parts: list[Floats] = []
        if self.knots.size > 1:
            middle = float(np.median(self.knots))
            numbers = (
                np.where(gaps, middle, column.astype(np.float64)) if is_number(column) else np.full(len(column), middle)
            )
            numbers = np.clip(numbers, self.knots[0], self.knots[-1])
            parts.append(numbers)
            parts.extend(np.maximum(numbers - knot, 0.0) for knot in self.knots[1:-1])
        parts.extend((column == value).astype(np.float64) for value in self.values)
        if self.gap:
            parts.append(gaps.astype(np.float64))
        return np.column_stack(parts) if parts else np.empty((len(column), 0))


def matrix(bases: Sequence[Basis], columns: Sequence[Column]) -> tuple[Floats, Longs]:
    """The columns of all fields side by side, and for each the number of its field."""
    parts = [basis.columns(column) for basis, column in zip(bases, columns, strict=True)]
    owner = np.repeat(np.arange(len(parts)), [part.shape[1] for part in parts])
    return np.hstack(parts), owner.astype(np.int64)
