"""The read side: each SELECT is a named function with typed rows.

Times come back as aware UTC. A function that lists takes a limit; one that may find nothing returns None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Row,
    Select,
    Text,
    and_,
    any_,
    cast,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
)

from watchtower.store.rows import (
    ActionRow,
    AlertFilter,
    AlertKey,
    AlertRow,
    DocumentRow,
    EventRow,
    ProposalRow,
    RecordRow,
    SeqKey,
    SignalRow,
    SpanRow,
    StateSpan,
    TimeKey,
)
from watchtower.store.schema import (
    RANK,
    REVISION,
    action,
    alert,
    deadletter,
    document,
    journal,
    proposal,
    record,
    signal,
    span,
    version,
)
from watchtower.store.sealing import open_all

SEVERITIES = ("critical", "high", "medium", "low")
"""The gravest first: the order of a queue."""
STANDING = ("open", "acknowledged", "snoozed")
"""The statuses of an alert that still stands."""

_T = TypeVar("_T")
_RANK: ColumnElement[int] = literal_column(f"({RANK.replace('severity', 'alert.severity')})", Integer)
"""Word for word as in the indexes of `alert`, which give its order."""


def _utc(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def _typed(conn: Connection, kind: type[_T], row: Row[Any]) -> _T:
    return _all_typed(conn, kind, [row])[0]


def _all_typed(conn: Connection, kind: type[_T], rows: Sequence[Row[Any]]) -> list[_T]:
    """Rows as values, times in UTC, what is sealed opened: this is the side that people read."""
    found = [dict(row._mapping) for row in rows]
    for row in found:
        for name, value in row.items():
            if isinstance(value, datetime):
                row[name] = value.astimezone(UTC)
    return [kind(**row) for row in open_all(conn, found)]


def _listed(conn: Connection, kind: type[_T], query: Select[Any]) -> list[_T]:
    return _all_typed(conn, kind, conn.execute(query).all())


def _counts(conn: Connection, query: Select[str, int]) -> dict[str, int]:
    return {row[0]: row[1] for row in conn.execute(query)}


_other = alert.alias("other")
_INHIBITED_BY = (
    select(func.min(_other.c.rule))
    .where(
        func.cardinality(alert.c.inhibitors) > 0, _other.c.object == alert.c.object, _other.c.record == alert.c.record,
        _other.c.rule == any_(alert.c.inhibitors), _other.c.status != "resolved",
        # A rule that has come to read AI since then hides no alert of one that does not.
        _other.c.ai_informed <= alert.c.ai_informed,
    )
    .scalar_subquery()
)  # fmt: skip
"""A rule whose standing alert on the same record makes this one wait; null where there is none."""


_REVISION: ColumnElement[str] = literal_column(REVISION, Text)


def _alerts() -> Select[Any]:
    state = func.coalesce(record.c.state, func.jsonb_build_object()).label("state")
    joined = alert.outerjoin(record, and_(record.c.object == alert.c.object, record.c.id == alert.c.record))
    columns = (*alert.c, _INHIBITED_BY.label("inhibited_by"), state, _REVISION.label("revision"))
    return select(*columns).select_from(joined)


def _passes(wanted: AlertFilter) -> list[ColumnElement[bool]]:
    tests: list[ColumnElement[bool]] = []
    for name in ("status", "queue", "severity", "rule"):
        if values := getattr(wanted, name):
            tests.append(alert.c[name].in_(values))
    if wanted.owner:
        tests.append(func.coalesce(alert.c.assignee, alert.c.owner).in_(wanted.owner))
    if wanted.object is not None:
        tests.append(alert.c.object == wanted.object)
    if wanted.record is not None:
        tests.append(alert.c.record == wanted.record)
    if wanted.subjects is not None:
        tests.append(tuple_(alert.c.object, alert.c.record).in_(list(wanted.subjects)))
    if wanted.ai_informed is not None:
        tests.append(alert.c.ai_informed.is_(wanted.ai_informed))
    if wanted.inhibited is not None:
        tests.append(_INHIBITED_BY.is_not(None) if wanted.inhibited else _INHIBITED_BY.is_(None))
    if wanted.due is not None:
        rungs = [
            and_(alert.c.queue == queue, alert.c.level == level, alert.c.opened_at < before)
            for queue, level, before in wanted.due
        ]
        tests += [alert.c.status.in_(("open", "snoozed")), or_(false(), *rungs)]
    if wanted.words:
        tests.append(_mentions(wanted))
    return tests


def _mentions(wanted: AlertFilter) -> ColumnElement[bool]:
    like = "%" + wanted.words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    places = [alert.c.record, alert.c.rule, alert.c.because]
    named = select(literal(1)).where(
        record.c.object == alert.c.object, record.c.id == alert.c.record,
        or_(false(), *(record.c.state[label].astext.ilike(like) for label in wanted.labels)),
    )  # fmt: skip
    return or_(*(place.ilike(like) for place in places), named.exists() if wanted.labels else false())


_ORDER: tuple[ColumnElement[Any], ...] = (alert.c.ai_informed, _RANK, alert.c.opened_at, alert.c.id)
"""Rules first, then the gravest, then the oldest."""


def alert_key(row: AlertRow) -> AlertKey:
    """The place of `row` in the order of `alerts`."""
    rank = SEVERITIES.index(row.severity) + 1 if row.severity in SEVERITIES else len(SEVERITIES) + 1
    return AlertKey(row.ai_informed, rank, row.opened_at, row.id)


def alerts(conn: Connection, wanted: AlertFilter, *, after: AlertKey | None, limit: int) -> list[AlertRow]:
    """Alerts that pass `wanted`, after the place `after`: rules first, then the gravest, then the oldest."""
    order = _ORDER
    picked = select(alert.c.id).where(*_passes(wanted)).order_by(*order).limit(limit)
    if after is not None:
        place = tuple_(literal(after.ai_informed), literal(after.rank), literal(after.opened_at), literal(after.id))
        picked = picked.where(tuple_(*order) > place)
    # First which ones, by the index of the order; then all about these few.
    query = _alerts().where(alert.c.id.in_(picked)).order_by(*order)
    return _listed(conn, AlertRow, query)


def alert_by_id(conn: Connection, alert_id: str) -> AlertRow | None:
    """One alert."""
    row = conn.execute(_alerts().where(alert.c.id == alert_id)).first()
    return None if row is None else _typed(conn, AlertRow, row)


def standing_with(conn: Connection, row: AlertRow, by: str) -> list[str]:
    """The ids of the other alerts that are open or acknowledged, on the same record or (`by` rule) of the same rule."""
    same = alert.c.rule == row.rule
    if by == "record":
        same = and_(alert.c.object == row.object, alert.c.record == row.record)
    query = select(alert.c.id).where(same, alert.c.id != row.id, alert.c.status.in_(("open", "acknowledged")))
    return list(conn.execute(query.order_by(alert.c.id)).scalars())


def alert_counts(conn: Connection, wanted: AlertFilter, by: str) -> dict[str, int]:
    """How many alerts pass `wanted`, for each value of `by` (queue, severity, rule, status; owner: who has it in hand,
    '' for nobody)."""
    column = func.coalesce(alert.c.assignee, alert.c.owner, "") if by == "owner" else cast(alert.c[by], Text)
    query = select(column, func.count()).where(*_passes(wanted)).group_by(column)
    return _counts(conn, query)


def actions(conn: Connection, alert_id: str) -> list[ActionRow]:
    """An alert's history, the oldest first."""
    columns = (action.c.seq, action.c.at, action.c.actor, action.c.verb, action.c.note)
    return _listed(conn, ActionRow, select(*columns).where(action.c.alert == alert_id).order_by(action.c.seq))


