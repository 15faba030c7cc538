"""What is left of a rulebook without its faulty parts, so that one run names the faults of the others, too."""

from __future__ import annotations

import re
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from watchtower.errors import Fault
from watchtower.rulebook.source import Path_, Place

_NAMES = re.compile(r"'([\w.]+)'|\b(\w+(?:\.\w+)+)|\brule ([\w.]+)")
"""Names in a message: what is quoted, what has a dot in it, the id of a rule."""


@dataclass
class Rest:
    """The merged content of a rulebook's files, and the place of each path in it. `lost` are the names taken out."""

    content: dict[str, Any]
    places: dict[Path_, Place]
    lost: set[str] = field(default_factory=set)

    def without(self, paths: Iterable[Path_]) -> Rest | None:
        """The same without the parts in which these paths lie; None where it would be without its head."""
        content, lost, rules = deepcopy(self.content), set(self.lost), set[int]()
        for path in {_part(path) for path in paths}:
            if not path:
                return None
            if path[0] == "rules" and len(path) > 1:
                index = int(path[1])
                rules.add(index)
                rule = content["rules"][index]
                lost.add(str(rule.get("id", "")) if isinstance(rule, dict) else "")
                continue
            *above, last = path
            holder: Any = content
            for key in above:
                holder = holder.get(key) if isinstance(holder, dict) else None
            if isinstance(holder, dict):
                holder.pop(last, None)
            lost.add(str(last))
        if "objects" not in content:
            return None
        return Rest(content, self._moved(content, rules), lost - {""})

    def _moved(self, content: dict[str, Any], gone: set[int]) -> dict[Path_, Place]:
        """The places where the rules stand that are left: their numbers have changed, their lines have not."""
        if not gone:
            return self.places
        content["rules"] = [rule for index, rule in enumerate(content["rules"]) if index not in gone]
        number = {index: index - sum(other < index for other in gone) for index in range(len(self.places))}
        found: dict[Path_, Place] = {}
        for path, place in self.places.items():
            if path[:1] != ("rules",) or len(path) == 1:
                found[path] = place
            elif path[1] not in gone:
                found["rules", number[int(path[1])], *path[2:]] = place
        return found

    def follows(self, fault: Fault) -> bool:
        """Whether a fault may be there only because a name was taken out that it speaks of."""
        named = {name for found in _NAMES.findall(fault.message) for name in found if name}
        return bool(self.lost & (named | {part for name in named for part in name.split(".")}))


def _part(path: Path_) -> Path_:
    """The part that is taken out for a fault at this path: a rule, a field, an entry, a key."""
    if path[:1] == ("objects",):
        return path[:4] if len(path) > 3 and path[2] == "fields" else path[:2]
    return path[:2]
