"""Where rework recurs: records that go back to an earlier state, handoffs that are rejected, accepted fields that are
corrected; by transition, team and owner."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from watchtower.flow.audit.facts import owner_field
from watchtower.flow.audit.rework import depths, leads_back
from watchtower.rulebook import Rulebook
from watchtower.rulebook.duties import Lifecycle
from watchtower.store import rework as stored
from watchtower.store.database import Connection
from watchtower.store.rework import Moved

Kind = Literal["back", "rejected", "corrected"]
OWNERS = 3
RECORDS = 3


@dataclass(frozen=True)
class Recurring:
    """One place where work is done again. `team`: the roles between which it goes; `times` in `of` cases; `owners`:
    whose records, the most frequent first; `records`: the latest, as object/id."""

    kind: Kind
    where: str
    team: str
    times: int
    of: int
    owners: tuple[tuple[str, int], ...]
    records: tuple[str, ...]

    @property
    def share(self) -> float:
        """In [0, 1]: of the cases, those that came again."""
        return min(1.0, self.times / self.of) if self.of else 0.0


def recurring(conn: Connection, book: Rulebook, start: datetime, end: datetime) -> list[Recurring]:
    """Every place in [start, end), the most frequent first."""
    found: list[Recurring] = []
    for cycle in book.lifecycles.values():
        moves = stored.moves(conn, cycle.object, cycle.field, owner_field(book, cycle.object), start, end)
        found += _back(cycle, moves)
    for name, handoff in book.handoffs.items():
        owner = owner_field(book, handoff.object)
        moves = stored.moves(conn, handoff.object, f"{name}.status", owner, start, end)
        rejected = [move for move in moves if move.after == "rejected"]
        if rejected:
            answered = sum(move.times for move in moves if move.before == "offered")
            found.append(
                _one("rejected", name, _between(handoff.from_, handoff.to), rejected, answered, handoff.object)
            )
    for name in book.objects:
        by_field = defaultdict(list)
        for row in stored.corrected(conn, name, owner_field(book, name), start, end):
            by_field[row.field].append(row)
        for field, rows in by_field.items():
            changed = [row for row in rows if row.times]
            if changed:
                by = Counter[str]()
                for row in changed:
                    by[row.by or "nobody"] += row.times
                accepted = sum(row.accepted for row in rows)
                owners = ((row.owner, row.times, row.some) for row in changed)
                who = f"by {by.most_common(1)[0][0]}"
                found.append(_made("corrected", f"{name}.{field}", who, owners, accepted, name))
    return sorted(found, key=lambda one: (-one.times, one.kind, one.where))


def _back(cycle: Lifecycle, moves: list[Moved]) -> Iterator[Recurring]:
    depth = depths(cycle)
    left = Counter[str]()
    back: dict[tuple[str, str], list[Moved]] = defaultdict(list)
    for move in moves:
        left[move.before] += move.times
        if leads_back(cycle, depth, move.after, move.before):
            back[move.before, move.after].append(move)
    for (before, after), several in back.items():
        team = _between(cycle.states[before].owner or cycle.owner, cycle.states[after].owner or cycle.owner)
        yield _one("back", f"{cycle.object}: {before} to {after}", team, several, left[before], cycle.object)


def _between(one: str, other: str) -> str:
    return one if one == other else f"{one or 'nobody'} to {other or 'nobody'}"


def _one(kind: Kind, where: str, team: str, moves: list[Moved], of: int, object_name: str) -> Recurring:
    return _made(kind, where, team, ((move.owner, move.times, move.some) for move in moves), of, object_name)


def _made(
    kind: Kind, where: str, team: str, several: Iterable[tuple[str, int, list[str]]], of: int, object_name: str
) -> Recurring:
    owners, some, times = Counter[str](), dict[str, None](), 0
    for owner, count, ids in several:
        times += count
        some |= dict.fromkeys(ids)
        if owner:
            owners[owner] += count
    most = sorted(owners.items(), key=lambda pair: (-pair[1], pair[0]))[:OWNERS]
    records = tuple(f"{object_name}/{id_}" for id_ in list(some)[:RECORDS])
    return Recurring(kind, where, team, times, of, tuple(most), records)