def record_by_id(conn: Connection, object_name: str, record_id: str) -> RecordRow | None:
    """One record, deleted ones included."""
    query = select(record).where(record.c.object == object_name, record.c.id == record_id)
    row = conn.execute(query).first()
    return None if row is None else _typed(conn, RecordRow, row)


def records_naming(conn: Connection, object_name: str, field: str, record_id: str, limit: int) -> list[RecordRow]:
    """Records of an object whose reference `field` names `record_id`, the latest changed first."""
    query = (
        select(record)
        .where(
            record.c.object == object_name,
            record.c.state[field].astext == record_id,
            record.c.deleted_at.is_(None),
        )
        .order_by(record.c.changed_at.desc(), record.c.id)
        .limit(limit)
    )
    return _listed(conn, RecordRow, query)


def search_records(conn: Connection, object_name: str, words: str, label: str | None, limit: int) -> list[RecordRow]:
    """Living records of an object with `words` in their id or their `label`, in any case, the latest changed first."""
    like = "%" + words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    places = [record.c.id.ilike(like), *([record.c.state[label].astext.ilike(like)] if label else [])]
    query = select(record).where(record.c.object == object_name, record.c.deleted_at.is_(None), or_(*places))
    return _listed(conn, RecordRow, query.order_by(record.c.changed_at.desc(), record.c.id).limit(limit))


