"""Upper and lower case, defined: one letter to one letter, the same on every engine and in every language.

Databases differ here: by their version of Unicode, by the provider and language of their collation (a Turkish one maps
I to a dotless i), and in ß. The mapping is that of single letters in the Unicode Character Database, with ß to ẞ and
no regard to what stands around; DuckDB does just this by itself, and the others are given the table.
"""

from __future__ import annotations

from functools import lru_cache

_BLOCKS = (
    (0x41, 0x3000),
    (0xA640, 0xAC00),
    (0xFF00, 0x10600),
    (0x10C80, 0x11900),
    (0x16E40, 0x16E80),
    (0x1E900, 0x1E944),
)
"""Where the letters stand that have two cases."""


def lower(text: str) -> str:
    """Each letter's lower case; as many letters as before."""
    return text.translate(_map("lower"))


def upper(text: str) -> str:
    """Each letter's upper case; as many letters as before."""
    return text.translate(_map("upper"))


@lru_cache
def table(case: str) -> tuple[str, str]:
    """For `lower` or `upper`: the letters that change, and what they change to, place by place."""
    pairs = _map(case).items()
    return "".join(chr(a) for a, _ in pairs), "".join(chr(b) for _, b in pairs)


@lru_cache
def _map(case: str) -> dict[int, int]:
    found = {}
    for first, end in _BLOCKS:
        for code in range(first, end):
            letter = chr(code)
            other = _lower(letter) if case == "lower" else _upper(letter)
            if other != letter:
                found[code] = ord(other)
    return found


def _lower(letter: str) -> str:
    if letter == "İ":
        return "i"
    mapped = letter.lower()
    return mapped if len(mapped) == 1 else letter


def _upper(letter: str) -> str:
    if letter == "ß":
        return "ẞ"
    mapped = letter.upper()
    if len(mapped) > 1:
        mapped = letter.title()  # ᾳ, whose one capital is ᾼ
    return mapped if len(mapped) == 1 else letter
