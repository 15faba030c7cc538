"""Countries as ISO 3166 alpha-2 codes: from codes, flags, and names in the languages of `LANGUAGES` (CLDR)."""

from __future__ import annotations

from functools import lru_cache

from enrichment.atlas import ALIASES, NATIONALITIES, WIDE_AREAS, plain
from enrichment.normalise.outcome import Normalised, accepted, readable, refused

LANGUAGES = ("en", "de", "fr", "es", "it", "pt", "nl", "sv", "da", "nb", "fi", "pl", "cs", "tr", "ja", "zh", "ko", "ru")
FLAG = 0x1F1E6
"""The regional indicator A."""


@lru_cache(maxsize=1)
def known() -> tuple[dict[str, str], dict[str, str]]:
    """Names and codes to alpha-2, and alpha-2 to the name in English. A name that means two countries is left out."""
    import pycountry
    from babel import Locale

    english: dict[str, str] = {}
    found: dict[str, set[str]] = {}
    for country in pycountry.countries:
        english[country.alpha_2] = getattr(country, "common_name", country.name)
        for name in (country.alpha_3, country.numeric, country.name, getattr(country, "official_name", "")):
            found.setdefault(plain(name), set()).add(country.alpha_2)
    for language in LANGUAGES:
        for code, name in Locale(language).territories.items():
            if code in english:
                found.setdefault(plain(name), set()).add(code)
    names = {name: next(iter(codes)) for name, codes in found.items() if name and len(codes) == 1}
    names.update({plain(adjective): code for adjective, code in NATIONALITIES.items()})
    names.update({plain(alias): code for code, aliases in ALIASES.items() for alias in aliases})
    return names, english


def find(text: str) -> str | None:
    """The code of a country's name or code, in any case; None where the text is no country alone."""
    names, english = known()
    if len(text) == 2 and (text.isascii() or ord(text[0]) >= FLAG):
        letters = [ord(c) - FLAG for c in text]
        code = "".join(chr(65 + n) for n in letters) if all(0 <= n < 26 for n in letters) else text.upper()
        return code if code in english else ("GB" if code == "UK" else None)
    return names.get(plain(text))


def normalise(raw: str, region: str = "") -> Normalised | None:
    """`IT` for `Italy`, `Italia`, `ITA`, `it`, `Italian`. Part: name (English)."""
    text = readable(raw)
    if not isinstance(text, str):
        return text
    code = find(text.strip(" .,;()[]"))
    if code is None:
        wide = plain(text) in WIDE_AREAS
        return refused(raw, "an area of several countries" if wide else "no country of ISO 3166 is so called")
    return accepted(raw, code, name=known()[1].get(code, ""))
