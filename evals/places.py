"""Country names as the judge reads them: a code, whatever form the gold or the proposal has.

Kept apart from the worker's own normaliser on purpose: a mistake there must not be excused here.
"""

from __future__ import annotations

from functools import cache

import pycountry

ODD_NAMES = {
    "Czech Republic": "CZ",
    "Hong Kong SAR": "HK",
    "Korea": "KR",
    "Macau": "MO",
    "Macedonia": "MK",
    "Russia": "RU",
    "Turkey": "TR",
    "UAE": "AE",
    "UK": "GB",
    "U.K.": "GB",
    "US": "US",
    "U.S.": "US",
    "U.S.A.": "US",
    "England": "GB",
    "Scotland": "GB",
    "Wales": "GB",
    "Northern Ireland": "GB",
}
"""Names that the firmographics or plain English use and ISO 3166 does not list."""


@cache
def country_code(name: str) -> str | None:
    """ISO 3166-1 alpha-2 of a name or code in any usual form; None where nothing bears that name."""
    text = name.strip()
    if text in ODD_NAMES:
        return ODD_NAMES[text]
    for form in (text, text.removeprefix("the ").removeprefix("The ")):
        try:
            return str(pycountry.countries.lookup(form).alpha_2)
        except LookupError:
            continue
    return None


@cache
def country_names(code: str) -> tuple[str, ...]:
    """Every name a text may state the country by, longest first. Empty for an unknown code."""
    country = pycountry.countries.get(alpha_2=code)
    if country is None:
        return ()
    names = {getattr(country, part, "") for part in ("name", "common_name", "official_name")}
    names |= {name for name, known in ODD_NAMES.items() if known == code}
    return tuple(sorted(names - {""}, key=lambda name: (-len(name), name)))
