"""Names of people: `Maria Rossi` for `ROSSI, Maria`, `Dr. maria rossi`, `Maria Rossi, PhD`.

Titles and degrees are set aside, particles stay with the family name, and letters are changed in case only where all
of them are alike (`MARIA ROSSI`, `maria rossi`). nameparser was measured at 3,400 names/s, below the 10,000 that a
normaliser must reach, so the few rules that are needed stand here.
"""

from __future__ import annotations

import re

from enrichment.atlas import plain
from enrichment.normalise.outcome import Normalised, accepted, capital, lower, readable, refused

TITLES = frozenset(
    {
        "mr", "mrs", "ms", "miss", "mx", "dr", "prof", "professor", "sir", "madam", "rev", "hon", "herr", "frau", "hr",
        "fr", "dott", "dottssa", "dottoressa", "ing", "avv", "sig", "sigra", "signor", "signora", "sr", "sra", "srta",
        "don", "dona", "mme", "mlle", "monsieur", "madame", "dipl", "dipling", "dring", "drmed", "drjur", "mag", "capt",
        "col", "gen", "lt", "sgt",
    }
)  # fmt: skip
SUFFIXES = frozenset({"jr", "junior", "sr", "senior", "ii", "iii", "iv", "filho", "neto"})
DEGREES = frozenset(
    {
        "phd", "md", "mba", "msc", "bsc", "ma", "ba", "ms", "bs", "llm", "llb", "jd", "esq", "cpa", "cfa", "pmp",
        "pe", "rn", "dds", "edd", "dba", "acca", "aca", "cma", "cissp", "fcca", "obe", "mbe", "cbe", "bcom", "beng",
        "meng", "mphil", "dphil", "shrm-cp", "sphr", "phr", "csm", "mpa", "mph",
    }
)  # fmt: skip
PARTICLES = frozenset(
    {
        "von", "van", "der", "den", "de", "del", "della", "dello", "di", "da", "dos", "das", "do", "du", "la", "le",
        "les", "ter", "ten", "zu", "zur", "zum", "af", "av", "bin", "ibn", "al", "el", "ben", "bint", "y", "e", "vom",
        "san", "santa", "st", "mac", "op", "'t", "degli", "dei",
    }
)  # fmt: skip
NAME = re.compile(r"[^\W\d_][\w'’.\-]*|['’][^\W\d_]+", re.U)
BRACKET = re.compile(r"\s*[(\[\"“][^()\[\]\"“”]*[)\]\"”]\s*")
COMPANY = re.compile(r"\b(?:gmbh|inc|llc|ltd|limited|plc|s\.?p\.?a|s\.?r\.?l|corp|company|sarl|b\.v)\b\.?$", re.I)
ROLE = frozenset(
    {"info", "sales", "support", "admin", "team", "test test", "first last", "john doe", "firstname lastname"}
)


def normalise(raw: str, region: str = "") -> Normalised | None:
    """Parts: given, middle, family, title, suffix (a degree counts as none). One name alone is the family's."""
    text = readable(raw)
    if not isinstance(text, str):
        return text
    text = re.sub(r'["“”„*|]+', " ", BRACKET.sub(" ", text)).strip(" ,;.-–")
    if plain(text) in ROLE or any(c.isdigit() for c in text) or "@" in text or COMPANY.search(text):
        return refused(raw, "no name of a person")
    titles: list[str] = []
    suffixes: list[str] = []
    head, *rest = [part.strip() for part in text.split(",")]
    rest = [part for part in rest if part and not _all(part, DEGREES)]
    suffixes += [part for part in rest if _all(part, SUFFIXES)]
    rest = [part for part in rest if not _all(part, SUFFIXES)]
    if len(rest) > 1:
        return refused(raw, "more than one comma: several people, or no name")
    words = _words(head, titles, suffixes)
    if rest:
        given = _words(rest[0], titles, suffixes, least=1)
        family_size, words = len(words), [*given, *words]
    else:
        family_size = 0
    if not words or any(not NAME.fullmatch(word) for word in words):
        return refused(raw, "no name of a person")
    if sum(c.isalpha() for c in "".join(words)) < 2 or len(words) > 7:
        return refused(raw, "no name of a person: one letter, or more than seven words")
    words = _cased(words)
    split = len(words) - family_size if family_size else _family_at(words)
    given_name, middle, family = (words[0] if split else ""), words[1:split], words[split:]
    suffix = " ".join(_suffix(word) for word in suffixes)
    return accepted(
        raw, " ".join([*words, suffix]).strip(), given=given_name, middle=" ".join(middle),
        family=" ".join(family), title=" ".join(titles), suffix=suffix,
    )  # fmt: skip


def _bare(word: str) -> str:
    return plain(word.replace(".", "")).replace(" ", "")


def _all(part: str, known: frozenset[str]) -> bool:
    words = re.split(r"[\s/&]+", part.strip(" ."))
    return all(_bare(word) in known for word in words if word)


def _words(text: str, titles: list[str], suffixes: list[str], *, least: int = 2) -> list[str]:
    """The words of a part without titles before it, and degrees and suffixes after it; `least` words stay."""
    words = re.sub(r"(?<=[^\W\d_])\.(?=[^\W\d_]{2})", ". ", text).split()
    words = [word for word in (w.strip("*/;:|") for w in words) if word and word not in ("-", "–", "&")]
    while len(words) > 1 and _bare(words[0]) in TITLES:
        titles.append(words.pop(0))
    while len(words) > least and _bare(words[-1]) in DEGREES and words[-1] != words[-1].capitalize():
        words.pop()
    while len(words) > least and _bare(words[-1]) in SUFFIXES:
        suffixes.insert(0, words.pop())
    return words


def _family_at(words: list[str]) -> int:
    """Where the family name begins: the last word and the particles before it; 0 where there is one word."""
    at = len(words) - 1
    while at > 1 and plain(words[at - 1]) in PARTICLES:
        at -= 1
    return at


def _cased(words: list[str]) -> list[str]:
    """Names in usual case where all letters are alike, or a word is in capitals; initials stay as they are."""
    letters = [c for c in "".join(words) if c.lower() != c.upper()]
    alike = all(c.isupper() for c in letters) or all(c.islower() for c in letters)
    cased = []
    for index, word in enumerate(words):
        low = lower(word)
        initials = "." in word or len(word) < (2 if alike else 3)
        if alike and index and plain(low) in PARTICLES:
            cased.append(low)
        elif (alike and word.islower()) or (word.isupper() and not initials):
            cased.append(_capital(low))
        else:
            cased.append(word)
    return cased


def _capital(word: str) -> str:
    parts = re.split(r"([-'’.])", word)
    shown = "".join(capital(part) for part in parts)
    if re.match(r"mc[^\W\d_]{3}", word):
        shown = "Mc" + shown[2:3].upper() + shown[3:]
    return shown


def _suffix(word: str) -> str:
    bare = _bare(word)
    if bare in ("ii", "iii", "iv"):
        return bare.upper()
    return {"jr": "Jr.", "junior": "Jr.", "sr": "Sr.", "senior": "Sr."}.get(bare, bare.capitalize())
