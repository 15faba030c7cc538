"""What the rule layer asked of the workers, and what they said: requests, proposals, signals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from watchtower.contract import Document


class StoredRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`kind` is fields (enrichment) or signal (a detector; then `record` is empty)."""

    id: str
    kind: str
    object: str
    record: str
    fields: list[str]
    because: list[str]
    asked_at: datetime
    answered_at: datetime | None = None


class NewProposal(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `proposal`: what was proposed, and what was decided on it."""

    id: str
    request: str
    object: str
    record: str
    field: str
    value: Any
    confidence: float
    evidence: list[dict[str, Any]]
    method: str
    model: str
    prompt: str
    status: str
    rule: str
    because: str
    decided_by: str
    decided_at: datetime
    proposed_at: datetime


class NewSignal(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    object: str
    record: str
    raised_at: datetime
    data: dict[str, Any]


_ASK = text(
    """
    insert into request (id, kind, object, record, fields, because, asked_at)
    select id, kind, object, record, array(select json_array_elements_text(fields)),
      array(select json_array_elements_text(because)), asked_at
    from json_to_recordset(cast(:rows as json)) as given(
      id text, kind text, object text, record text, fields json, because json, asked_at timestamptz)
    on conflict (id) do nothing returning id
    """
)
_REQUESTS = text(
    "select id, kind, object, record, fields, because, asked_at, answered_at from request where id = any(:ids)"
).bindparams(bindparam("ids", type_=ARRAY(Text)))
_ANSWERED = text("update request set answered_at = :now where id = any(:ids) and answered_at is null").bindparams(
    bindparam("ids", type_=ARRAY(Text))
)
_PROPOSALS = text(
    """
    insert into proposal (id, request, object, record, field, value, confidence, evidence, method, model, prompt,
      status, rule, because, decided_by, decided_at, proposed_at)
    select id, request, object, record, field, value, confidence, evidence, method, model, prompt, status, rule,
      because, decided_by, decided_at, proposed_at
    from json_to_recordset(cast(:rows as json)) as given(
      id text, request text, object text, record text, field text, value jsonb, confidence float, evidence jsonb,
      method text, model text, prompt text, status text, rule text, because text, decided_by text,
      decided_at timestamptz, proposed_at timestamptz)
    on conflict (id) do nothing
    """
)
_SIGNALS = text(
    """
    insert into signal (id, name, object, record, raised_at, data)
    select id, name, object, record, raised_at, data from json_to_recordset(cast(:rows as json)) as given(
      id text, name text, object text, record text, raised_at timestamptz, data jsonb)
    on conflict (id) do nothing
    """
)
_PROPOSAL = text(
    "select object, record, field, value, status, request, decided_by, decided_at from proposal where id = :id "
    "for update"
)
_WITHDRAWALS = text(
    "select count(*) from journal where object = :object and record = :record and type = any(:kinds) "
    "and layer = 'decision' and data ->> 'proposal' = :id"
).bindparams(bindparam("kinds", type_=ARRAY(Text)))
_VERDICT = text(
    "update proposal set status = :status, because = :because, decided_by = :by, decided_at = :now where id = :id"
)
_DOCUMENTS = text(
    """
    with recursive mine(id, survivor) as (
      select id, id from unnest(:ids) as given(id)
      union
      select m.record, mine.survivor from mine join merge m on m.object = :object and m.survivor = mine.id
        and not starts_with(m.by, 'source:')
        and m.undone_at is null)
    select mine.survivor as record, case when d.record = mine.survivor then d.id else d.record || '/' || d.id end as id,
      d.kind, d.text, d.url, d.added_at
    from mine join document d on d.object = :object and d.record = mine.id
    where not starts_with(d.text, 'sealed:')
    order by 1, d.added_at, 2
    """
).bindparams(bindparam("ids", type_=ARRAY(Text)))
_RAISED = text(
    "select id, state from record where object = :object and deleted_at is null and jsonb_exists(state, :key) "
    'order by id collate "C"'
)


_OVERTAKEN = text(
    "select exists (select 1 from request where kind = 'signal' and fields[1] = :signal and asked_at > :asked_at "
    "and answered_at is not null)"
)


def _json(rows: Sequence[msgspec.Struct]) -> str:
    return msgspec.json.encode(rows).decode()


def ask(conn: Connection, requests: Sequence[StoredRequest]) -> set[str]:
    """Write requests; the ids of those that are new."""
    return set(conn.execute(_ASK, {"rows": _json(requests)}).scalars()) if requests else set()


def requests(conn: Connection, ids: Sequence[str]) -> dict[str, StoredRequest]:
    """The requests among these ids."""
    rows = conn.execute(_REQUESTS, {"ids": list(ids)}).mappings()
    return {row["id"]: StoredRequest(**row) for row in rows}


def answered(conn: Connection, ids: Sequence[str], now: datetime) -> None:
    """The worker has been through these requests."""
    conn.execute(_ANSWERED, {"ids": list(ids), "now": now})


def answered_after(conn: Connection, signal: str, asked_at: datetime) -> bool:
    """Whether a request for this signal that was made later has its answer."""
    return bool(conn.execute(_OVERTAKEN, {"signal": signal, "asked_at": asked_at}).scalar())


def add_proposals(conn: Connection, proposals: Sequence[NewProposal]) -> None:
    if proposals:
        conn.execute(_PROPOSALS, {"rows": _json(proposals)})


def add_signals(conn: Connection, signals: Sequence[NewSignal]) -> None:
    if signals:
        conn.execute(_SIGNALS, {"rows": _json(signals)})


def lock_proposal(conn: Connection, proposal_id: str) -> Mapping[str, Any] | None:
    """object, record, field, value, status, request, decided_by, decided_at of a proposal, held until the transaction
    ends."""
    row = conn.execute(_PROPOSAL, {"id": proposal_id}).mappings().one_or_none()
    return None if row is None else dict(row)


def withdrawals(conn: Connection, object_name: str, record: str, proposal_id: str, kinds: Sequence[str]) -> int:
    """How often a verdict on this proposal was taken back: its entries of these types."""
    given = {"object": object_name, "record": record, "id": proposal_id, "kinds": list(kinds)}
    return int(conn.execute(_WITHDRAWALS, given).scalar_one())


def set_proposal(conn: Connection, proposal_id: str, *, status: str, because: str, by: str, now: datetime) -> None:
    """A person's verdict."""
    conn.execute(_VERDICT, {"id": proposal_id, "status": status, "because": because, "by": by, "now": now})


def documents_of(conn: Connection, object_name: str, ids: Sequence[str]) -> dict[str, list[Document]]:
    """The documents of these records that a worker may read, the oldest first: none that is sealed. Those of what was
    merged into one of them are there, too, as `record/id`."""
    found: dict[str, list[Document]] = {}
    for row in conn.execute(_DOCUMENTS, {"object": object_name, "ids": list(ids)}):
        doc = Document(id=row.id, kind=row.kind, text=row.text, url=row.url, added_at=row.added_at)
        found.setdefault(row.record, []).append(doc)
    return found


def holding(conn: Connection, object_name: str, key: str) -> dict[str, dict[str, Any]]:
    """The living records whose state has this key, with their state, ordered by id."""
    return {row.id: row.state for row in conn.execute(_RAISED, {"object": object_name, "key": key})}


_LABELLED = text(
    """
    select r.state ->> :field as label, string_agg(d.text, e'\\n\\n' order by d.added_at, d.id) as text,
      case when coalesce(r.provenance -> :beside ->> 'by', '') <> 'ai' then r.state ->> :beside end as beside
    from record r join document d on d.object = r.object and d.record = r.id
    where r.object = :object and r.deleted_at is null and r.state ->> :field is not null
      and not starts_with(d.text, 'sealed:')
      and coalesce(r.provenance -> :field ->> 'by', '') <> 'ai'
    group by r.id, r.state, r.provenance order by r.id
    """
)


def labelled(conn: Connection, object_name: str, field: str) -> list[tuple[str, str]]:
    """(text, label) of the records whose field a person or a system has set: what a classifier may learn from."""
    return [(text, label) for text, label, _ in labelled_beside(conn, object_name, field, "")]


def labelled_beside(conn: Connection, object_name: str, field: str, beside: str) -> list[tuple[str, str, str | None]]:
    """The same with the value of another field, None where nobody but a worker has set it."""
    rows = conn.execute(_LABELLED, {"object": object_name, "field": field, "beside": beside})
    return [(row.text, row.label, row.beside) for row in rows]
