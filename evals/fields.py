"""The fields that cases ask for, and when two values of a field say the same.

Equality is by type, and deliberately plain: what needs cleverness belongs into the case (`also`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from evals.places import country_code, country_names
from watchtower.contract import FieldSpec

SECTORS = (
    "Basic Materials",
    "Communication Services",
    "Consumer Cyclical",
    "Consumer Defensive",
    "Energy",
    "Financial Services",
    "Healthcare",
    "Industrials",
    "Real Estate",
    "Technology",
    "Utilities",
)

FIELDS: Mapping[str, FieldSpec] = {
    spec.name: spec
    for spec in (
        FieldSpec(name="country", type="country", description="Country of the headquarters."),
        FieldSpec(name="city", type="text", description="City of the headquarters."),
        FieldSpec(
            name="founded_year",
            type="integer",
            minimum=1500,
            maximum=2100,
            description="Year in which the company was founded or incorporated.",
        ),
        FieldSpec(name="sector", type="enum", values=SECTORS, description="Sector of the main business."),
        FieldSpec(
            name="employees",
            type="integer",
            minimum=1,
            unit="people",
            description="People the company employs now.",
        ),
    )
}
"""What an eval asks, by name. A field more is an entry more."""


@lru_cache(maxsize=4096)
def folded(text: str) -> str:
    """Lower case, without accents and punctuation, one space between words; `St` before a name is `saint`."""
    if not text.isascii():
        marked = unicodedata.normalize("NFKD", text)
        text = "".join(mark for mark in marked if not unicodedata.combining(mark))
    words = re.sub(r"[\W_]+", " ", text.casefold()).split()
    if "st" not in words:
        return " ".join(words)
    return " ".join("saint" if word == "st" and place + 1 < len(words) else word for place, word in enumerate(words))


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            return float(value.replace(",", ""))
        except ValueError:
            return None
    return float(value) if isinstance(value, int | float) else None


def _country(value: Any) -> Any:
    return country_code(value) if isinstance(value, str) else None


def _text(value: Any) -> Any:
    return folded(value) or None if isinstance(value, str) else None


CANONICAL: Mapping[str, Callable[[Any], Any]] = {
    "country": _country,
    "integer": _number,
    "number": _number,
    "money": _number,
}
"""From the field's type to the form in which values are compared; text where nothing is said."""


def canonical(spec: FieldSpec, value: Any) -> Any:
    """The form in which values are compared; None for a value that is none of this type."""
    return CANONICAL.get(spec.type, _text)(value)


def same(spec: FieldSpec, value: Any, *gold: Any) -> bool:
    """Whether the value says what one of the gold values says."""
    form = canonical(spec, value)
    return form is not None and any(form == canonical(spec, known) for known in gold)


def stated(spec: FieldSpec, value: Any, texts: tuple[str, ...]) -> bool:
    """Whether some text contains the value as whole words (a country: any of its names).

    It says that the words stand there, not that they stand there as the answer. An enum is a judgement
    about the whole text and counts as never stated.
    """
    if value is None or spec.type == "enum":
        return False
    if spec.type == "country":
        forms = country_names(country_code(str(value)) or "")
    elif spec.type in ("integer", "number", "money"):
        forms = (str(value), f"{value:,}")
    else:
        forms = (str(value),)
    wanted = [f" {folded(form)} " for form in forms]
    return any(form in f" {folded(text)} " for text in texts for form in wanted)
