"""The five-reps test: give five people the same definition, and see whether they use it alike.

For each state of a lifecycle and each person with enough stays in it: how often it is entered as it asks, how long
stays last, and where they lead. A state is flagged where people differ beyond chance and by enough to matter.
Each record counts once a state, with its first stay.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from watchtower.flow.audit import differ
from watchtower.flow.audit.facts import owner_field
from watchtower.flow.audit.finding import Finding, counted, listed, percent
from watchtower.flow.audit.observe import Observed, Stay
from watchtower.rulebook import Rulebook
from watchtower.rulebook.duties import State
from watchtower.rules.spans import micros

DAY = 86_400_000_000
LEVEL = 0.02
"""Where all work alike, at most one audit in fifty flags anything."""
CASES = 20
"""A person with fewer stays in a state is not compared there."""
POINTS, RATIO, HOUR = 0.10, 1.5, 1 / 24
"""What matters: a share that differs by ten points from that of the others, a median that is half as long again and
differs by an hour."""
RIPE = 90
"""Where stays lead is compared over those old enough that this percentage of such stays had ended by then: of younger
ones only the quick ends are known."""


@dataclass(frozen=True)
class Use:
    """How one person uses a state. Shares in [0, 1]; None where there is no case; `days`: the median stay."""

    rep: str
    cases: int
    as_asked: float | None
    days: float | None
    next: Mapping[str, float]


@dataclass(frozen=True)
class Aspect:
    """One thing compared: `entry`, `dwell` or `next`. `p` is None where it was not compared, and `says` tells why."""

    name: str
    says: str
    p: float | None = None
    adjusted: float | None = None
    differs: bool = False
    rep: str = ""
    """Who departs most from the others."""


@dataclass(frozen=True)
class StateUse:
    """A state and how people use it. `abstains` says why nothing was compared; `few`: people left out."""

    lifecycle: str
    state: str
    field: str
    uses: tuple[Use, ...] = ()
    few: int = 0
    aspects: tuple[Aspect, ...] = ()
    abstains: str = ""

    @property
    def compared(self) -> bool:
        return any(aspect.p is not None for aspect in self.aspects)

    @property
    def differs(self) -> bool:
        return any(aspect.differs for aspect in self.aspects)

    def to_json(self) -> dict[str, Any]:
        return {
            "lifecycle": self.lifecycle, "state": self.state, "rep_field": self.field or None,
            "abstains": self.abstains or None, "left_out": self.few, "differs": self.differs,
            "aspects": [
                {"name": a.name, "p": a.p, "adjusted": a.adjusted, "differs": a.differs, "says": a.says}
                for a in self.aspects
            ],
            "reps": [
                {"rep": u.rep, "cases": u.cases, "as_asked": u.as_asked, "median_days": u.days, "next": dict(u.next)}
                for u in self.uses
            ],
        }  # fmt: skip


def uses(book: Rulebook, seen: Observed) -> list[StateUse]:
    """Every state of every lifecycle, compared or with the reason why not."""
    found: list[StateUse] = []
    for key, cycle in book.lifecycles.items():
        field = owner_field(book, cycle.object)
        for state, model in cycle.states.items():
            if not field:
                why = f"no field of {cycle.object} says who works on it: declare its owner"
                found.append(StateUse(key, state, "", abstains=why))
            else:
                mine = [stay for stay in seen.stays.get(key, ()) if stay.state == state]
                found.append(compare(key, state, model, field, mine, micros(seen.at)))
    return _adjust(found)


def compare(lifecycle: str, state: str, model: State, field: str, stays: Sequence[Stay], at: int) -> StateUse:
    """One state, p-values as they are; `adjusted` and `differs` follow once all states are known."""
    first: dict[str, Stay] = {}
    for stay in stays:
        first.setdefault(stay.record, stay)
    by_rep: dict[str, list[Stay]] = {}
    for stay in first.values():
        if stay.owner:
            by_rep.setdefault(stay.owner, []).append(stay)
    enough = {rep: mine for rep, mine in sorted(by_rep.items()) if len(mine) >= CASES}
    few = len(by_rep) - len(enough)
    if len(enough) < 2:
        why = f"fewer than two people have {CASES} records in it ({counted(len(by_rep), 'person', 'people')}, "
        why += f"{counted(len(first), 'record')})"
        return StateUse(lifecycle, state, field, few=few, abstains=why)
    aspects = (_entry(model, enough), _dwell(model, enough, at), _next(model, enough, at))
    return StateUse(lifecycle, state, field, tuple(_use(rep, mine, at) for rep, mine in enough.items()), few, aspects)


def _days(stay: Stay, at: int) -> float:
    return ((stay.until if stay.until is not None else at) - stay.since) / DAY


def _left(stay: Stay) -> bool:
    return stay.next is not None


def _use(rep: str, stays: Sequence[Stay], at: int) -> Use:
    judged = [stay.as_asked for stay in stays if stay.as_asked is not None]
    led = Counter(stay.next for stay in stays if stay.next is not None)
    return Use(
        rep, len(stays), sum(judged) / len(judged) if judged else None,
        differ.median_duration([_days(stay, at) for stay in stays], [_left(stay) for stay in stays]),
        {target: n / led.total() for target, n in sorted(led.items())},
    )  # fmt: skip


def _entry(model: State, by_rep: Mapping[str, Sequence[Stay]]) -> Aspect:
    if model.enter is None and model.requires is None:
        return Aspect("entry", "it asks nothing of what enters it, so each may enter what they like")
    judged = {rep: [s.as_asked for s in stays if s.as_asked is not None] for rep, stays in by_rep.items()}
    judged = {rep: answers for rep, answers in judged.items() if len(answers) >= CASES}
    if len(judged) < 2:
        return Aspect("entry", f"fewer than two people have {CASES} records that could be judged")
    table = np.array([[sum(answers), len(answers) - sum(answers)] for answers in judged.values()], dtype=np.int64)
    return _shares("entry", table, list(judged), ["entered as it asks", "entered without all it asks"])


def _next(model: State, by_rep: Mapping[str, Sequence[Stay]], at: int) -> Aspect:
    lengths = [_days(stay, at) for stays in by_rep.values() for stay in stays if _left(stay)]
    if not lengths:
        return Aspect("next", "nothing has left it yet" if not model.final else "records stay in it")
    ripe = float(np.percentile(lengths, RIPE)) * DAY
    led = {rep: [s.next for s in stays if s.next and at - s.since >= ripe] for rep, stays in by_rep.items()}
    led = {rep: targets for rep, targets in led.items() if len(targets) >= CASES}
    targets = sorted({target for mine in led.values() for target in mine if target is not None})
    if len(led) < 2:
        return Aspect("next", f"fewer than two people have {CASES} records that left it")
    if len(targets) < 2:
        return Aspect("next", f"all that left it went to {targets[0]}")
    table = np.array([[mine.count(target) for target in targets] for mine in led.values()], dtype=np.int64)
    return _shares("next", table, list(led), [f"went on to {target}" for target in targets])


def _shares(name: str, table: differ.Table, reps: Sequence[str], columns: Sequence[str]) -> Aspect:
    row, column = differ.strangest(table)
    rest = np.delete(table, row, axis=0).sum(axis=0)
    mine, others = table[row, column] / table[row].sum(), rest[column] / rest.sum()
    says = f"{reps[row]}: {percent(mine)} {columns[column]}; the others: {percent(others)}"
    return Aspect(name, says, differ.table_p(table), differs=bool(abs(mine - others) >= POINTS), rep=reps[row])


def _dwell(model: State, by_rep: Mapping[str, Sequence[Stay]], at: int) -> Aspect:
    if model.final:
        return Aspect("dwell", "a final state: records may stay")
    rows = [(_days(stay, at), _left(stay), n) for n, stays in enumerate(by_rep.values()) for stay in stays]
    lengths, ended, group = (list(part) for part in zip(*rows, strict=True))
    if sum(ended) < CASES:
        return Aspect("dwell", f"fewer than {CASES} records have left it")
    p, departures = differ.durations_p(lengths, ended, group)
    far = int(np.abs(departures).argmax())
    mine = differ.median_duration(*_of(rows, lambda n: n == far))
    others = differ.median_duration(*_of(rows, lambda n: n != far))
    rep = list(by_rep)[far]
    says = f"{rep}: half have left after {_time(mine)}; of the others: {_time(others)}"
    if mine is None or others is None:
        matters = mine is not others
    else:
        matters = max(mine, others) >= RATIO * min(mine, others) and abs(mine - others) >= HOUR
    return Aspect("dwell", says, p, differs=matters, rep=rep)


def _of(rows: Sequence[tuple[float, bool, int]], wanted: Callable[[int], bool]) -> tuple[list[float], list[bool]]:
    chosen = [(length, ended) for length, ended, n in rows if wanted(n)]
    return [length for length, _ in chosen], [ended for _, ended in chosen]


def _time(days: float | None) -> str:
    if days is None:
        return "longer than was seen"
    if days >= 1:
        return f"{days:.1f} days"
    return f"{days * 24:.1f} hours" if days * 24 >= 1 else f"{days * 1440:.1f} minutes"


def _adjust(found: Sequence[StateUse]) -> list[StateUse]:
    """Flags what differs by enough to matter, once the p-values are adjusted for all that was asked."""
    asked = [aspect.p for use in found for aspect in use.aspects if aspect.p is not None]
    answers = iter(differ.adjusted(asked))
    done = []
    for use in found:
        aspects = []
        for aspect in use.aspects:
            if aspect.p is not None:
                q = next(answers)
                aspect = replace(aspect, adjusted=q, differs=aspect.differs and q <= LEVEL)
            aspects.append(aspect)
        done.append(replace(use, aspects=tuple(aspects)))
    return done


ASPECTS = {"entry": "what it takes to enter it", "dwell": "how long records stay", "next": "where it leads"}


def findings(book: Rulebook, found: Sequence[StateUse], seen: Observed) -> list[Finding]:
    """One for each state that people use differently, and for each lifecycle that nobody can be asked about."""
    told = []
    for use in found:
        apart = [aspect for aspect in use.aspects if aspect.differs]
        if not apart:
            continue
        conversions = [
            key for key, metric in book.metrics.items()
            if metric.lifecycle == use.lifecycle and metric.kind in ("conversion", "velocity")
        ]  # fmt: skip
        read = f"{listed(conversions)} mix what people mean by it" if conversions else "a number over it mixes meanings"
        odd = {aspect.rep for aspect in apart}
        theirs = [stay for stay in seen.stays[use.lifecycle] if stay.state == use.state and stay.owner in odd]
        theirs.sort(key=lambda stay: stay.as_asked is not False)
        told.append(
            Finding(
                "P1",
                "reps",
                f"{use.lifecycle}.{use.state} is used in different ways: "
                f"{', '.join(ASPECTS[aspect.name] for aspect in apart)}",
                f"{counted(len(use.uses), 'person', 'people')} differ beyond chance, so {read}.",
                "Read the definition together, with these records; then sharpen what it asks for. First see whether "
                "they are given the same kind of work.",
                tuple(f"{a.says} (p = {a.adjusted:.2g}, adjusted)" for a in apart),
                tuple(f"{book.lifecycles[use.lifecycle].object}/{stay.record}" for stay in theirs[:5]),
            )  # fmt: skip
        )
    for key, cycle in book.lifecycles.items():
        mine = [use for use in found if use.lifecycle == key]
        if mine and not any(use.field for use in mine):
            told.append(
                Finding(
                    "P2",
                    "reps",
                    f"Nobody can tell who works on a {cycle.object}",
                    "Whether people use its states alike cannot be asked.",
                    f"Declare it: objects.{cycle.object}.owner names the field.",
                    (mine[0].abstains,),
                )  # fmt: skip
            )
    return told
