"""Records that were merged: from what each of them is folded. Pure, the same for the live store and for backtests.

A merge ends one record at its instant and makes the other, from that instant on, what both streams of events make of
it, in order of time, then of arrival. What is said of the ended id later goes to the survivor, and who referred to the
one refers to the other. Before that instant nothing changes. Nothing is copied: a merge that was undone is left out,
and every record is what it would be without it.

A source that merges two of its own records says `record.merged`, too (`data.into`). Then the one ends, and from that
instant on whoever refers to it refers to the other. No fact goes over: what the one knew, the source writes into the
other itself, where it wants to; what is said of the ended id later is not the other's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from watchtower.contract import CORE_SOURCE, Event

MERGED, UNMERGED = "record.merged", "record.unmerged"
ENDS = ("record.deleted", MERGED)
_LATE_WORDS = ("field.accepted", "signal.admitted")
"""Decisions, which begin no record."""

Numbered = tuple[int, Event]
"""An event, and its number in order of arrival."""
Mentions = Callable[[Event], Iterable[tuple[str, str]]]
"""(object, id) of the records that an event refers to, by references that rules read."""
Rewrite = Callable[[Event, Callable[[str, str], str]], Event]
"""The event with each reference (object, id) replaced by what the function says."""


class Absorbed(Event, frozen=True, kw_only=True):
    """At this instant a record becomes what these events make of it."""

    past: tuple[Event, ...] = ()


class Redirected(Event, frozen=True, kw_only=True):
    """From this instant on, who refers to the record `gone` refers to `into`."""

    target: str
    gone: str
    into: str


@dataclass(frozen=True)
class Merge:
    """`record` became `into` at an instant. `id` is that of the decision in the journal."""

    id: str
    object: str
    record: str
    into: str
    at: datetime
    leads: bool = False
    """A source's word: references follow, and nothing else does."""


def decides(event: Event) -> bool:
    """Whether it is the rule layer's word that records are one, or are not."""
    return event.source == CORE_SOURCE and event.type in (MERGED, UNMERGED)


def led_by(event: Event) -> Merge | None:
    """What a source says of its own records, where that is a merge into another one. `data.into`: an id, or object/id
    of the same object."""
    into = event.data.get("into") if event.type == MERGED and event.source != CORE_SOURCE else None
    if not isinstance(into, str):
        return None
    into = into.removeprefix(f"{event.object}/")
    if not into or into == event.record_id:
        return None
    return Merge(f"{event.source}/{event.id}", event.object, event.record_id, into, event.time, leads=True)


def in_force(decisions: Iterable[Event]) -> list[Merge]:
    """The merges that were decided and not undone, and those that sources spoke of, in order of arrival."""
    found: dict[str, Merge] = {}
    for event in decisions:
        if (led := led_by(event)) is not None:
            found.setdefault(led.id, led)
        elif event.type == UNMERGED:
            found.pop(event.data["merge"], None)
        else:
            found[event.id] = Merge(event.id, event.object, event.record_id, event.data["into"], event.time)
    return list(found.values())


@dataclass
class Merges:
    """Merges in force. A record is merged into one other at most, and never in a circle: of what sources say the
    earliest word counts, what was decided here counts more, and a word that would close a circle leads nowhere."""

    every: Sequence[Merge] = ()
    gone: dict[tuple[str, str], Merge] = field(init=False, default_factory=dict)
    """By the record that ended."""
    taken: dict[tuple[str, str], list[Merge]] = field(init=False, default_factory=dict)
    """By the survivor, in order of time."""
    onward: dict[tuple[str, str], Merge] = field(init=False, default_factory=dict)
    """By the record that ended, whoever said so: where references go."""

    def __post_init__(self) -> None:
        ordered = sorted(self.every, key=lambda merge: (merge.at, merge.id))
        for merge in ordered:
            if not merge.leads:
                self.gone[merge.object, merge.record] = merge
                self.taken.setdefault((merge.object, merge.into), []).append(merge)
        self.onward |= self.gone
        for merge in ordered:
            mine = merge.object, merge.record
            if merge.leads and mine not in self.onward and self.became(merge.object, merge.into) != merge.record:
                self.onward[mine] = merge

    def __bool__(self) -> bool:
        return bool(self.every)

    def concerns(self, name: str, record: str) -> bool:
        return (name, record) in self.gone or (name, record) in self.taken

    def became(self, name: str, record: str, at: datetime | None = None) -> str:
        """What an id stands for at an instant; None: now."""
        while (merge := self.onward.get((name, record))) is not None and (at is None or merge.at <= at):
            record = merge.into
        return record

    def leading(self, name: str, record: str, since: datetime) -> Iterator[tuple[Merge, str]]:
        """The merges after `since` by which a reference to this record goes on, each with the record it then names."""
        record = self.became(name, record, since)
        while (merge := self.onward.get((name, record))) is not None:
            record = self.became(name, merge.into, merge.at)
            yield merge, record

    def survivors(self, name: str, record: str) -> Iterator[Merge]:
        """The merges by which a record's events go on, one after the other."""
        while (merge := self.gone.get((name, record))) is not None:
            yield merge
            record = merge.into

    def family(self, name: str, record: str) -> set[str]:
        """All ids that one record was once, or is now."""
        found, open_ = set[str](), [self.became(name, record)]
        while open_:
            found.add(one := open_.pop())
            open_ += [merge.record for merge in self.taken.get((name, one), ())]
        return found


