"""Dates as ISO 8601: `2026-03-02` for `2 March 2026`, `March 2nd, 2026`, `02.03.2026`, `2026-03-02T09:00:00Z`.

`03/04/2026` is two dates. It is read in the region given (the month first in US, the day first elsewhere), and refused
without one. So are years of two digits and dates without a day: what was not written is not made up.
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache

from enrichment.atlas import plain
from enrichment.normalise.outcome import Normalised, accepted, readable, refused

LANGUAGES = ("en", "de", "fr", "es", "it", "pt", "nl", "sv", "da", "nb", "pl")
MONTH_FIRST = frozenset({"US", "PH", "FM", "PW", "MH", "AS", "GU", "PR"})
ISO = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ]\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?\s*(?:Z|UTC|[+-]\d{2}:?\d{2})?)?", re.I
)
COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})")
YEAR_FIRST = re.compile(r"(\d{4})[/.年]\s?(\d{1,2})[/.月]\s?(\d{1,2})日?")
DIGITS = re.compile(r"(\d{1,2})\s?([/.\-])\s?(\d{1,2})\s?\2\s?(\d{4})")
WORD = r"(?P<month>[^\W\d_]{3,12})\.?"
DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th|º|er|\.)?"
NAMED = (
    re.compile(rf"{DAY}[\s\-/]*(?:(?:of|de)\s+|d')?{WORD}[\s\-/,]*(?:(?:of|de|del)\s+)?(?P<year>\d{{4}})", re.I),
    re.compile(rf"{WORD}[\s\-/]*{DAY}[\s\-/,]+(?P<year>\d{{4}})", re.I),
    re.compile(rf"(?P<year>\d{{4}})[\s\-/,]+{WORD}[\s\-/]*{DAY}", re.I),
)
WEEKDAY = re.compile(r"^[^\W\d_]{2,12}\.?,?\s+(?=.*\d.*\d{4}|\d{1,2}\b)")
SHORT_YEAR = re.compile(r"\d{1,2}\s?[/.\-]\s?\d{1,2}\s?[/.\-]\s?\d{2}")


@lru_cache(maxsize=1)
def months() -> dict[str, int]:
    """Names of months, written out and short, to 1 to 12. A name that means two months is left out."""
    from babel import Locale

    found: dict[str, set[int]] = {}
    for language in LANGUAGES:
        calendar = Locale(language).months
        for context in ("format", "stand-alone"):
            for width in ("wide", "abbreviated"):
                for number, name in calendar[context][width].items():
                    found.setdefault(plain(name), set()).add(number)
    found["sept"] = {9}
    return {name: next(iter(numbers)) for name, numbers in found.items() if len(numbers) == 1 and len(name) > 2}


def normalise(raw: str, region: str = "") -> Normalised | None:
    """A day of the calendar; a time of day and its offset are left out. Parts: year, month, day."""
    text = readable(raw)
    if not isinstance(text, str):
        return text
    found = _read(text.strip(" .,;"), region.upper())
    if isinstance(found, str):
        return refused(raw, found)
    year, month, day = found
    try:
        value = date(year, month, day).isoformat()
    except ValueError as error:
        return refused(raw, str(error))
    return accepted(raw, value, year=str(year), month=str(month), day=str(day))


def _read(text: str, region: str) -> tuple[int, int, int] | str:
    for pattern in (ISO, COMPACT, YEAR_FIRST):
        if match := pattern.fullmatch(text):
            return int(match[1]), int(match[2]), int(match[3])
    if match := DIGITS.fullmatch(text):
        return _digits(int(match[1]), int(match[3]), int(match[4]), match[2], region)
    for spelt in dict.fromkeys((text, WEEKDAY.sub("", text))):
        for pattern in NAMED:
            if (match := pattern.fullmatch(spelt)) and (number := months().get(plain(match["month"]))):
                return int(match["year"]), number, int(match["day"])
    if SHORT_YEAR.fullmatch(text):
        return "its year has two digits; write four"
    return "no date with year, month and day"


def _digits(first: int, second: int, year: int, mark: str, region: str) -> tuple[int, int, int] | str:
    if mark == "." or first > 12:
        return year, second, first
    if second > 12:
        return year, first, second
    if first == second:
        return year, first, second
    if not region:
        return "the day and the month cannot be told apart; name the region"
    return (year, first, second) if region in MONTH_FIRST else (year, second, first)
