"""What is shown about a record, put together once for the JSON answers and the pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from watchtower.api import models
from watchtower.api.cursor import cursor, place
from watchtower.api.port import TowerPort
from watchtower.errors import InputError, Missing, WatchtowerError
from watchtower.flow.verdicts import undo_until
from watchtower.rulebook.model import Rulebook
from watchtower.rules.fold import SIGNAL_ADMITTED, speaker
from watchtower.store import merges, queries
from watchtower.store.rows import (
    ActionRow,
    AlertFilter,
    AlertRow,
    DocumentRow,
    EventRow,
    ProposalRow,
    RecordRow,
    SeqKey,
    SignalRow,
    SpanRow,
)

TIMELINE = 50
RESERVED_ACTORS = frozenset({"watchtower", "ai", "person", "system"})
"""Names that stand for someone else in the history."""


@dataclass(frozen=True)
class RecordView:
    """One record with all that is known about it, as rows."""

    row: RecordRow
    title: str
    holds: list[SpanRow]
    unknown: list[tuple[SpanRow, tuple[str, ...]]]
    due: list[SpanRow]
    alerts: list[AlertRow]
    events: list[EventRow]
    earlier: str | None
    documents: list[DocumentRow]
    signals: list[SignalRow]
    proposals: list[ProposalRow]
    related: list[tuple[str, RecordRow]] = field(default_factory=list)
    merged_into: str | None = None
    merged_from: list[str] = field(default_factory=list)


def title(rulebook: Rulebook, object_name: str, record_id: str, state: Mapping[str, Any]) -> str:
    """What people call a record: the value of its label field, else its id."""
    model = rulebook.objects.get(object_name)
    value = state.get(model.label) if model is not None and model.label else None
    return str(value) if value not in (None, "") else record_id


def actor_name(text: str) -> str:
    """The name of a person who acts. InputError where it is empty, unprintable or stands for someone else."""
    name = text.strip()
    if not name or len(name) > 120 or not name.isprintable():
        raise InputError(f"actor: {text!r:.60} is not a name of 1 to 120 printable characters")
    if name.casefold() in RESERVED_ACTORS:
        raise InputError(f"actor: {name!r} stands for someone else in the history", remedy="give your own name")
    return name


def named(text: str, what: str) -> str:
    """An identifier from a URL. Missing where it cannot be one."""
    if "\x00" in text:
        raise Missing(f"{what}: {text!r:.80} does not exist")
    return text


def missing_fields(tower: TowerPort, rule: str, subject: str, at: datetime) -> tuple[str, ...]:
    """The fields without a value behind an unknown rule; empty where the tower cannot say."""
    try:
        conditions = tower.explain(rule, subject, at).get("conditions", ())
    except WatchtowerError:
        return ()
    found = [
        str(read.get("field"))
        for condition in conditions
        if condition.get("value") is None
        for read in condition.get("reads", ())
        if read.get("value") is None
    ]
    return tuple(dict.fromkeys(found))


def record_view(
    tower: TowerPort, object_name: str, record_id: str, *, before: str | None = None, limit: int = TIMELINE
) -> RecordView:
    """Everything about a record. Missing where it was never heard of."""
    now = tower.clock()
    named(record_id, object_name)
    subject = f"{object_name}/{record_id}"
    with tower.database.read() as conn:
        row = queries.record_by_id(conn, object_name, named(record_id, subject))
        if row is None:
            raise Missing(
                f"{subject}: there is no such record", remedy="its events have not arrived, or the id differs"
            )
        events = queries.timeline(conn, object_name, record_id, before=place(SeqKey, before), limit=limit + 1)
        standing = AlertFilter(object=object_name, record=record_id)
        alerts = queries.alerts(conn, standing, after=None, limit=100)
        spans = queries.spans(conn, object_name, record_id, now=now)
        documents = queries.documents(conn, object_name, record_id)
        signals = queries.signals(conn, object_name, record_id)
        proposals = queries.proposals(conn, subject=(object_name, record_id), limit=200)
        related = _related(tower, conn, row)
        into = merges.went(conn, object_name, record_id, row.deleted_at)
        came = merges.came(conn, object_name, record_id)
    unknown = [span for span in spans if span.state == "unknown" and span.since <= now]
    return RecordView(
        row=row,
        title=title(tower.rulebook, object_name, record_id, row.state),
        holds=[span for span in spans if span.state == "holds" and span.since <= now],
        unknown=[(span, missing_fields(tower, span.rule, subject, now)) for span in unknown],
        due=sorted((s for s in spans if s.state == "holds" and s.since > now), key=lambda s: (s.since, s.rule)),
        alerts=alerts,
        events=events[:limit],
        earlier=cursor(SeqKey(events[limit - 1].time, events[limit - 1].seq)) if len(events) > limit else None,
        documents=documents,
        signals=signals,
        proposals=proposals,
        related=related,
        merged_into=None if into is None else f"{object_name}/{into}",
        merged_from=came,
    )


def _related(tower: TowerPort, conn: Any, row: RecordRow) -> list[tuple[str, RecordRow]]:
    """(field, record) of the records that name this one, at most ten for each field."""
    found: list[tuple[str, RecordRow]] = []
    for name, model in tower.rulebook.objects.items():
        for key, spec in model.fields.items():
            if spec.type == "ref" and spec.to == row.object:
                found.extend((key, other) for other in queries.records_naming(conn, name, key, row.id, limit=10))
    return found


def due_at(rulebook: Rulebook, row: AlertRow) -> datetime | None:
    """When an alert climbs the next rung of its queue's ladder, if nobody acknowledges it; None where it does not."""
    queue = rulebook.queues.get(row.queue)
    if queue is None or row.status not in ("open", "snoozed") or row.level >= len(queue.ladder):
        return None
    return row.opened_at + queue.ladder[row.level].delay


