"""Each line of a lifecycle, handoff, budget, cadence or acceptance becomes an ordinary rule with a stable id.

lifecycles.<l>.states.<s>.requires   <l>.<s>.incomplete   in the state, and a field is missing
                         .enter      <l>.<s>.entered      in the state, and the criterion does not hold
                         .leave      <l>.<s>.left         gone on from it, and the criterion does not hold
                         .at_most    <l>.<s>.stuck        in the state for too long
lifecycles.<l>                       <l>.moves            came by a move that is not allowed
handoffs.<h>.due                     <h>.due              due, and not offered in time
            .requires, .criteria     <h>.incomplete, .unmet   offered or accepted, and something lacks
            .responsible             <h>.unowned          accepted, and nobody is responsible
            .answer, .reoffer        <h>.limbo, .rejected     offered, or rejected, and left so for too long
budgets.<b>.tiers                    <b>.over_<n>         above the limit, and nobody who may has agreed
cadences.<c>                         <c>.overdue          not done again in time
acceptance.<o>.<f>.expires_after     <o>.<f>.stale        a value that AI filled is too old
sources.<s>                          source.<s>.silent    has sent nothing for too long
jobs.<j>                             job.<j>.silent       has not run for too long
systems.<s>                          system.<s>.failing   refuses us: somebody must put it right
                                     system.<s>.silent    no round has succeeded for too long
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from watchtower.rulebook.duties import Budget, Cadence, Criterion, Duty, Handoff, Lifecycle, Limit, State
from watchtower.rulebook.parts import Example
from watchtower.rulebook.source import Path_
from watchtower.rulebook.systems import System
from watchtower.rulebook.watched import Watch

if TYPE_CHECKING:
    from watchtower.rulebook.model import Acceptance, Rulebook


_RESERVED = frozenset({
    "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric", "at", "both", "by", "case",
    "cast", "check", "collate", "column", "constraint", "create", "current_date", "current_time",
    "current_timestamp", "date", "default", "deferrable", "desc", "distinct", "do", "else", "end", "except",
    "extract", "false", "fetch", "filter", "first", "for", "foreign", "from", "full", "grant", "group", "having",
    "in", "inner", "intersect", "interval", "into", "is", "join", "last", "lateral", "leading", "left", "like",
    "limit", "localtime", "natural", "not", "now", "null", "offset", "on", "only", "or", "order", "outer", "over",
    "partition", "placing", "primary", "references", "returning", "right", "row", "select", "session_user", "set",
    "similar", "some", "symmetric", "table", "then", "time", "timestamp", "to", "trailing", "true", "union",
    "unique", "user", "using", "values", "when", "where", "window", "with", "zone",
})  # fmt: skip


Piece = str | tuple[str, str]


@dataclass(frozen=True)
class Derived:
    """A rule to be, as keywords of RuleModel; where the line stands that it comes from; and which stretches of its
    `when` the author wrote: (start, length, where that text stands)."""

    rule: dict[str, Any]
    path: Path_
    texts: tuple[tuple[int, int, Path_], ...] = ()


@dataclass(frozen=True)
class _Home:
    """What a duty belongs to, and what it takes from it where it says nothing itself."""

    object: str
    path: Path_
    severity: str
    queue: str
    owner: str


def derive(book: Rulebook) -> list[Derived]:
    """Every rule that follows from the rulebook's other parts, in their order."""
    found: list[Derived] = []
    for name, lifecycle in book.lifecycles.items():
        found += _lifecycle(name, lifecycle)
    for name, handoff in book.handoffs.items():
        found += _handoff(name, handoff)
    for name, budget in book.budgets.items():
        found += _budget(name, budget)
    for name, cadence in book.cadences.items():
        found.append(_cadence(name, cadence))
    for name, acceptance in book.acceptance.items():
        if acceptance.expires_after:
            found.append(_stale(name, acceptance))
    for kind, watches in (("source", book.sources), ("job", book.jobs)):
        found += (_silent(kind, name, watch) for name, watch in watches.items())
    for name, system in book.systems.items():
        found += _system(name, system)
    return found


def text(value: str) -> str:
    """A text literal of the rule language."""
    return "'" + value.replace("'", "''") + "'"


