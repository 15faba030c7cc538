"""The year a company was founded, from text: `was founded in 1996`, `incorporated in 2001`, `since 1912`.

Founded outranks established, which outranks incorporated, which outranks `since`: a company is often
incorporated anew long after it began. Different years of the same rank are no answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from enrichment.text import clause

MONTH = r"(?:January|February|March|April|May|June|July|August|September|October|November|December)"
DAY = rf"(?:\d{{1,2}}\s+)?{MONTH}\s+(?:\d{{1,2}}(?:st|nd|rd|th)?,?\s+)?(?:of\s+)?"
SEASON = r"(?:the\s+)?(?:year|spring|summer|autumn|fall|winter)\s+(?:of\s+)?"
WHEN = rf"(?:(?:early|late|mid)[ -])?(?:{SEASON})?(?:{DAY})?"
NAME = r"(?:[A-Z][\w.'’&-]*|laws|State|of|and|the|a|an)"
MORE = r"(?:,?\s+(?:[A-Z][\w.'’&-]*|of|the|and|laws)){0,8}"
PLACE = rf"(?:(?:in|at|under|by|as|on)\s+(?:the\s+)?{NAME}{MORE}\s*,?\s+){{0,2}}?"
YEAR = r"(?P<year>1[0-9]{3}|20[0-9]{2})(?![\d.,]?\d|s\b|-\d)"

START = r"(?:(?<=^)|(?<=[.!?]\s)|(?<=\n)|(?<=,\s))"
FIRST = r"(?:first\s+|originally\s+)?"
IN = rf"\s+{PLACE}(?:in|on|since)\s+{WHEN}{YEAR}"
CUES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("founded", re.compile(rf"\b(?:was|were|been|and|is|company,?)\s+{FIRST}founded{IN}")),
    ("founded", re.compile(rf"{START}[Ff]ounded{IN}")),
    ("founded", re.compile(rf"\b(?:Founded|Year founded|Founding year)\s*:\s*{WHEN}{YEAR}")),
    ("founded", re.compile(rf"\b(?:was|were)\s+(?:started|formed|created){IN}")),
    ("established", re.compile(rf"\b(?:was|were|and|been)\s+{FIRST}established{IN}")),
    ("established", re.compile(rf"{START}[Ee]stablished{IN}")),
    ("incorporated", re.compile(rf"\b(?:was|were|and|been)\s+{FIRST}incorporated{IN}")),
    ("since", re.compile(rf"\bin\s+business\s+since\s+{WHEN}{YEAR}")),
)
"""How a text states the year, best first. Every repeat is bounded, so that a hostile text costs linear time."""

RANKS = ("founded", "established", "incorporated", "since")

OTHERS = re.compile(
    r"\b(?:parents?|subsidiar(?:y|ies)|customers?|clients?|competitors?|foundation|joint venture|division|"
    r"acquired|acquires|acquisition|branch|brand|fund|plant|factory)\b",
    re.I,
)
"""Between the sentence's start and the cue: then something else was founded."""


@dataclass(frozen=True)
class Founding:
    """One statement. `start` and `end` are half-open indices of the text; the year stands inside."""

    start: int
    end: int
    year: int
    kind: str


def foundings(text: str, latest: int) -> list[Founding]:
    """Every statement of a founding year up to `latest`, in order of rank, then of place."""
    found: dict[int, Founding] = {}
    for kind, cue in CUES:
        for match in cue.finditer(text):
            year = int(match["year"])
            if year > latest or OTHERS.search(clause(text, match.start())):
                continue
            found.setdefault(match.start("year"), Founding(match.start(), match.end("year"), year, kind))
    return sorted(found.values(), key=lambda f: (RANKS.index(f.kind), f.start))


def founding(text: str, latest: int = 2100) -> Founding | None:
    """The best statement; None where there is none, or the best rank names different years."""
    stated = foundings(text, latest)
    if not stated:
        return None
    best = [f for f in stated if f.kind == stated[0].kind]
    return best[0] if len({f.year for f in best}) == 1 else None


def supports_year(year: int, quote: str) -> bool:
    """Whether the year stands in the quote as a number of its own."""
    return re.search(rf"(?<![\d.,]){year}(?![\d]|[.,]\d)", quote) is not None


FOUNDING = re.compile(
    r"\b(?:founded|founding|foundation|established|establishment|incorporated|incorporation|started|began|begun|"
    r"begin|formed|created|launched|born|opened|set\s+up|since|origins?|dates?\s+back|history|inception)\b",
    re.I,
)
"""Words of beginning. A model likes to take the year of a change of name or of a balance sheet."""


def tells_founding(quote: str) -> bool:
    """Whether the quote speaks of a beginning at all."""
    return FOUNDING.search(quote) is not None
