"""Text as a worker may read it: invisible characters out, personal numbers and addresses covered.

Every position of what is shown maps back to the position in the document it came from, so that evidence
always quotes the document itself.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

KEPT_CONTROLS = frozenset("\n\t")
INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
INVISIBLE_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\u2800\U00016fe4\U0001d159")
"""Letters and marks by category that show nothing: joiners, fillers, the blank Braille cell."""
SELECTORS = (("\ufe00", "\ufe0f"), ("\U000e0100", "\U000e01ef"), ("\u180b", "\u180f"))
"""Variation selectors, the Mongolian ones among them."""
LIKE = {
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u02bc", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"'),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
}
"""Quotation marks and dashes that are written one for another."""

EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
PHONE = re.compile(r"(?<![\w.,/-])\+?\(?\d{1,4}\)?(?:[ .\-/]?\(?\d{2,4}\)?){2,5}(?![\w/-])")
IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?:[ \u00a0]?[A-Z0-9]{4}){2,7}(?:[ \u00a0]?[A-Z0-9]{1,3})?\b")
PHONE_DIGITS = 9
"""Fewer digits than this in a row are more often a figure than somebody's number."""
COVER = "#"

SENTENCE_END = re.compile(r"[.!?](?=\s+[\"'(\[]?[A-Z0-9\u00C0-\u024F])|[。！？]|\n+")
ABBREVIATIONS = re.compile(
    r"(?:\b(?:Co|Corp|Inc|Ltd|Ltda|Bhd|Sdn|Pte|Pty|Cia|Mfg|Bros|St|Ste|Mt|Ft|No|Nos|Dr|Mr|Mrs|Ms|vs|approx|etc|"
    r"Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec)|\b[A-Z])\.$"
)

BREAKS = (". ", "\n", "; ", "! ", "? ")
CLAUSE = 300
"""Characters. Looking further back would let a hostile text cost the square of its length."""


@dataclass(frozen=True)
class Readable:
    """`text` is what a worker sees; `origin[i]` is the index in the document of `text[i]`."""

    text: str
    origin: Sequence[int]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The half-open span of the document that `text[start:end]` came from (start < end)."""
        return self.origin[start], self.origin[end - 1] + 1

    @cached_property
    def alike(self) -> Readable:
        """The form in which quotes are compared, made once for all fields that ask: see `compared`."""
        return compared(self)


def _invisible(character: str) -> bool:
    if character in KEPT_CONTROLS:
        return False
    if unicodedata.category(character) in INVISIBLE_CATEGORIES or character in INVISIBLE_LETTERS:
        return True
    return any(first <= character <= last for first, last in SELECTORS)


def visible(text: str) -> Readable:
    """The text without characters that show nothing: zero-width, direction, tag, private, variation.

    Line and paragraph separators count as spaces; a carriage return is dropped.
    """
    # A text has few different characters: each is looked at once, and most texts hide nothing.
    hidden = {character for character in set(text) if _invisible(character)}
    if not hidden:
        return Readable(text, range(len(text)))
    kept = [(i, c) for i, c in enumerate(text) if c not in hidden]
    return Readable("".join(c for _, c in kept), tuple(i for i, _ in kept))


def compared(readable: Readable) -> Readable:
    """The same in the form in which quotes are compared: compatibility forms, composed letters, marks and dashes alike.

    Unicode's NFKD, character by character, so that each position still knows where it came from.
    """
    letters, origin = [], []
    for character, place in zip(readable.text, readable.origin, strict=True):
        for part in unicodedata.normalize("NFKD", LIKE.get(character, character)):
            letters.append(LIKE.get(part, part))
            origin.append(place)
    return Readable("".join(letters), tuple(origin))


def covered(text: str) -> str:
    """The text with e-mail addresses, telephone, account and card numbers covered, of the same length."""

    def cover(match: re.Match[str]) -> str:
        return COVER * len(match.group())

    def cover_phone(match: re.Match[str]) -> str:
        digits = sum(c.isdigit() for c in match.group())
        return cover(match) if digits >= PHONE_DIGITS else match.group()

    return PHONE.sub(cover_phone, IBAN.sub(cover, EMAIL.sub(cover, text)))


def sentences(text: str) -> list[tuple[int, int]]:
    """Half-open spans of the sentences, without the blanks around them. `Co., Ltd. was` is not an end."""
    spans: list[tuple[int, int]] = []
    start = 0
    for match in SENTENCE_END.finditer(text):
        if match.group() == "." and ABBREVIATIONS.search(text, max(0, match.end() - 12), match.end()):
            continue
        _add(text, start, match.end(), spans)
        start = match.end()
    _add(text, start, len(text), spans)
    return spans


def clause(text: str, end: int) -> str:
    """What stands before `end` in the same sentence, at most CLAUSE characters of it."""
    start = max(0, end - CLAUSE)
    return text[max(start, *(text.rfind(mark, start, end) + 1 for mark in BREAKS)) : end]


def _add(text: str, start: int, end: int, spans: list[tuple[int, int]]) -> None:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        spans.append((start, end))
