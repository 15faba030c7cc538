"""Company names: the name and its legal form apart, the form in its usual spelling.

`ACME Gesellschaft mit beschränkter Haftung` and `ACME, GmbH.` are `ACME GmbH`. The name itself keeps its letters: how
a company spells itself is not for us to change.
"""

from __future__ import annotations

import re

from enrichment.atlas import plain
from enrichment.normalise.legal_forms import LONGEST_FORM, Form, forms, piece
from enrichment.normalise.outcome import Normalised, accepted, readable, refused

QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "’": "'", "‘": "'", "`": "'"})
OLD = re.compile(r"[,;]?\s*\(?\b(?:formerly|f/k/a|fka|previously|vormals|ehemals)\b.*$", re.I)
TRADE = re.compile(r"\s+(?:d/b/a|dba|trading as|t/a)\s+.*$", re.I)
GLUED = re.compile(r"^(株式会社|合同会社|\(株\))\s*(?=\S)|(?<=\S)\s*(株式会社|合同会社|\(株\))$")


def normalise(raw: str, region: str = "") -> Normalised | None:
    """Parts: name (without the form), form, country (where the form is one's), elf (ISO 20275), key (to compare)."""
    text = readable(raw)
    if not isinstance(text, str):
        return text
    if "@" in text and "." in text.partition("@")[2] and " " not in text:
        return refused(raw, "an e-mail address, not a company")
    text = TRADE.sub("", OLD.sub("", text.translate(QUOTES)))
    text = GLUED.sub(lambda m: f"{m[1] or ''} {m[2] or ''}", text).strip(" ,;")
    country = region.upper()
    name, form = apart(text, country)
    if not any(c.isalnum() for c in name):
        return refused(raw, "a legal form without a name" if form else "it has no letter or digit")
    found = joined_name(name, form)
    where = form.countries[0] if form is not None and len(form.countries) == 1 else ""
    return accepted(
        raw, found, name=name, form=form.text if form else "", country=where,
        elf=forms().code(form, country) if form else "", key=key(name),
    )  # fmt: skip


def joined_name(name: str, form: Form | None) -> str:
    """Name and form as one text."""
    if form is None:
        return name
    return f"{form.text} {name}" if form.first else f"{name} {form.text}"


def apart(text: str, country: str = "") -> tuple[str, Form | None]:
    """A name without its legal form, and the form: the longest run of last words that is one, else of first words."""
    words = text.split()
    pieces = [piece(word) for word in words]
    if (form := _alone(words, pieces)) is not None:
        return "", form
    known, most = forms(), min(LONGEST_FORM, len(words) - 1)
    for first in (False, True):
        for count in range(most, 0, -1):
            run, rest = slice(-count, None), slice(None, -count)
            if first:
                run, rest = slice(None, count), slice(count, None)
            found = known.find("".join(pieces[run]), country, first=first)
            if found is not None and any(pieces[rest]) and _written(words[run], pieces[run], found):
                return _bare(" ".join(words[rest])), found
    return _bare(text), None


NAMES_TOO = 4
"""Letters. A form alone, in capitals and no longer, is more often a company (`SAS`, `SCA`) than a slip."""
NEVER_NAMES = frozenset({"CO", "CORP", "GMBH", "INC", "LLC", "LLP", "LP", "LTD", "PLC"})


def _alone(words: list[str], pieces: list[str]) -> Form | None:
    """The form that the whole text is."""
    if len(words) == 1 and words[0].isupper() and len(words[0]) <= NAMES_TOO and words[0] not in NEVER_NAMES:
        return None
    return forms().usual.get("".join(pieces)) if len(words) <= LONGEST_FORM else None


SHORT_WORDS = frozenset(
    {"as", "da", "se", "sa", "co", "ae", "ad", "dd", "eg", "ev", "og", "pt", "pc", "ao", "nl", "ek"}
)
"""Forms that are words or codes of something else; they count in capitals, with dots, or as the table writes them."""


def _written(words: list[str], pieces: list[str], form: Form) -> bool:
    if "".join(pieces) not in SHORT_WORDS:
        return True
    bare = " ".join(words).strip(" ,")
    return "." in bare or "/" in bare or bare == form.text or bare.isupper() or (bare == "Co" and form.text == "Co.")


JOINS = ("and", "und")


def _bare(name: str) -> str:
    text = name.strip(" ,;:-–")
    if text.count('"') == 2 and text.startswith('"') and text.endswith('"'):
        text = text[1:-1].strip()
    words = text.split()
    while words and (not any(c.isalnum() for c in words[-1]) or (len(words) > 1 and words[-1].lower() in JOINS)):
        words.pop()
    while words and not any(c.isalnum() for c in words[0]):
        words.pop(0)
    return " ".join(words).strip(" ,;:-–")


def key(name: str) -> str:
    """A name as it is compared, without further forms: `The Procter & Gamble` and `procter and gamble` are one."""
    rest, form = name, None
    for _ in range(2):
        shorter, form = apart(rest)
        if form is None or not shorter:
            break
        rest = shorter
    return plain(rest.replace("&", " and ").replace("+", " and "))
