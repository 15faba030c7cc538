"""`rules diff`: what a change of rules would have changed over a history."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from watchtower.contract import format_time
from watchtower.flow.backtest import Held


@dataclass(frozen=True)
class Change:
    """One interval that is there under one rulebook only, or moved. `old` is None: gained; `new` is None: lost."""

    rule: str
    record: str
    old: Held | None
    new: Held | None

    @property
    def kind(self) -> str:
        return "gained" if self.old is None else "lost" if self.new is None else "moved"

    def to_json(self) -> dict[str, Any]:
        sides = {
            name: None if held is None else {"since": format_time(held.since), "until": format_time(held.until)}
            for name, held in (("old", self.old), ("new", self.new))
        }
        return {"rule": self.rule, "record": self.record, "change": self.kind, **sides}


def compare(old: Sequence[Held], new: Sequence[Held]) -> list[Change]:
    """Every interval that was gained, lost or moved, by rule, record and time. Equal ones are left out.

    Intervals of the same rule and record that overlap are one that moved; each is paired once, in order of time.
    """
    before, after = _by_key(old), _by_key(new)
    changes = []
    for key in sorted(before.keys() | after.keys()):
        changes += list(_pair(*key, before.get(key, []), after.get(key, [])))
    return changes


def _by_key(intervals: Sequence[Held]) -> dict[tuple[str, str], list[Held]]:
    found: dict[tuple[str, str], list[Held]] = defaultdict(list)
    for held in intervals:
        found[held.rule, held.record].append(held)
    return {key: sorted(items, key=lambda held: held.since) for key, items in found.items()}


def _pair(rule: str, record: str, old: list[Held], new: list[Held]) -> Iterator[Change]:
    old, new = list(old), list(new)
    while old or new:
        if not new or (old and old[0].until <= new[0].since):
            yield Change(rule, record, old.pop(0), None)
        elif not old or new[0].until <= old[0].since:
            yield Change(rule, record, None, new.pop(0))
        else:
            a, b = old.pop(0), new.pop(0)
            if (a.since, a.until) != (b.since, b.until):
                yield Change(rule, record, a, b)