def record_states(conn: Connection, subjects: Sequence[tuple[str, str]]) -> dict[tuple[str, str], dict[str, Any]]:
    """The present state of each (object, id) that exists."""
    if not subjects:
        return {}
    query = select(record.c.object, record.c.id, record.c.state)
    query = query.where(tuple_(record.c.object, record.c.id).in_(list(subjects)))
    rows = conn.execute(query).all()
    states = open_all(conn, [row.state for row in rows])
    return {(row.object, row.id): state for row, state in zip(rows, states, strict=True)}


def timeline(
    conn: Connection, object_name: str, record_id: str, *, before: SeqKey | None, limit: int
) -> list[EventRow]:
    """Events and decisions about a record, the latest first, from before the place `before`."""
    columns = [column for column in journal.c if column.name not in ("body_hash", "txn")]
    query = select(*columns).where(journal.c.object == object_name, journal.c.record == record_id)
    order = (journal.c.time, journal.c.seq)
    if before is not None:
        query = query.where(tuple_(*order) < tuple_(literal(before.time), literal(before.seq)))
    return _listed(conn, EventRow, query.order_by(*(column.desc() for column in order)).limit(limit))


def events_by_key(conn: Connection, keys: Sequence[tuple[str, str]]) -> list[EventRow]:
    """The events with these (source, id), in the order of their times."""
    if not keys:
        return []
    columns = [column for column in journal.c if column.name not in ("body_hash", "txn")]
    query = select(*columns).where(tuple_(journal.c.source, journal.c.id).in_(list(keys)))
    return _listed(conn, EventRow, query.order_by(journal.c.time, journal.c.seq))


def field_history(conn: Connection, object_name: str, record_id: str, field: str) -> list[StateSpan]:
    """What a field was, version by version, the oldest first; values as text."""
    columns = (
        version.c.state[field].astext.label("value"),
        version.c.valid_from.label("since"),
        version.c.valid_to.label("until"),
    )
    query = select(*columns).where(version.c.object == object_name, version.c.id == record_id)
    return _listed(conn, StateSpan, query.order_by(version.c.valid_from))


def spans(conn: Connection, object_name: str, record_id: str, *, now: datetime) -> list[SpanRow]:
    """The spans of a record that contain `now` or lie after it, by rule and start."""
    columns = (span.c.rule, span.c.state, span.c.since, span.c.until, span.c.opens_at, span.c.opened)
    query = (
        select(*columns)
        .where(span.c.object == object_name, span.c.record == record_id)
        .where(or_(span.c.until.is_(None), span.c.until > now))
        .order_by(span.c.rule, span.c.since, span.c.state)
    )
    return _listed(conn, SpanRow, query)


def documents(conn: Connection, object_name: str, record_id: str, *, limit: int = 100) -> list[DocumentRow]:
    """The texts about a record, the latest first."""
    columns = (document.c.id, document.c.kind, document.c.text, document.c.url, document.c.added_at)
    query = select(*columns).where(document.c.object == object_name, document.c.record == record_id)
    return _listed(conn, DocumentRow, query.order_by(document.c.added_at.desc(), document.c.id).limit(limit))


