"""Where a company sits, from text: `is headquartered in Chengdu, China` taken apart.

A statement counts when its words say that the company itself sits there now: not a customer, a parent or a
subsidiary, not formerly, not one region's headquarters (see enrichment.stance). Statements that disagree are
no statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from enrichment.atlas import NATIONALITIES, WIDE_AREAS, Atlas, atlas, plain
from enrichment.stance import (
    ARCHIVED,
    ELSEWHERE,
    ENDS,
    KINDS_OF_COMPANY,
    NOT_NOW,
    OVER,
    Sentences,
    begins,
    in_full,
    opens,
    own,
)
from enrichment.tongues import names_country

SEAT = r"(?:headquarters|(?:head|main|corporate)\s+offices?|principal\s+(?:executive\s+)?offices?)"
SITS = r"(?:headquartered|based|domiciled)\s+(?:in|at|near|out\s+of)\s+"
START = r"(?:(?<=^)|(?<=[.!?]\s)|(?<=\n))"
IS = r"(?:(?:is|are|being|(?:has|have)\s+(?:\w+\s+){0,2}?been)\s+)"
PRESENT = re.compile(rf"^(?:is|are|remains?)\b|{SEAT}\s+(?:is|are|has|have)\b", re.I)
"""The statement's own verb says that it is so now."""
CUES: tuple[re.Pattern[str], ...] = (
    re.compile(rf"\b(?:is|are|remains?)\s+(?:\w+ly\s+)?{SITS}"),
    re.compile(rf"\b(?:is|are)\s+an?\s+(?:[\w-]+\s+){{0,6}}?{KINDS_OF_COMPANY}\s+{SITS}"),
    re.compile(rf"\band\s+{SITS}"),
    re.compile(rf"\b{SEAT}\s+{IS}?(?:(?:located|situated|based)\s+)?(?:in|at|near)\s+", re.I),
    re.compile(rf"\b(?:moved|relocated|transferred)\s+(?:its|the|their)\s+{SEAT}\s+to\s+"),
    re.compile(r"\b(?:is|has\s+(?:\w+\s+)?been)\s+(?:run|managed|directed|administered)\s+(?:from|out\s+of)\s+"),
    re.compile(rf"\b{SEAT}\s*:\s*", re.I),
    re.compile(rf"\b{SEAT}\s+(?:is|are)\s+(?=[A-Z])"),
    re.compile(rf"{START}(?:Headquartered|Based)\s+(?:in|at|near)\s+"),
    re.compile(rf",\s+{SITS}"),
)
"""How a text states the seat. The place follows where the match ends."""
HOME = re.compile(
    r",?\s+(?:is|remains|has\s+(?:\w+\s+)?been)\s+(?:the\s+)?(?:home|seat|site|base)\s+(?:to|of|for)\s+"
    r"(?:its|the\s+company['’]s|the\s+firm['’]s)\s+(?:(?:global|world|corporate|central|main|entire|whole)\s+)?"
    r"(?:headquarters|head\s+office|management|executives?|administration|board)\b"
)
"""The same with the place before: `Graz, Austria, is home to its management`."""

LINKS = frozenset(
    {
        "a", "al", "am", "an", "and", "by", "da", "das", "de", "del", "della", "der", "den", "di", "do", "dos", "du",
        "e", "el", "es", "im", "in", "la", "las", "le", "les", "lo", "los", "nad", "of", "on", "op", "pod", "sous",
        "sul", "sur", "the", "upon", "van", "y", "à",
    }
)  # fmt: skip
DOTTED = re.compile(r"(?:St|Ste|Mt|Ft|(?:[A-Z]\.)+[A-Z]?)\.$")
TOKEN = re.compile(r"[^\s,;:()\[\]]+|[,;:()\[\]]")
JOINED = re.compile(r"\([^()]{1,40}\)\s+and\s+(?:in\s+)?[A-Z]")
"""`Milan (Italy) and Buenos Aires`"""
MAX_SEGMENTS = 4
CITY_STATES = frozenset({"SG", "MC", "HK", "MO", "GI"})
"""Places where the country's name is the city's."""


@dataclass(frozen=True)
class Seat:
    """One statement. Spans are half-open indices of the text: of the whole statement and of the city's name."""

    start: int
    end: int
    city: str | None
    country: str | None
    in_full: bool = False
    """Whether its sentence calls the company by its whole name."""


