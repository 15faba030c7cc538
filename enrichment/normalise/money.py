"""Amounts of money: `EUR 1200.50` for `€1.200,50`, `1,200.50 euros`; `USD 1200000` for `$1.2M`.

No amount is changed from one currency into another: rates are somebody's decision, and of a day.
"""

from __future__ import annotations

import re
from decimal import Decimal

from enrichment.normalise import currency as currencies
from enrichment.normalise.outcome import Normalised, accepted, readable, refused
from enrichment.normalise.quantity import QUANTITY, scaled, written

MINUS = ("-", "−", "–")


def read(text: str, region: str = "") -> tuple[Decimal, str, bool] | str:
    """Amount, currency and whether the currency was assumed; else why there is none."""
    negative = text.startswith("(") and text.endswith(")")
    text = text[1:-1].strip() if negative else text
    found = list(QUANTITY.finditer(text))
    if len(found) != 1:
        return "no amount in it" if not found else "more than one number"
    match = found[0]
    before, after = text[: match.start()].strip(), text[match.end() :].strip()
    for minus in MINUS:
        if before.startswith(minus) or before.endswith(minus):
            negative, before = True, before.strip(minus).strip()
    after = re.sub(r"^[,.]?[-–—]+$|^\.$", "", after).strip()
    signs = [sign for sign in (before, after) if sign]
    if len(signs) > 1 and len({currencies.find(sign, region) for sign in signs}) > 1:
        both = [currencies.find(sign, region) for sign in signs]
        exact = {b[0] for b in both if b is not None and not b[1]}
        if None in both or len(exact) != 1:
            return f"{' and '.join(signs)} are not one currency"
        signs = [next(iter(exact))]
    if signs:
        code = currencies.find(signs[0], region)
        if code is None:
            return f"{signs[0]!r:.40} is no currency"
    elif own := currencies.of_region(region):
        code = (own, True)
    else:
        return "no currency; write it, or name the region"
    amount = scaled(match)
    three = re.fullmatch(r"(\d+)\.(\d{3})", match["number"])
    if three and currencies.digits(code[0]) == 3 and not match["scale"]:
        amount = Decimal(match["number"])
    if amount is None:
        return "its marks make no number below 1e15"
    return (-amount if negative else amount), code[0], code[1]


def normalise(raw: str, region: str = "") -> Normalised | None:
    """Parts: amount (plain digits), currency, assumed (`yes` where the currency was)."""
    text = readable(raw)
    if not isinstance(text, str):
        return text
    found = read(text, region.upper())
    if isinstance(found, str):
        return refused(raw, found)
    amount, code, assumed = found
    decimals = currencies.digits(code)
    amount = amount.quantize(Decimal(1).scaleb(-decimals))
    shown = f"{amount:f}" if amount != amount.to_integral() else written(amount)
    shown = "0" if not amount else shown
    return accepted(raw, f"{code} {shown}", amount=shown, currency=code, assumed="yes" if assumed else "")
