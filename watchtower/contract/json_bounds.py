"""What JSON that others send is held to, whichever way it comes: in a body or in a line of a file."""

from __future__ import annotations

from typing import Any

MAX_DEPTH = 50
"""Levels of objects and lists."""


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of these pairs (a hook of the decoder). ValueError where it names a key twice: which of the two was
    meant, nobody can say."""
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"the key {key!r:.80} stands twice in one object")
            seen.add(key)
    return found