def column(value: str) -> str:
    """A field as a condition names it: quoted where SQL keeps the word for itself."""
    return f'"{value}"' if value in _RESERVED else value


def _rule(
    rule_id: str,
    home: _Home,
    duty: Duty,
    pieces: Sequence[Piece],
    because: str,
    then: str,
    *,
    wait: str = "",
    part: Path_ = (),
) -> Derived:
    """`pieces` make up the condition; (text, key) is one that the author wrote under that key of the duty.

    A duty that is a lone value, `at_most: 21 days`, stands at its own path.
    """
    path = (*home.path, *part)
    when, texts = "", []
    for piece in pieces:
        if isinstance(piece, tuple):
            texts.append((len(when), len(piece[0]), (*path, piece[1])))
            piece = piece[0]
        when += piece
    return Derived(
        {
            "id": rule_id, "object": home.object, "when": when, "for": duty.for_ or wait,
            "severity": duty.severity or home.severity, "queue": duty.queue or home.queue,
            "owner": duty.owner or home.owner, "because": duty.because or because, "then": duty.then or then,
            "inhibits": list(duty.inhibits), "mode": duty.mode, "examples": list(duty.examples),
            "origin": ".".join(map(str, path)),
        },
        path,
        tuple(texts),
    )  # fmt: skip


def _lacks(fields: Sequence[str]) -> str:
    return "(" + " or ".join(f"{_path(field)} is null" for field in fields) + ")"


def _path(field: str) -> str:
    return ".".join(column(part) for part in field.split("."))


def _for_too_long(limit: Limit, since: str) -> str:
    if not limit.calendar:
        return f"{since} <= now() - interval {text(limit.time)}"
    paused = f", paused_by => {column(limit.paused_by)}" if limit.paused_by else ""
    return f"business_elapsed({since}, {text(limit.calendar)}{paused}) >= interval {text(limit.time)}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def _lifecycle(name: str, cycle: Lifecycle) -> Iterator[Derived]:
    stage = column(cycle.field)
    for key, state in cycle.states.items():
        home = _Home(
            cycle.object,
            ("lifecycles", name, "states", key),
            cycle.severity,
            cycle.queue,
            state.owner or cycle.owner,
        )
        yield from _state(f"{name}.{key}", stage, key, state, home)
    if any(state.next or state.final for state in cycle.states.values()):
        home = _Home(cycle.object, ("lifecycles", name), "low", cycle.queue, cycle.owner)
        moves = []
        for key, state in cycle.states.items():
            gone = f"{stage} not in ({', '.join(map(text, state.next))})" if state.next else f"{stage} is not null"
            moves.append(f"(previous({stage}) = {text(key)} and {gone})")
        because = f"The {cycle.object} came to its {cycle.field} by a move that is not allowed."
        then = f"Put the {cycle.field} right, or change what is allowed."
        part = ("moves",) if cycle.moves is not None else ()
        # A record that has not moved yet lacks nothing: without the guard it would be unknown.
        when = f"previous({stage}) is not null and ({' or '.join(moves)})"
        if cycle.starts:
            when = f"(previous({stage}) is null and {stage} not in ({', '.join(map(text, cycle.starts))})) or ({when})"
        yield _rule(f"{name}.moves", home, cycle.moves or Duty(), [when], because, then, part=part)


def _state(rule_id: str, stage: str, key: str, state: State, home: _Home) -> Iterator[Derived]:
    here = f"{stage} = {text(key)}"
    if (needs := state.requires) is not None:
        because = f"In {key}, {_listed(needs.fields)} must be known."
        yield _rule(f"{rule_id}.incomplete", home, needs, [f"{here} and {_lacks(needs.fields)}"], because,
                    "Enter what is missing.", part=("requires",))  # fmt: skip
    if (enter := state.enter) is not None:
        entered: list[Piece] = [f"{here} and not (", (enter.when, "when"), ")"]
        yield _rule(f"{rule_id}.entered", home, enter, entered, f"It is in {key} and does not meet what {key} asks.",
                    f"Meet it, or take it out of {key}.", part=("enter",))  # fmt: skip
    if (leave := state.leave) is not None:
        targets = ", ".join(map(text, leave.to or state.next))
        came_from = f"previous({stage}) is not null and previous({stage})"
        moved = f"{stage} in ({targets})" if targets else f"{stage} <> {text(key)}"
        left: list[Piece] = [
            f"{came_from} = {text(key)} and {moved} and not (",
            (leave.when, "when"),
            ")",
        ]
        yield _rule(f"{rule_id}.left", home, leave, left, f"It left {key} without what {key} must bring.",
                    "Bring it now, or move it back.", part=("leave",))  # fmt: skip
    if (limit := state.at_most) is not None:
        since = _path(limit.since) if limit.since.replace("_", "a").isalnum() else limit.since
        condition = f"{here} and {_for_too_long(limit, since or f'changed_at({stage})')}"
        yield _rule(f"{rule_id}.stuck", home, limit, [condition], f"It has been in {key} for {limit.time}.",
                    _next(state), part=("at_most",))  # fmt: skip


