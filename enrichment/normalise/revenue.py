"""Revenue, as an amount or a band: `USD 10000000-50000000` for `$10M - $50M`; `EUR 1200000000` for `€1.2bn`."""

from __future__ import annotations

import re
from decimal import Decimal

from enrichment.normalise import money
from enrichment.normalise.headcount import BETWEEN, LEAST, MOST_WORDS, OVER, UNDER
from enrichment.normalise.outcome import Normalised, accepted, readable, refused
from enrichment.normalise.quantity import QUANTITY, written

MILLION = 10**6
BANDS = tuple(n * MILLION for n in (0, 1, 10, 50, 100, 500, 1000, 10000))
"""Where bands begin, in units of the currency that is written; each ends where the next begins."""
LABEL = re.compile(
    r"\b(?:annual|yearly|revenues?|turnover|sales|umsatz|fatturato|per\s+(?:year|annum)|p\.a\.)\b:?", re.I
)


def normalise(raw: str, region: str = "") -> Normalised | None:
    """Parts: low, high (where bounded), currency, band (of the same currency), assumed."""
    text = readable(raw)
    if not isinstance(text, str):
        return text
    found = _read(LABEL.sub(" ", text).strip(" .,:"), region.upper())
    if isinstance(found, str):
        return refused(raw, found)
    low, high, code, assumed = found
    if low < 0 or (high is not None and high < low):
        return refused(raw, "revenue is not below zero, nor a band's end below its beginning")
    first, last = written(low), "" if high is None else written(high)
    value = f"{code} {first}" + ("+" if high is None else "" if low == high else f"-{last}")
    return accepted(
        raw, value, low=first, high=last, currency=code, band=_band(low, high), assumed="yes" if assumed else ""
    )


Band = tuple[Decimal, Decimal | None, str, bool]


def _read(text: str, region: str) -> Band | str:
    for pattern in (OVER, LEAST, UNDER, MOST_WORDS):
        if found := pattern.match(text):
            one = money.read(text[found.end() :], region)
            if isinstance(one, str):
                return one
            amount, code, assumed = one
            upward = pattern in (OVER, LEAST)
            return (_whole(amount), None, code, assumed) if upward else (Decimal(0), _whole(amount), code, assumed)
    if text.endswith("+"):
        one = money.read(text[:-1].strip(), region)
        return one if isinstance(one, str) else (_whole(one[0]), None, one[1], one[2])
    ends = BETWEEN.split(text)
    if len(ends) == 2 and all(QUANTITY.search(end) for end in ends):
        return _between(ends[0], ends[1], region)
    one = money.read(text, region)
    return one if isinstance(one, str) else (_whole(one[0]), _whole(one[0]), one[1], one[2])


def _between(first: str, second: str, region: str) -> Band | str:
    """`$10-50M`, `10M-50M EUR`: what one end leaves out (currency, scale) the other says."""
    left, right = QUANTITY.search(first), QUANTITY.search(second)
    assert left is not None and right is not None
    if left["scale"] is None and right["scale"] is not None:
        first = f"{first[: left.end()]} {right['scale']}{first[left.end() :]}"
    signs = [money.read(end, "") for end in (first, second)]
    named = [sign[1] for sign in signs if not isinstance(sign, str)]
    code = named[0] if named else ""
    ends = [money.read(end if not isinstance(sign, str) else f"{code} {end}", region)
            for end, sign in zip((first, second), signs, strict=True)]  # fmt: skip
    low, high = ends
    if isinstance(low, str):
        return low
    if isinstance(high, str):
        return high
    if low[1] != high[1]:
        return f"{low[1]} and {high[1]} are not one currency"
    return _whole(low[0]), _whole(high[0]), low[1], low[2] and high[2]


def _whole(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal(1))


def _band(low: Decimal, high: Decimal | None) -> str:
    for begin, end in zip(BANDS, (*BANDS[1:], None), strict=True):
        if low >= begin and (end is None or (high is not None and (high < end or (high == end and low < high)))):
            return f"{begin}+" if end is None else f"{begin}-{end}"
    return ""
