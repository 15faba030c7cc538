"""The maturity stage: the highest whose criteria, and those of all before it, hold. Each criterion shows its evidence.

A criterion that needs events and has none is not known, and what is not known does not count as met.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from watchtower.flow.audit.components import Component
from watchtower.flow.audit.finding import counted, listed, percent
from watchtower.flow.audit.handoffs import Contract
from watchtower.flow.audit.observe import Observed
from watchtower.flow.audit.reps import StateUse
from watchtower.rules.compile import Program

STAGES = {
    "ad hoc": "Revenue runs on what each person knows.",
    "defined": "What should happen is written down, with one owner for each step.",
    "managed": "What should happen is watched: handoffs, deadlines and owners.",
    "measured": "How well it happens is known in numbers that can be trusted.",
    "improving": "What is learned comes back: the same fault is met less often.",
}
FOUNDATIONS = ("definitions", "ownership", "qualification", "lifecycle")
KNOWN = 0.8
"""How full a field that rules read must be before a number that stands on it is trusted."""
NO_EVENTS = "not known: give EVENTS"


@dataclass(frozen=True)
class Criterion:
    """`met` is None where it is not known."""

    stage: str
    says: str
    met: bool | None
    evidence: str

    def to_json(self) -> dict[str, Any]:
        return {"stage": self.stage, "says": self.says, "met": self.met, "evidence": self.evidence}


@dataclass(frozen=True)
class Maturity:
    stage: str
    criteria: tuple[Criterion, ...]

    @property
    def means(self) -> str:
        return STAGES[self.stage]

    @property
    def next(self) -> str:
        """The stage above; empty at the top."""
        names = list(STAGES)
        place = names.index(self.stage) + 1
        return names[place] if place < len(names) else ""

    @property
    def open(self) -> list[Criterion]:
        """What stands between this stage and the next."""
        return [criterion for criterion in self.criteria if criterion.stage == self.next and not criterion.met]

    def to_json(self) -> dict[str, Any]:
        return {
            "stage": self.stage, "means": self.means, "next": self.next or None,
            "criteria": [criterion.to_json() for criterion in self.criteria],
        }  # fmt: skip


def maturity(
    program: Program,
    components: Sequence[Component],
    contracts: Sequence[Contract],
    uses: Sequence[StateUse],
    seen: Observed | None,
) -> Maturity:
    """The stage, and every criterion of every stage."""
    by_key = {component.part.key: component for component in components}
    criteria = (
        *_defined(by_key), *_managed(by_key, contracts, seen), *_measured(program, by_key, seen),
        *_improving(by_key, uses, seen),
    )  # fmt: skip
    reached = "ad hoc"
    for stage in list(STAGES)[1:]:
        if not all(criterion.met for criterion in criteria if criterion.stage == stage):
            break
        reached = stage
    return Maturity(reached, criteria)


def _is_there(by_key: dict[str, Component], stage: str, *keys: str) -> Criterion:
    gone = [by_key[key].part.title for key in keys if by_key[key].status == "missing"]
    titles = [by_key[key].part.title for key in keys]
    says = f"{listed(titles, 9)} {'are' if len(keys) > 1 else 'is'} there"
    return Criterion(stage, says, not gone, f"missing: {listed(gone)}" if gone else "none is missing")


def _test(by_key: dict[str, Component], stage: str, key: str, place: int, says: str) -> Criterion:
    """A test of a component, asked again for this stage."""
    tests = by_key[key].tests
    return Criterion(stage, says, tests[place].met, tests[place].evidence)


def _defined(by_key: dict[str, Component]) -> Iterable[Criterion]:
    yield _is_there(by_key, "defined", *FOUNDATIONS)
    yield _test(by_key, "defined", "lifecycle", 1, "every state leads on or ends")
    yield _test(by_key, "defined", "lifecycle", 2, "every state has an owner")
    yield _test(by_key, "defined", "lifecycle", 3, "every state says what it means")
    yield _test(by_key, "defined", "proof", 2, "every rule says why it exists")


def _managed(by_key: dict[str, Component], contracts: Sequence[Contract], seen: Observed | None) -> Iterable[Criterion]:
    yield _is_there(by_key, "managed", "handoffs", "slas", "routing")
    grave = ("who gives it", "who takes it", "what must be there", "a time to answer")
    torn = [f"{c.name} ({lack})" for c in contracts for lack in c.lacks if lack in grave]
    yield Criterion(
        "managed", "every handoff says who gives, who takes, what, and by when", bool(contracts) and not torn,
        listed(torn) if torn else f"{counted(len(contracts), 'handoff')}",
    )  # fmt: skip
    yield _test(by_key, "managed", "slas", 1, "every open state has a limit of time")
    yield _test(by_key, "managed", "ownership", 1, "every rule has an owner")
    yield _test(by_key, "managed", "proof", 1, "every rule has an example that hits and one that misses")
    if seen is None:
        yield Criterion("managed", "no handoff lies unanswered past its time", None, NO_EVENTS)
        return
    lying = [record for c in contracts if c.offers for record in c.offers.limbo]
    yield Criterion(
        "managed", "no handoff lies unanswered past its time", not lying,
        f"{counted(len(lying), 'handoff')}: {listed(lying)}" if lying else "none does",
    )  # fmt: skip


def _measured(program: Program, by_key: dict[str, Component], seen: Observed | None) -> Iterable[Criterion]:
    yield _is_there(by_key, "measured", "metrics", "scorecards")
    yield _test(by_key, "measured", "metrics", 1, "every metric has an owner")
    yield _test(by_key, "measured", "scorecards", 1, "every role has a scorecard")
    cases, facts = "every metric has cases", f"each fact that rules go without is there on {percent(KNOWN)} of records"
    if seen is None:
        yield Criterion("measured", cases, None, NO_EVENTS)
        yield Criterion("measured", facts, None, NO_EVENTS)
        return
    empty = [key for key in program.book.metrics if not any(m.metric == key and m.n for m in seen.measured)]
    of = len(program.book.metrics)
    yield Criterion("measured", cases, of > 0 and not empty,
                    f"{of - len(empty)} of {of} have" + (f"; not {listed(empty)}" if empty else ""))  # fmt: skip
    thin = [f"{g.object}.{g.field} ({percent(g.fill_rate)})" for g in seen.gaps if (g.fill_rate or 0.0) < KNOWN
            and g.fill_rate is not None]  # fmt: skip
    yield Criterion("measured", facts, not thin,
                    f"below: {listed(thin)}" if thin else f"{counted(len(seen.gaps), 'field')} lacking anywhere, "
                    f"none filled below {percent(KNOWN)}")  # fmt: skip


def _improving(by_key: dict[str, Component], uses: Sequence[StateUse], seen: Observed | None) -> Iterable[Criterion]:
    yield _is_there(by_key, "improving", "cadences", "feedback")
    yield _test(by_key, "improving", "cadences", 2, "every cadence looks at a metric")
    yield _test(by_key, "improving", "feedback", 1, "every ending asks what was learned")
    alike, fewer = "people use the states alike", "rules are broken less often than before"
    if seen is None:
        yield Criterion("improving", alike, None, NO_EVENTS)
        yield Criterion("improving", fewer, None, NO_EVENTS)
        return
    compared = [use for use in uses if use.compared]
    apart = [f"{use.lifecycle}.{use.state}" for use in uses if use.differs]
    yield Criterion(
        "improving", alike, not apart if compared else None,
        f"{counted(len(apart), 'state')} of {len(compared)} compared: {listed(apart)}" if apart
        else f"{counted(len(compared), 'state')} compared, none differs" if compared
        else "not known: no state has enough cases of two people",
    )  # fmt: skip
    early = sum(kept.early for kept in seen.kept.values())
    late = sum(kept.times - kept.early for kept in seen.kept.values())
    yield Criterion("improving", fewer, late < early if early + late else None,
                    f"{early:,} times in the first half of the time, {late:,} in the second")  # fmt: skip