def _next(state: State) -> str:
    return f"Decide: {' or '.join(state.next)}." if state.next else "Decide what comes next."


def _handoff(name: str, handoff: Handoff) -> Iterator[Derived]:
    def home(owner: str) -> _Home:
        return _Home(handoff.object, ("handoffs", name), handoff.severity, handoff.queue, owner)

    # What was never offered lacks nothing: without the guard it would be unknown.
    status = f"{name}.status"
    offered = f"{status} is not null and {status}"
    under_way = f"{offered} in ('offered', 'accepted')"
    giver, taker = home(handoff.from_), home(handoff.to or handoff.from_)
    if (due := handoff.due) is not None:
        pieces: list[Piece] = ["(", (due.when, "when"), f") and {status} is null"]
        yield _rule(f"{name}.due", giver, due, pieces, f"{name} has been due for {due.within} and was not offered.",
                    f"Offer it to {handoff.to or 'the next team'}.", wait=due.within, part=("due",))  # fmt: skip
    if (needs := handoff.requires) is not None:
        condition = f"{under_way} and {_lacks(needs.fields)}"
        yield _rule(f"{name}.incomplete", giver, needs, [condition],
                    f"It was handed over without all of {_listed(needs.fields)}.", "Enter what is missing.",
                    part=("requires",))  # fmt: skip
    if (criteria := handoff.criteria) is not None:
        yield _rule(f"{name}.unmet", giver, criteria, _unmet(under_way, criteria),
                    "It was handed over and does not meet the contract.", "Put it right, or take it back.",
                    part=("criteria",))  # fmt: skip
    if handoff.responsible is not None:
        condition = f"{offered} = 'accepted' and {column(handoff.responsible)} is null"
        yield _rule(f"{name}.unowned", taker, Duty(), [condition],
                    f"It was accepted, and {handoff.responsible} names nobody.", "Name who is responsible.",
                    part=("responsible",))  # fmt: skip
    for limit, kind, at, who, then in (
        (handoff.answer, "limbo", "offered", taker, "Accept it, or reject it and say what is missing."),
        (handoff.reoffer, "rejected", "rejected", giver, "Add what was missing and offer it again."),
    ):
        if limit is not None:
            condition = f"{offered} = {text(at)} and {_for_too_long(limit, limit.since or f'{name}.{at}_at')}"
            because = f"It was {at} {limit.time} ago, and nothing has followed."
            part = ("answer",) if kind == "limbo" else ("reoffer",)
            yield _rule(f"{name}.{kind}", who, limit, [condition], because, then, part=part)


def _unmet(under_way: str, criteria: Criterion) -> list[Piece]:
    return [f"{under_way} and not (", (criteria.when, "when"), ")"]


def _budget(name: str, budget: Budget) -> Iterator[Derived]:
    home = _Home(budget.object, ("budgets", name), budget.severity, budget.queue, budget.owner)
    field, approver = column(budget.field), column(budget.approved_by)
    for index, tier in enumerate(budget.tiers):
        upper = budget.tiers[index + 1].over if index + 1 < len(budget.tiers) else None
        within = f"{field} > {tier.over:g}" + (f" and {field} <= {upper:g}" if upper is not None else "")
        approvers = ", ".join(map(text, tier.approvers))
        where = f"({budget.where}) and " if budget.where else ""
        condition = f"{where}{within} and ({approver} is null or {approver} not in ({approvers}))"
        shown = f"{tier.over:g}".replace(".", "_").replace("-", "minus_")
        yield _rule(f"{name}.over_{shown}", home, tier, [condition],
                    f"{budget.field} is above {tier.over:g}, and none of {_listed(tier.approvers)} has agreed.",
                    f"Ask {' or '.join(tier.approvers)}, or come back to {tier.over:g}.",
                    part=("tiers", index))  # fmt: skip


