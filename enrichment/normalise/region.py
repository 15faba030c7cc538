"""Regions (states, provinces, Länder) as ISO 3166-2 codes: `US-CA` for `California`, `Calif., USA`, `CA` in the US."""

from __future__ import annotations

import re
from functools import lru_cache

from enrichment.atlas import plain
from enrichment.normalise import country as countries
from enrichment.normalise.outcome import Normalised, accepted, readable, refused

ALIASES = {
    "bavaria": "DE-BY", "lower saxony": "DE-NI", "saxony": "DE-SN", "north rhine westphalia": "DE-NW", "nrw": "DE-NW",
    "hesse": "DE-HE", "rhineland palatinate": "DE-RP", "thuringia": "DE-TH", "saxony anhalt": "DE-ST",
    "mecklenburg western pomerania": "DE-MV", "lombardy": "IT-25", "tuscany": "IT-52", "piedmont": "IT-21",
    "sicily": "IT-82", "sardinia": "IT-88", "apulia": "IT-75", "latium": "IT-62", "catalonia": "ES-CT",
    "andalusia": "ES-AN", "basque country": "ES-PV", "brittany": "FR-BRE", "normandy": "FR-NOR",
    "corsica": "FR-20R", "vienna": "AT-9", "carinthia": "AT-2", "styria": "AT-6", "tyrol": "AT-7",
    "upper austria": "AT-4", "lower austria": "AT-3", "geneva": "CH-GE", "calif": "US-CA", "mass": "US-MA",
    "penn": "US-PA", "tex": "US-TX", "ill": "US-IL", "mich": "US-MI", "wash": "US-WA", "washington dc": "US-DC",
    "washington d c": "US-DC", "northern ireland": "GB-NIR",
}  # fmt: skip
"""English names and usual abbreviations that ISO 3166-2 does not write."""
COMMON_FIRST = ("US", "CA", "AU", "GB", "DE", "IT", "FR", "ES")
"""A name that several countries have means the one that stands first here, if its part there is of the first level."""


@lru_cache(maxsize=1)
def known() -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """Names to codes, and codes to names (about 5,000)."""
    import pycountry

    found: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    for part in pycountry.subdivisions:
        names[part.code] = part.name
        for name in re.split(r"[\[\]/]", part.name):
            if plain(name):
                found.setdefault(plain(name), []).append(part.code)
    for name, code in ALIASES.items():
        if code in names:
            found[name] = [code]
    return {name: tuple(dict.fromkeys(codes)) for name, codes in found.items()}, names


def find(text: str, country: str) -> tuple[str, ...]:
    """The codes a text may mean, in a country where one is given."""
    found, names = known()
    bare = text.strip().upper().replace(" ", "")
    if bare in names:
        return (bare,)
    if country and f"{country}-{bare}" in names:
        return (f"{country}-{bare}",)
    codes = found.get(plain(text), ())
    if country:
        return tuple(code for code in codes if code.startswith(f"{country}-"))
    return codes


def normalise(raw: str, region: str = "") -> Normalised | None:
    """Parts: country, name. A name of several countries needs the country, after a comma or as `region`."""
    text = readable(raw)
    if not isinstance(text, str):
        return text
    country, left = region.upper(), text.strip(" .,;")
    head, comma, tail = left.rpartition(",")
    if comma and (named := countries.find(tail.strip(" .()"))) is not None:
        country, left = named, head.strip(" .,")
    codes = find(left, country)
    if len(codes) > 1:
        top = min(codes, key=lambda c: COMMON_FIRST.index(c[:2]) if c[:2] in COMMON_FIRST else 99)
        same = [code for code in codes if code[:2] == top[:2]]
        if top[:2] not in COMMON_FIRST[:3] or len(same) > 1:
            return refused(raw, f"it may be {', '.join(codes[:4])}; name the country")
        codes = (top,)
    if not codes:
        return refused(raw, f"no region of ISO 3166-2 is so called{f' in {country}' if country else ''}")
    return accepted(raw, codes[0], country=codes[0][:2], name=known()[1][codes[0]])
