"""Lifecycles, handoffs, budgets and cadences as the company writes them; each line becomes an ordinary rule.

A duty is something that must be so, with all that a rule says about a breach: severity, queue, owner, because,
then, inhibits, examples. What a duty leaves out it takes from the lifecycle or handoff it belongs to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from watchtower.rulebook.parts import Example, Name, Part, Text, Texts

HANDOFF_FIELDS = {
    "status": "enum", "offered_at": "timestamp", "accepted_at": "timestamp", "rejected_at": "timestamp",
}  # fmt: skip
"""What a rule on the object of a handoff may read of it: `sales_to_delivery.status`."""
HANDOFF_STATUS = ("offered", "accepted", "rejected")

Severity = Literal["low", "medium", "high", "critical"]
Condition = Annotated[str, Field(min_length=1, max_length=20_000)]
StateName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


def _short(key: str, *kinds: type) -> Callable[[Any], Any]:
    """`at_most: 21 days` for `at_most: {time: 21 days}`."""

    def read(value: Any) -> Any:
        return {key: value} if isinstance(value, kinds) else value

    return read


class Duty(Part):
    """What a rule says of a breach. Empty: as the lifecycle, handoff, budget or cadence says."""

    for_: Annotated[str, Field(alias="for")] = ""
    severity: Severity | None = None
    queue: str = ""
    owner: str = ""
    because: Text = ""
    then: Text = ""
    inhibits: Texts = []
    mode: Literal["active", "shadow"] = "active"
    examples: list[Example] = []

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, populate_by_name=True)


class Fields(Duty):
    """Fields that must have a value."""

    fields: Annotated[list[str], Field(min_length=1)]


class Criterion(Duty):
    """A condition that must hold. `to`: only for moves to these states."""

    when: Condition
    to: Texts = []


class Limit(Duty):
    """How long is too long: a time since an instant; with a calendar, its open hours count, except while paused."""

    time: str
    since: str = ""
    calendar: str = ""
    paused_by: str = ""

    @model_validator(mode="after")
    def _whole(self) -> Limit:
        if self.paused_by and not self.calendar:
            raise ValueError("paused_by stops a calendar's clock: name the calendar")
        return self


class Due(Duty):
    """When something is due, and how soon it must come."""

    when: Condition
    within: str


FieldsPart = Annotated[Fields, BeforeValidator(_short("fields", list))]
CriterionPart = Annotated[Criterion, BeforeValidator(_short("when", str))]
LimitPart = Annotated[Limit, BeforeValidator(_short("time", str))]


class State(Part):
    """One state of a lifecycle. `next`: where a record may go from it; `final`: it may stay for good."""

    meaning: Text = ""
    owner: str = ""
    next: Texts = []
    final: bool = False
    requires: FieldsPart | None = None
    enter: CriterionPart | None = None
    leave: CriterionPart | None = None
    at_most: LimitPart | None = None

    @model_validator(mode="after")
    def _ends(self) -> State:
        if self.final and self.at_most is not None:
            raise ValueError("a final state has no at_most: a record may stay in it")
        if self.enter is not None and self.enter.to:
            raise ValueError("enter.to: to says which moves leave is about; enter has none")
        return self


class Lifecycle(Part):
    """The few states of an object, and the allowed moves between them."""

    object: Name
    field: Name = "stage"
    owner: str = ""
    queue: str = "inbox"
    severity: Severity = "medium"
    description: Text = ""
    starts: Texts = []
    moves: Duty | None = None
    states: Annotated[dict[StateName, State], Field(min_length=1)]

    @model_validator(mode="after")
    def _known(self) -> Lifecycle:
        known = ", ".join(self.states)
        for name, state in self.states.items():
            targets = {"next": state.next, "leave.to": state.leave.to if state.leave else []}
            for key, found in targets.items():
                if unknown := [other for other in found if other not in self.states]:
                    raise ValueError(f"{name}.{key}: {unknown[0]!r} is not one of its states ({known})")
            if name in state.next:
                raise ValueError(f"{name}.next: a record does not move from {name} to itself")
        if unknown := [name for name in self.starts if name not in self.states]:
            raise ValueError(f"starts: {unknown[0]!r} is not one of its states ({known})")
        return self


class Handoff(Part):
    """A contract between two roles: what must be present, who answers, and what happens in between.

    Its status is a fact about the record: `handoff.offered`, `.accepted` and `.rejected` events with
    `data.handoff` set it, and rules on the object read `<handoff>.status` and `<handoff>.offered_at`.
    """

    object: Name
    from_: Annotated[str, Field(alias="from")] = ""
    to: str = ""
    queue: str = "inbox"
    severity: Severity = "medium"
    description: Text = ""
    accepted: Text = ""
    rejected: Text = ""
    due: Due | None = None
    requires: FieldsPart | None = None
    criteria: CriterionPart | None = None
    responsible: Name | None = None
    answer: LimitPart | None = None
    reoffer: LimitPart | None = None

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, populate_by_name=True)


class Tier(Duty):
    """Above `over`, one of `approvers` must have agreed."""

    over: float
    approvers: Annotated[Texts, Field(min_length=1)]


class Budget(Part):
    """A limit on a number, and who may go beyond it: `approved_by` is the field that names who agreed."""

    object: Name
    field: Name
    approved_by: Name
    where: str = ""
    owner: str = ""
    queue: str = "inbox"
    severity: Severity = "medium"
    description: Text = ""
    tiers: Annotated[list[Tier], Field(min_length=1)]

    @model_validator(mode="after")
    def _rising(self) -> Budget:
        overs = [tier.over for tier in self.tiers]
        if overs != sorted(set(overs)):
            raise ValueError(f"tiers: the limits rise from tier to tier; found {overs}")
        return self


class Cadence(Duty):
    """Something that must be done again and again on records: `done` is when it was done last.

    Where it was never done, the time counts from `first`.
    """

    object: Name
    every: str
    done: str
    first: str
    where: str = ""
    description: Text = ""
    agenda: Texts = []
