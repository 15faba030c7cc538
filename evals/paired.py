"""Whether one of two runs over the same cases does better: an exact test for pairs that hang together.

Each cluster of cases (a company, a case asked several times) has one difference, run minus baseline. Were the
two runs of the same system, either sign of it would be as likely; so the sum of the differences has a known
distribution, counted here exactly. Where each cluster is one case asked once, the differences are -1, 0 and 1,
and this is McNemar's exact test.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.signal import convolve

LARGEST = 200_000
"""Width of the distribution up to which it is counted; beyond, a normal one stands for it (hundreds of terms)."""

DIRECT = 50_000_000
"""Products up to which two distributions are convolved one by one."""


def cluster_sums(differences: NDArray[np.int64], clusters: Sequence[str]) -> NDArray[np.int64]:
    """The differences (whole numbers, of any one unit) added up by cluster."""
    places: dict[str, int] = {}
    index = [places.setdefault(cluster, len(places)) for cluster in clusters]
    sums = np.zeros(len(places), dtype=np.int64)
    np.add.at(sums, index, differences)
    return sums


def sign_flip(sums: NDArray[np.int64]) -> tuple[float, float]:
    """(p that the run is no worse, p that it is no better). Each in (0, 1]; smaller is stranger.

    The first is the chance of a sum as low as this or lower, the second as high or higher.
    Source: Fisher (1935), The Design of Experiments, section 21; McNemar (1947), Psychometrika 12.
    """
    sizes, counts = np.unique(np.abs(sums[sums != 0]), return_counts=True)
    if not len(sizes):
        return 1.0, 1.0
    total = int(sums.sum())
    width = int((sizes * counts).sum())
    if width > LARGEST:
        sigma = float(np.sqrt((sizes.astype(float) ** 2 * counts).sum()))
        step = float(np.gcd.reduce(sizes))
        return float(stats.norm.cdf((total + step) / sigma)), float(stats.norm.sf((total - step) / sigma))
    chances = np.ones(1)
    for size, count in zip(sizes, counts, strict=True):
        # `count` signs of this size: size * (2 heads - count), so one outcome every 2 * size steps.
        one = np.zeros(2 * int(size) * int(count) + 1)
        one[:: 2 * int(size)] = stats.binom.pmf(np.arange(count + 1), count, 0.5)
        # A Fourier transform is quicker for wide ones, and leaves noise of 1e-16 where a sum leaves none.
        how = "direct" if len(chances) * len(one) <= DIRECT else "fft"
        chances = np.maximum(convolve(chances, one, method=how), 0.0)
    place = total + width
    low, high = float(chances[: place + 1].sum()), float(chances[place:].sum())
    return min(1.0, low), min(1.0, high)
