"""API keys and sessions: what is kept of them is a hash.

SHA-256 without salt or stretching is right here and would be wrong for passwords: a key is 256 random bits, so
there is no list of likely ones to try, and a slow hash on every request would only help those who flood us.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Connection, text


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is listed."""

    id: str
    role: str
    name: str
    made_at: datetime
    made_by: str
    revoked_at: datetime | None = None


_ADD = text(
    "insert into api_key (id, hash, role, name, made_at, made_by) values (:id, :hash, :role, :name, :made_at, :made_by)"
)
_LIST = text("select id, role, name, made_at, made_by, revoked_at from api_key order by made_at, id")
_ANY = text("select exists (select 1 from api_key)")
_BY_HASH = text(
    "select id, role, name, made_at, made_by, revoked_at from api_key where hash = :hash and revoked_at is null"
)
_REVOKE = text(
    "update api_key set revoked_at = coalesce(revoked_at, :now) where id = :id "
    "returning id, role, name, made_at, made_by, revoked_at"
)
_BEGIN = text("insert into session (hash, key, begun_at, ends_at) values (:hash, :key, :now, :ends_at)")
_SESSION = text(
    """
    select k.id, k.role, k.name, k.made_at, k.made_by, k.revoked_at from session s join api_key k on k.id = s.key
    where s.hash = :hash and s.ends_at > :now and k.revoked_at is null
    """
)
_END = text("delete from session where hash = :hash or ends_at <= :now")


def add_key(conn: Connection, key: KeyRow, digest: bytes) -> None:
    """Keep a new key."""
    conn.execute(
        _ADD,
        {
            "id": key.id, "hash": digest, "role": key.role, "name": key.name, "made_at": key.made_at,
            "made_by": key.made_by,
        },
    )  # fmt: skip


def keys(conn: Connection) -> list[KeyRow]:
    """Every key there ever was, the oldest first."""
    return [KeyRow(**row) for row in conn.execute(_LIST).mappings()]


def any_key(conn: Connection) -> bool:
    """Whether a key was ever made, revoked or not."""
    return bool(conn.execute(_ANY).scalar())


def key_by_hash(conn: Connection, digest: bytes) -> KeyRow | None:
    """The key with this hash, if it still counts."""
    row = conn.execute(_BY_HASH, {"hash": digest}).mappings().one_or_none()
    return None if row is None else KeyRow(**row)


def revoke_key(conn: Connection, key_id: str, now: datetime) -> KeyRow | None:
    """From now on it opens nothing; None where there is no such key. Its sessions end with it."""
    row = conn.execute(_REVOKE, {"id": key_id, "now": now}).mappings().one_or_none()
    return None if row is None else KeyRow(**row)


def begin_session(conn: Connection, key_id: str, digest: bytes, now: datetime, ends_at: datetime) -> None:
    """Remember who has signed in."""
    conn.execute(_BEGIN, {"hash": digest, "key": key_id, "now": now, "ends_at": ends_at})


def key_of_session(conn: Connection, digest: bytes, now: datetime) -> KeyRow | None:
    """The key behind a session that lasts, if both still count."""
    row = conn.execute(_SESSION, {"hash": digest, "now": now}).mappings().one_or_none()
    return None if row is None else KeyRow(**row)


def end_session(conn: Connection, digest: bytes, now: datetime) -> None:
    """Forget a session, and those that are over."""
    conn.execute(_END, {"hash": digest, "now": now})
