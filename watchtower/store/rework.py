"""What the versions and the journal tell of work that is done again: moves between states, and values that a worker's
proposal set and somebody corrected."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from watchtower.store.sealing import open_all


class Moved(NamedTuple):
    """Records of an object that went from one value of a field to another, by who had them before. `some`: ids, three
    at most."""

    before: str
    after: str
    owner: str
    times: int
    some: list[str]


class Corrected(NamedTuple):
    """Values of a field that were accepted of a worker, by who has the record; and how many of them were changed
    since, and by whom most."""

    field: str
    owner: str
    accepted: int
    times: int
    by: str
    some: list[str]


_MOVES = text(
    """
    select before, after, owner, count(*) as times, (array_agg(id order by at desc))[1:3] as some
    from (
      select id, valid_from as at, state ->> cast(:field as text) as after,
        lag(state ->> cast(:field as text)) over own as before,
        coalesce(lag(state ->> cast(:owner as text)) over own, '') as owner
      from version where object = :object window own as (partition by id order by valid_from)) moved
    where before <> after and at >= :start and at < :end group by 1, 2, 3 order by 4 desc, 1, 2, 3
    """
)
_CORRECTED = text(
    """
    select field, owner, count(*) as accepted, count(*) filter (where changed) as times,
      coalesce(mode() within group (order by by) filter (where changed), '') as by,
      coalesce((array_agg(record order by decided_at desc) filter (where changed))[1:3], '{}') as some
    from (
      select p.field, p.record, p.decided_at, coalesce(r.state ->> cast(:owner as text), '') as owner,
        coalesce(r.provenance -> p.field ->> 'by', '') as by,
        coalesce(r.provenance -> p.field ->> 'by', '') <> 'ai'
          and not starts_with(coalesce(r.provenance -> p.field ->> 'id', ''), p.id)
          and r.state -> p.field is distinct from coalesce(j.data -> 'value', p.value) as changed
      from proposal p join record r on r.object = p.object and r.id = p.record and r.deleted_at is null
      left join journal j on j.source = 'watchtower' and j.id = p.id || '.accepted'
      where p.object = :object and p.status = 'accepted' and p.decided_at >= :start and p.decided_at < :end) held
    group by 1, 2 order by 4 desc, 1, 2
    """
)


def _rows(conn: Connection, query: Any, given: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = open_all(conn, [dict(row) for row in conn.execute(query, given).mappings()])
    return found


def moves(conn: Connection, object_name: str, field: str, owner: str, start: datetime, end: datetime) -> list[Moved]:
    """Every kind of move in [start, end), the most frequent first. `owner`: the field that names who has a record."""
    given = {"object": object_name, "field": field, "owner": owner, "start": start, "end": end}
    return [Moved(**row) for row in _rows(conn, _MOVES, given)]


def corrected(conn: Connection, object_name: str, owner: str, start: datetime, end: datetime) -> list[Corrected]:
    """What was accepted of workers in [start, end), by field and owner, and what became of it."""
    given = {"object": object_name, "owner": owner, "start": start, "end": end}
    return [Corrected(**row) for row in _rows(conn, _CORRECTED, given)]
