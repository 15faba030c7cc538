"""What a normaliser says, and the tidying that all of them begin with."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from enrichment.text import visible

LONGEST = 1_000
"""Characters. What is longer is a text, not a value; no normaliser reads it."""
MARKS = str.maketrans("", "", "™®©℠")
NOTHING = frozenset(
    {
        "", "-", "--", "---", ".", "..", "...", "?", "/", "n/a", "n.a.", "n.a", "na", "nan", "nil", "none", "null",
        "tbd", "tba", "unknown", "not available", "not applicable", "not known", "keine angabe", "k.a.", "x", "xx",
        "xxx", "test", "#n/a", "undefined", "(none)", "(blank)",
    }
)  # fmt: skip
"""What people and exports write where they know nothing."""


LEFT = "what is left of it says nothing"
READINGS = 3


@dataclass(frozen=True, slots=True)
class Normalised:
    """The canonical value, or why there is none; the raw text stays beside it.

    `value` normalises to itself. `parts` are what the value is made of, by name (`{"currency": "EUR", ...}`).
    `because` is empty where there is a value; else it names the text and what is accepted.
    """

    raw: str
    value: str | None
    parts: Mapping[str, str] = field(default_factory=dict)
    because: str = ""

    def to_json(self) -> dict[str, object]:
        """For machines: parts only where there are some, `because` only where there is no value."""
        shown: dict[str, object] = {"raw": self.raw, "value": self.value}
        if self.parts:
            shown["parts"] = dict(self.parts)
        if self.because:
            shown["because"] = self.because
        return shown


Reader = Callable[[str, str], Normalised | None]
"""(raw, region) -> what it is."""


def tidy(raw: str) -> str:
    """The text without invisible characters and trade marks, in NFKC, with single blanks; empty where it says nothing.

    Tidying what is tidy changes nothing.
    """
    if raw.isascii() and raw.isprintable():
        text = " ".join(raw.split())
    else:
        shown = visible(raw[: 4 * LONGEST].replace("\r", " ").translate(MARKS)).text
        text = " ".join(unicodedata.normalize("NFKC", shown).split())
    return "" if text.casefold() in NOTHING else text


def readable(raw: str) -> str | Normalised | None:
    """The tidy text; None where it says nothing; a refusal where it is too long to be a value."""
    if len(raw) > LONGEST:
        return refused(raw, f"{len(raw)} characters; a value has at most {LONGEST}")
    return tidy(raw) or None


def refused(raw: str, because: str) -> Normalised:
    """No value, and why."""
    return Normalised(raw, None, {}, f"{shown(raw)}: {because}")


def accepted(raw: str, value: str, **parts: str) -> Normalised:
    """A value with its parts; those that are empty are left out. What is left of the text may say nothing."""
    if value.casefold() in NOTHING:
        return refused(raw, LEFT)
    return Normalised(raw, value, {name: part for name, part in parts.items() if part})


def settled(read: Reader) -> Reader:
    """The reader, made to read its value again until that is its own. What does not settle so is refused.

    Names and titles are written with more marks than rules foresee.
    """

    def read_again(raw: str, region: str = "") -> Normalised | None:
        found = read(raw, region)
        for _ in range(READINGS):
            if found is None or found.value is None:
                return found
            again = read(found.value, region)
            if again is not None and again.value == found.value:
                return found
            found = refused(raw, LEFT) if again is None or again.value is None else replace(again, raw=raw)
        return refused(raw, "it can be read in more than one way")

    return read_again


def lower(text: str) -> str:
    """In lower case, letter by letter: a letter that would become two (`İ`) stays as it is."""
    if text.isascii():
        return text.lower()
    return "".join(low if len(low := c.lower()) == 1 else c for c in text)


def capital(word: str) -> str:
    """With a capital first letter, where there is one that leads back to it (`ß` has none)."""
    first = word[:1].upper()
    return first + word[1:] if len(first) == 1 and first.lower() == word[:1] else word


def shown(raw: str) -> str:
    """A raw text in a message: quoted, and cut."""
    return repr(raw if len(raw) <= 60 else raw[:57] + "...")