def signals(conn: Connection, object_name: str, record_id: str, *, limit: int = 50) -> list[SignalRow]:
    """The signals about a record, the latest first."""
    query = select(signal).where(signal.c.object == object_name, signal.c.record == record_id)
    return _listed(conn, SignalRow, query.order_by(signal.c.raised_at.desc(), signal.c.id).limit(limit))


def proposals(
    conn: Connection,
    *,
    status: Sequence[str] = (),
    subject: tuple[str, str] | None = None,
    field: str | None = None,
    after: TimeKey | None = None,
    limit: int = 50,
) -> list[ProposalRow]:
    """Proposals, the oldest first, after the place `after`."""
    query = select(proposal).order_by(proposal.c.proposed_at, proposal.c.id).limit(limit)
    if status:
        query = query.where(proposal.c.status.in_(list(status)))
    if subject is not None:
        query = query.where(proposal.c.object == subject[0], proposal.c.record == subject[1])
    if field is not None:
        query = query.where(proposal.c.field == field)
    if after is not None:
        place = tuple_(literal(after.time), literal(after.id))
        query = query.where(tuple_(proposal.c.proposed_at, proposal.c.id) > place)
    return _listed(conn, ProposalRow, query)


def proposal_by_id(conn: Connection, proposal_id: str) -> ProposalRow | None:
    """One proposal."""
    row = conn.execute(select(proposal).where(proposal.c.id == proposal_id)).first()
    return None if row is None else _typed(conn, ProposalRow, row)


def proposal_counts(conn: Connection) -> dict[str, int]:
    """How many proposals have each status."""
    query = select(proposal.c.status, func.count()).group_by(proposal.c.status)
    return _counts(conn, query)


def journal_counts(conn: Connection) -> dict[str, int]:
    """How many events of each layer the journal holds."""
    return _counts(conn, select(journal.c.layer, func.count()).group_by(journal.c.layer))


def standing_by_queue(conn: Connection) -> list[tuple[str, str, bool, int]]:
    """(queue, severity, AI-informed, count) of the alerts that still stand."""
    keys = (alert.c.queue, alert.c.severity, alert.c.ai_informed)
    query = select(*keys, func.count()).where(alert.c.status.in_(STANDING)).group_by(*keys).order_by(*keys)
    return [(queue, severity, informed, count) for queue, severity, informed, count in conn.execute(query)]


def health(conn: Connection) -> Mapping[str, Any]:
    """What a person asks first: how much is in, how late it is, what was set aside."""
    row = conn.execute(
        select(
            select(func.count())
            .select_from(record)
            .where(record.c.deleted_at.is_(None))
            .scalar_subquery()
            .label("records"),
            select(func.max(journal.c.received_at))
            .where(journal.c.layer == "core")
            .scalar_subquery()
            .label("last_received"),
            select(func.max(journal.c.time)).where(journal.c.layer == "core").scalar_subquery().label("last_event"),
            select(func.count()).select_from(deadletter).scalar_subquery().label("dead_letters_ever"),
            select(func.count()).where(*_OPEN_LETTER).select_from(deadletter).scalar_subquery().label("dead_letters"),
            select(func.min(span.c.opens_at))
            .where(span.c.state == "holds", ~span.c.opened)
            .scalar_subquery()
            .label("next_due"),
        )
    ).one()
    return {name: _utc(value) for name, value in row._mapping.items()}


_OPEN_LETTER = (deadletter.c.closed_at.is_(None), deadletter.c.due_at.is_(None))


def dead_letters(conn: Connection, *, limit: int = 50) -> list[tuple[datetime, str, str]]:
    """(received at, origin, reason) of what could not be taken and stands open, the latest first."""
    query = select(deadletter.c.received_at, deadletter.c.origin, deadletter.c.reason).where(*_OPEN_LETTER)
    rows = conn.execute(query.order_by(deadletter.c.seq.desc()).limit(limit))
    return [(_utc(at), origin, reason) for at, origin, reason in rows]
