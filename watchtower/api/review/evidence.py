"""Quotes shown in their documents: which stretches of a text to mark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

AROUND = 240
"""Characters of context on each side of a quote, where a text is too long to be shown whole."""
WHOLE = 4000
"""Texts up to this length are shown whole."""


class Piece(NamedTuple):
    """A stretch of a text; `marked` where it is evidence, `cut` where text before it was left out."""

    text: str
    marked: bool
    cut: bool = False


def quotes_in(text: str, document: str, evidence: Iterable[Any]) -> list[tuple[int, int]]:
    """The places in `text` that evidence names and where its quote truly stands; others are left out."""
    found = []
    for item in evidence:
        if not isinstance(item, Mapping) or item.get("document") != document:
            continue
        start, end, quote = item.get("start"), item.get("end"), item.get("quote")
        if isinstance(start, int) and isinstance(end, int) and 0 <= start < end and text[start:end] == quote:
            found.append((start, end))
    return sorted(set(found))


def pieces(text: str, places: Iterable[tuple[int, int]]) -> list[Piece]:
    """`text` cut at the marked places; overlapping places become one; long texts are cut to what is near."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(places):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    if len(text) > WHOLE and not merged:
        return [Piece(text[:WHOLE], False), Piece("", False, cut=True)]
    keep = AROUND if len(text) > WHOLE else len(text)
    found: list[Piece] = []
    at = 0
    for start, end in merged:
        begin = max(at, start - keep)
        if begin < start:
            found.append(Piece(text[begin:start], False, cut=begin > at))
        found.append(Piece(text[start:end], True, cut=begin > at and begin == start))
        rest = min(len(text), end + keep, next((s for s, _ in merged if s > start), len(text)))
        found.append(Piece(text[end:rest], False))
        at = rest
    if not merged:
        found.append(Piece(text, False))
    elif at < len(text):
        found.append(Piece("", False, cut=True))
    return [piece for piece in found if piece.text or piece.cut]
