"""Records that may be one, as workers propose them, and records that were made one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, text

from watchtower.contract import Event
from watchtower.rules.merging import Merge, Merges, led_by
from watchtower.store.rows import TimeKey


class MergeProposal(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `merge_proposal`: which records, with what weights, and what was decided."""

    id: str
    request: str
    object: str
    record: str
    survivor: str
    bits: float
    probability: float
    weights: list[dict[str, Any]]
    compared: dict[str, list[Any]]
    status: str
    rule: str
    because: str
    decided_by: str
    decided_at: datetime
    proposed_at: datetime


class MergeRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `merge`: records that were made one, and whether that was undone."""

    id: str
    object: str
    record: str
    survivor: str
    at: datetime
    by: str
    proposal: str | None
    undone_at: datetime | None
    undone_by: str


ANY = "exists (select from merge where undone_at is null)"
"""Whether anything is merged at all."""
_ANY = text(f"select {ANY}")
_FAMILIES = text(
    """
    with recursive family(object, id) as (
      select object, id from json_to_recordset(cast(:rows as json)) as g(object text, id text)
      union
      select m.object, case when m.record = f.id then m.survivor else m.record end
      from family f join merge m on m.object = f.object and (m.record = f.id or m.survivor = f.id)
        and m.undone_at is null)
    select m.id, m.object, m.record, m.survivor, m.at, starts_with(m.by, 'source:') as leads from merge m join family f
      on f.object = m.object and f.id = m.record where m.undone_at is null order by m.at, m.id
    """
)
_BEFORE = text("select count(*) from merge where object = :object and record = :record and survivor = :survivor")
_ADD = text(
    "insert into merge (id, object, record, survivor, at, by, proposal) "
    "values (:id, :object, :record, :survivor, :at, :by, :proposal)"
)
_LEAD = text(
    """
    insert into merge (id, object, record, survivor, at, by)
    select id, object, record, survivor, at, 'source:' || id
    from json_to_recordset(cast(:rows as json))
      as g(id text, object text, record text, survivor text, at timestamptz)
    on conflict (object, record) where undone_at is null do update
      set id = excluded.id, survivor = excluded.survivor, at = excluded.at, by = excluded.by
      where starts_with(merge.by, 'source:')
        and (excluded.at, excluded.id collate "C") < (merge.at, merge.id collate "C")
    """
)
_SAID = text(
    "select source, id, type, time, data from journal where object = :object and record = :record "
    "and type = 'record.merged' and layer = 'core' order by seq"
)
_UNDO = text("update merge set undone_at = :now, undone_by = :by where id = :id")
_MERGES = "select id, object, record, survivor, at, by, proposal, undone_at, undone_by from merge "
_MERGE = text(_MERGES + "where id = :id")
_STANDING = text(_MERGES + "where object = :object and record = :record and undone_at is null")
_LIST = text(
    _MERGES + "where not starts_with(by, 'source:') and (:undone or undone_at is null) "
    "and (cast(:object as text) is null or object = :object) "
    "order by at desc, id limit :limit"
)
_WENT = text(
    "select data ->> 'into' from journal where object = :object and record = :record and type = 'record.merged' "
    "and layer = 'core' and time = :at order by seq desc limit 1"
)
_LINKED = text("select distinct object, record from link where target_object = :object and target = any(:ids)")
_UNLINK = text(
    "delete from link l using json_to_recordset(cast(:rows as json)) as g(object text, id text) "
    "where l.target_object = :object and l.target = any(:ids) and l.object = g.object and l.record = g.id"
)
_COLUMNS = (
    "id, request, object, record, survivor, bits, probability, weights, compared, status, rule, because, decided_by, "
    "decided_at, proposed_at"
)
_PROPOSE = text(
    f"""
    insert into merge_proposal ({_COLUMNS}) select {_COLUMNS}
    from json_to_recordset(cast(:rows as json)) as given(
      id text, request text, object text, record text, survivor text, bits float, probability float, weights jsonb,
      compared jsonb, status text, rule text, because text, decided_by text, decided_at timestamptz,
      proposed_at timestamptz)
    on conflict (id) do nothing
    """
)
_PROPOSAL = text(f"select {_COLUMNS} from merge_proposal where id = :id")
_PROPOSALS = text(
    f"select {_COLUMNS} from merge_proposal where (cast(:status as text[]) is null or status = any(:status)) "
    "and (cast(:object as text) is null or object = :object) "
    "and (cast(:record as text) is null or record = :record or survivor = :record) "
    "and (cast(:after_at as timestamptz) is null or (proposed_at, id) > (:after_at, :after_id)) "
    "order by proposed_at, id limit :limit"
)
_VERDICT = text(
    "update merge_proposal set status = :status, because = :because, decided_by = :by, decided_at = :now where id = :id"
)
_BETWEEN = text(
    f"select {_COLUMNS} from merge_proposal where object = :object and (record, survivor) in ((:a, :b), (:b, :a)) "
    "order by proposed_at, id"
)


def _json(rows: Iterable[Any]) -> str:
    return msgspec.json.encode(list(rows)).decode()


def _pairs(records: Iterable[tuple[str, str]]) -> str:
    return _json({"object": name, "id": record} for name, record in records)


def any_in_force(conn: Connection) -> bool:
    """Whether anything is merged at all: where not, nobody looks any further."""
    return bool(conn.execute(_ANY).scalar_one())


def families(conn: Connection, records: Iterable[tuple[str, str]]) -> list[Merge]:
    """The merges in force that join these (object, id) to others, and those to others."""
    given = _pairs(records)
    if given == "[]":
        return []
    return [Merge(*row) for row in conn.execute(_FAMILIES, {"rows": given})]


def merged_before(conn: Connection, object_name: str, record: str, survivor: str) -> int:
    """How often these two were merged, whether that was undone or not."""
    given = {"object": object_name, "record": record, "survivor": survivor}
    return int(conn.execute(_BEFORE, given).scalar_one())


def add(conn: Connection, merge: Merge, *, by: str, proposal: str | None) -> None:
    """Two records are one from now on."""
    given = {"id": merge.id, "object": merge.object, "record": merge.record, "survivor": merge.into, "at": merge.at}
    conn.execute(_ADD, given | {"by": by, "proposal": proposal})


def lead(conn: Connection, led: Iterable[Merge]) -> None:
    """What sources say of their own records, where nothing else is said of the same one, or only later."""
    first: dict[tuple[str, str], Merge] = {}
    for merge in sorted(led, key=lambda merge: (merge.at, merge.id)):
        first.setdefault((merge.object, merge.record), merge)
    rows = [
        {"id": one.id, "object": one.object, "record": one.record, "survivor": one.into, "at": one.at.isoformat()}
        for one in first.values()
    ]
    if rows:
        conn.execute(_LEAD, {"rows": _json(rows)})


def said_by_sources(conn: Connection, object_name: str, record: str) -> list[Merge]:
    """The merges of a record that its sources have spoken of."""
    subject = f"{object_name}/{record}"
    events = [
        Event(id=row.id, source=row.source, type=row.type, subject=subject, time=row.time, data=row.data)
        for row in conn.execute(_SAID, {"object": object_name, "record": record})
    ]
    return [merge for event in events if (merge := led_by(event)) is not None]


def undo(conn: Connection, merge_id: str, *, by: str, now: datetime) -> None:
    """They never were."""
    conn.execute(_UNDO, {"id": merge_id, "by": by, "now": now})


def merge_by_id(conn: Connection, merge_id: str) -> MergeRow | None:
    row = conn.execute(_MERGE, {"id": merge_id}).mappings().one_or_none()
    return None if row is None else MergeRow(**row)


def standing(conn: Connection, object_name: str, record: str) -> MergeRow | None:
    """The merge by which a record is another one now."""
    row = conn.execute(_STANDING, {"object": object_name, "record": record}).mappings().one_or_none()
    return None if row is None else MergeRow(**row)


def went(conn: Connection, object_name: str, record: str, ended_at: datetime | None) -> str | None:
    """The id that a record is now: by a merge that was decided here, else by its source's own word."""
    known = Merges(families(conn, [(object_name, record)]))
    by = known.onward.get((object_name, record))
    # What a source merged, and speaks of again, is there again: who refers to it still refers to the other.
    found = known.became(object_name, record) if by is not None and (ended_at or not by.leads) else None
    if found is None and ended_at is not None:
        given = {"object": object_name, "record": record, "at": ended_at}
        found = conn.execute(_WENT, given).scalar_one_or_none()
    return found


