"""A round with a system, step by step: a cursor that says which step of which object is under way.

    {"since": {"companies": "..."}, "under_way": {"object": "deals", "step": "read", ...}}

`since` is what a step of a later round goes on from; `under_way`, where this round was broken off. A step is a
generator of pages; each page carries the cursor from which the rest of it can be said again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from watchtower.contract.system import Change, Cursor, Pulled


class Page(NamedTuple):
    """Changes of one step, and where in the step to go on; `since`: where a later round goes on, once it is known."""

    changes: Sequence[Change]
    at: dict[str, Any]
    since: Any = None
    whole: bool = False
    """Whether the step, which began at the beginning, has with this page said all there are of the object."""


Step = Callable[[str, Any, dict[str, Any]], Iterator[Page]]
"""(object, since or None, where in the step to go on) -> its pages"""


def run(steps: Sequence[tuple[str, str, Step]], cursor: Cursor) -> Iterator[Pulled]:
    """All steps, (object, name of the step, step) each, from where the cursor stands."""
    since: dict[str, Any] = dict(cursor.get("since", {}))
    under_way: dict[str, Any] = cursor.get("under_way") or {}
    names = [(object_, name) for object_, name, _ in steps]
    at = (under_way.get("object"), under_way.get("step"))
    first = names.index(at) if at in names else 0
    inside: dict[str, Any] = under_way.get("at", {}) if at in names else {}
    for number in range(first, len(steps)):
        object_, name, step = steps[number]
        for page in step(object_, since.get(object_), inside):
            if page.since is not None:
                since = {**since, object_: page.since}
            yield Pulled(
                changes=tuple(page.changes),
                cursor={"since": since, "under_way": {"object": object_, "step": name, "at": page.at}},
                whole=(object_,) if page.whole else (),
            )
        inside = {}
        after: Cursor = {"since": since}
        if number + 1 < len(steps):
            after["under_way"] = {"object": steps[number + 1][0], "step": steps[number + 1][1], "at": {}}
        yield Pulled(changes=(), cursor=after)
