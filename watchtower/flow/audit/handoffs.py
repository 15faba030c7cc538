"""Handoffs: what changes hands, from whom to whom, who answers by when, what happens when it fails; and the places
where work changes hands without a contract."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

from watchtower.flow.audit.facts import rules_of
from watchtower.flow.audit.finding import Finding, counted, listed, percent
from watchtower.flow.audit.observe import Observed
from watchtower.rulebook import Rulebook
from watchtower.rulebook.duties import Handoff
from watchtower.rules.compile import Program

HOUR = 3_600_000_000
CASES = 20
"""Offers below which a share of rejected ones says little."""
REJECTED = 0.2
URGENT = ("high", "critical")


@dataclass(frozen=True)
class Offers:
    """What was made of a handoff. `late`: how often one lay longer than its contract allows; `limbo`: the records that
    lie so at the end; `again`: offered once more after a rejection; `hours`: the median time to an answer."""

    offered: int
    accepted: int
    rejected: int
    waiting: int
    late: int
    limbo: tuple[str, ...]
    again: int
    hours: float | None

    def to_json(self) -> dict[str, Any]:
        return {
            "offered": self.offered, "accepted": self.accepted, "rejected": self.rejected, "waiting": self.waiting,
            "late": self.late, "limbo": list(self.limbo), "offered_again": self.again,
            "median_answer_hours": self.hours,
        }  # fmt: skip


@dataclass(frozen=True)
class Contract:
    """One handoff as the rulebook has it. `fails`: the rules that fire, and how often each did (None: no events)."""

    name: str
    object: str
    giver: str
    taker: str
    urgent: bool
    """Whether an answer that does not come is of high or critical severity."""
    passes: tuple[str, ...]
    criteria: str
    responsible: str
    answer: str
    due: str
    accepted: str
    rejected: str
    fails: tuple[tuple[str, int | None], ...]
    lacks: tuple[str, ...]
    offers: Offers | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name, "object": self.object, "from": self.giver or None, "to": self.taker or None,
            "changes_hands": list(self.passes), "criteria": self.criteria or None,
            "responsible_field": self.responsible or None, "answer_within": self.answer or None,
            "due_within": self.due or None, "accepted_means": self.accepted or None,
            "rejected_means": self.rejected or None,
            "when_it_fails": [{"rule": rule, "times": times} for rule, times in self.fails],
            "lacks": list(self.lacks), "observed": self.offers.to_json() if self.offers else None,
        }  # fmt: skip


@dataclass(frozen=True)
class Seam:
    """A place where another role takes over and no contract says how. `moves`: how often that happened."""

    where: str
    giver: str
    taker: str
    moves: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {"where": self.where, "from": self.giver, "to": self.taker, "moves": self.moves}


def contracts(program: Program, seen: Observed | None) -> list[Contract]:
    """Every handoff of the rulebook, with what was made of it where there are events."""
    return [_contract(program, name, handoff, seen) for name, handoff in program.book.handoffs.items()]


def _contract(program: Program, name: str, handoff: Handoff, seen: Observed | None) -> Contract:
    answer = handoff.answer
    clock = f" of {answer.calendar} hours" if answer is not None and answer.calendar else ""
    rules = [compiled.rule.id for compiled in rules_of(program, f"handoffs.{name}")]
    return Contract(
        name, handoff.object, handoff.from_, handoff.to,
        ((answer.severity if answer else None) or handoff.severity) in URGENT,
        tuple(handoff.requires.fields) if handoff.requires else (),
        handoff.criteria.when if handoff.criteria else "", handoff.responsible or "",
        f"{answer.time}{clock}" if answer else "", handoff.due.within if handoff.due else "",
        handoff.accepted, handoff.rejected,
        tuple((rule, seen.rule(rule).times if seen else None) for rule in rules),
        tuple(_lacks(program.book, handoff)),
        _offers(name, handoff.object, seen) if seen else None,
    )  # fmt: skip


def _lacks(book: Rulebook, handoff: Handoff) -> Iterator[str]:
    if not handoff.from_:
        yield "who gives it"
    if not handoff.to:
        yield "who takes it"
    if handoff.requires is None and handoff.criteria is None:
        yield "what must be there"
    if handoff.answer is None:
        yield "a time to answer"
    if handoff.reoffer is None:
        yield "what follows a rejection"
    if not (handoff.accepted and handoff.rejected):
        yield "what accepted and rejected mean"
    for role in (handoff.from_, handoff.to):
        if role and book.roles and role not in book.roles:
            yield f"the role {role} among roles"


def _offers(name: str, object_name: str, seen: Observed) -> Offers:
    stays = seen.offers.get(name, ())
    offered = [stay for stay in stays if stay.state == "offered"]
    answered = [stay.until - stay.since for stay in offered if stay.until is not None and stay.next]
    limbo = seen.rule(f"{name}.limbo")
    return Offers(
        len(offered), sum(stay.state == "accepted" for stay in stays), sum(stay.state == "rejected" for stay in stays),
        sum(stay.until is None for stay in offered), limbo.times, limbo.standing,
        sum(stay.next == "offered" for stay in stays if stay.state == "rejected"),
        median(answered) / HOUR if answered else None,
    )  # fmt: skip


def seams(book: Rulebook, seen: Observed | None) -> list[Seam]:
    """Where the next state, or the lifecycle a record leads to, has another owner and no handoff joins them."""
    found = []
    for key, cycle in book.lifecycles.items():
        for state, model in cycle.states.items():
            for target in model.next:
                giver, taker = model.owner or cycle.owner, cycle.states[target].owner or cycle.owner
                if cycle.states[target].final or not giver or not taker or giver == taker:
                    continue
                if not _joined(book, giver, taker):
                    moves = None
                    if seen is not None:
                        moves = sum(s.state == state and s.next == target for s in seen.stays.get(key, ()))
                    found.append(Seam(f"{key}: {state} to {target}", giver, taker, moves))
    for key, cycle in book.lifecycles.items():
        for field, spec in book.objects[cycle.object].fields.items():
            for other_key, other in book.lifecycles.items():
                if spec.to != other.object or other_key == key or not cycle.owner or not other.owner:
                    continue
                if cycle.owner != other.owner and not _joined(book, cycle.owner, other.owner, either=True):
                    linked = None if seen is None else seen.filled.get((cycle.object, field), 0)
                    where = f"{cycle.object}.{field}: {key} and {other_key}"
                    found.append(Seam(where, cycle.owner, other.owner, linked))
    return found


def _joined(book: Rulebook, giver: str, taker: str, *, either: bool = False) -> bool:
    pairs = {(handoff.from_, handoff.to) for handoff in book.handoffs.values()}
    return (giver, taker) in pairs or (either and (taker, giver) in pairs)


def findings(told: list[Contract], open_: list[Seam]) -> list[Finding]:
    """What the contracts lack, what lies between two roles now, and where there is no contract."""
    found: list[Finding] = []
    for contract in told:
        found += _of_contract(contract)
        if contract.offers is not None:
            found += _of_offers(contract, contract.offers)
    for seam in open_:
        often = "" if seam.moves is None else f"; it happened {counted(seam.moves, 'time')}"
        found.append(
            Finding(
                "P1" if seam.moves is None or seam.moves else "P2",
                "handoffs",
                f"Work changes hands from {seam.giver} to {seam.taker} without a contract",
                "Nothing says what must be there, or by when the other side answers.",
                f"Write a handoff from {seam.giver} to {seam.taker}, or give both sides one owner.",
                (f"{seam.where}: owners differ, and no handoff joins them{often}",),
            )  # fmt: skip
        )
    return found


def _of_contract(contract: Contract) -> Iterator[Finding]:
    title = f"The handoff {contract.name} lacks "
    grave = [lack for lack in contract.lacks if lack in ("who gives it", "who takes it", "a time to answer")]
    empty = [lack for lack in contract.lacks if lack in ("what must be there",)]
    rest = [lack for lack in contract.lacks if lack not in grave + empty]
    evidence = (f"handoffs.{contract.name}: {len(contract.fails)} rules follow from it",)
    for priority, lacks, reason in (
        ("P0", grave, "Between offer and answer nobody is responsible, and nobody notices."),
        ("P1", empty, "Whatever is passed on counts as whole."),
        ("P2", rest, "It works; what is left open is settled case by case."),
    ):
        if lacks:
            yield Finding(
                priority, "handoffs", title + " and ".join(lacks), reason, "Say it in the contract.", evidence
            )


def _of_offers(contract: Contract, offers: Offers) -> Iterator[Finding]:
    if offers.limbo:
        yield Finding(
            "P0" if contract.urgent else "P1", "handoffs",
            f"{counted(len(offers.limbo), 'offer')} of {contract.name} not answered within {contract.answer}",
            "It happens now" + (", and the contract calls it urgent." if contract.urgent else "."),
            f"{contract.taker or 'The taker'} accepts or rejects them today.",
            (f"{contract.name}.limbo: {counted(offers.late, 'time')} broken of {counted(offers.offered, 'offer')}",),
            offers.limbo[:5],
        )  # fmt: skip
    if offers.offered >= CASES and offers.rejected / offers.offered >= REJECTED:
        yield Finding(
            "P1", "handoffs", f"{percent(offers.rejected / offers.offered)} of {contract.name} are rejected",
            f"{offers.again} of them were offered again: that work was done twice.",
            f"Ask {contract.taker} what is missing most often, and require it.",
            (f"{offers.rejected} rejected of {counted(offers.offered, 'offer')}; "
             f"requires {listed(list(contract.passes))}",),
        )  # fmt: skip
    if offers.offered == 0:
        yield Finding(
            "P1", "handoffs", f"The handoff {contract.name} is never offered",
            "Either the work is passed on past the contract, or the events do not reach us.",
            "See how it is passed on today; send handoff.offered from there.",
            (f"no handoff.offered event names {contract.name}",),
        )  # fmt: skip
