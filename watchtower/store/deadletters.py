"""What could not be taken, kept whole with the reason; and what waits for its time to come.

A letter is open until it was taken after all (redriven) or a person discarded it. One that is `due` is an event of
the future in quarantine: its time will come, and nobody needs to look at it. The same body under the same credential
is one letter, however often it comes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Connection, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from watchtower.contract import format_time

CAP = 17 * 1024 * 1024
"""Characters of a body that are kept: whatever the journal could take is kept whole. A longer one is cut, and cannot
be redriven."""
_REASON = 4000
_KEY = 1024


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One refused thing. `body` is the event as it came, or the row or line of a file that gave none."""

    origin: str
    reason: str
    body: Any
    credential: str | None = None
    """The source whose credential it came with: it is redriven under that one."""
    event: bool = True
    """Whether the body is an event as it was sent, so that it can go through the door again."""
    due: datetime | None = None
    """Of an event of the future: when its time will have come."""


class StoredLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A letter as it stands. `outcome` is open, quarantined, redriven or discarded."""

    seq: int
    received_at: datetime
    origin: str
    reason: str
    raw: str
    size: int
    redrivable: bool
    credential: str | None
    source: str | None
    event: str | None
    type: str | None
    attempts: int
    tried_at: datetime
    due_at: datetime | None
    redriven_at: datetime | None
    closed_at: datetime | None
    because: str

    @property
    def outcome(self) -> str:
        if self.closed_at is not None:
            return "redriven" if self.redriven_at is not None else "discarded"
        return "open" if self.due_at is None else "quarantined"

    @property
    def body(self) -> Any:
        """The body as it came; the text of it where it was cut."""
        return json.loads(self.raw) if self.size == len(self.raw) else self.raw


_COLUMNS = (
    "seq, received_at, origin, reason, raw, size, redrivable, credential, source, event, type, attempts, tried_at, "
    "due_at, redriven_at, closed_at, because"
)
_ADD = text(
    """
    insert into deadletter (received_at, tried_at, origin, reason, raw, size, redrivable, credential, source, event,
      type, digest, attempts, due_at)
    select :now, :now, origin, reason, raw, size, redrivable, credential, source, event, type, decode(digest, 'hex'),
      attempts, due_at
    from json_to_recordset(cast(:rows as json)) as given(
      origin text, reason text, raw text, size bigint, redrivable boolean, credential text, source text, event text,
      type text, digest text, attempts int, due_at timestamptz)
    on conflict (digest) where closed_at is null do update set reason = excluded.reason, due_at = excluded.due_at,
      attempts = deadletter.attempts + excluded.attempts, tried_at = excluded.tried_at
    """
)
_FIND = f"select {_COLUMNS} from deadletter "
_GET = text(_FIND + "where seq = :seq")
_LIST = text(
    _FIND.replace(" raw,", " '' as raw,")
    + """
    where (:outcome = 'all'
        or :outcome = 'open' and closed_at is null and due_at is null
        or :outcome = 'quarantined' and closed_at is null and due_at is not null
        or :outcome = 'redriven' and redriven_at is not null
        or :outcome = 'discarded' and closed_at is not null and redriven_at is null)
      and strpos(lower(reason), lower(:reason)) > 0
    order by seq desc limit :limit
    """
)
_TAKE = text(
    _FIND
    + """
    where closed_at is null and due_at is null and redrivable and seq > :after
      and (cast(:seqs as bigint[]) is null or seq = any(:seqs))
    order by seq limit :limit for update
    """
).bindparams(bindparam("seqs", type_=ARRAY(BigInteger)))
_DUE = text(
    _FIND + "where closed_at is null and due_at <= :now order by due_at, seq limit :limit for update skip locked"
)
_CLOSE = text(
    "update deadletter set closed_at = :now, redriven_at = :now, tried_at = :now, attempts = attempts + 1, "
    "because = :because where seq = any(:seqs)"
).bindparams(bindparam("seqs", type_=ARRAY(BigInteger)))
_DISCARD = text(
    "update deadletter set closed_at = :now, because = :because where seq = :seq and closed_at is null returning seq"
)
_REDACT = text(
    """
    update deadletter d set raw = '"erased"', size = 8, redrivable = false, closed_at = coalesce(closed_at, now()),
      reason = 'erased', because = 'erased'
    where exists (select 1 from unnest(cast(:words as text[])) as g(word) where strpos(d.raw, g.word) > 0)
    """
)
_NEXT = text("select min(due_at) from deadletter where closed_at is null and due_at is not null")
_REASONS = text(
    """
    select count(*) filter (where due_at is null), count(*) filter (where due_at is not null),
      min(received_at) filter (where due_at is null)
    from deadletter where closed_at is null
    """
)


def add_deadletters(conn: Connection, letters: Sequence[DeadLetter], now: datetime) -> None:
    """Keep a batch. What stands open already with the same body gets the new reason, and counts once more."""
    rows: dict[str, dict[str, Any]] = {}
    for letter in letters:
        row = _row(letter)
        if (known := rows.get(row["digest"])) is not None:
            row["attempts"] += known["attempts"]
        rows[row["digest"]] = row
    if rows:
        conn.execute(_ADD, {"now": now, "rows": json.dumps(list(rows.values()))})


def letter(conn: Connection, seq: int) -> StoredLetter | None:
    """One letter, open or closed."""
    row = conn.execute(_GET, {"seq": seq}).mappings().one_or_none()
    return StoredLetter(**row) if row is not None else None


def letters(conn: Connection, *, outcome: str = "open", reason: str = "", limit: int = 50) -> list[StoredLetter]:
    """The latest first, without their bodies. `outcome`: open, quarantined, redriven, discarded or all; `reason`: text
    that theirs holds."""
    rows = conn.execute(_LIST, {"outcome": outcome, "reason": reason, "limit": limit}).mappings()
    return [StoredLetter(**row) for row in rows]


def lock_redrivable(
    conn: Connection, seqs: Sequence[int] | None, *, after: int = 0, limit: int = 1000
) -> list[StoredLetter]:
    """The next open letters with a number above `after` that can go through the door again, in their order."""
    given = {"seqs": None if seqs is None else list(seqs), "after": after, "limit": limit}
    return [StoredLetter(**row) for row in conn.execute(_TAKE, given).mappings()]


def lock_due(conn: Connection, now: datetime, limit: int) -> list[StoredLetter]:
    """Events of the future whose time has come; those that another transaction holds are left to it."""
    return [StoredLetter(**row) for row in conn.execute(_DUE, {"now": now, "limit": limit}).mappings()]


def close(conn: Connection, seqs: Sequence[int], because: str, now: datetime) -> None:
    """These were taken after all."""
    if seqs:
        conn.execute(_CLOSE, {"seqs": list(seqs), "because": because, "now": now})


def discard(conn: Connection, seq: int, because: str, now: datetime) -> bool:
    """A person says that it is not wanted; False where it is not open."""
    return conn.execute(_DISCARD, {"seq": seq, "because": because, "now": now}).scalar() is not None


def redact(conn: Connection, words: Sequence[str]) -> int:
    """Empty and close every letter, open or closed, whose body has one of these texts as a value; how many."""
    encoded = {form for word in words for form in (json.dumps(word), json.dumps(word, ensure_ascii=False))}
    return conn.execute(_REDACT, {"words": sorted(encoded)}).rowcount


def next_due(conn: Connection) -> datetime | None:
    """When the next event leaves its quarantine."""
    found: datetime | None = conn.execute(_NEXT).scalar_one()
    return found


def waiting(conn: Connection) -> tuple[int, int, datetime | None]:
    """(open letters, events in quarantine, since when the oldest open one stands)"""
    dead, quarantined, oldest = conn.execute(_REASONS).one()
    return dead, quarantined, oldest


def _row(letter: DeadLetter) -> dict[str, Any]:
    """A NUL, and half a character, are written as JSON escapes: so the database keeps them as they came."""
    whole = True
    try:
        raw = json.dumps(letter.body, separators=(",", ":"), ensure_ascii=False)
        if not raw.isascii() and any("\ud800" <= character <= "\udfff" for character in raw):
            raw = json.dumps(letter.body, separators=(",", ":"))
    except RecursionError:
        raw, whole = '"nested too deeply to be kept"', False
    except (TypeError, ValueError):
        raw, whole = json.dumps({"text": ascii(letter.body)[: CAP // 2]}), False
    body = letter.body if letter.event and isinstance(letter.body, dict) else {}
    known = {column: _known(body.get(key)) for column, key in (("source", "source"), ("event", "id"), ("type", "type"))}
    key = json.dumps([letter.credential, known, raw])
    return {
        "origin": _plain(letter.origin, _KEY),
        "reason": _plain(letter.reason, _REASON),
        "raw": raw[:CAP],
        "size": len(raw),
        "redrivable": letter.event and whole and len(raw) <= CAP,
        "credential": letter.credential,
        **known,
        "digest": hashlib.blake2b(key.encode(), digest_size=16).hexdigest(),
        "attempts": 1,
        "due_at": format_time(letter.due) if letter.due else None,
    }


def _known(value: Any) -> str | None:
    return _plain(value, _KEY) if isinstance(value, str) else None


def _plain(words: str, limit: int) -> str:
    return words.replace("\x00", "\\0").encode("utf-8", "backslashreplace").decode()[:limit]