def seats(text: str, names: Sequence[str] = ()) -> list[Seat]:
    """Every statement of the company's seat in the text, in order. `names`: what the company is called."""
    known, told = atlas(), Sentences(text)
    found: dict[int, Seat] = {}
    for cue in CUES:
        for match in cue.finditer(text):
            if not _about_the_company(told, match, names):
                continue
            segments = list(_segments(text, match.end()))
            if not segments or ENDS.search(told.after(segments[-1][1])):
                continue
            city, country = _resolve([text[a:b] for a, b in segments], known)
            if city is None and country is None:
                continue
            if match.group().endswith(("is ", "are ")) and country is None and plain(city or "") not in known.cities:
                continue  # `our head office is Growing`: no word but the name's own tells that it is a place
            start = match.start() + (len(match.group()) - len(match.group().lstrip(", ")))
            found.setdefault(
                match.end(), Seat(start, segments[-1][1], city, country, in_full(told.before(match.start()), names))
            )
    for match in HOME.finditer(text):
        start = told.around(match.start())[0]
        segments = list(_segments(text, start))
        if not segments or text[segments[-1][1] : match.start()].strip(" ,") or told.orders(match.start()):
            continue
        city, country = _resolve([text[a:b] for a, b in segments], known)
        if city is not None or country is not None:
            found.setdefault(match.end(), Seat(start, match.end(), city, country))
    return [found[place] for place in sorted(found)]


def seat(text: str, names: Sequence[str] = ()) -> Seat | None:
    """The one seat that the text states; None where it states none, or several that differ."""
    stated = [] if ARCHIVED.search(text) else seats(text, names)
    if not stated:
        return None
    # `Acme Foods sits in Ulm. Acme Foods Asia sits in Singapore`: the whole name tells which of the two is meant.
    stated = [s for s in stated if s.in_full] or stated
    cities = {plain(s.city) for s in stated if s.city}
    countries = {s.country for s in stated if s.country}
    if len(cities) > 1 or len(countries) > 1:
        return None
    return max(stated, key=lambda s: (s.city is not None, s.country is not None, -s.start))


def _about_the_company(told: Sentences, cue: re.Match[str], names: Sequence[str]) -> bool:
    before, words = told.before(cue.start()), cue.group()
    called = any(plain(before).endswith(plain(name)) for name in names)  # `Acme Asia is headquartered in Singapore`
    if (NOT_NOW.search(before) and not called) or not own(before, names) or told.orders(cue.start()):
        return False
    if not PRESENT.match(words) and not words.startswith(("moved", "relocated", "transferred")) and OVER.search(before):
        return False
    if words.startswith(","):
        # `Acme, headquartered in Milan, makes ...`: a name and nothing else stands before the comma.
        return begins(before)
    if words.startswith(("Headquartered", "Based")):
        return opens(_past_place(told, cue.end()), names)
    return True


def _past_place(told: Sentences, start: int) -> str:
    """What follows the place that begins at `start`, in its clause."""
    segments = list(_segments(told.text, start))
    return told.after(segments[-1][1] if segments else start)


def _segments(text: str, start: int) -> Iterator[tuple[int, int]]:
    """Spans of the names in `Winston-Salem, North Carolina`: they end with the sentence or a small word.

    Yields nothing where a second place is joined by `and`, for then no single place is stated.
    """
    spans: list[tuple[int, int]] = []
    begin = end = -1
    tokens = list(TOKEN.finditer(text, start, min(len(text), start + 120)))
    for index, token in enumerate(tokens):
        word = token.group()
        if word == ",":
            if begin < 0:
                break
            spans.append((begin, end))
            begin = end = -1
            if len(spans) == MAX_SEGMENTS:
                break
            continue
        if word in ";:()[]":
            if JOINED.match(text, token.start()):
                return
            break
        last = word.endswith((".", "!", "?")) and not DOTTED.fullmatch(word)
        bare = word.rstrip(".!?") if last else word
        if "\n" in text[tokens[index - 1].end() if index else start : token.start()]:
            break
        if bare.casefold() in LINKS and not bare[:1].isupper():
            following = tokens[index + 1].group() if index + 1 < len(tokens) else ""
            if last or not following[:1].isupper():
                break
            if bare == "and":
                joined = text[begin if begin >= 0 else token.start() : tokens[index + 1].end()].rstrip(".,")
                if atlas().country(joined) is None and plain(joined) not in atlas().regions:
                    return
            if begin < 0 and bare != "the":
                break
            if begin < 0:
                continue
        elif bare[:1].islower() or not bare[:1].isalpha() and bare[:1] not in "'’":
            break
        if begin < 0:
            begin = token.start()
        end = token.start() + len(bare)
        if last:
            break
    if begin >= 0:
        spans.append((begin, end))
    yield from spans


