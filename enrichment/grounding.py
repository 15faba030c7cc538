"""The check that stands between a worker's word and a proposal, in code alone.

A value is grounded when its quote stands in the document, word for word, and the value follows from the
quote: the year is in it, the city's name is in it, the country is named by it. A model's quote may differ
from the document in blanks, and in what Unicode normalisation makes alike, only. What is not grounded is
refused; nothing is repaired.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from enrichment.atlas import atlas, plain
from enrichment.normalise import normalise
from enrichment.observations import observation
from enrichment.places import may_be_city, supports_city, supports_country
from enrichment.text import Readable, visible
from enrichment.years import supports_year, tells_founding
from watchtower.contract import Document, Evidence, FieldSpec

CITY_NAMES = frozenset({"city", "hq_city", "headquarters_city", "town", "billing_city"})
YEAR_NAMES = frozenset({"founded_year", "year_founded", "founded", "founding_year"})
"""Field names by which a text is a company's city, and an integer the year it was founded."""
MAX_QUOTE = 600
"""Characters. A quote that long is a page, not evidence."""
MAX_TEXT = 120
"""Characters of a text value."""


@dataclass(frozen=True)
class Refused:
    """`because` is one of a small closed set (it becomes a metric's label)."""

    because: str


@dataclass(frozen=True)
class Grounded:
    """The canonical value and the words of the document that say it."""

    value: Any
    evidence: Evidence


def ground(
    spec: FieldSpec, value: object, quote: object, document: Document, readable: Readable | None = None
) -> Grounded | Refused:
    """The canonical value with exact offsets, or why it is refused. `readable` is the document's, if at hand."""
    settled = canonical(spec, value)
    if settled is None:
        return Refused("value_not_allowed")
    if not isinstance(quote, str) or not quote.strip():
        return Refused("no_quote")
    evidence = located(quote, document, readable)
    if evidence is None:
        return Refused("quote_not_in_document")
    if not follows(spec, settled, evidence.quote):
        return Refused("value_not_in_quote")
    return Grounded(settled, evidence)


def located(quote: str, document: Document, readable: Readable | None = None) -> Evidence | None:
    """Where the quote first stands in the document; None: nowhere.

    Blanks and invisible characters aside; failing that, in the form of `compared`.
    """
    shown = readable or visible(document.text)
    if not quote.split() or len(quote) > MAX_QUOTE:
        return None
    said = visible(quote)
    text, place = shown, standing(said.text.split(), shown.text)
    if place is None:
        text, place = shown.alike, standing(said.alike.text.split(), shown.alike.text)
    if place is None:
        return None
    start, end = text.span(*place)
    return cited(document, start, _whole(document.text, end))


def standing(words: Sequence[str], text: str) -> tuple[int, int] | None:
    """The half-open span in which the words first stand in the text, with nothing but blanks between them.

    Words hold no blank, so there is one way to go on from each place: no pattern needs to be compiled for each quote.
    """
    if not words:
        return None
    at = text.find(words[0])
    while at >= 0:
        end = at + len(words[0])
        for word in words[1:]:
            begin = end
            while begin < len(text) and text[begin].isspace():
                begin += 1
            if begin == end or not text.startswith(word, begin):
                break
            end = begin + len(word)
        else:
            return at, end
        at = text.find(words[0], at + 1)
    return None


def _whole(text: str, end: int) -> int:
    """The end of the letter that ends here, its marks (an accent written apart) included."""
    while end < len(text) and unicodedata.combining(text[end]):
        end += 1
    return end


def cited(document: Document, start: int, end: int) -> Evidence:
    """The document's own words from start to end."""
    return Evidence(document=document.id, quote=document.text[start:end], start=start, end=end)


def intact(evidence: Evidence, document: Document) -> bool:
    """Whether the evidence quotes this document at its offsets, to the character."""
    return (
        evidence.document == document.id
        and 0 <= evidence.start < evidence.end <= len(document.text)
        and document.text[evidence.start : evidence.end] == evidence.quote
    )


def canonical(spec: FieldSpec, value: object) -> Any | None:
    """The value as the field's type wants it; None where it cannot be one (bounds included)."""
    if value is None or isinstance(value, bool) != (spec.type == "boolean"):
        return None
    shape = CANONICAL.get(spec.type)
    settled = shape(spec, value) if shape else None
    if isinstance(settled, int | float) and not isinstance(settled, bool):
        low, high = spec.minimum, spec.maximum
        if (low is not None and settled < low) or (high is not None and settled > high):
            return None
    return settled


def _country(_: FieldSpec, value: object) -> str | None:
    if not isinstance(value, str):
        return None
    # Small models name a state where a country is asked for: Massachusetts is in one country only.
    regions = atlas().regions.get(plain(value), frozenset())
    return atlas().country(value) or (next(iter(regions)) if len(regions) == 1 else None)


def _text(_: FieldSpec, value: object) -> str | None:
    if not isinstance(value, str):
        return None
    text = " ".join(visible(value).text.split())
    return text if 0 < len(text) <= MAX_TEXT and any(c.isalnum() for c in text) else None


def _enum(spec: FieldSpec, value: object) -> str | None:
    return value if isinstance(value, str) and value in spec.values else None


