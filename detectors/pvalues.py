"""P-values from comparison with a reference, and what to do with many of them.

Sources: Vovk, Gammerman, Shafer, "Algorithmic Learning in a Random World" (2005), section 2.2, for the
conformal and the smoothed form; Bates, Candes, Lei, Romano, Sesia, "Testing for outliers with conformal
p-values", Annals of Statistics 51 (2023), for Benjamini-Hochberg over them; Benjamini, Hochberg,
"Controlling the false discovery rate", JRSS B 57 (1995).
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def conformal(reference: Floats, scores: Floats) -> Floats:
    """(1 + how many of the reference are at least as strange) / (n + 1), for each score.

    `reference` (n,), `scores` (m,), larger is stranger; returns (m,) in (0, 1]. Where a score is
    exchangeable with the reference, P(p <= a) <= a for every a: ties make it smaller, never larger.
    """
    ordered = np.sort(reference)
    at_least = ordered.size - np.searchsorted(ordered, scores, side="left")
    p_values: Floats = (1.0 + at_least.astype(np.float64)) / (ordered.size + 1.0)
    return p_values


def conformal_randomised(reference: Floats, scores: Floats, uniform: Floats) -> Floats:
    """(stranger + U (1 + equal)) / (n + 1): exactly uniform under exchangeability, ties included.

    `uniform` (m,) in (0, 1), independent of the scores; see `uniform_of`.
    """
    ordered = np.sort(reference)
    left = np.searchsorted(ordered, scores, side="left")
    right = np.searchsorted(ordered, scores, side="right")
    randomised: Floats = (ordered.size - right + uniform * (1.0 + right - left)) / (ordered.size + 1.0)
    return randomised


def benjamini_hochberg(p_values: Floats, rate: float) -> NDArray[np.bool_]:
    """Which of (m,) p-values to reject so that the expected share of false ones is at most `rate`."""
    count = p_values.size
    ordered = np.sort(p_values)
    passing = np.flatnonzero(ordered <= rate * np.arange(1, count + 1) / count)
    if passing.size == 0:
        return np.zeros(count, dtype=np.bool_)
    rejected: NDArray[np.bool_] = p_values <= ordered[passing[-1]]
    return rejected


def uniform_of(seed: str, keys: Iterable[str]) -> Floats:
    """A number in (0, 1) for each key: the same for the same seed and key, on every machine.

    A hash, not a generator: the number of one key must not depend on which others were asked for.
    """
    salt = blake2b(seed.encode(), digest_size=32).digest()
    digests = b"".join(blake2b(key.encode(), digest_size=8, key=salt).digest() for key in keys)
    # 52 bits and a half step: both ends are out of reach, so that no p-value is 0
    bits = np.frombuffer(digests, dtype="<u8") >> np.uint64(12)
    uniform: Floats = (bits.astype(np.float64) + 0.5) / 2.0**52
    return uniform


def seed_of(text: str) -> int:
    """A seed in [0, 2**31) for libraries that take a number."""
    return int.from_bytes(blake2b(text.encode(), digest_size=4).digest(), "little") >> 1
