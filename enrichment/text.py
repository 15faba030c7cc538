"""Text as a worker may read it: invisible characters out, personal numbers and addresses covered.

Every position of what is shown maps back to the position in the document it came from, so that evidence
always quotes the document itself.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

KEPT_CONTROLS = frozenset("\n\t")
INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
INVISIBLE_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\u2800")
"""Letters and marks by category that show nothing: joiners, fillers, the blank Braille cell."""

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
    origin: tuple[int, ...]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The half-open span of the document that `text[start:end]` came from (start < end)."""
        return self.origin[start], self.origin[end - 1] + 1


def _invisible(character: str) -> bool:
    if character in KEPT_CONTROLS:
        return False
    if unicodedata.category(character) in INVISIBLE_CATEGORIES or character in INVISIBLE_LETTERS:
        return True
    return "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"


def visible(text: str) -> Readable:
    """The text without characters that show nothing: zero-width, direction, tag, private, variation.

    Line and paragraph separators count as spaces; a carriage return is dropped.
    """
    kept = [(i, c) for i, c in enumerate(text) if not _invisible(c)]
    return Readable("".join(c for _, c in kept), tuple(i for i, _ in kept))


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