def stream(name: str, record: str, said: Mapping[str, Sequence[Numbered]], merges: Merges) -> list[Event]:
    """What a record is folded from, in order. `said`: of every id of its family, its own events in order of time."""
    joined = _Joined(name, said, merges)
    out = merges.gone.get((name, record))
    items: list[Event] = []
    since: datetime | None = None
    absorbed: list[str] = []
    for merge in merges.taken.get((name, record), ()):
        items += _plain(joined.between(record, absorbed, since, merge.at))
        past = tuple(_plain(joined.all_of(record, merge.at)))
        items.append(Absorbed(
            id=merge.id, source=CORE_SOURCE, type=MERGED, subject=f"{name}/{record}", time=merge.at, past=past,
        ))  # fmt: skip
        since = merge.at
        absorbed.append(merge.record)
    items += _plain(joined.between(record, absorbed, since, None))
    if out is not None:
        end = Event(id=out.id, source=CORE_SOURCE, type=MERGED, subject=f"{name}/{record}", time=out.at)
        items = [*(item for item in items if item.time < out.at), end]
    return items


def redirect(
    said: Sequence[Numbered], merges: Merges, mentions: Mentions, rewrite: Rewrite, objects: Iterable[str]
) -> list[Numbered]:
    """The same events with references to records as they were at the time, and a word where what they refer to is
    merged later. `objects`: those that are referred to."""
    wanted = set(objects)
    if not any((merge.object in wanted) for merge in merges.every):
        return list(said)
    found: list[Numbered] = []
    later: dict[str, Numbered] = {}
    for number, event in said:
        named = [one for one in mentions(event) if one in merges.onward]
        for target, record in named:
            for merge, into in merges.leading(target, record, event.time):
                if merge.id not in later:
                    later[merge.id] = number, Redirected(
                        id=merge.id, source=CORE_SOURCE, type=MERGED, subject=event.subject, time=merge.at,
                        target=target, gone=merge.record, into=into,
                    )  # fmt: skip
        if named:
            at = event.time
            event = rewrite(event, lambda target, record, at=at: merges.became(target, record, at))  # type: ignore[misc]
        found.append((number, event))
    return sorted([*found, *later.values()], key=_order) if later else found


def boundary(events: Sequence[Event], start: datetime) -> datetime:
    """The last instant up to `start` at which one of these events stands: there a version of the record begins."""
    return max((event.time for event in events if event.time <= start), default=start)


@dataclass(frozen=True)
class _Joined:
    """The streams of a family."""

    name: str
    said: Mapping[str, Sequence[Numbered]]
    merges: Merges

    def all_of(self, record: str, until: datetime) -> list[Numbered]:
        """Events that make of an empty record what this one is at an instant."""
        found: list[Numbered] = []
        since: datetime | None = None
        absorbed: list[str] = []
        for merge in self.merges.taken.get((self.name, record), ()):
            if merge.at > until:
                break
            found += self.between(record, absorbed, since, merge.at)
            found = _blended(_living(found), _living(self.all_of(merge.record, merge.at)))
            since = merge.at
            absorbed.append(merge.record)
        return found + self.between(record, absorbed, since, until)

    def between(
        self, record: str, absorbed: Sequence[str], since: datetime | None, until: datetime | None
    ) -> list[Numbered]:
        """What was said of a record, and of the ids that it has taken in, with since < time <= until, in order. That
        an id ended which is no record any more ends nothing."""
        found = list(_cut(self.said.get(record, ()), since, until))
        for other in absorbed:
            found += self._later(other, since, until)
        return sorted(found, key=_order)

    def _later(self, record: str, since: datetime | None, until: datetime | None) -> Iterator[Numbered]:
        for one in _cut(self.said.get(record, ()), since, until):
            if one[1].type not in ENDS:
                yield one
        for merge in self.merges.taken.get((self.name, record), ()):
            yield from self._later(merge.record, since, until)


def _order(one: Numbered) -> tuple[datetime, int]:
    return one[1].time, one[0]


def _plain(said: Iterable[Numbered]) -> list[Event]:
    return [event for _, event in said]


def _cut(said: Sequence[Numbered], since: datetime | None, until: datetime | None) -> Iterator[Numbered]:
    for one in said:
        time = one[1].time
        if (since is None or time > since) and (until is None or time <= until):
            yield one


def _living(said: Sequence[Numbered]) -> list[Numbered]:
    """Of a record's events those since it last began."""
    ends = [place for place, (_, event) in enumerate(said) if event.type in ENDS]
    rest = list(said[ends[-1] + 1 :] if ends else said)
    begun = next((place for place, (_, event) in enumerate(rest) if event.type not in _LATE_WORDS), len(rest))
    return rest[begun:]


def _blended(one: Sequence[Numbered], other: Sequence[Numbered]) -> list[Numbered]:
    """Two streams as one. A null says what its own record does not know: it takes nothing from what the other knew."""
    sides = sorted([(0, one_) for one_ in one] + [(1, one_) for one_ in other], key=lambda pair: _order(pair[1]))
    held: dict[str, int] = {}
    found: list[Numbered] = []
    for side, (number, event) in sides:
        fields: Any = event.data.get("fields")
        if isinstance(fields, dict):
            kept = {key: value for key, value in fields.items() if value is not None or held.get(key, side) == side}
            held |= {key: side for key, value in kept.items() if value is not None}
            if len(kept) < len(fields):
                event = msgspec.structs.replace(event, data={**event.data, "fields": kept})
        found.append((number, event))
    return found
