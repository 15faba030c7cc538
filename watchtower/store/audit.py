"""The audit log: who did what, when; one row for each thing that a person or an administrator changed.

Each row's hash covers the row and the hash before it. Whoever changes or takes out a row must write all that follow
anew, and then the last hash is another one: who has noted an earlier hash elsewhere will find it gone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, text

from watchtower.contract import format_time

KEY: ContextVar[str] = ContextVar("key", default="")
"""The id of the API key with which the present request was sent; empty on the command line."""
_LOCK = 0x61756469_74000000
"""The key of the advisory lock of the chain: "audit" in ASCII."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was done."""

    seq: int
    at: datetime
    actor: str
    key: str
    what: str
    about: str
    data: dict[str, Any]
    hash: bytes


_TURN = text("select pg_advisory_xact_lock(:key)")
_LAST = text("select seq, hash from audit order by seq desc limit 1")
_ADD = text(
    "insert into audit (seq, at, actor, key, what, about, data, hash) "
    "values (:seq, :at, :actor, :key, :what, :about, cast(:data as jsonb), :hash)"
)
_ROWS = text(
    "select seq, at, actor, key, what, about, data, hash from audit where seq > :after order by seq limit :limit"
)
_NEWEST = text("select seq, at, actor, key, what, about, data, hash from audit order by seq desc limit :limit")


def note(
    conn: Connection, *, actor: str, what: str, about: str, now: datetime, data: Mapping[str, Any] | None = None
) -> None:
    """Write what is done into the log, in the transaction that does it."""
    conn.execute(_TURN, {"key": _LOCK})
    last = conn.execute(_LAST).one_or_none()
    seq, before = (1, b"") if last is None else (last.seq + 1, bytes(last.hash))
    row = Row(
        seq=seq, at=now, actor=_kept(actor), key=KEY.get(), what=what, about=_kept(about),
        data=msgspec.json.decode(msgspec.json.encode(dict(data or {}))), hash=b"",
    )  # fmt: skip
    conn.execute(
        _ADD,
        {
            "seq": seq, "at": now, "actor": row.actor, "key": row.key, "what": what, "about": row.about,
            "data": msgspec.json.encode(row.data).decode(), "hash": _hash(before, row),
        },
    )  # fmt: skip


def newest(conn: Connection, limit: int) -> list[Row]:
    """The last things that were done, the newest first."""
    return [Row(**row) for row in conn.execute(_NEWEST, {"limit": limit}).mappings()]


def verify(conn: Connection) -> tuple[int, list[str], str]:
    """(rows, what is wrong with them, the last hash in hex): nothing wrong where the chain is whole."""
    count, before, faults = 0, b"", list[str]()
    for row in _rows(conn):
        count += 1
        if row.seq != count:
            faults.append(f"row {count}: is missing; the next one is {row.seq}")
            return count - 1, faults, before.hex()
        if _hash(before, row) != bytes(row.hash):
            faults.append(f"row {row.seq} ({row.what} {row.about} by {row.actor}): is not what was written")
        before = bytes(row.hash)
    return count, faults, before.hex()


def place_of(conn: Connection, digest: str) -> int | None:
    """The number of the row with this hash; None where there is none."""
    found = conn.execute(text("select seq from audit where encode(hash, 'hex') = :digest"), {"digest": digest}).scalar()
    return None if found is None else int(found)


def _rows(conn: Connection) -> Iterator[Row]:
    after = 0
    while several := conn.execute(_ROWS, {"after": after, "limit": 5000}).mappings().all():
        yield from (Row(**row) for row in several)
        after = several[-1]["seq"]


def _hash(before: bytes, row: Row) -> bytes:
    said = [before.hex(), row.seq, format_time(row.at), row.actor, row.key, row.what, row.about, row.data]
    return hashlib.sha256(msgspec.json.encode(said, order="deterministic")).digest()


def _kept(words: str) -> str:
    return words.replace("\x00", "\ufffd")
