"""Numbers as people write them: `1,234.5`, `1.234,5`, `1 234`, `1'234`, `12k`, `3.5 million`, `2 Mrd.`, `4 crore`.

A lone comma or dot before three digits parts thousands; before any other count of digits it is the decimal mark.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

SCALES: dict[str, int] = {
    "k": 3, "thousand": 3, "tsd": 3, "mille": 3, "m": 6, "mm": 6, "mn": 6, "mio": 6, "mil": 6, "mln": 6, "mill": 6,
    "million": 6, "millions": 6, "millionen": 6, "milioni": 6, "millones": 6, "b": 9, "bn": 9, "bln": 9, "mrd": 9,
    "mld": 9, "billion": 9, "billions": 9, "milliarden": 9, "milliards": 9, "miliardi": 9, "t": 12, "tn": 12,
    "trillion": 12, "trillions": 12, "lakh": 5, "lakhs": 5, "lac": 5, "crore": 7, "crores": 7, "cr": 7,
}  # fmt: skip
"""A word after a number to its power of ten. `m` is a million, `mm` too; a German Billion (1e12) is not read."""
NUMBER = r"\d(?:[\d.,'’ ]*\d)?"
SCALE = r"(?:" + "|".join(sorted(SCALES, key=lambda s: (-len(s), s))) + r")\b\.?"
QUANTITY = re.compile(rf"(?P<number>{NUMBER})\s*(?P<scale>{SCALE})?", re.I)
GROUPED = re.compile(r"\d{1,3}(?:([.,'’ ])\d{3})(?:\1\d{3})*|\d{1,3}(?:,\d{2})*,\d{3}")
LARGEST = Decimal(10) ** 15


def number(text: str) -> Decimal | None:
    """The number that a text is, or None where its marks make no sense (`1,23,4.5.6`)."""
    bare = text.strip()
    if re.fullmatch(r"\d+", bare):
        return _decimal(bare)
    if GROUPED.fullmatch(bare):
        return _decimal(re.sub(r"\D", "", bare))
    match = re.fullmatch(r"(.*\d)([.,])(\d+)", bare)
    if match is None:
        return None
    whole, mark, cents = match.groups()
    if not whole.isdigit() and not (GROUPED.fullmatch(whole) and mark not in whole):
        return None
    return _decimal(f"{re.sub(r'[^0-9]', '', whole)}.{cents}")


def scaled(match: re.Match[str]) -> Decimal | None:
    """The number of a match of QUANTITY, its scale applied; None where it makes no sense or is beyond 1e15."""
    found = number(match["number"])
    if found is None:
        return None
    power = SCALES.get((match["scale"] or "").lower().rstrip("."), 0)
    result = found * (Decimal(10) ** power)
    return result if result <= LARGEST else None


def written(value: Decimal) -> str:
    """Plain digits: `1200`, `0.5`; no exponent, no needless zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _decimal(text: str) -> Decimal | None:
    if len(text) > 30:
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        return None
