"""Where a sequence of yes-or-no features changes: windows of many lengths, one threshold by permutation.

Two adjoining windows of w rows are compared at many places and for w from `least` to half of all, each half as long
again as the one before. For a feature with shares l and r and the pooled share m,

    z^2 = w (l - r)^2 / (2 m (1 - m)),

and a place counts by its largest z^2. The threshold is that of the largest value anywhere in the same rows in random
order, so that a sequence without a change has a change found in it with a chance of at most alpha, however many
lengths, places and features are looked at. Rows are permuted in blocks: neighbours that resemble one another (one
day's work) must not look like a change. Shortest windows come first: of the places above the threshold each peak is
taken, and longer windows add only what lies apart from it. (Splitting the whole in two and then its parts, binary
segmentation, misses what changes to and fro: on the whole such changes cancel. See benchmarks/process_drift.py.)

Sources: Eichinger and Kirch, "A MOSUM procedure for the estimation of multiple random change points", Bernoulli 24
(2018), for windows; Cho and Kirch, "Two-stage data segmentation", Annals of the Institute of Statistical Mathematics
74 (2022), for merging lengths bottom-up; Phipson and Smyth, "Permutation p-values should never be zero", SAGMB 9
(2010).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.snapshot import Longs

Numbers = NDArray[np.floating[Any]]

LEAST = 40
"""Rows of the shortest window."""
GROWTH = 1.5
PLACES = 10
"""Places that are compared within one length of a window."""
BLOCK = 5
ROUNDS = 199
RARE = 0.01
"""A feature that fewer of all rows have, or lack, is not looked at: it would fill the tail of the permutations."""
FEW = 8
"""The same, as a number of rows."""


@dataclass(frozen=True)
class Split:
    """`at`: the first row of the new state; found with windows of `window` rows on either side."""

    at: int
    window: int
    strength: float
    """z^2 of the feature that shows it best."""
    p_value: float


def segment(values: Numbers, alpha: float, seed: int, least: int = LEAST, rounds: int = ROUNDS) -> list[Split]:
    """The splits of (rows, features) of 0 and 1, in order. Deterministic for a seed. None below 2 * least rows."""
    size = len(values)
    counts = values.sum(axis=0)
    enough = max(FEW, RARE * size)
    part = values[:, (counts >= enough) & (counts <= size - enough)].astype(np.float32)
    if size < 2 * least or part.shape[1] == 0:
        return []
    scans = list(_scans(part, least))
    top = max(float(scores.max()) for _, _, scores in scans)
    random = np.random.default_rng(seed)
    offset = int(random.integers(BLOCK))
    largest: list[float] = []
    for _ in range(rounds):
        permuted = part[_permuted(size, offset, random)]
        largest.append(max(float(scores.max()) for _, _, scores in _scans(permuted, least)))
        if sum(one >= top for one in largest) >= alpha * (rounds + 1):
            return []
    drawn = np.sort(np.array(largest))
    allowed = int(alpha * (rounds + 1)) - 1
    if allowed < 0:
        raise ValueError(f"budget: {alpha:g} is below 1/{rounds + 1}, the least p-value of {rounds} permutations")
    threshold = float(drawn[rounds - 1 - allowed]) if allowed < rounds else 0.0
    found: list[Split] = []
    for window, places, scores in scans:
        for peak in _peaks(places, scores, threshold, window):
            if all(abs(peak - split.at) > 0.75 * (window + split.window) / 2 for split in found):
                at, strength = _refined(part, peak, window, least)
                p_value = (1 + int((drawn >= strength).sum())) / (rounds + 1)
                found.append(Split(at, window, strength, min(p_value, alpha)))
    return sorted(found, key=lambda split: split.at)


def _scans(part: Numbers, least: int) -> Iterator[tuple[int, Longs, Numbers]]:
    """(window, places, largest z^2 at each), shortest windows first."""
    size = len(part)
    sums = np.zeros((size + 1, part.shape[1]), dtype=np.float32)
    np.cumsum(part, axis=0, out=sums[1:])
    window = float(least)
    while 2 * int(window) <= size:
        width = int(window)
        places = np.arange(width, size - width + 1, max(1, width // PLACES))
        middle = sums[places]
        yield width, places, _z2(middle - sums[places - width], sums[places + width] - middle, width).max(axis=1)
        window *= GROWTH


def _z2(left: Numbers, right: Numbers, width: int) -> Numbers:
    """Of (..., features) of counts in two windows; the pooled share is drawn a little to one half."""
    mean = (left + right + 1.0) / (2.0 * width + 2.0)
    gap = left - right
    return gap * gap / (2.0 * width * mean * (1.0 - mean))


def _peaks(places: Longs, scores: Numbers, threshold: float, window: int) -> list[int]:
    """Places above the threshold that are the largest within a window's length, largest first."""
    peaks: list[int] = []
    for number in np.argsort(-scores, kind="stable"):
        if scores[number] <= threshold:
            break
        if all(abs(int(places[number]) - other) > window for other in peaks):
            peaks.append(int(places[number]))
    return peaks


def _refined(part: Numbers, peak: int, window: int, least: int) -> tuple[int, float]:
    """The row within half a window at which the feature that shows the change best splits the stretch best."""
    begin, end = peak - window, peak + window
    stretch = part[begin:end]
    sums = np.cumsum(stretch, axis=0)
    scores = _z2(sums[window - 1], sums[-1] - sums[window - 1], window)
    best = int(np.argmax(scores))
    k = np.arange(window - window // 2, window + window // 2 + 1)
    gaps = sums[k - 1, best] - k * (sums[-1, best] / len(stretch))
    return begin + int(k[np.argmax(gaps * gaps / (k * (len(stretch) - k)))]), float(scores[best])


def _permuted(size: int, offset: int, random: np.random.Generator) -> Longs:
    """Rows in random order, neighbours within a block kept together.

    Blocks begin at `offset` and are of one length; what is left at the ends stays. So the orders are a group, and the
    p-value is exact for rows that do not change: with blocks of unequal length, or from another offset each time, it
    is not (Hemerik and Goeman, "Exact testing with random permutations", TEST 27 (2018)).
    """
    rows = np.arange(size)
    blocks = (size - offset) // BLOCK
    inner = slice(offset, offset + blocks * BLOCK)
    rows[inner] = rows[inner].reshape(blocks, BLOCK)[random.permutation(blocks)].ravel()
    return rows