def came(conn: Connection, object_name: str, record: str) -> list[str]:
    """The ids that are this record since they were merged into it, or into one of them."""
    found: list[str] = []
    known = Merges(families(conn, [(object_name, record)])).onward.values()
    for one in sorted(known, key=lambda one: one.at, reverse=True):
        if one.into == record or one.into in found:
            found.append(one.record)
    return sorted(found)


def merged(conn: Connection, *, object_name: str | None, undone: bool, limit: int) -> list[MergeRow]:
    """What was merged, the latest first."""
    given = {"object": object_name, "undone": undone, "limit": limit}
    return [MergeRow(**row) for row in conn.execute(_LIST, given).mappings()]


def linked(conn: Connection, object_name: str, ids: Sequence[str]) -> list[tuple[str, str]]:
    """(object, id) of the records that have ever referred to one of these, by references that rules read."""
    return sorted((row.object, row.record) for row in conn.execute(_LINKED, {"object": object_name, "ids": list(ids)}))


def unlink(conn: Connection, object_name: str, ids: Sequence[str], records: Iterable[tuple[str, str]]) -> None:
    """Forget that these records ever referred to those ids: they are folded anew, and say so again where it is so."""
    conn.execute(_UNLINK, {"object": object_name, "ids": list(ids), "rows": _pairs(records)})


def propose(conn: Connection, proposals: Sequence[MergeProposal]) -> None:
    if proposals:
        conn.execute(_PROPOSE, {"rows": _json(proposals)})


def proposal(conn: Connection, proposal_id: str) -> MergeProposal | None:
    row = conn.execute(_PROPOSAL, {"id": proposal_id}).mappings().one_or_none()
    return None if row is None else MergeProposal(**row)


def proposals(
    conn: Connection,
    *,
    status: Sequence[str] = (),
    object_name: str | None = None,
    record: str | None = None,
    after: TimeKey | None = None,
    limit: int,
) -> list[MergeProposal]:
    """What was proposed, the oldest first. `record`: on either side."""
    given = {
        "status": list(status) or None, "object": object_name, "record": record, "limit": limit,
        "after_at": after.time if after else None, "after_id": after.id if after else None,
    }  # fmt: skip
    return [MergeProposal(**row) for row in conn.execute(_PROPOSALS, given).mappings()]


def between(conn: Connection, object_name: str, a: str, b: str) -> list[MergeProposal]:
    """All that was ever proposed of these two, the oldest first."""
    rows = conn.execute(_BETWEEN, {"object": object_name, "a": a, "b": b}).mappings()
    return [MergeProposal(**row) for row in rows]


def set_verdict(conn: Connection, proposal_id: str, *, status: str, because: str, by: str, now: datetime) -> None:
    conn.execute(_VERDICT, {"id": proposal_id, "status": status, "because": because, "by": by, "now": now})
