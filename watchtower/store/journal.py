"""The journal: every event once, in the order of its arrival.

Appending is set-based: one statement for a batch, however large. Appends wait for each other until they
commit (an advisory lock), so that a number, once seen, has no lower one still to come.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, Row, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from watchtower.contract import Event, format_time

Verdict = Literal["new", "duplicate", "conflict", "refused"]

KEY_LIMIT = 2048
"""Bytes of source and id together: an index entry of PostgreSQL holds 2,704."""
SUBJECT_LIMIT = 1024
"""Bytes of a subject: some indices hold two of them."""
DATA_LIMIT = 16 * 1024 * 1024
"""Bytes of an event's data as JSON."""
_LOCK = 0x6A6F7572_6E616C00
"""The key of the advisory lock of appends: "journal" in ASCII."""
_STREAM_FROM = 500
"""Records; histories of more are fetched piece by piece."""


@dataclass(frozen=True)
class Appended:
    """What became of one event."""

    verdict: Verdict
    seq: int | None
    """Its number in the journal; for a duplicate or a conflict that of the first; None where refused."""
    because: str = ""
    """Of a conflict or a refusal: the part, its value, what is accepted."""


class _Row(msgspec.Struct, frozen=True):
    n: int
    source: str
    id: str
    type: str
    object: str
    record: str
    time: str
    data: msgspec.Raw
    hash: str


_ENCODER = msgspec.json.Encoder(order="sorted")

_WAIT = text("select pg_advisory_xact_lock(:key)")
_INSERT = text(
    """
    insert into journal (source, id, type, object, record, time, received_at, data, body_hash, layer)
    select source, id, type, object, record, time, :received_at, data, decode(hash, 'hex'), :layer
    from json_to_recordset(cast(:rows as json)) as given(
      n int, source text, id text, type text, object text, record text, time timestamptz, data jsonb,
      hash text)
    order by n
    on conflict (source, id) do nothing
    returning seq
    """
)
_FIND = text(
    """
    select journal.source, journal.id, journal.seq, encode(journal.body_hash, 'hex')
    from unnest(:sources, :ids) as given(source, id)
    join journal on journal.source = given.source and journal.id = given.id
    """
).bindparams(bindparam("sources", type_=ARRAY(Text)), bindparam("ids", type_=ARRAY(Text)))
_EVENTS = "select seq, source, id, type, object, record, time, data, layer from journal "
_EVENTS_OF = text(_EVENTS + "where object = :object and record = any(:records) order by record, time, seq").bindparams(
    bindparam("records", type_=ARRAY(Text))
)
_TAIL = text(_EVENTS + "where seq > :after order by seq limit :limit")
_LAST = text("select coalesce(max(seq), 0) from journal")


def append(conn: Connection, events: Sequence[Event], *, layer: str, received_at: datetime) -> list[Appended]:
    """Write a batch: one verdict for each event, in the order given, which is that of the numbers too.

    new: written. duplicate: (source, id) is there with the same body (type, subject, time, data). conflict:
    it is there with another body. refused: the database cannot keep it, `because` says why; the others go on.
    Repeats within the batch count like repeats of earlier ones. Other appends wait until the transaction
    ends. Needs READ COMMITTED, which `Database.begin` gives.
    """
    verdicts: dict[int, Appended] = {}
    rows: list[_Row] = []
    firsts: dict[tuple[str, str], int] = {}
    for n, event in enumerate(events):
        row = _row(n, event)
        if isinstance(row, str):
            verdicts[n] = Appended("refused", None, row)
        else:
            rows.append(row)
            firsts.setdefault((row.source, row.id), n)
    if rows:
        wait(conn)
        written = _write(conn, rows, layer, received_at)
        if len(written) == len(firsts):
            hashes = {row.n: row.hash for row in rows}
            places = {key: (seq, hashes[n]) for (key, n), seq in zip(firsts.items(), written, strict=True)}
        else:
            places = _find(conn, list(firsts))
        fresh = set(written)
        for row in rows:
            seq, body = places[row.source, row.id]
            verdicts[row.n] = _verdict(row, seq, body, seq in fresh and firsts[row.source, row.id] == row.n)
    return [verdicts[n] for n in range(len(events))]


def wait(conn: Connection) -> None:
    """Let nobody else append until this transaction ends."""
    conn.execute(_WAIT, {"key": _LOCK})


