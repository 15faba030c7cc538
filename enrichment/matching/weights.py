"""Match weights: how much each comparison speaks for one company, or against it, in bits.

After I. Fellegi and A. Sunter, "A Theory for Record Linkage" (1969): the weight of an outcome is the logarithm of how
much more often it occurs among pairs that are the same than among pairs that are not; weights add up. Comparisons of
one name are not independent (the whole is made of its words), so theirs were learnt together, by logistic regression
over the outcomes, which gives additive weights without counting the same likeness twice. Those of the other fields are
m and u written beside them.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from enrichment.matching.names import Likeness

MOST = 40.0
"""Bits beyond which a weight says nothing new."""


@dataclass(frozen=True, slots=True)
class Weight:
    """One comparison of a pair: its name, what came of it, and bits (positive: for the same)."""

    comparison: str
    outcome: str
    bits: float
    group: str = ""
    """Weights learnt together have a common group: only their sum speaks."""


NAME = "name"


@dataclass(frozen=True)
class Scale:
    """The levels of one comparison: `bits[i]` holds from `floors[i]` on. Floors rise."""

    comparison: str
    floors: tuple[float, ...]
    bits: tuple[float, ...]

    def level(self, value: float) -> int:
        """The place of a value among the levels."""
        return max(bisect_right(self.floors, value + 1e-9) - 1, 0)

    def weigh(self, value: float) -> Weight:
        """The weight of a value."""
        return Weight(self.comparison, f"{value:.2f}".rstrip("0").rstrip("."), self.bits[self.level(value)], NAME)


LEVELS: dict[str, tuple[float, ...]] = {
    "name, whole": (0.0, 0.45, 0.55, 0.65, 0.72, 0.8, 0.88, 0.95, 1.0),
    "name, beginning": (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0),
    "first word": (0.0, 0.5, 0.85, 1.0),
    "words of the shorter": (0.0, 0.3, 0.5, 0.65, 0.8, 0.9, 1.0),
    "words of the longer": (0.0, 0.3, 0.5, 0.65, 0.8, 0.9, 1.0),
    "own words alike": (0.0, 1.0, 2.0, 3.0),
    "numbers differ": (0.0, 1.0),
}
"""The comparisons of two names, and from where each level begins."""


def outcomes(found: Likeness) -> dict[str, float]:
    """The comparisons of LEVELS, each with its value."""
    return {
        "name, whole": found.whole,
        "name, beginning": found.begins,
        "first word": found.first,
        "words of the shorter": found.less,
        "words of the longer": found.more,
        "own words alike": float(min(found.rare, 3)),
        "numbers differ": float(found.numbers),
    }


@lru_cache(maxsize=1)
def scales() -> dict[str, Scale]:
    """The learnt table: `tables/names.tsv`, one line a level."""
    rows: dict[str, list[tuple[float, float]]] = {}
    for line in (files("enrichment.matching") / "tables" / "names.tsv").read_text("utf-8").splitlines():
        if not line.startswith("#") and line.strip():
            comparison, floor, bits = line.split("\t")
            rows.setdefault(comparison, []).append((float(floor), float(bits)))
    return {
        name: Scale(name, tuple(floor for floor, _ in levels), tuple(bits for _, bits in levels))
        for name, levels in rows.items()
    }


def of_names(found: Likeness) -> list[Weight]:
    """The weights of two names; their sum is the log-odds (base 2) where as many pairs are the same as not."""
    known = scales()
    return [known[comparison].weigh(value) for comparison, value in outcomes(found).items()]


@dataclass(frozen=True)
class Field:
    """A field that is the same or not. `m`: how often it is the same for one company; `u`: by chance for two."""

    name: str
    m: float
    u: float

    def weigh(self, a: str, b: str) -> Weight | None:
        """None where one of them is missing: what is unknown speaks neither for nor against."""
        if not a or not b:
            return None
        if a == b:
            return Weight(self.name, "same", math.log2(self.m / self.u))
        return Weight(self.name, "other", math.log2((1 - self.m) / (1 - self.u)))


def probability(bits: float) -> float:
    """The chance that a pair is the same, of the sum of its weights."""
    return 1 / (1 + math.pow(2.0, -max(-MOST, min(MOST, bits))))
