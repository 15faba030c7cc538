"""What goes over the wire: the shapes in /openapi.json. Times are as `format_time` writes them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from watchtower.contract import format_time, parse_time


def _asked(value: Any) -> datetime:
    return value if isinstance(value, datetime) else parse_time(value)


Instant = Annotated[datetime, BeforeValidator(_asked), WithJsonSchema({"type": "string", "format": "date-time"})]
"""A time that is asked for: ISO 8601 with an offset, as in events. A number is none."""
Time = Annotated[
    datetime,
    PlainSerializer(format_time, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-03-04T09:00:00.000000Z"]}),
]


class Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True, frozen=True)


class Ask(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class EventVerdict(Answer):
    """What became of one event."""

    id: str
    status: str = Field(description="accepted, duplicate, conflict, quarantined or refused", examples=["accepted"])
    reason: str = ""


class Heard(Answer):
    status: str = Field(examples=["taken"])


class EventVerdicts(Answer):
    verdicts: list[EventVerdict]


class Alert(Answer):
    """What stands in a queue."""

    id: str
    rule: str = Field(examples=["mql_uncontacted"])
    rulebook: str = Field(description="The version of the rulebook that opened it.")
    record: str = Field(description="object/id", examples=["lead/L-17"])
    title: str = Field(description="What people call the record.")
    status: str = Field(description="open, acknowledged, snoozed or resolved", examples=["open"])
    severity: str = Field(examples=["high"])
    queue: str = Field(examples=["attention-needed"])
    owner: str = Field(examples=["sales_manager"])
    assignee: str | None
    because: str = Field(examples=["An MQL has waited 48 hours for a first contact."])
    ai_informed: bool = Field(description="The rule reads something that AI supplied.")
    inhibited_by: str | None = Field(description="The rule whose standing alert on this record it waits for.")
    since: Time = Field(description="When the rule began to hold.")
    opened_at: Time
    snoozed_until: Time | None
    resolved_at: Time | None
    resolution: str | None
    level: int = Field(description="How many rungs of its queue's ladder it has climbed.")
    escalated_to: str | None = Field(description="To whom it went last because nobody acknowledged it.")
    due_at: Time | None = Field(description="When it climbs the next rung if nobody acknowledges it.")
    revision: str = Field(description="Changes with the alert and its history; the ETag of the alert.")


class Action(Answer):
    at: Time
    actor: str
    verb: str
    note: str


class Cause(Answer):
    """An event behind an alert, and whose word it was: `person`, `ai`, or a system's name."""

    source: str
    id: str
    at: Time
    by: str


class AlertDetail(Alert):
    actions: list[Action]
    causes: list[Cause] = Field(description="The events behind it.")
    ai_read: bool = Field(description="Whether a value that the rule read came from AI, not only whether one may.")
    reads: Any = Field(description="The values that the rule read.")


class AlertPage(Answer):
    items: list[Alert]
    next: str | None = Field(description="The cursor of the next page; null on the last.")


class FieldValue(Answer):
    """One field of a record, and who set it."""

    value: Any
    type: str | None = Field(description="null where the rulebook does not declare the field")
    unit: str = ""
    provenance: dict[str, Any] | None = Field(
        description="The event that set it and who spoke.",
        examples=[{"source": "crm", "id": "e1", "at": "2026-03-02T09:00:00.000000Z", "by": "crm"}],
    )


class TimelineEvent(Answer):
    seq: int
    source: str
    id: str
    type: str
    time: Time
    received_at: Time
    layer: str = Field(description="core, worker or decision")
    data: Any


class Timeline(Answer):
    items: list[TimelineEvent]
    next: str | None = Field(description="Pass as `before` for what came earlier; null at the beginning.")


class Document(Answer):
    id: str
    kind: str
    text: str
    url: str
    added_at: Time


class Signal(Answer):
    id: str
    name: str
    raised_at: Time
    data: dict[str, Any]


class Proposal(Answer):
    """What a worker proposed for a field, and what became of it."""

    id: str
    record: str = Field(description="object/id", examples=["account/A-1"])
    field: str
    value: Any
    confidence: float
    evidence: Any = Field(description="Quotes with their document and place: text[start:end] == quote.")
    method: str
    model: str
    prompt: str
    status: str = Field(description="accepted, review, refused or rejected", examples=["review"])
    rule: str = Field(description="The acceptance rule that decided.")
    because: str
    decided_by: str
    decided_at: Time
    proposed_at: Time
    undo_until: Time | None = Field(description="Until when a person's verdict can be taken back.")


class ProposalPage(Answer):
    items: list[Proposal]
    next: str | None


class Standing(Answer):
    """How a rule stands with a record now."""

    rule: str
    since: Time
    until: Time | None
    opens_at: Time


class Unknown(Standing):
    missing: list[str] = Field(description="The fields without a value that the rule needs.")


class Record(Answer):
    """Everything about one record."""

    object: str
    id: str
    title: str
    created_at: Time
    changed_at: Time
    deleted_at: Time | None
    merged_into: str | None = Field(description="object/id of the record that this one is since it was merged.")
    merged_from: list[str] = Field(description="Ids that are this record since they were merged into it.")
    fields: dict[str, FieldValue]
    holds: list[Standing]
    unknown: list[Unknown]
    due: list[Standing] = Field(description="What will hold, and when, if nothing else happens.")
    alerts: list[Alert]
    timeline: Timeline
    documents: list[Document]
    signals: list[Signal]
    proposals: list[Proposal]


class Act(Ask):
    """A person's action on an alert."""

    actor: str | None = Field(None, min_length=1, max_length=120, description="Who acts; with a key, whoever holds it.")
    note: str = Field("", max_length=4000)


