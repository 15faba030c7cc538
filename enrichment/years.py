"""The year a company was founded, from text: `was founded in 1996`, `incorporated in 2001`, `since 1912`.

Founded outranks established, which outranks incorporated, which outranks `since`: a company is often
incorporated anew long after it began. Different years of the same rank are no answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from enrichment.stance import Sentences, begins, opens, own
from enrichment.tongues import FOUNDING_WORDS

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
    ("founded", re.compile(rf"\b(?:was|were)\s+(?:started|formed|created|set\s+up){IN}")),
    ("founded", re.compile(rf"\b[Ss]ince\s+(?:its|the\s+company['’]s)\s+(?:foundation|founding|formation){IN}")),
    ("established", re.compile(rf"\b(?:was|were|and|been)\s+{FIRST}established{IN}")),
    ("established", re.compile(rf"{START}[Ee]stablished{IN}")),
    ("established", re.compile(rf"\b[Ss]ince\s+(?:its|the\s+company['’]s)\s+establishment{IN}")),
    ("incorporated", re.compile(rf"\b(?:was|were|and|been)\s+{FIRST}incorporated{IN}")),
    ("incorporated", re.compile(rf"{START}[Ii]ncorporated{IN}")),
    ("founded", re.compile(rf"\((?:founded|established|est\.?)\s+(?:in\s+)?{YEAR}\)")),
    ("since", re.compile(rf"\bin\s+business\s+since\s+{WHEN}{YEAR}")),
)
"""How a text states the year, best first. Every repeat is bounded, so that a hostile text costs linear time."""

OR_ANOTHER = re.compile(r",?\s+or\s+(?:in\s+)?(?:maybe\s+|perhaps\s+|possibly\s+)?(?:1[0-9]{3}|20[0-9]{2})\b")
"""`in 1966 or in 1968` states neither."""
PARTICIPLES = ("Founded", "Established", "Incorporated")
"""They open a sentence whose subject follows."""

RANKS = ("founded", "established", "incorporated", "since")


@dataclass(frozen=True)
class Founding:
    """One statement. `start` and `end` are half-open indices of the text; the year stands inside."""

    start: int
    end: int
    year: int
    kind: str


def foundings(text: str, latest: int, names: Sequence[str] = ()) -> list[Founding]:
    """Every statement of the company's founding year up to `latest`, in order of rank, then of place.

    `names`: what the company is called, where known.
    """
    told = Sentences(text)
    found: dict[int, Founding] = {}
    for kind, cue in CUES:
        for match in cue.finditer(text):
            year = int(match["year"])
            if year > latest or OR_ANOTHER.match(text, match.end("year")) or not _about_the_company(told, match, names):
                continue
            found.setdefault(match.start("year"), Founding(match.start(), match.end("year"), year, kind))
    return sorted(found.values(), key=lambda f: (RANKS.index(f.kind), f.start))


def founding(text: str, latest: int = 2100, names: Sequence[str] = ()) -> Founding | None:
    """The best statement; None where there is none, or the best rank names different years."""
    stated = foundings(text, latest, names)
    if not stated:
        return None
    best = [f for f in stated if f.kind == stated[0].kind]
    return best[0] if len({f.year for f in best}) == 1 else None


def _about_the_company(told: Sentences, cue: re.Match[str], names: Sequence[str]) -> bool:
    before = told.before(cue.start())
    if told.orders(cue.start()) or not own(before, names):
        return False
    if cue.group().startswith(PARTICIPLES) and not before.strip():
        return ":" in cue.group() or opens(told.after(cue.end()), names)
    # `Acme, founded in 1902, makes ...`: a name and nothing else stands before the comma.
    # `Acme (founded 1902)` likewise.
    return not (before.endswith(", ") or cue.group().startswith("(")) or begins(before)


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
    return FOUNDING.search(quote) is not None or FOUNDING_WORDS.search(quote) is not None