def events_of(conn: Connection, object: str, records: Sequence[str]) -> Iterator[tuple[int, Event, str]]:
    """(number, event, layer) of these records, ordered by record, time, number."""
    options = {"stream_results": True, "yield_per": 5_000} if len(records) > _STREAM_FROM else {}
    found = conn.execute(_EVENTS_OF, {"object": object, "records": list(records)}, execution_options=options)
    return map(_event, found)


def tail(conn: Connection, after_seq: int, limit: int) -> list[tuple[int, Event, str]]:
    """The next `limit` entries after this number, in the order of arrival."""
    return [_event(row) for row in conn.execute(_TAIL, {"after": after_seq, "limit": limit})]


def last_seq(conn: Connection) -> int:
    """The greatest number in the journal; 0 where it is empty."""
    return int(conn.execute(_LAST).scalar_one())


def body_hash(event: Event) -> bytes:
    """BLAKE2b, 16 bytes, over canonical JSON of type, subject, time and data (keys sorted)."""
    return _hash(event, _ENCODER.encode(event.data))


def _hash(event: Event, data: bytes) -> bytes:
    body = _ENCODER.encode((event.type, event.subject, format_time(event.time), msgspec.Raw(data)))
    return hashlib.blake2b(body, digest_size=16).digest()


def _row(n: int, event: Event) -> _Row | str:
    """The event as the database takes it, or the reason why it cannot."""
    for name, key, limit in (
        ("subject", event.subject, SUBJECT_LIMIT),
        ("source and id", event.source + event.id, KEY_LIMIT),
        ("type", event.type, KEY_LIMIT),
    ):
        if flaw := _flaw(key):
            return f"{name}: {ascii(key):.60} {flaw[1]}"
        if len(key) * 4 > limit and (size := len(key.encode())) > limit:
            return f"{name}: {size} bytes; at most {limit} are accepted"
    try:
        data = _ENCODER.encode(event.data)
    except (TypeError, ValueError, RecursionError) as error:  # ValueError: a lone surrogate
        flaw = None if isinstance(error, RecursionError) else _flaw(event.data, "data")
        return f"{flaw[0]}: {flaw[1]}" if flaw else f"data: cannot be written as JSON: {error}"
    if len(data) > DATA_LIMIT:
        return f"data: {len(data)} bytes; at most {DATA_LIMIT} are accepted"
    # The encoder writes NUL as an escape and NaN as null; only where these show is the value itself searched.
    if (b"\\u0000" in data or b"null" in data) and (flaw := _flaw(event.data, "data")):
        return f"{flaw[0]}: {flaw[1]}"
    return _Row(
        n,
        event.source,
        event.id,
        event.type,
        event.object,
        event.record_id,
        format_time(event.time),
        msgspec.Raw(data),
        _hash(event, data).hex(),
    )


def _flaw(value: Any, place: str = "") -> tuple[str, str] | None:
    """The first place in a JSON value that jsonb cannot keep, and what is wrong with it."""
    if isinstance(value, str):
        if "\x00" in value:
            return place, "holds a NUL character; text without it is accepted"
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            return place, "holds half of a surrogate pair; whole Unicode characters are accepted"
    elif isinstance(value, float):
        if not math.isfinite(value):
            return place, f"{value} is not a JSON number; leave it out or write null"
    elif isinstance(value, dict):
        for key, item in value.items():
            if flaw := _flaw(key, f"{place}.{ascii(key)[1:-1]}") or _flaw(item, f"{place}.{ascii(key)[1:-1]}"):
                return flaw
    elif isinstance(value, list | tuple):
        for n, item in enumerate(value):
            if flaw := _flaw(item, f"{place}[{n}]"):
                return flaw
    return None


def _write(conn: Connection, rows: list[_Row], layer: str, received_at: datetime) -> list[int]:
    """The numbers given to those that were not there, ascending: the order of `rows`."""
    values = {"rows": msgspec.json.encode(rows).decode(), "received_at": received_at, "layer": layer}
    return sorted(conn.execute(_INSERT, values).scalars())


def _find(conn: Connection, keys: list[tuple[str, str]]) -> dict[tuple[str, str], tuple[int, str]]:
    sources, ids = zip(*keys, strict=True)
    found = conn.execute(_FIND, {"sources": list(sources), "ids": list(ids)})
    return {(source, id): (seq, body) for source, id, seq, body in found}


def _verdict(row: _Row, seq: int, body: str, new: bool) -> Appended:
    if new:
        return Appended("new", seq)
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
