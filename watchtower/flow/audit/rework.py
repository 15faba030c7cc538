"""Where work is redone: records that move back, states that are entered again, values that come back, handoffs that
are rejected and offered again. Needs events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from watchtower.flow.audit.facts import owner_field
from watchtower.flow.audit.finding import Finding, counted, listed, percent
from watchtower.flow.audit.observe import Observed, Stay
from watchtower.rulebook import Rulebook
from watchtower.rulebook.duties import Lifecycle

FEW = 20
OFTEN = 0.1
"""From this share on, redone work is a pattern and no accident."""


@dataclass(frozen=True)
class Redone:
    """One place where work is redone. `times` in `of` cases; `owners`: who had the record, the most frequent first."""

    kind: str
    where: str
    times: int
    of: int
    allowed: bool
    records: tuple[str, ...]
    owners: tuple[tuple[str, int], ...]

    @property
    def share(self) -> float:
        """Times per case; above 1 where a case is redone more than once."""
        return self.times / self.of if self.of else 0.0

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind, "where": self.where, "times": self.times, "of": self.of, "allowed": self.allowed,
            "records": list(self.records), "owners": [{"owner": who, "times": n} for who, n in self.owners],
        }  # fmt: skip


KINDS = {
    "back": "moved back", "again": "entered again", "value": "value came back", "wording": "wording came back",
    "handoff": "rejected and offered again",
}  # fmt: skip


def rework(book: Rulebook, seen: Observed) -> list[Redone]:
    """Every place, the most frequent first."""
    found: list[Redone] = []
    for key, cycle in book.lifecycles.items():
        found += _lifecycle(key, cycle, seen.stays.get(key, ()))
    for (object_name, field), by_record in seen.returns.items():
        if by_record:
            owners = Counter[str]()
            for record, times in by_record.items():
                owners[seen.owners.get(object_name, {}).get(record, "")] += times
            free = book.objects[object_name].fields[field].type == "text" and field != owner_field(book, object_name)
            kind, most = (
                "wording" if free else "value",
                sorted(by_record, key=lambda record: (-by_record[record], record)),
            )
            records = tuple(f"{object_name}/{record}" for record in most[:5])
            where, times, of = f"{object_name}.{field}", sum(by_record.values()), seen.records[object_name]
            found.append(Redone(kind, where, times, of, True, records, _most(owners)))
    for name, stays in seen.offers.items():
        again = [stay for stay in stays if stay.state == "rejected" and stay.next == "offered"]
        if again:
            offered = sum(stay.state == "offered" for stay in stays)
            mine = seen.owners.get(book.handoffs[name].object, {})
            owners = Counter(mine.get(stay.record, "") for stay in again)
            found.append(
                Redone(
                    "handoff", name, len(again), offered, True, _some(book.handoffs[name].object, again), _most(owners)
                )
            )
    return sorted(found, key=lambda one: (-one.times, one.kind, one.where))


def _lifecycle(key: str, cycle: Lifecycle, stays: Sequence[Stay]) -> list[Redone]:
    depth = depths(cycle)
    left = Counter(stay.state for stay in stays if stay.next)
    entered = Counter(stay.state for stay in stays)
    back: dict[tuple[str, str], list[Stay]] = {}
    again: dict[str, list[Stay]] = {}
    been: set[tuple[str, str]] = set()
    for stay in stays:
        target = stay.next or ""
        if leads_back(cycle, depth, target, stay.state):
            back.setdefault((stay.state, target), []).append(stay)
        if (stay.record, stay.state) in been:
            again.setdefault(stay.state, []).append(stay)
        been.add((stay.record, stay.state))
    found = [
        Redone("back", f"{key}: {state} to {target}", len(some), left[state], target in cycle.states[state].next,
               _some(cycle.object, some), _most(Counter(stay.owner for stay in some)))
        for (state, target), some in back.items()
    ]  # fmt: skip
    found += [
        Redone("again", f"{key}.{state}", len(some), entered[state], True, _some(cycle.object, some),
               _most(Counter(stay.owner for stay in some)))
        for state, some in again.items()
        if not cycle.states[state].final
    ]  # fmt: skip
    return found


def leads_back(cycle: Lifecycle, depth: Mapping[str, int], target: str, state: str) -> bool:
    """Whether a move leads back. One that ends a record never does."""
    if target not in depth or state not in depth or cycle.states[target].final:
        return False
    return depth[target] < depth[state]


def depths(cycle: Lifecycle) -> dict[str, int]:
    """How many moves a state is away from where records start."""
    found: dict[str, int] = {}
    edge, depth = list(cycle.starts or list(cycle.states)[:1]), 0
    while edge:
        found |= {state: depth for state in edge if state not in found}
        edge = [target for state in edge for target in cycle.states[state].next if target not in found]
        depth += 1
    return found


def _some(object_name: str, stays: Iterable[Stay]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"{object_name}/{stay.record}" for stay in stays))[:5]


def _most(owners: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(((who, n) for who, n in owners.items() if who), key=lambda pair: (-pair[1], pair[0]))[:3])


def findings(found: Sequence[Redone]) -> list[Finding]:
    """P1 where it is a pattern, or a move that the lifecycle forbids; P2 otherwise."""
    told = []
    for one in found:
        pattern = one.of >= FEW and one.share >= OFTEN and one.kind != "wording"
        forbidden = not one.allowed
        reason = (
            "The lifecycle does not allow the move." if forbidden
            else f"It happens in {percent(one.share)} of cases: a pattern." if pattern
            else "The same words may be said again." if one.kind == "wording"
            else f"It happens in {percent(one.share)} of cases, below {percent(OFTEN)}."
        )  # fmt: skip
        who = f"; most often with {listed([f'{name} ({n})' for name, n in one.owners])}" if one.owners else ""
        told.append(
            Finding(
                "P1" if pattern or (forbidden and one.times >= FEW) else "P2",
                "rework",
                f"{one.where}: {KINDS[one.kind]} {counted(one.times, 'time')}",
                reason,
                _DO[one.kind],
                (f"{one.times:,} of {one.of:,} cases{who}",),
                one.records,
            )  # fmt: skip
        )
    return told


_DO = {
    "back": "Ask what was not known when it moved on, and make that a criterion of entry.",
    "again": "See what sent it away: what the state must bring may not be said.",
    "value": "See who enters it and from where. What is meant to go to and fro belongs in a lifecycle.",
    "wording": "See whether the same thing is entered again and again.",
    "handoff": "Require what was missing, so that it is refused before it is offered.",
}