def _resolve(names: list[str], known: Atlas) -> tuple[str | None, str | None]:
    """City and country of `[Atlanta, Georgia]`; either may be None."""
    first = names[0]
    if plain(first) in WIDE_AREAS:
        return None, None
    if len(names) == 1:
        country = known.country(first)
        if country is not None:
            return (first if country in CITY_STATES else None), country
        if plain(first) in known.cities:
            return first, known.city_country(first)
        regions = known.regions.get(plain(first), frozenset())
        if len(regions) == 1:
            return None, next(iter(regions))
        return first, None
    for used in range(len(names) - 1, 0, -1):
        country = _outer(first, names[used], known)
        if country is not None:
            itself = known.country(first)
            # `Quebec, Canada` names no city, though there is a city of that name; `Singapore, Singapore` does.
            region_only = plain(first) in known.regions and plain(first) not in known.cities
            city = None if region_only or (itself is not None and itself not in CITY_STATES) else first
            return city, country
    return first if plain(first) in known.cities else None, None


def _outer(city: str, name: str, known: Atlas) -> str | None:
    """The country that the last part of a place means. `Georgia` and `CA` are settled by the city, or not."""
    possible: set[str] = set()
    country = known.country(name)
    if country is not None:
        possible.add(country)
    possible |= known.regions.get(plain(name), frozenset())
    if name.isupper():
        possible |= known.state_codes.get(name, frozenset())
    if len(possible) == 1:
        return next(iter(possible))
    there = {c.country for c in known.cities.get(plain(city), ()) if c.country in possible}
    if len(there) > 1:
        there = {
            c.country
            for c in known.cities.get(plain(city), ())
            if c.country in possible and (c.country != "US" or c.state == name)
        }
    return next(iter(there)) if len(there) == 1 else None


def sole_country(text: str, names: Sequence[str] = ()) -> tuple[str, int, int] | None:
    """The only country that the text names, with the span of its first mention that may mean the seat.

    None where the text names several, or speaks of this one as the place of a part, a market, an owner or the
    past, or only within a name (`Bank of China`).
    """
    named = atlas().mentions(text)
    if ARCHIVED.search(text) or len({code for code, _, _ in named}) != 1:
        return None
    told = Sentences(text)
    for code, start, end in named:
        first, last = told.around(start)
        if ELSEWHERE.search(text, first, last) or told.orders(start) or not own(told.before(start), names):
            continue
        if _within_a_name(text, start, end):
            continue
        return code, start, end
    return None


def _within_a_name(text: str, start: int, end: int) -> bool:
    """`Bank of China`, `China Mobile`; a country that begins its sentence counts as a name too."""
    before, after = text[max(0, start - 40) : start], text[end : end + 20]
    return bool(re.search(r"[A-Z][\w&-]*\s+(?:of\s+)?$", before) or re.match(r"\s+(?:&\s+)?[A-Z]", after))


def supports_country(code: str, quote: str) -> bool:
    """Whether the quote's words name this country: itself, a nationality, a state or a city of it alone."""
    known = atlas()
    if any(code == found for found, _, _ in known.mentions(quote)):
        return True
    if names_country(code, quote):
        return True
    if any(NATIONALITIES.get(word) == code for word in re.findall(r"[A-Z][a-z]+", quote)):
        return True
    # Each part between commas may be a state (`Newton, Massachusetts`) or a city of one country alone.
    for part in re.split(r"[,;.()]|\b(?:in|at|near|from)\b", quote):
        regions = known.regions.get(plain(part), frozenset())
        if code in regions and len(regions) == 1:
            return True
        if part.strip()[:1].isupper() and known.city_country(part) == code:
            return True
    return any(s.country == code for s in seats(quote))


def supports_city(city: str, quote: str) -> bool:
    """Whether the quote holds the city's name as whole words, accents and case aside."""
    return bool(plain(city)) and f" {plain(city)} " in f" {plain(quote)} "


def may_be_city(name: str) -> bool:
    """Whether the name can be a city's: not a number, a common word, a country or a wide area."""
    known, bare = atlas(), plain(name)
    if not name[:1].isupper() and not name.startswith(("'", "’")) and name[:1].lower() != name[:1].upper():
        return False
    if any(c.isdigit() for c in name) or bare in WIDE_AREAS:
        return False
    country = known.country(name)
    if country is not None:
        return country in CITY_STATES or bare in known.cities
    return bare in known.cities or bare not in known.regions