class AcceptPair(Act):
    into: str | None = Field(None, max_length=1024, description="Which of the two stays; else the one proposed.")


class Weighed(Answer):
    """One comparison of two records, in bits; those of a group speak together."""

    comparison: str
    outcome: str
    bits: float
    group: str


class MergePair(Answer):
    """Two records that a worker takes for one."""

    id: str
    object: str
    record: str = Field(description="The one that would go.")
    into: str = Field(description="The one that would stay.")
    bits: float
    probability: float
    weights: list[Weighed]
    compared: dict[str, list[Any]] = Field(description="By field: what the one has, what the other has.")
    status: Literal["accepted", "review", "refused", "rejected"]
    rule: str
    because: str
    decided_by: str
    decided_at: Time
    proposed_at: Time


class MergePairPage(Answer):
    items: list[MergePair]
    next: str | None


class MergeDone(Answer):
    """Two records that are one, or were."""

    id: str
    object: str
    record: str
    into: str
    at: Time
    by: str
    pair: str | None
    undone_at: Time | None
    undone_by: str


class MergeList(Answer):
    items: list[MergeDone]


class Snooze(Act):
    until: Instant = Field(examples=["2026-03-05T09:00:00Z"])
    scope: Literal["alert", "record", "rule"] = Field(
        "alert", description="This alert; or all that stand on its record, or of its rule. New ones are not snoozed."
    )


class Resolve(Act):
    verdict: Literal["", "done", "false_alarm"] = Field(
        "", description="Was the alert right? Each verdict is a label for evals."
    )


class Assign(Act):
    assignee: str = Field(min_length=1, max_length=120)


class Comment(Act):
    note: str = Field(min_length=1, max_length=4000)


class Silencing(Ask):
    """What nobody is to be told of, until when, and why. All that is named must be so of an alert."""

    rule: str | None = Field(None, max_length=200, examples=["mql_uncontacted"])
    object: str | None = Field(None, max_length=200)
    record: str | None = Field(None, max_length=1024, pattern=r"^[^/\x00]+/[^\x00]+$", description="object/id")
    queue: str | None = Field(None, max_length=200)
    owner: str | None = Field(None, max_length=200)
    severity: Literal["low", "medium", "high", "critical"] | None = None
    until: Instant = Field(examples=["2026-03-05T09:00:00Z"])
    because: str = Field(min_length=1, max_length=4000, examples=["The fair in Milan: nobody is at a desk."])
    actor: str | None = Field(None, min_length=1, max_length=120, description="Who acts; with a key, whoever holds it.")


class Silence(Answer):
    """Of what nobody is told for a while."""

    id: str
    rule: str | None
    object: str | None
    record: str | None = Field(description="object/id")
    queue: str | None
    owner: str | None
    severity: str | None
    begins_at: Time
    ends_at: Time
    because: str
    made_by: str


class Subscribe(Ask):
    """Who wants to be told of alerts. Each list narrows what is told; an empty one narrows nothing."""

    url: str = Field(max_length=2000, examples=["https://hooks.zapier.com/hooks/standard/1/abc/"])
    queues: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field([], max_length=100)
    severities: list[Literal["low", "medium", "high", "critical"]] = Field([], max_length=4)
    owners: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field([], max_length=100)
    actor: str | None = Field(None, min_length=1, max_length=120, description="Who acts; with a key, whoever holds it.")


class Subscription(Answer):
    """An address that is told of alerts."""

    id: str = Field(examples=["su_0f3a9b12cd45e6f7"])
    url: str
    queues: list[str]
    severities: list[str]
    owners: list[str]
    made_by: str
    made_at: Time


class Subscribed(Subscription):
    secret: str = Field(description="With it the messages are signed (Standard Webhooks). It is told once.")


class Told(Answer):
    """Whether one receiver knows of an alert, and why."""

    receiver: str
    person: str
    kind: str = Field(examples=["email"])
    state: str = Field(description="told, due, waiting, deferred, failing, given up or not told", examples=["deferred"])
    because: str = Field(examples=["over the budget of 20 a day"])
    at: Time | None = Field(description="When it was told, or will be.")


class SlackAnswer(Answer):
    """What Slack shows to whoever pressed."""

    response_type: str
    replace_original: bool
    text: str


class Refusal(Answer):
    """One rule that says no."""

    rule: str
    state: Literal["holds", "unknown"]
    missing: list[str]
    because: str
    then: str
    sentence: str


class Crossing(Answer):
    """What came of a handoff or a move."""

    outcome: Literal["offered", "accepted", "rejected", "moved", "standing", "checked", "refused"]
    allowed: bool
    record: str
    handoff: str | None
    at: Time
    missing: list[str] = Field(description="Every field that stands in the way, once.")
    refusals: list[Refusal]
    version: str = Field(description="The rulebook that decided.")


class Cross(Ask):
    """A handoff, or a move where none is named."""

    record: str = Field(max_length=1024, examples=["opportunity/O-7"], description="object/id")
    handoff: str | None = Field(None, max_length=200, examples=["sales_to_delivery"])
    action: Literal["offer", "accept", "reject"] = "offer"
    fields: dict[str, Any] = Field({}, description="Values that come with it; of a move, at least one.")
    actor: str | None = Field(None, min_length=1, max_length=120, description="Who acts; with a key, whoever holds it.")
    note: str = Field("", max_length=4000)
    trial: bool = Field(False, description="Only ask: nothing is written.")


class Problem(BaseModel):
    """RFC 9457: what is wrong, and what to do."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    remedy: str | None = None


class Ready(Answer):
    status: Literal["ok"]


PROBLEM: dict[str, Any] = {
    "model": Problem,
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
