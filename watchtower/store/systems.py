"""Connected systems: how far each was read and how that went, and which of its objects is which record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from watchtower.contract import format_time

WAIT_FOR_RECORD = timedelta(days=30)
"""How long a merge that was told of waits for its records to be read."""


class State(NamedTuple):
    """How far a system was read. Times are aware UTC."""

    system: str
    cursor: dict[str, Any]
    round: int
    moved_at: datetime | None
    began_at: datetime | None
    succeeded_at: datetime | None
    failed_at: datetime | None
    failure: str
    written_seq: int | None


class Link(msgspec.Struct, kw_only=True):
    """An object of a system and our record, `subject`; see the table."""

    object: str
    id: str
    subject: str
    at: datetime
    said: dict[str, Any]
    written: dict[str, Any]
    round: int
    gone: bool = False


_STATE_COLUMNS = ", ".join(State._fields)
_LINK_COLUMNS = "object, id, subject, at, said, written, round, gone"
_STATES = text(f"select {_STATE_COLUMNS} from system_state order by system")
_HOLD = text(f"select {_STATE_COLUMNS} from system_state where system = :system for update")
_BEGIN = text(
    """
    insert into system_state (system, cursor, began_at) values (:system, '{}', :now)
    on conflict (system) do update set began_at = :now,
      cursor = case when :anew then '{}'::jsonb else system_state.cursor end
    """
)
_MOVE = text("update system_state set cursor = cast(:cursor as jsonb), moved_at = :now where system = :system")
_WAKE = text("update system_state set began_at = null where system = :system")
_SUCCEEDED = text("update system_state set succeeded_at = :now, failure = '', round = round + 1 where system = :system")
_FAILED = text(
    """
    insert into system_state (system, cursor, failed_at, failure) values (:system, '{}', :now, :failure)
    on conflict (system) do update set failed_at = :now, failure = :failure
    """
)
_WRITTEN = text("update system_state set written_seq = :seq where system = :system")
_LINKS = text(
    f"""
    select {_LINK_COLUMNS} from system_link
    where system = :system and (object, id) in (
      select * from unnest(cast(:objects as text[]), cast(:ids as text[])))
    """
).bindparams(bindparam("objects", type_=ARRAY(Text)), bindparam("ids", type_=ARRAY(Text)))
_OF_SUBJECTS = text(
    f"select {_LINK_COLUMNS} from system_link where system = :system and subject = any(:subjects) and not gone "
    "order by subject, at desc, id"
).bindparams(bindparam("subjects", type_=ARRAY(Text)))
_GONE_ELSEWHERE = text(
    "select distinct subject from system_link where system = :system and gone and subject = any(:subjects) "
    "and not exists (select 1 from system_link o where o.system = :system and o.subject = system_link.subject "
    "and not o.gone)"
).bindparams(bindparam("subjects", type_=ARRAY(Text)))
_UNSEEN = text(
    f"select {_LINK_COLUMNS} from system_link where system = :system and object = :object and round < :round "
    "and not gone order by id limit :limit"
)
_SAVE = text(
    """
    insert into system_link (system, object, id, subject, at, said, written, round, gone)
    select :system, object, id, subject, at, said, written, round, gone
    from json_to_recordset(cast(:rows as json)) as given(object text, id text, subject text, at timestamptz,
      said jsonb, written jsonb, round bigint, gone boolean)
    on conflict (system, object, id) do update set subject = excluded.subject, at = excluded.at, said = excluded.said,
      written = excluded.written, round = excluded.round, gone = excluded.gone
    """
)
_ACCEPTED = text(
    "select seq, object, record, id, time, data from journal where seq > :after and type = 'field.accepted' "
    "and layer = 'decision' order by seq limit :limit"
)
_BY_ID = text(f"select {_LINK_COLUMNS} from system_link where system = :system and id = any(:ids)").bindparams(
    bindparam("ids", type_=ARRAY(Text))
)
_HEAR_MERGE = text(
    'insert into system_merge (system, id, "into", heard_at) values (:system, :id, :into, :now) on conflict do nothing'
)
_MERGES = text('select id, "into" from system_merge where system = :system order by heard_at, id')
_MERGES_DONE = text(
    "delete from system_merge where system = :system and (id = any(:ids) or heard_at < :before)"
).bindparams(bindparam("ids", type_=ARRAY(Text)))
_COUNTS = text("select object, count(*) from system_link where system = :system and not gone group by 1 order by 1")


def states(conn: Connection) -> dict[str, State]:
    """Every system that was ever read or tried."""
    return {row[0]: _state(row) for row in conn.execute(_STATES)}


def hold(conn: Connection, system: str) -> State | None:
    """How far a system was read, held until the transaction ends: nobody else goes on with it meanwhile."""
    row = conn.execute(_HOLD, {"system": system}).one_or_none()
    return None if row is None else _state(row)


def begin(conn: Connection, system: str, now: datetime, *, anew: bool) -> State:
    """A round begins; `anew`: from the beginning."""
    conn.execute(_BEGIN, {"system": system, "now": now, "anew": anew})
    state = hold(conn, system)
    assert state is not None
    return state


def move(conn: Connection, system: str, cursor: dict[str, Any], now: datetime) -> None:
    """It was read up to here."""
    conn.execute(_MOVE, {"system": system, "cursor": msgspec.json.encode(cursor).decode(), "now": now})


def wake(conn: Connection, system: str) -> None:
    """It is due to be read: it said itself that something changed. One that failed rests as long as ever."""
    conn.execute(_WAKE, {"system": system})


def succeeded(conn: Connection, system: str, now: datetime) -> None:
    """A round has ended well."""
    conn.execute(_SUCCEEDED, {"system": system, "now": now})


def failed(conn: Connection, system: str, failure: str, now: datetime) -> None:
    """A round was broken off, and why."""
    conn.execute(_FAILED, {"system": system, "now": now, "failure": failure[:1000]})


def written_up_to(conn: Connection, system: str, seq: int) -> None:
    """The journal up to this number was looked through for what goes back."""
    conn.execute(_WRITTEN, {"system": system, "seq": seq})


def accepted_since(
    conn: Connection, after: int, limit: int
) -> list[tuple[int, tuple[str, str, str, datetime], dict[str, Any]]]:
    """(number in the journal, (object, record, id of the event, time), data) of fields that were accepted."""
    rows = conn.execute(_ACCEPTED, {"after": after, "limit": limit})
    return [(row[0], (row[1], row[2], row[3], row[4].astimezone(UTC)), row[5]) for row in rows]


def links(conn: Connection, system: str, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Link]:
    """The links of these objects, by (object, id), gone ones, too."""
    wanted = sorted(set(keys))
    if not wanted:
        return {}
    values = {"system": system, "objects": [key[0] for key in wanted], "ids": [key[1] for key in wanted]}
    return {(row[0], row[1]): _link(row) for row in conn.execute(_LINKS, values)}


def links_of(conn: Connection, system: str, subjects: Sequence[str]) -> dict[str, Link]:
    """The system's object for each of our records that it has; of several, the one that it spoke of last."""
    found: dict[str, Link] = {}
    for row in conn.execute(_OF_SUBJECTS, {"system": system, "subjects": list(subjects)}):
        found.setdefault(row[2], _link(row))
    return found