def due_before(rulebook: Rulebook, before: datetime | None) -> tuple[tuple[str, int, datetime], ...] | None:
    """What climbs before an instant, as the filter of alerts has it; None for no filter."""
    if before is None:
        return None
    return tuple(
        (name, level, before - rung.delay)
        for name, queue in rulebook.queues.items()
        for level, rung in enumerate(queue.ladder)
    )


def labels(rulebook: Rulebook) -> tuple[str, ...]:
    """The fields that name records."""
    return tuple(sorted({model.label for model in rulebook.objects.values() if model.label}))


def alert_model(rulebook: Rulebook, row: AlertRow) -> models.Alert:
    """An alert as it goes over the wire."""
    return models.Alert(**_alert_fields(rulebook, row))


def alert_detail(
    rulebook: Rulebook, row: AlertRow, actions: list[ActionRow], events: list[EventRow]
) -> models.AlertDetail:
    """An alert with its history and reasons. `events`: those that its causes name."""
    history = [models.Action.model_validate(line) for line in actions]
    speakers = {(event.source, event.id): speaker_of(event) for event in events}
    causes = [
        models.Cause(**cause, by=speakers.get((cause["source"], cause["id"]), cause["source"])) for cause in row.causes
    ]
    return models.AlertDetail(
        **_alert_fields(rulebook, row), actions=history, causes=causes, reads=row.reads,
        ai_read=any(cause.by == "ai" for cause in causes),
    )  # fmt: skip


def cause_keys(causes: Any) -> list[tuple[str, str]]:
    """(source, id) of the events that an alert names as its causes."""
    if not isinstance(causes, list):
        return []
    return [
        (cause["source"], cause["id"])
        for cause in causes
        if isinstance(cause, dict) and isinstance(cause.get("source"), str) and isinstance(cause.get("id"), str)
    ]


def speaker_of(event: EventRow) -> str:
    """Whose word an event is: `person`, `ai` (a value that an acceptance rule took over, a signal), or a system's."""
    return "ai" if event.type == SIGNAL_ADMITTED else speaker(event)


def _alert_fields(rulebook: Rulebook, row: AlertRow) -> dict[str, Any]:
    names = (
        "id", "rule", "rulebook", "status", "severity", "queue", "owner", "assignee", "because",
        "ai_informed", "inhibited_by", "since", "opened_at", "snoozed_until", "resolved_at", "resolution", "level",
        "escalated_to", "revision",
    )  # fmt: skip
    shown = {name: getattr(row, name) for name in names}
    named = title(rulebook, row.object, row.record, row.state)
    return shown | {"record": row.subject, "title": named, "due_at": due_at(rulebook, row)}


def proposal_model(row: ProposalRow) -> models.Proposal:
    """A proposal as it goes over the wire."""
    names = models.Proposal.model_fields.keys() - {"record", "undo_until"}
    until = undo_until(row.status, row.decided_by, row.decided_at)
    return models.Proposal(record=row.subject, undo_until=until, **{name: getattr(row, name) for name in names})


def record_model(tower: TowerPort, view: RecordView) -> models.Record:
    """A record as it goes over the wire."""
    row = view.row
    return models.Record(
        object=row.object,
        id=row.id,
        title=view.title,
        created_at=row.created_at,
        changed_at=row.changed_at,
        deleted_at=row.deleted_at,
        merged_into=view.merged_into,
        merged_from=view.merged_from,
        fields=field_values(tower.rulebook, row),
        holds=[models.Standing.model_validate(span) for span in view.holds],
        unknown=[
            models.Unknown(rule=s.rule, since=s.since, until=s.until, opens_at=s.opens_at, missing=list(missing))
            for s, missing in view.unknown
        ],
        due=[models.Standing.model_validate(span) for span in view.due],
        alerts=[alert_model(tower.rulebook, alert) for alert in view.alerts],
        timeline=models.Timeline(
            items=[models.TimelineEvent.model_validate(event) for event in view.events], next=view.earlier
        ),
        documents=[models.Document.model_validate(document) for document in view.documents],
        signals=[models.Signal.model_validate(signal) for signal in view.signals],
        proposals=[proposal_model(proposal) for proposal in view.proposals],
    )


def field_values(rulebook: Rulebook, row: RecordRow) -> dict[str, models.FieldValue]:
    """The declared fields in the rulebook's order (null where nothing is known), then the undeclared.

    Keys such as `changed_at(stage)` are the rules' own notes and no fields.
    """
    model = rulebook.objects.get(row.object)
    declared = dict(model.fields) if model is not None else {}
    shown: dict[str, models.FieldValue] = {}
    for name in [*declared, *(key for key in row.state if key not in declared and "(" not in key)]:
        spec = declared.get(name)
        shown[name] = models.FieldValue(
            value=row.state.get(name),
            type=spec.type if spec else None,
            unit=spec.unit if spec else "",
            provenance=row.provenance.get(name),
        )
    return shown
