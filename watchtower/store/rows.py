"""The rows that the read side answers with: frozen values, times in UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec


class AlertRow(msgspec.Struct, frozen=True, kw_only=True):
    """One alert, with the present state of its record (empty where the record is gone)."""

    id: str
    rule: str
    rulebook: str
    object: str
    record: str
    since: datetime
    opened_at: datetime
    status: str
    severity: str
    queue: str
    owner: str
    because: str
    ai_informed: bool
    inhibitors: list[str]
    causes: Any
    reads: Any
    resolved_at: datetime | None
    resolution: str | None
    snoozed_until: datetime | None
    assignee: str | None
    level: int
    escalated_to: str | None
    inhibited_by: str | None
    state: dict[str, Any]
    revision: str = ""
    """Another one after each change of the alert and each line of its history."""

    @property
    def subject(self) -> str:
        return f"{self.object}/{self.record}"


class ActionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an alert's history."""

    seq: int
    at: datetime
    actor: str
    verb: str
    note: str


class RecordRow(msgspec.Struct, frozen=True, kw_only=True):
    """What is so now about one record. `provenance` maps a field to {"source", "id", "at", "by"}."""

    object: str
    id: str
    state: dict[str, Any]
    provenance: dict[str, Any]
    created_at: datetime
    changed_at: datetime
    deleted_at: datetime | None


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """One event of the journal. `layer` is core, worker or decision."""

    seq: int
    source: str
    id: str
    type: str
    object: str
    record: str
    time: datetime
    received_at: datetime
    data: Any
    layer: str


class SpanRow(msgspec.Struct, frozen=True, kw_only=True):
    """An interval in which a rule holds, or is unknown, on a record. None as `until`: without end."""

    rule: str
    state: str
    since: datetime
    until: datetime | None
    opens_at: datetime
    opened: bool


class DocumentRow(msgspec.Struct, frozen=True, kw_only=True):
    """A text about a record."""

    id: str
    kind: str
    text: str
    url: str
    added_at: datetime


class ProposalRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker proposed for a field, and what became of it."""

    id: str
    request: str
    object: str
    record: str
    field: str
    value: Any
    confidence: float
    evidence: Any
    method: str
    model: str
    prompt: str
    status: str
    rule: str
    because: str
    decided_by: str
    decided_at: datetime
    proposed_at: datetime

    @property
    def subject(self) -> str:
        return f"{self.object}/{self.record}"


class SignalRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a detector raised; `data` as in `watchtower.contract.Signal.to_data`."""

    id: str
    name: str
    object: str
    record: str
    raised_at: datetime
    data: dict[str, Any]


class AlertFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which alerts to list. An empty tuple, or None, lets everything through."""

    status: tuple[str, ...] = ()
    queue: tuple[str, ...] = ()
    severity: tuple[str, ...] = ()
    owner: tuple[str, ...] = ()
    rule: tuple[str, ...] = ()
    object: str | None = None
    record: str | None = None
    subjects: tuple[tuple[str, str], ...] | None = None
    """On any of these records (object, id)."""
    ai_informed: bool | None = None
    inhibited: bool | None = None
    due: tuple[tuple[str, int, datetime], ...] | None = None
    """(queue, level, time): in that queue, at that level, opened before that time. What escalates before an instant."""
    words: str = ""
    """Text that the record's id or label, the rule or the sentence has in it, in any case."""
    labels: tuple[str, ...] = ()
    """The fields that `words` looks for in the record."""


class AlertKey(msgspec.Struct, frozen=True, array_like=True):
    """A place in the order of alerts: rules before AI-informed, the gravest first, then the oldest."""

    ai_informed: bool
    rank: int
    opened_at: datetime
    id: str


class SeqKey(msgspec.Struct, frozen=True, array_like=True):
    """A place in a timeline: by time, then by order of arrival."""

    time: datetime
    seq: int


class TimeKey(msgspec.Struct, frozen=True, array_like=True):
    """A place in a list ordered by a time and an id."""

    time: datetime
    id: str


class StateSpan(msgspec.Struct, frozen=True, kw_only=True):
    """The value of one field while a version of its record was so."""

    value: str | None
    since: datetime
    until: datetime | None