def _integer(_: FieldSpec, value: object) -> int | None:
    if isinstance(value, float) and not value.is_integer():
        return None
    return int(value) if isinstance(value, int | float) and abs(value) < 10**15 else None


def _number(_: FieldSpec, value: object) -> float | int | None:
    return value if isinstance(value, int | float) and abs(value) < 10**15 else None


def _normal(spec: FieldSpec, value: object) -> str | None:
    found = normalise(spec.type, value) if isinstance(value, str) else None
    return found.value if found is not None else None


def _phone(spec: FieldSpec, value: object) -> str | None:
    """E.164 where the country code is written; else the digits as they stand: no request says in which country."""
    text = value.strip() if isinstance(value, str) else ""
    plausible = 6 <= sum(c.isdigit() for c in text) <= 15 and len(text) <= 40
    return _normal(spec, text) or (text if plausible and not text.startswith(("+", "00")) else None)


def _observed(spec: FieldSpec, value: object) -> bool | None:
    """Only what an observation tells, and only that it is so: no quote proves that something is not."""
    return True if value is True and observation(spec) is not None else None


CANONICAL: dict[str, Callable[[FieldSpec, object], Any | None]] = {
    "country": _country,
    "text": _text,
    "enum": _enum,
    "integer": _integer,
    "number": _number,
    "money": _number,
    "domain": _normal,
    "email": _normal,
    "url": _normal,
    "phone": _phone,
    "date": _normal,
    "boolean": _observed,
}
"""The types a value can be proposed for. timestamp, ref and list are not: no quote proves them."""


def follows(spec: FieldSpec, value: Any, quote: str) -> bool:
    """Whether the canonical value can be read off the quote alone."""
    observed = observation(spec) if spec.type in ("enum", "boolean") else None
    if observed is not None:
        seen = observed.find(quote, spec, ())
        return seen is not None and seen.value == value
    if spec.type == "country":
        return supports_country(value, quote)
    if spec.type == "integer" and kind(spec) == "year":
        return supports_year(value, quote) and tells_founding(quote)
    if kind(spec) == "city":
        return supports_city(value, quote) and may_be_city(value)
    if spec.type in ("integer", "number", "money"):
        return _holds_number(value, quote)
    if spec.type in ("domain", "email", "url"):
        return any(_normal(spec, word.strip(ENDS)) == value for word in quote.split())
    if spec.type == "phone":
        return _holds_phone(spec, value, quote)
    if spec.type == "date":
        return any(_normal(spec, run) == value for run in _runs(quote, LONGEST_DATE))
    if spec.type in ("text", "enum"):
        return supports_city(value, quote)
    return False


def kind(spec: FieldSpec) -> str:
    """The field's type, or `city` and `year` for those so named: they are checked more strictly."""
    if spec.type == "text" and spec.name in CITY_NAMES:
        return "city"
    if spec.type == "integer" and spec.name in YEAR_NAMES:
        return "year"
    return spec.type


ENDS = " ,;:!?()[]<>\"'"
"""What stands around a word in running text."""
LONGEST_DATE = 6
"""Words: `on Monday, the 2nd of March 2026` has four that matter."""
PHONE_RUN = re.compile(r"\+?[(\d][\d ()./\-]{4,30}\d")


def _holds_phone(spec: FieldSpec, value: str, quote: str) -> bool:
    """Whether one run of digits in the quote is the number, as written or with its country code."""
    digits = re.sub(r"\D", "", value)
    for run in PHONE_RUN.findall(quote):
        if _normal(spec, run) == value or (not value.startswith("+") and re.sub(r"\D", "", run) == digits):
            return True
    return False


def _runs(quote: str, most: int) -> Iterator[str]:
    """Every run of up to `most` words, without the marks around it."""
    words = quote.split()
    for start in range(len(words)):
        for end in range(start + 1, min(start + most, len(words)) + 1):
            yield " ".join(words[start:end]).strip(ENDS + ".")


NUMBER = re.compile(
    r"(?<![\w.,])(\d[\d,\u00a0\u202f ]*(?:\.\d+)?)\s*(?:(thousand|million|billion|mn|bn|k|m)(?![a-z]))?", re.I
)
SCALES = {"thousand": 1e3, "k": 1e3, "million": 1e6, "mn": 1e6, "m": 1e6, "billion": 1e9, "bn": 1e9}


GROUPED = re.compile(r"(?<![\w.,])\d{1,3}(?:[.'’]\d{3})+(?![\w.,]*\d)")
"""`2.310` and `1'450`, as they are written in other languages than English."""


def _holds_number(value: float | int, quote: str) -> bool:
    """`3,200`, `3 200`, `3.200` and `3200` hold 3200; `13,200` does not. `1.5 million` and `1.5m` hold 1500000."""
    if any(int(re.sub(r"\D", "", run)) == value for run in GROUPED.findall(quote)):
        return True
    for match in NUMBER.finditer(quote):
        digits = re.sub(r"[^\d.]", "", match[1])
        if abs(float(digits) * SCALES.get((match[2] or "").lower(), 1) - value) < 1e-6 * max(1.0, abs(value)):
            return True
    return False


def same(first: Any, second: Any) -> bool:
    """Whether two canonical values of one field say the same (texts: accents, case and blanks aside)."""
    if isinstance(first, str) and isinstance(second, str):
        return plain(first) == plain(second)
    return bool(first == second)
