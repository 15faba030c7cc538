"""How many people a company employs, from text: `employs about 71,000 people`, `a workforce of 120,000`.

Numbers that disagree are no answer, nor are those of a part (`4,000 employees in its head office`), of the past
(`had 900 employees in 1990`) or of others. `more than 100,000` counts as 100,000.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from enrichment.stance import Sentences, own

ABOUT = (
    r"(?:(?:about|around|approximately|roughly|almost|nearly|over|some|more\s+than|at\s+least|circa|close\s+to|"
    r"a\s+total\s+of|up\s+to|on\s+the\s+order\s+of)\s+)?"
)
NUMBER = r"(?P<number>\d{1,3}(?:[,.\u00a0\u202f ]\d{3})+|\d{1,7})(?!\d|,\s?\d|\.\d)"
"""Not `15, 595`: a number that goes on behind a blank is none that can be trusted."""
KINDS = r"(?:(?:full|part)[- ]time\s+|full\s+and\s+part-time\s+|permanent\s+|skilled\s+|specialized\s+)?"
PEOPLE = (
    r"(?:employees|people|staff(?:\s+members)?|workers|associates|colleagues|persons|personnel|individuals|"
    r"professionals|team\s+members)\b"
)
FTE = r"(?:FTEs?|full-time\s+equivalents?)\b"
CUES: tuple[re.Pattern[str], ...] = (
    re.compile(rf"\bemploy(?:s|ed|ing)?\s+{ABOUT}{NUMBER}\s+{KINDS}{PEOPLE}", re.I),
    re.compile(rf"\b(?:has|have|with)\s+{ABOUT}{NUMBER}\+?\s+{KINDS}(?:employees|staff|workers|personnel|{FTE})", re.I),
    re.compile(
        rf"\b(?:workforce|staff|headcount|team)\s+of\s+{ABOUT}{NUMBER}\b(?!\s+\w*\s*(?:years|million|billion|percent))",
        re.I,
    ),
    re.compile(rf"\b(?:number\s+of\s+)?employees\s*:\s*{ABOUT}{NUMBER}\b", re.I),
    re.compile(rf",\s+(?:and\s+)?{ABOUT}{NUMBER}\+?\s+{KINDS}employees\b", re.I),
    re.compile(rf"\band\s+{ABOUT}{NUMBER}\+?\s+{KINDS}employees\b", re.I),
)
COUNTED = re.compile(
    r"\b\d[\d,.]*\s+(?:[\w-]+\s+){0,4}?(?:offices|branches|companies|plants|factories|facilities|subsidiaries|stores|"
    r"locations|warehouses|hospitals|restaurants|centres|centers|divisions|clients|customers)\b",
    re.I,
)
"""What a company has a number of is its own: `more than 350 subsidiaries and over 270,000 employees`."""
PART = re.compile(
    r"^\s*(?:\([^)]*\)\s*)?(?:(?:working\s+)?(?:in|at|within)\s+(?:its|the|their|our)\b|of\s+(?:which|whom)\b|of\s+its\b|"
    r"working\s+(?:in|for|on)\b|located\b|in\s+\d{4}\b)",
    re.I,
)
"""Just after a number: then it counts a part, or another time."""
PAST = re.compile(
    r"\b(?:lay\s+off|laid\s+off|cut|dismiss\w*|formerly|originally|at\s+its\s+(?:peak|height)|founded|once|building|plant)\b",
    re.I,
)


@dataclass(frozen=True)
class Headcount:
    """One statement. `start` and `end` are half-open indices of the text; the number stands inside."""

    start: int
    end: int
    number: int


def headcounts(text: str, names: Sequence[str] = ()) -> list[Headcount]:
    """Every statement of how many people the company employs, in order."""
    told = Sentences(text)
    found: dict[int, Headcount] = {}
    for cue in CUES:
        for match in cue.finditer(text):
            before = told.before(match.start())
            if not match.group().lower().startswith("employ"):
                before = COUNTED.sub("many", before)
            if told.orders(match.start()) or not own(before, names) or PAST.search(before):
                continue
            if PART.match(told.after(match.end())):
                continue
            number = int(re.sub(r"\D", "", match["number"]))
            start = match.start() + (len(match.group()) - len(match.group().lstrip(", ")))
            found.setdefault(match.start("number"), Headcount(start, match.end(), number))
    return [found[place] for place in sorted(found)]


def headcount(text: str, names: Sequence[str] = ()) -> Headcount | None:
    """The one number that the text states; None where it states none, or several."""
    stated = headcounts(text, names)
    return stated[0] if len({one.number for one in stated}) == 1 else None