def links_by_id(conn: Connection, system: str, ids: Iterable[str]) -> list[Link]:
    """The links of objects with these ids, of whatever kind, gone ones, too."""
    return [_link(row) for row in conn.execute(_BY_ID, {"system": system, "ids": sorted(ids)})]


def hear_merges(conn: Connection, system: str, merged: Iterable[tuple[str, str]], now: datetime) -> None:
    """Note (id, what it is part of now); of one id the first word counts."""
    for id_, into in merged:
        conn.execute(_HEAR_MERGE, {"system": system, "id": id_, "into": into, "now": now})


def merges_waiting(conn: Connection, system: str) -> dict[str, str]:
    """Merges that were told of and not said yet, in the order in which they were heard."""
    return {row[0]: row[1] for row in conn.execute(_MERGES, {"system": system})}


def merges_done(conn: Connection, system: str, ids: Sequence[str], now: datetime) -> None:
    """These were said. What waits for more than WAIT_FOR_RECORD, waits for what never comes."""
    conn.execute(_MERGES_DONE, {"system": system, "ids": list(ids), "before": now - WAIT_FOR_RECORD})


def gone_from(conn: Connection, system: str, subjects: Sequence[str]) -> set[str]:
    """Of these records, those that the system had and has no more."""
    values = {"system": system, "subjects": list(subjects)}
    return set(conn.execute(_GONE_ELSEWHERE, values).scalars()) if subjects else set()


def unseen(conn: Connection, system: str, object_: str, round_: int, *, limit: int = 500) -> list[Link]:
    """Objects that the rounds since this one did not bring."""
    values = {"system": system, "object": object_, "round": round_, "limit": limit}
    return [_link(row) for row in conn.execute(_UNSEEN, values)]


def save(conn: Connection, system: str, rows: Iterable[Link]) -> None:
    """Write links, or write them anew."""
    given = [{**msgspec.structs.asdict(link), "at": format_time(link.at)} for link in rows]
    if given:
        conn.execute(_SAVE, {"system": system, "rows": msgspec.json.encode(given).decode()})


def counts(conn: Connection, system: str) -> dict[str, int]:
    """How many of each of its objects it has, as far as it was read."""
    return {row[0]: row[1] for row in conn.execute(_COUNTS, {"system": system})}


def _state(row: Any) -> State:
    values: list[Any] = [value.astimezone(UTC) if isinstance(value, datetime) else value for value in row]
    return State(*values)


def _link(row: Any) -> Link:
    object_, id_, subject, at, said, written, round_, gone = row
    return Link(
        object=object_, id=id_, subject=subject, at=at.astimezone(UTC), said=said, written=written, round=round_,
        gone=gone,
    )  # fmt: skip
