"""What differs between two rulebooks, part by part: for whoever puts the new one in force, and for the record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from watchtower.rulebook.model import Rulebook


@dataclass(frozen=True)
class Difference:
    """A part that is there in one rulebook only, or says something else: `rules.mql_uncontacted.when`.

    `old` is None where it was added, `new` where it was removed.
    """

    path: str
    old: Any
    new: Any

    @property
    def kind(self) -> str:
        return "added" if self.old is None else "removed" if self.new is None else "changed"

    def to_json(self) -> dict[str, Any]:
        return {"path": self.path, "change": self.kind, "old": self.old, "new": self.new}


def differences(old: Rulebook, new: Rulebook) -> list[Difference]:
    """Every part that was added, removed or changed, by path. Rules are told apart by their ids, not by their order."""
    return sorted(_walk("", _keyed(old), _keyed(new)), key=lambda difference: difference.path)


def _keyed(book: Rulebook) -> dict[str, Any]:
    content = book.content()
    return content | {"rules": {rule["id"]: rule for rule in content.get("rules", [])}}


def _walk(path: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    for key in old.keys() | new.keys():
        here, a, b = f"{path}.{key}".removeprefix("."), old.get(key), new.get(key)
        if a == b:
            continue
        if isinstance(a, dict) and isinstance(b, dict):
            yield from _walk(here, a, b)
        elif isinstance(a or b, dict) and here in _GROUPS:
            yield from _walk(here, a or {}, b or {})
        else:
            yield Difference(here, a, b)


_GROUPS = tuple(name for name, field in Rulebook.model_fields.items() if "dict" in str(field.annotation)) + ("rules",)
"""Parts whose entries have names: a whole one that is new is told entry by entry."""
