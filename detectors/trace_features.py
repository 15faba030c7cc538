"""What a trace of stages shows, as yes or no: which stages it passes, which again, and which before which.

    presence    the trace passes a
    repetition  it passes a more than once
    order       it passes both, a first before b first

A move, a skip, a loop, an exchange or two steps that became parallel each change the share of some of these; which
changed says what happened. Features that tell traces apart in the same way are one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.pvalues import Floats
from detectors.snapshot import Longs

MOST_STAGES = 60
"""The commonest stages that are looked at: order features grow with the square."""


@dataclass(frozen=True)
class Features:
    """`values` (traces, features) of 0 and 1; `names` say what each is."""

    values: Floats
    names: tuple[str, ...]


def features_of(trace: Longs, stage: Longs, stages: list[str]) -> Features:
    """Of traces that are blocks of `trace` (n,), codes from 0 on, each in order of time; `stage` (n,) codes."""
    count = int(trace.max(initial=-1)) + 1
    size = len(stages)
    first = np.full((count, size), np.inf)
    position = np.arange(stage.size, dtype=np.float64)
    np.minimum.at(first, (trace, stage), position)
    times = np.zeros((count, size))
    np.add.at(times, (trace, stage), 1.0)
    kept = np.sort(np.argsort(-(times > 0).sum(axis=0), kind="stable")[:MOST_STAGES])
    columns: list[NDArray[np.bool_]] = []
    names: list[str] = []
    for code in kept:
        columns.append(times[:, code] > 0)
        names.append(f"passes {stages[code]!r}")
    for code in kept:
        columns.append(times[:, code] > 1)
        names.append(f"passes {stages[code]!r} again")
    for a in kept:
        for b in kept:
            if a != b:
                columns.append((first[:, a] < first[:, b]) & np.isfinite(first[:, b]))
                names.append(f"passes {stages[a]!r} before {stages[b]!r}")
    values = np.array(columns, dtype=np.bool_).T.reshape(count, len(columns))
    distinct = _distinct(values)
    return Features(values[:, distinct].astype(np.float64), tuple(names[column] for column in distinct))


def _distinct(values: NDArray[np.bool_]) -> list[int]:
    """The columns that are neither constant nor equal or opposite to an earlier one."""
    seen: set[bytes] = set()
    kept = []
    for column in range(values.shape[1]):
        one = values[:, column]
        if one.all() or not one.any():
            continue
        key = np.packbits(one if one[0] else ~one).tobytes()
        if key not in seen:
            seen.add(key)
            kept.append(column)
    return kept