def _cadence(name: str, cadence: Cadence) -> Derived:
    home = _Home(cadence.object, ("cadences", name), "medium", "inbox", "")
    last = f"coalesce({cadence.done}, {cadence.first})"
    pieces: list[Piece] = ["(", (cadence.where, "where"), ") and "] if cadence.where else []
    pieces.append(f"{last} <= now() - interval {text(cadence.every)}")
    return _rule(f"{name}.overdue", home, cadence, pieces, f"{name} was not done for {cadence.every}.",
                 f"Do it: {', '.join(cadence.agenda)}." if cadence.agenda else "Do it.")  # fmt: skip


def _stale(name: str, acceptance: Acceptance) -> Derived:
    object_name, _, field = name.partition(".")
    home = _Home(object_name, ("acceptance", name), "low", "data-quality", acceptance.owner)
    condition = (
        f"{column(field)} is not null and source_of({column(field)}) = 'ai' "
        f"and changed_at({column(field)}) <= now() - interval {text(acceptance.expires_after)}"
    )
    return _rule(f"{name}.stale", home, Duty(), [condition], f"{field} was read {acceptance.expires_after} ago.",
                 "Read it again from a newer document, or enter it.", part=("expires_after",))  # fmt: skip


def _silent(kind: str, name: str, watch: Watch) -> Derived:
    home = _Home(kind, (f"{kind}s", name), "high", "inbox", "")
    limit = Limit(time=watch.silent_after, calendar=watch.calendar)
    condition = f"name = {text(name)} and {_for_too_long(limit, 'last_event_at')}"
    said, then = (
        ("has sent nothing", "See that it runs, that it reaches us, and that its key is valid.")
        if kind == "source"
        else ("has not run", "See that watchtower up or worker runs; its log says what hinders it.")
    )
    examples = watch.examples or [
        Example(hit={"name": name, "last_event_at": "2026-01-05T09:00:00Z"}, at="2027-01-05T09:00:00Z"),
        Example(miss={"name": name, "last_event_at": "2026-01-05T09:00:00Z"}, at="2026-01-05T09:00:00Z"),
    ]
    duty = watch.model_copy(update={"examples": examples})
    return _rule(f"{kind}.{name}.silent", home, duty, [condition], f"{name} {said} for {watch.silent_after}.", then)


def _system(name: str, system: System) -> Iterator[Derived]:
    home = _Home("system", ("systems", name), system.severity, system.queue, system.owner)
    silent = f"system.{name}.silent"
    at, later = "2026-01-05T09:00:00Z", "2027-01-05T09:00:00Z"
    examples = [
        Example(hit={"name": name, "failing_since": at, "failure": "answered 401"}, at=at),
        Example(miss={"name": name, "last_event_at": at}, at=at),
    ]
    # Until it is put right it will be silent, too: one alert says both.
    failing = Duty(examples=examples, inhibits=[silent] if system.silence else [])
    yield _rule(f"system.{name}.failing", home, failing, [f"name = {text(name)} and failing_since is not null"],
                f"{name} refuses us; watchtower systems says why.",
                "See that its credentials are valid and may read what the rulebook names.")  # fmt: skip
    if system.silence:
        limit = Limit(time=system.silence, calendar=system.calendar)
        condition = f"name = {text(name)} and {_for_too_long(limit, 'last_event_at')}"
        examples = [
            Example(hit={"name": name, "last_event_at": at}, at=later),
            Example(miss={"name": name, "last_event_at": at}, at=at),
        ]
        yield _rule(silent, home, Duty(examples=examples), [condition],
                    f"No round of {name} has succeeded for {system.silence}.",
                    "See that watchtower up runs and that it answers; watchtower systems says more.")  # fmt: skip
