"""Takes a company's name out of a text, to tell reading from memory.

A model may know where "Capgemini" sits without reading a word. By how much the accuracy falls once
the name is gone, that much of it was memory.
"""

from __future__ import annotations

import re

MASK = "The company"

_LEGAL_WORDS = """
    a ab ag as asa ba bhd berhad bv co company cooperativa corp corporation gmbh group holding holdings inc
    incorporated international jsc kgaa limited llc lp ltd nv oao oyj pao pcl pjsc plc pt public s sa se sab
    sirketi societa spa sociedad anonima tbk the trust
"""
_LEGAL = frozenset(_LEGAL_WORDS.split())
"""Words that may be dropped from the ends of a name and leave it that name."""

_SAFE = frozenset({"usa", "uk", "us", "uae", "esg", "reit", "ai", "it"})
"""Short words in capitals that are no name of a company."""

_FORMERLY = re.compile(r"(formerly (?:known as|named)) .+?(?= and changed| and is | until |[,;)]|\.\s|\.$)")


def _bare(word: str) -> str:
    return re.sub(r"\W", "", word).casefold()


def name_forms(*names: str) -> tuple[str, ...]:
    """The ways in which a text may call the company, longest first.

    The full names; without legal forms at the ends; without a bracket; and words written as no ordinary
    word is (ZTE, ComfortDelGro). Single ordinary words of a longer name stay: `Bursa` of `Bursa Cimento` is a
    city, and masking must not remove the answer.
    """
    forms: set[str] = set()
    for name in names:
        whole = name.strip()
        spaced = re.sub(r",(?=\S)", ", ", whole)
        for start in {whole, spaced, re.sub(r"\s*\([^)]*\)", "", spaced).strip(), whole.replace(" - ", " ")}:
            forms.add(start)
            words = start.split()
            while len(words) > 1 and _bare(words[-1]) in _LEGAL:
                words.pop()
                forms.add(" ".join(words).rstrip(",.& "))
            while len(words) > 1 and _bare(words[0]) in _LEGAL:
                words.pop(0)
                forms.add(" ".join(words).rstrip(",.& "))
        for word in re.findall(r"[^\W\d_][\w&'-]+", whole):
            odd = bool(re.search(r"\w[A-Z]", word)) and not whole.isupper()
            if odd and len(word) >= 3 and _bare(word) not in _SAFE and _bare(word) not in _LEGAL:
                forms.add(word)
    # Names that were decoded with the wrong table upstream stand so in the texts too.
    forms |= {mangled for form in forms if (mangled := _mangled(form)) is not None}
    return tuple(sorted((form for form in forms if len(form) >= 2), key=lambda form: (-len(form), form)))


def _mangled(form: str) -> str | None:
    """UTF-8 read as Latin-1, as some sources print it; None for plain ASCII."""
    return None if form.isascii() else form.encode().decode("latin-1")


def mask_name(text: str, *names: str) -> str:
    """The text with every form of the names replaced by `The company`."""
    masked = _FORMERLY.sub(r"\1 another name", text)
    for form in name_forms(*names):
        pattern = r"(?<!\w)" + r"\s+".join(re.escape(part) for part in form.split()) + r"(?!\w)"
        flags = re.IGNORECASE if " " in form else 0
        masked = re.sub(pattern, MASK, masked, flags=flags)
    return masked
