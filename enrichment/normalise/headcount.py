"""Numbers of employees: `1200` for `ca. 1,200 people`, `51-200` for `51 – 200 employees`, `10001+`, `1-9`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from enrichment.normalise.outcome import Normalised, accepted, readable, refused
from enrichment.normalise.quantity import QUANTITY, scaled

MOST = 10_000_000
"""No company employs more."""
BANDS = ((1, 1), (2, 10), (11, 50), (51, 200), (201, 500), (501, 1000), (1001, 5000), (5001, 10000), (10001, None))
"""The bands that professional networks use; `None` is without bound."""
PEOPLE = re.compile(
    r"\b(?:employees?|people|persons?|staff|headcount|fte?s?|workers?|team\s+members|mitarbeiter(?:innen|in)?|"
    r"beschäftigte|dipendenti|empleados|funcionários|salariés|medewerkers|size|company|total|worldwide)\b\.?:?",
    re.I,
)
ABOUT = re.compile(
    r"^(?:~|≈|±|about|around|approx(?:imately|\.)?|circa|ca\.?|c\.|roughly|etwa|rund|some|nearly)\s*", re.I
)
OVER = re.compile(r"^(?:>(?!=)|over|more\s+than|above|mehr\s+als|über|oltre|plus\s+de)\s*", re.I)
LEAST = re.compile(r"^(?:>=|≥|at\s+least|from|min\.?|mindestens)\s*", re.I)
UNDER = re.compile(r"^(?:<(?!=)|under|fewer\s+than|less\s+than|below|unter|weniger\s+als)\s*", re.I)
MOST_WORDS = re.compile(r"^(?:<=|≤|up\s+to|at\s+most|max\.?|bis(?:\s+zu)?)\s*", re.I)
BETWEEN = re.compile(r"\s*(?:-|–|—|\.\.\.?|\bto\b|\band\b|\bbis\b)\s*", re.I)
ALONE = frozenset({"self employed", "self-employed", "sole proprietor", "just me", "myself only", "freelancer", "one"})


@dataclass(frozen=True)
class Range:
    """From `low` on, to `high` inclusive; `high` is None where there is no bound."""

    low: int
    high: int | None

    def __str__(self) -> str:
        if self.high is None:
            return f"{self.low}+"
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"


def band(found: Range) -> str:
    """The band that a number or a range lies in; empty where it lies in several."""
    for low, high in BANDS:
        if low <= found.low and (high is None or (found.high is not None and found.high <= high)):
            return str(Range(low, high))
    return ""


def read(text: str) -> Range | str:
    """The range, or why there is none."""
    if text.casefold().strip(" .") in ALONE:
        return Range(1, 1)
    bare = ABOUT.sub("", PEOPLE.sub(" ", text).strip(" .,:()")).strip()
    for pattern, below, beside in ((OVER, False, 1), (LEAST, False, 0), (UNDER, True, -1), (MOST_WORDS, True, 0)):
        if found := pattern.match(bare):
            count = _count(bare[found.end() :])
            if isinstance(count, str):
                return count
            return Range(1, count + beside) if below else Range(count + beside, None)
    if bare.endswith("+"):
        count = _count(bare[:-1])
        return Range(count, None) if isinstance(count, int) else count
    ends = BETWEEN.split(bare)
    if len(ends) == 2 and all(ends):
        low, high = _count(ends[0]), _count(ends[1])
        if isinstance(low, str):
            return low
        if isinstance(high, str):
            return high
        return Range(low, high) if low <= high else f"{low} is more than {high}"
    count = _count(bare)
    return Range(count, count) if isinstance(count, int) else count


def _count(text: str) -> int | str:
    match = QUANTITY.fullmatch(text.strip())
    found = scaled(match) if match else None
    if found is None or found != found.to_integral():
        return f"{text.strip()!r:.40} is no whole number"
    return int(found) if 0 < found <= MOST else f"{found:f} is not between 1 and {MOST}"


def normalise(raw: str, region: str = "") -> Normalised | None:
    """Parts: low, high (where bounded), band."""
    text = readable(raw)
    if not isinstance(text, str):
        return text
    found = read(text)
    if isinstance(found, str):
        return refused(raw, found)
    if found.high is not None and found.high < found.low:
        return refused(raw, "a company of nobody")
    high = "" if found.high is None else str(found.high)
    return accepted(raw, str(found), low=str(found.low), high=high, band=band(found))
