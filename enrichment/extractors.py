"""The table of extractors without a model: which fields each answers, and how sure it is.

The first line that fits a field answers for it, or abstains. A new kind of field is one function and one
line here. The confidences are the share of right answers among those given, on rows 0 to 499 of
firmographics_1500 (the tuning part; see benchmarks/enrichment_accuracy.py for the part held out), kept at .99 where
none was wrong: 500 rows cannot show more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from enrichment.grounding import kind
from enrichment.headcount import headcount
from enrichment.observations import observation
from enrichment.places import seat, sole_country
from enrichment.tongues import Told, founded, other_than_english, seated, staff
from enrichment.years import founding
from watchtower.contract import FieldSpec


@dataclass(frozen=True)
class Finding:
    """A value and the half-open span of the text that says it. `method` as in the contract's Proposal."""

    value: Any
    start: int
    end: int
    confidence: float
    method: str


@dataclass(frozen=True)
class Extractor:
    """`fits` decides by the field's declaration alone; `find` reads one text, and returns None to abstain."""

    name: str
    fits: Callable[[FieldSpec], bool]
    find: Callable[[str, FieldSpec, Sequence[str]], Finding | None]
    """Text, field, and what the company is called (nothing, where that is not known)."""
    latest: bool = False
    """Whether the latest document that says something counts alone: feelings and plans change, seats seldom do."""


SEAT_COUNTRY = 0.99
"""Country of a stated seat: 494 of 494 right; 78 of 80 on the first half of the Wikipedia descriptions."""
SOLE_COUNTRY = 0.74
"""The only country a text names, its seat not stated, in a sentence about the company itself.

86 of 89 right on the tuning rows without the sentences that state seat and year, 17 of 18 on the first half of
the Wikipedia descriptions. So few show little: this is the lower end of the second share's 95 percent interval,
enough for a person to look, not enough to accept.
"""
SEAT_CITY = 0.97
"""City of a stated seat: 489 of 494 the key's city (most others are the same city under another name)."""
FOUNDED = 0.99
"""Year stated as founded, established or incorporated: 439 of 439 right."""
SINCE = 0.8
"""`in business since`: never met in the tuning part; a guess, for a person to look at."""

TONGUES = 0.8
"""What texts in other languages than English state: measured on texts written for this project only (evals/cases), so a
person looks first."""

HEADCOUNT_NAMES = frozenset({"employees", "headcount", "number_of_employees", "employee_count", "staff"})
HEADCOUNT = 0.7
"""A stated number of employees: for a person to look at. Texts round it, and it is true of one year only; no data
here tell how many are right (the Wikipedia key is of other years than its texts)."""


def _country(text: str, _: FieldSpec, names: Sequence[str] = ()) -> Finding | None:
    stated = seat(text, names)
    if stated is not None and stated.country is not None:
        return Finding(stated.country, stated.start, stated.end, SEAT_COUNTRY, "pattern")
    if stated is not None:
        return None
    told = seated(text, names)
    if told is not None and told.country is not None:
        return Finding(told.country, told.start, told.end, TONGUES, "pattern")
    if other_than_english(text):
        return None  # what speaks against a country that is merely named, is known in English only
    sole = sole_country(text, names)
    return Finding(*sole, SOLE_COUNTRY, "gazetteer") if sole else None


def _city(text: str, _: FieldSpec, names: Sequence[str] = ()) -> Finding | None:
    stated = seat(text, names)
    if stated is None and (told := seated(text, names)) is not None:
        return Finding(told.city, told.start, told.end, TONGUES, "pattern")
    if stated is None or stated.city is None:
        return None
    return Finding(stated.city, stated.start, stated.end, SEAT_CITY, "pattern")


def _founded(text: str, spec: FieldSpec, names: Sequence[str] = ()) -> Finding | None:
    latest = int(spec.maximum) if spec.maximum is not None else 2100
    stated = founding(text, latest, names)
    if stated is None:
        told = founded(text, latest, names)
        return None if told is None else Finding(told.value, told.start, told.end, TONGUES, "pattern")
    sure = SINCE if stated.kind == "since" else FOUNDED
    return Finding(stated.year, stated.start, stated.end, sure, "pattern")


def _employees(text: str, _: FieldSpec, names: Sequence[str] = ()) -> Finding | None:
    stated = headcount(text, names) or staff(text, names)
    if stated is None:
        return None
    number = stated.value if isinstance(stated, Told) else stated.number
    return Finding(number, stated.start, stated.end, HEADCOUNT, "pattern")


OBSERVED = 0.6
"""What notes and mails tell of a deal: nobody has measured it on real notes, so a person looks first."""


def _told(text: str, spec: FieldSpec, names: Sequence[str] = ()) -> Finding | None:
    line = observation(spec)
    seen = line.find(text, spec, names) if line is not None else None
    return None if seen is None else Finding(seen.value, seen.start, seen.end, OBSERVED, "pattern")


EXTRACTORS: tuple[Extractor, ...] = (
    Extractor("country", lambda spec: spec.type == "country", _country),
    Extractor("city", lambda spec: kind(spec) == "city", _city),
    Extractor("founded year", lambda spec: kind(spec) == "year", _founded),
    Extractor("employees", lambda spec: spec.type == "integer" and spec.name in HEADCOUNT_NAMES, _employees),
    Extractor("observation", lambda spec: observation(spec) is not None, _told, latest=True),
)


def extractor(spec: FieldSpec) -> Extractor | None:
    """The first of the table that answers for the field, or None."""
    return next((line for line in EXTRACTORS if line.fits(spec)), None)
