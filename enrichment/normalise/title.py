"""Job titles: written out, with seniority and function read off them.

`Sr. VP, Mktg` is `Senior Vice President of Marketing`: seniority vp, function marketing. The table of words is
`tables/titles.tsv`; the longest phrase that stands in the title counts, and among levels the higher one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from enrichment.atlas import plain
from enrichment.normalise.outcome import Normalised, accepted, capital, lower, readable, refused

LEVELS = (
    "founder", "owner", "c_level", "partner", "vp", "head", "director", "manager", "lead", "senior", "staff", "junior",
    "intern",
)  # fmt: skip
"""From the highest down."""
RANK_FIRST = re.compile(
    r"^((?:\w+ )?(?:vice president|head|director))\s+(?:of\s+|for\s+)?(?!and\b|or\b|general\b|of\b|for\b)(?=\w)"
)
SMALL = frozenset({"of", "and", "for", "the", "to", "in", "at", "or", "with", "de", "per", "und"})
CAPITALS = frozenset({"it", "ux", "ui", "seo", "sem", "crm", "erp", "emea", "apac", "latam", "dach", "uk", "us", "usa",
                      "eu", "b2b", "api", "ai", "ml", "bi", "gtm", "fp&a", "hris", "ii", "iii", "iv", "gis", "lan",
                      "wan"})  # fmt: skip
LONGEST_PHRASE = 5


@dataclass(frozen=True)
class Words:
    """The table: abbreviations to what they stand for, phrases to levels and to functions."""

    short: dict[str, str]
    level: dict[str, str]
    function: dict[str, str]
    weak: dict[str, str]
    """Words that tell a function where no other does: `development` is human resources' in `career development`."""


@lru_cache(maxsize=1)
def words() -> Words:
    """The table, read once."""
    found = Words({}, {}, {}, {})
    for line in (files("enrichment.normalise") / "tables" / "titles.tsv").read_text("utf-8").splitlines():
        if line.startswith("#") or not line.strip():
            continue
        kind, value, phrases = line.split("\t")
        table: dict[str, str] = getattr(found, kind)
        for phrase in phrases.split(";"):
            table[phrase if kind == "short" else _plain(phrase)] = value
    return found


def _plain(text: str) -> str:
    return plain(text.replace("&", " and "))


def spelt(text: str) -> str:
    """A title in lower case, abbreviations written out, marks as blanks."""
    low = re.sub(r"\((?:[^()]*)\)", " ", lower(text))
    low = re.sub(r"\b([a-z])\.(?=[a-z]\b)", r"\1", low)
    tokens = re.sub(r"[^\w&'+#/-]+|(?<=\s)[-–/]+|[-–/]+(?=\s|$)|/", " ", low.replace("–", " ")).split()
    short = words().short
    found: list[str] = []
    for token in tokens:
        if not any(c.isalnum() for c in token) and token not in ("&", "+"):
            continue
        found += short.get(token.strip("'-"), "and" if token in ("&", "+") else token).split()
    return RANK_FIRST.sub(r"\1 of ", " ".join(found))


def _phrases(text: str) -> list[str]:
    tokens = _plain(text.replace("/", " ").replace("-", " ")).split()
    return [
        " ".join(tokens[start : start + size])
        for size in range(min(LONGEST_PHRASE, len(tokens)), 0, -1)
        for start in range(len(tokens) - size + 1)
    ]


def level_of(text: str) -> str:
    """The seniority of a title written out; empty where no word tells it."""
    level = words().level
    head = re.split(
        r"\b(?:to|for|assistant to)\b(?= (?:the |our )?(?:chief|president|vice|ceo|director|manager|head))", text
    )[0]
    covered: list[tuple[int, str]] = []
    shown = f" {_plain(head.replace('-', ' '))} "
    for phrase in _phrases(head):
        if phrase in level and f" {phrase} " in shown:
            covered.append((len(phrase.split()), level[phrase]))
            shown = shown.replace(f" {phrase} ", " | ")
    names = [name for _, name in covered]
    # `staff` is what a noun of work says where nothing else is said: a junior analyst is junior.
    found = [name for name in names if name != "staff"] or names
    return min(found, key=LEVELS.index) if found else ""


def function_of(text: str) -> str:
    """The function: of the longest phrase, and of those as long the first; empty where no word tells it."""
    phrases, known = _phrases(text), words()
    found = [known.function[phrase] for phrase in phrases if phrase in known.function]
    weak = [known.weak[phrase] for phrase in phrases if phrase in known.weak]
    ranked = [name for name in found if name != "executive"] or weak or found
    return ranked[0] if ranked else ""


def normalise(raw: str, region: str = "") -> Normalised | None:
    """Parts: seniority (one of LEVELS), function; each left out where no word tells it."""
    text = readable(raw)
    if not isinstance(text, str):
        return text
    if "@" in text or not any(c.isalpha() for c in text):
        return refused(raw, "no job title")
    if len(text) > 160:
        return refused(raw, f"{len(text)} characters; a job title has at most 160")
    low = spelt(text)
    if not any(c.isalpha() for c in low):
        return refused(raw, "no job title")
    value = " ".join(
        word.upper() if word in CAPITALS else word if word in SMALL and index else "-".join(
            capital(part) for part in word.split("-")
        )
        for index, word in enumerate(low.split())
    )  # fmt: skip
    return accepted(raw, value, seniority=level_of(low), function=function_of(low))
