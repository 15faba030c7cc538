"""Records and their versions: read before a fold, written after it, in one statement each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from watchtower.contract import Document, format_time
from watchtower.store import merges
from watchtower.store.copying import NULL, copy, joined, json_value
from watchtower.store.direct import ask
from watchtower.store.rows import RecordRow


class NewRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A record as the fold left it. Times as ISO text."""

    object: str
    id: str
    state: dict[str, Any]
    provenance: dict[str, Any]
    created_at: str
    changed_at: str
    deleted_at: str | None


class Bounds(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where new versions of a record meet the earlier ones. Times as ISO text."""

    object: str
    id: str
    begun: str
    """The first of the new versions begins here."""
    closes: str | None
    """Where the version that they follow on began."""
    rebuilt: bool
    """Versions from `begun` on are replaced: late news."""


class NewVersion(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    object: str
    id: str
    valid_from: str
    valid_to: str | None
    state: dict[str, Any]


class NewLink(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    target_object: str
    target: str
    object: str
    ref: str
    record: str


_FEW = 1_000
"""Versions; more go over as they come, by COPY, which for fewer is no faster than all in one statement."""
_LOAD = text(
    "select object, id, state, provenance, created_at, changed_at, deleted_at from record "
    "where object = :object and id = any(:ids)"
).bindparams(bindparam("ids", type_=ARRAY(Text)))
_STORED = text(
    f"""
    select merges.known, r.object, r.id, r.state, r.provenance, r.created_at, r.changed_at, r.deleted_at
    from (select {merges.ANY}) as merges(known)
    left join (json_to_recordset(cast(:wanted as json)) as g(object text, ids json) cross join lateral (
      select * from record
      where record.object = g.object and record.id = any(array(select json_array_elements_text(g.ids)))) as r) on true
    """
)
_SAVE_SQL = """insert into record (object, id, state, provenance, created_at, changed_at, deleted_at)
    select object, id, state, provenance, created_at, changed_at, deleted_at
    from jsonb_to_recordset(cast(:records as jsonb)) as given(
      object text, id text, state jsonb, provenance jsonb, created_at timestamptz, changed_at timestamptz,
      deleted_at timestamptz)
    on conflict (object, id) do update set state = excluded.state, provenance = excluded.provenance,
      created_at = excluded.created_at, changed_at = excluded.changed_at, deleted_at = excluded.deleted_at"""
_PIECE = 1 << 25
"""Bytes of JSON in one statement that reads it as jsonb, about: a value of jsonb ends at 256 MB."""
_CLOSE_SQL = """update version v set valid_to = g.begun
    from json_to_recordset(cast(:closing as json)) as g(object text, id text, begun timestamptz, closes timestamptz)
    where v.object = g.object and v.id = g.id and v.valid_from = g.closes"""
_CUT = text(
    """
    with given as (select * from json_to_recordset(cast(:rows as json)) as g(object text, id text, begun timestamptz)),
    gone as (delete from version v using given g
      where v.object = g.object and v.id = g.id and v.valid_from >= g.begun)
    update version v set valid_to = g.begun from given g
    where v.object = g.object and v.id = g.id and v.valid_from < g.begun
      and (v.valid_to is null or v.valid_to > g.begun)
    """
)
_VERSIONS_SQL = """insert into version (object, id, valid_from, valid_to, state)
    select object, id, valid_from, valid_to, state from jsonb_to_recordset(cast(:versions as jsonb)) as given(
      object text, id text, valid_from timestamptz, valid_to timestamptz, state jsonb)"""
_COPY = "copy version (object, id, valid_from, valid_to, state) from stdin"
_LINKS_SQL = """insert into link (target_object, target, object, ref, record)
    select target_object, target, object, ref, record from json_to_recordset(cast(:links as json)) as given(
      target_object text, target text, object text, ref text, record text)
    on conflict do nothing"""
_SAVE, _CLOSE, _LINKS = text(_SAVE_SQL), text(_CLOSE_SQL), text(_LINKS_SQL)
_ALL = text(f"with closed as ({_CLOSE_SQL}), added as ({_VERSIONS_SQL}), linked as ({_LINKS_SQL}) {_SAVE_SQL}")
"""Each touches rows that the others do not: a version that is closed began before those that are added."""
_LOOKING = text(
    "select distinct target, object, record from link where target_object = :object and target = any(:ids)"
).bindparams(bindparam("ids", type_=ARRAY(Text)))
_GATHERED_BY = text(
    """
    select l.record, l.target_object, l.target
    from unnest(cast(:targets as text[]), cast(:refs as text[])) as g(target_object, ref)
    join link l on l.object = :object and l.ref = g.ref and l.target_object = g.target_object
      and l.record = any(:ids)
    order by 1, 2, 3
    """
).bindparams(
    bindparam("ids", type_=ARRAY(Text)), bindparam("targets", type_=ARRAY(Text)), bindparam("refs", type_=ARRAY(Text))
)
_REFERRING = text(
    """
    select distinct l.target, l.object, l.record
    from unnest(cast(:objects as text[]), cast(:refs as text[])) as g(object, ref)
    join link l on l.target_object = :object and l.target = any(:ids) and l.object = g.object and l.ref = g.ref
    order by 1, 2, 3
    """
).bindparams(
    bindparam("ids", type_=ARRAY(Text)), bindparam("objects", type_=ARRAY(Text)), bindparam("refs", type_=ARRAY(Text))
)
_DOCUMENTS = text(
    """
    insert into document (object, record, id, kind, text, url, added_at)
    select object, record, id, kind, text, url, added_at from json_to_recordset(cast(:rows as json)) as given(
      object text, record text, id text, kind text, text text, url text, added_at timestamptz)
    on conflict (object, record, id) do update set kind = excluded.kind, text = excluded.text,
      url = excluded.url, added_at = excluded.added_at
    """
)
_HISTORY = text(
    "select id, valid_from, valid_to, state from version where object = :object "
    "and valid_from <= :at order by id, valid_from"
)


def _json(rows: Iterable[msgspec.Struct]) -> str:
    return msgspec.json.encode(list(rows)).decode()


def load(conn: Connection, object_name: str, ids: Sequence[str]) -> dict[str, RecordRow]:
    """The stored records among these ids."""
    return {row[1]: _row(*row) for row in conn.execute(_LOAD, {"object": object_name, "ids": list(ids)})}


def stored(
    conn: Connection, wanted: Mapping[str, Collection[str]]
) -> tuple[Mapping[str, Mapping[str, RecordRow]], bool]:
    """The stored records among these ids, by object and id; and whether anything is merged at all."""
    given = [{"object": name, "ids": list(ids)} for name, ids in wanted.items()]
    found: dict[str, dict[str, RecordRow]] = {name: {} for name in wanted}
    merged = False
    for known, name, id, *rest in ask(conn, _STORED, {"wanted": msgspec.json.encode(given).decode()}):
        merged = known
        if name is not None:
            found[name][id] = _row(name, id, *rest)
    return found, merged


def _row(
    name: str, id: str, state: Any, who: Any, created: datetime, changed: datetime, deleted: datetime | None
) -> RecordRow:
    return RecordRow(
        object=name, id=id, state=state, provenance=who, created_at=created, changed_at=changed, deleted_at=deleted
    )


def write(
    conn: Connection,
    bounds: Sequence[Bounds],
    versions: Iterable[NewVersion],
    made: Callable[[], tuple[Sequence[NewRecord], Sequence[NewLink]]],
    *,
    many: int,
) -> None:
    """Write what a fold makes: make room for the new versions, then the versions, the records, and new references.

    `made` is asked once all versions have been drawn. `many`: about how many there are; large numbers go over as they
    come, for the database is idle meanwhile.
    """
    if rebuilt := [bound for bound in bounds if bound.rebuilt]:
        conn.execute(_CUT, {"rows": _json(rebuilt)})
    closing = _json(bound for bound in bounds if bound.closes is not None)
    if many < _FEW:
        versions = list(versions)
        records, links = made()
        given = {"closing": closing, "versions": _json(versions), "links": _json(links), "records": _json(records)}
        if max(map(len, given.values())) <= _PIECE:
            ask(conn, _ALL, given)
            return
    conn.execute(_CLOSE, {"closing": closing})
    copy(conn, _COPY, map(_line, versions))
    save(conn, *made())


def _line(version: NewVersion) -> str:
    state = json_value(msgspec.json.encode(version.state))
    until = NULL if version.valid_to is None else version.valid_to
    return f"{joined(version.object, version.id)}\t{version.valid_from}\t{until}\t{state}"


def save(conn: Connection, records: Sequence[NewRecord], links: Sequence[NewLink]) -> None:
    """Write what a fold made: records, and new references."""
    if records:
        _save(conn, records)
    if links:
        conn.execute(_LINKS, {"links": _json(links)})


def _save(conn: Connection, records: Sequence[NewRecord]) -> None:
    """As jsonb, which is parsed once: as json, each state and provenance would be parsed again, in twice the time."""
    rows = _json(records)
    if len(rows) > _PIECE and len(records) > 1:
        half = len(records) // 2
        _save(conn, records[:half])
        _save(conn, records[half:])
    else:
        conn.execute(_SAVE, {"records": rows})


def looking_through(conn: Connection, object_name: str, ids: Sequence[str]) -> list[tuple[str, str, str]]:
    """(target id, object, record) of every record that has ever referred to one of these."""
    return [tuple(row) for row in conn.execute(_LOOKING, {"object": object_name, "ids": list(ids)})]


def gathered_by(
    conn: Connection, object_name: str, ids: Sequence[str], vias: Sequence[tuple[str, str]]
) -> list[tuple[str, str, str]]:
    """(record, object, id) of every record that one of these has ever referred to by (object, ref field)."""
    targets, refs = [target for target, _ in vias], [ref for _, ref in vias]
    given = {"object": object_name, "ids": list(ids), "targets": targets, "refs": refs}
    return [tuple(row) for row in conn.execute(_GATHERED_BY, given)]


def referring(
    conn: Connection, object_name: str, ids: Sequence[str], vias: Sequence[tuple[str, str]]
) -> dict[str, list[tuple[str, str]]]:
    """By id, (object, record) of every record that has ever referred to it by (object, ref field)."""
    objects, refs = [over for over, _ in vias], [ref for _, ref in vias]
    given = {"object": object_name, "ids": list(ids), "objects": objects, "refs": refs}
    found: dict[str, list[tuple[str, str]]] = {}
    for target, over, record in conn.execute(_REFERRING, given):
        found.setdefault(target, []).append((over, record))
    return found


def save_documents(conn: Connection, documents: Sequence[tuple[str, str, Document]]) -> None:
    """(object, record, document): a document with the same id replaces the earlier one."""
    latest = {(name, record, doc.id): (name, record, doc) for name, record, doc in documents}
    rows = [
        {
            "object": name, "record": record, "id": doc.id, "kind": doc.kind, "text": doc.text, "url": doc.url,
            "added_at": format_time(doc.added_at) if doc.added_at else None,
        }
        for name, record, doc in latest.values()
    ]  # fmt: skip
    if rows:
        conn.execute(_DOCUMENTS, {"rows": msgspec.json.encode(rows).decode()})


def history(
    conn: Connection, object_name: str, at: datetime
) -> list[tuple[str, datetime, datetime | None, dict[str, Any]]]:
    """(id, valid_from, valid_to, state) of every version that began by `at`, by record and time."""
    rows = conn.execute(_HISTORY, {"object": object_name, "at": at})
    return [(row.id, row.valid_from, row.valid_to, row.state) for row in rows]


_LIVING = text("select id, state from record where object = :object and deleted_at is null order by id")


def living(conn: Connection, object_name: str) -> dict[str, dict[str, Any]]:
    """The state of every record of an object that exists now, by id."""
    return {row.id: row.state for row in conn.execute(_LIVING, {"object": object_name})}
