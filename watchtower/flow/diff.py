"""`rules diff`: what a change of rules would have changed over a history."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from watchtower.contract import format_time
from watchtower.flow.backtest import Held
from watchtower.rules.compile import Program
from watchtower.rules.spans import shift


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


def alerting(found: Iterable[Held], program: Program) -> list[Held]:
    """The intervals in which an alert would have opened: of active rules, and as long as their `for`."""
    kept = []
    for held in found:
        compiled = program.by_id[held.rule]
        if compiled.rule.mode == "active" and shift(held.since, compiled.delay, program.book.zone) < held.until:
            kept.append(held)
    return kept


def counted(changes: Iterable[Change], by: Callable[[Change], str]) -> dict[str, dict[str, int]]:
    """How many alerts were gained, lost and moved, by owner, by rule or by week."""
    found: dict[str, dict[str, int]] = {}
    for change in changes:
        row = found.setdefault(by(change), {"gained": 0, "lost": 0, "moved": 0})
        row[change.kind] += 1
    return dict(sorted(found.items()))


def week_of(change: Change, zone: ZoneInfo) -> str:
    """The ISO week, in the rulebook's zone, in which the alert begins, or began: `2026-W10`."""
    held = change.new or change.old
    assert held is not None
    year, week, _ = held.since.astimezone(zone).isocalendar()
    return f"{year}-W{week:02}"


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
