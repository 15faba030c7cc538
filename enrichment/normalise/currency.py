"""Currencies as ISO 4217 codes: from codes, signs, and names in the languages of `LANGUAGES` (CLDR, by Babel).

A sign that many countries use (`$`, `kr`) is read in the region given; `$`, `£` and `¥` alone are the US dollar, the
pound sterling and the yen, and the part `assumed` says so.
"""

from __future__ import annotations

from functools import lru_cache

from enrichment.normalise.outcome import Normalised, accepted, readable, refused

LANGUAGES = ("en", "de", "fr", "es", "it", "pt", "nl", "sv", "da", "nb", "pl")
SIGNS = {
    "€": "EUR", "us$": "USD", "$us": "USD", "usd$": "USD", "a$": "AUD", "au$": "AUD", "c$": "CAD", "ca$": "CAD",
    "cdn$": "CAD", "nz$": "NZD", "hk$": "HKD", "s$": "SGD", "sg$": "SGD", "r$": "BRL", "mx$": "MXN", "nt$": "TWD",
    "₹": "INR", "rs": "INR", "rs.": "INR", "₩": "KRW", "₽": "RUB", "₺": "TRY", "₪": "ILS", "₫": "VND", "฿": "THB",
    "₴": "UAH", "₦": "NGN", "zł": "PLN", "zl": "PLN", "kč": "CZK", "ft": "HUF", "fr.": "CHF", "sfr": "CHF",
    "sfr.": "CHF", "rmb": "CNY", "cn¥": "CNY", "jp¥": "JPY", "元": "CNY", "円": "JPY", "eur.": "EUR",
    "dollars": "USD", "pounds": "GBP", "yen": "JPY", "yuan": "CNY", "euros": "EUR", "rupees": "INR", "eur": "EUR",
    "us dollars": "USD", "pounds sterling": "GBP", "swiss francs": "CHF",
}  # fmt: skip
SHARED = {"$": "USD", "£": "GBP", "¥": "JPY", "kr": "", "kr.": "", "dollar": "USD", "pound": "GBP"}
"""Signs of several currencies, and which of them a sign alone means; nothing where none stands out."""
DOLLARS = frozenset({"AU", "BB", "BM", "BN", "BS", "BZ", "CA", "FJ", "GY", "HK", "JM", "NZ", "SG", "TT", "TW", "US"})
USES = {
    "$": DOLLARS, "dollar": DOLLARS, "£": frozenset({"GB", "EG", "LB", "GI", "FK"}), "pound": frozenset({"GB", "EG"}),
    "¥": frozenset({"JP", "CN"}), "kr": frozenset({"SE", "NO", "DK", "IS"}), "kr.": frozenset({"SE", "NO", "DK", "IS"}),
}  # fmt: skip


@lru_cache(maxsize=1)
def known() -> tuple[dict[str, str], dict[str, str]]:
    """Names in lower case to codes, and codes to English names. A name of two currencies is left out."""
    import pycountry
    from babel import Locale

    codes = {currency.alpha_3: currency.name for currency in pycountry.currencies if currency.alpha_3[0] != "X"}
    found: dict[str, set[str]] = {}
    for language in LANGUAGES:
        locale = Locale(language)
        for code, name in locale.currencies.items():
            if code in codes:
                found.setdefault(name.casefold(), set()).add(code)
    names = {name: next(iter(several)) for name, several in found.items() if len(several) == 1}
    return names | {sign.casefold(): code for sign, code in SIGNS.items()}, codes


@lru_cache(maxsize=512)
def of_region(region: str) -> str:
    """The currency of a country now; empty where Babel knows none."""
    from babel.numbers import get_territory_currencies

    found = get_territory_currencies(region) if region else []
    return str(found[0]) if found else ""


@lru_cache(maxsize=256)
def digits(code: str) -> int:
    """Decimals of a currency: 2 for EUR, 0 for JPY, 3 for KWD."""
    from babel.numbers import get_currency_precision

    return int(get_currency_precision(code))


def find(text: str, region: str = "") -> tuple[str, bool] | None:
    """The code that a sign, a code or a name means, and whether another was possible."""
    names, codes = known()
    sign = text.strip().casefold()
    if sign.upper() in codes:
        return sign.upper(), False
    if sign in SHARED:
        if region in USES[sign]:
            return of_region(region), False
        return (SHARED[sign], True) if SHARED[sign] else None
    code = names.get(sign) or names.get(sign.rstrip("."))
    return (code, False) if code else None


def normalise(raw: str, region: str = "") -> Normalised | None:
    """Parts: name; assumed (`yes` where the sign is several currencies')."""
    text = readable(raw)
    if not isinstance(text, str):
        return text
    found = find(text, region.upper())
    if found is None:
        because = "several currencies are written so; name the region" if text.casefold() in SHARED else ""
        return refused(raw, because or "no currency of ISO 4217 is written so")
    return accepted(raw, found[0], name=known()[1][found[0]], assumed="yes" if found[1] else "")
