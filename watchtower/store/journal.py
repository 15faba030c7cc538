"""The journal: every event once, in the order of its arrival.

Appending is set-based: one statement for a batch, however large. Appends wait for each other until they
commit (an advisory lock), so that a number, once seen, has no lower one still to come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec
from sqlalchemy import Connection, Row, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from watchtower.contract import Event, format_time
from watchtower.store.copying import copy, joined, json_value
from watchtower.store.direct import piped
from watchtower.store.journal_rows import JournalRow, key_flaw, row_of

Verdict = Literal["new", "duplicate", "conflict", "refused"]

_LOCK = 0x6A6F7572_6E616C00
"""The key of the advisory lock of appends: "journal" in ASCII."""
_WAITED = "watchtower_appends"
"""Under this name a connection notes the transaction that has the lock: it is asked for once."""
_COPY_FROM = 1_000
"""Events; batches of more go in by COPY, which for fewer is no faster."""
_HEX = r"\\x"
"""Before the hexadecimal digits of a bytea: a backslash, escaped for COPY, and x."""
_STREAM_FROM = 500
"""Records; histories of more are fetched piece by piece."""


class Appended(NamedTuple):
    """What became of one event."""

    verdict: Verdict
    seq: int | None
    """Its number in the journal; for a duplicate or a conflict that of the first; None where refused."""
    because: str = ""
    """Of a conflict or a refusal: the part, its value, what is accepted."""


_WAIT = text("select pg_advisory_xact_lock(:key)")
_AWAITED = (
    "select exists (select 1 from pg_locks where locktype = 'advisory' and not granted and database = "
    "(select oid from pg_database where datname = current_database()) and objsubid = 1 "
    f"and classid::bigint = {_LOCK >> 32} and objid::bigint = {_LOCK & 0xFFFFFFFF})"
)
_LATER = text("set local synchronous_commit = off")
_INSERT = text(
    """
    with written as (
      insert into journal (source, id, type, object, record, time, received_at, data, body_hash, layer)
      select source, id, type, object, record, time, :received_at, data, decode(hash, 'hex'), :layer
      from rows from (json_to_recordset(cast(:rows as json)) as (
        source text, id text, type text, object text, record text, time timestamptz, data jsonb, hash text)
      ) with ordinality as given(source, id, type, object, record, time, data, hash, n)
      order by n
      on conflict (source, id) do nothing
      returning seq)
    select array_agg(seq) from written
    """
)
_COPY = "copy journal (seq, source, id, type, object, record, time, received_at, data, body_hash, layer) from stdin"
_RESERVE = text(
    "select setval(pg_get_serial_sequence('journal', 'seq'), nextval(pg_get_serial_sequence('journal', 'seq')) + :more)"
)
_FIND = text(
    """
    select found.source, found.id, found.seq, encode(found.body_hash, 'hex')
    from json_to_recordset(cast(:given as json)) as given(source text, ids json)
    cross join lateral (
      select source, id, seq, body_hash from journal where journal.source = given.source
        and journal.id = any(array(select json_array_elements_text(given.ids)))) as found
    """
)
"""A scan of the index for each source: for thousands of keys a third of the work that a join with them is."""
_EVENTS = "select seq, source, id, type, object, record, time, data, layer from journal "
_EVENTS_OF = text(_EVENTS + "where object = :object and record = any(:records) order by record, time, seq").bindparams(
    bindparam("records", type_=ARRAY(Text))
)
_EVENTS_BY_KEY = text(
    _EVENTS + "where (source, id) in (select * from unnest(cast(:sources as text[]), cast(:ids as text[])))"
).bindparams(bindparam("sources", type_=ARRAY(Text)), bindparam("ids", type_=ARRAY(Text)))
_TAIL = text(_EVENTS + "where seq > :after order by seq limit :limit")
_LAST = text("select coalesce(max(seq), 0) from journal")


def append(
    conn: Connection,
    events: Sequence[Event],
    *,
    layer: str,
    received_at: datetime,
    rows: Sequence[JournalRow | str] | None = None,
) -> list[Appended]:
    """Write a batch: one verdict for each event, in the order given, which is that of the numbers too.

    new: written. duplicate: (source, id) is there with the same body (type, subject, time, data). conflict:
    it is there with another body. refused: the database cannot keep it, `because` says why; the others go on.
    Repeats within the batch count like repeats of earlier ones. Other appends wait until the transaction
    ends. Needs READ COMMITTED, which `Database.begin` gives. `rows`: `row_of` of each event, where that is known.
    """
    write = _append_many if len(events) >= _COPY_FROM else _append_few
    return write(conn, events, rows, layer, received_at)


Rows = Sequence[JournalRow | str]


def _append_few(
    conn: Connection, events: Sequence[Event], made: Rows | None, layer: str, received_at: datetime
) -> list[Appended]:
    found: dict[int, Appended] = {}
    rows: list[tuple[int, JournalRow]] = []
    for n, row in enumerate(map(row_of, events) if made is None else made):
        if isinstance(row, str):
            found[n] = Appended("refused", None, row)
        else:
            rows.append((n, row))
    if not rows:
        return [found[n] for n in range(len(found))]
    given = msgspec.json.encode([row for _, row in rows]).decode()
    with piped(conn) as send:
        _wait(conn, lambda: send(_WAIT, {"key": _LOCK}))
        answer = send(_INSERT, {"rows": given, "received_at": received_at, "layer": layer})
    written = sorted(answer.fetchone()[0] or ())
    if len(written) == len(events):
        return [Appended("new", seq) for seq in written]
    firsts: dict[tuple[str, str], JournalRow] = {}
    for _, row in rows:
        firsts.setdefault((row.source, row.id), row)
    if len(written) == len(firsts):
        places = {key: (seq, row.hash) for (key, row), seq in zip(firsts.items(), written, strict=True)}
    else:
        places = _find(conn, firsts)
    fresh = set(written)
    for n, row in rows:
        seq, body = places[row.source, row.id]
        new = seq in fresh and firsts[row.source, row.id] is row
        found[n] = Appended("new", seq) if new else _repeat(row, seq, body)
    return [found[n] for n in range(len(found))]


def _append_many(
    conn: Connection, events: Sequence[Event], made: Rows | None, layer: str, received_at: datetime
) -> list[Appended]:
    """By COPY. While the lock is held nobody else appends, so what is looked up first is there, or is not, for good.

    The numbers are drawn before; those of refused events and of repeats stay unused.
    """
    wait(conn)
    if made is None:
        places = _find(conn, [(event.source, event.id) for event in events if not key_flaw(event)])
    else:
        places = _find(conn, [(row.source, row.id) for row in made if not isinstance(row, str)])
    seq = int(conn.execute(_RESERVE, {"more": len(events) - 1}).scalar_one()) - len(events)
    at = format_time(received_at)
    found: list[Appended] = []

    def lines() -> Iterator[str]:
        nonlocal seq
        # Rows that are not made yet are made here: the server writes those before them meanwhile.
        for row in map(row_of, events) if made is None else made:
            if isinstance(row, str):
                found.append(Appended("refused", None, row))
                continue
            key = row.source, row.id
            if known := places.get(key):
                found.append(_repeat(row, *known))
                continue
            seq += 1
            places[key] = seq, row.hash
            found.append(Appended("new", seq))
            keys = joined(row.source, row.id, row.type, row.object, row.record)
            yield f"{seq}\t{keys}\t{row.time}\t{at}\t{json_value(bytes(row.data))}\t{_HEX}{row.hash}\t{layer}"

    copy(conn, _COPY, lines())
    return found


def wait(conn: Connection) -> None:
    """Let nobody else append until this transaction ends."""
    _wait(conn, lambda: conn.execute(_WAIT, {"key": _LOCK}))


def _wait(conn: Connection, ask: Callable[[], object]) -> None:
    """`ask` for the lock, where this transaction does not have it."""
    if conn.get_execution_options().get("watchtower_alone"):
        return
    if not waited(conn):
        ask()
        conn.info[_WAITED] = conn.get_nested_transaction() or conn.get_transaction()


def waited(conn: Connection) -> bool:
    """Whether this transaction lets nobody else append."""
    begun = conn.get_nested_transaction() or conn.get_transaction()
    return begun is not None and conn.info.get(_WAITED) is begun


def awaited(conn: Connection) -> bool:
    """Whether a transaction, of whatever process, waits for its turn to append. Asked beside the statements that are
    listened to."""
    raw: Any = conn.connection.driver_connection
    return bool(raw.execute(_AWAITED).fetchone()[0])


def flush_later(conn: Connection) -> None:
    """Let this transaction's end not wait for the disk: a crash of the server may lose it, whole, for a second after.

    What is written to the same server later is on disk later: nothing survives that has seen it, and not it itself.
    """
    conn.execute(_LATER)


def events_of(conn: Connection, object: str, records: Sequence[str]) -> Iterator[tuple[int, Event, str]]:
    """(number, event, layer) of these records, ordered by record, time, number."""
    options = {"stream_results": True, "yield_per": 5_000} if len(records) > _STREAM_FROM else {}
    found = conn.execute(_EVENTS_OF, {"object": object, "records": list(records)}, execution_options=options)
    return map(_event, found)


def tail(conn: Connection, after_seq: int, limit: int) -> list[tuple[int, Event, str]]:
    """The next `limit` entries after this number, in the order of arrival."""
    return [_event(row) for row in conn.execute(_TAIL, {"after": after_seq, "limit": limit})]


def events_by_key(conn: Connection, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Event]:
    """The events with these (source, id) that are there."""
    sources, ids = [source for source, _ in keys], [id for _, id in keys]
    found = map(_event, conn.execute(_EVENTS_BY_KEY, {"sources": sources, "ids": ids}))
    return {(event.source, event.id): event for _, event, _ in found}


def last_seq(conn: Connection) -> int:
    """The greatest number in the journal; 0 where it is empty."""
    return int(conn.execute(_LAST).scalar_one())


def _find(conn: Connection, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[int, str]]:
    by_source: dict[str, list[str]] = {}
    for source, id in keys:
        by_source.setdefault(source, []).append(id)
    given = msgspec.json.encode([{"source": source, "ids": ids} for source, ids in by_source.items()]).decode()
    return {(source, id): (seq, body) for source, id, seq, body in conn.execute(_FIND, {"given": given}).all()}


def _repeat(row: JournalRow, seq: int, body: str) -> Appended:
    if body == row.hash:
        return Appended("duplicate", seq)
    return Appended(
        "conflict",
        seq,
        f"id: {row.id!r} of source {row.source!r} came before with another body; "
        "a changed event needs an id of its own",
    )


def _event(row: Row[Any]) -> tuple[int, Event, str]:
    seq, source, id, type, object, record, time, data, layer = tuple(row)
    return (
        seq,
        Event(id=id, source=source, type=type, subject=f"{object}/{record}", time=time, data=data),
        layer,
    )
