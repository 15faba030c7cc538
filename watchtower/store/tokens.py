"""Tokens that connected systems gave: the access token and the next refresh token, sealed under the master key.

A row is held while its tokens are renewed: who comes meanwhile waits, and then reads what the other has got. What was
got is committed before it is used, since the refresh token before it may be worth nothing any more.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, text

from watchtower.store.sealing import open_secret, seal_secret


class Row(NamedTuple):
    """What is kept for a system, sealed; see the table."""

    seed: str
    sealed: bytes | None
    ends_at: datetime | None


class Tokens(NamedTuple):
    """`refresh` is empty where the system gave none."""

    access: str
    refresh: str


_MAKE = text("insert into system_token (system) values (:system) on conflict do nothing")
_READ = text("select seed, sealed, ends_at from system_token where system = :system")
_HOLD = text("select seed, sealed, ends_at from system_token where system = :system for update")
_KEEP = text(
    "update system_token set seed = :seed, sealed = :sealed, ends_at = :ends, renewed_at = :now where system = :system"
)


def kept(conn: Connection, system: str) -> Row | None:
    """What is kept for a system; None where nothing is."""
    row = conn.execute(_READ, {"system": system}).one_or_none()
    return None if row is None else _row(*row)


def hold(conn: Connection, system: str) -> Row:
    """The same, held until the transaction ends; made where there is none."""
    conn.execute(_MAKE, {"system": system})
    return _row(*conn.execute(_HOLD, {"system": system}).one())


def opened(conn: Connection, system: str, sealed: bytes) -> Tokens:
    """What a row holds. StoreError where the master key is another one, or not at hand."""
    return Tokens(*msgspec.msgpack.decode(open_secret(conn, sealed, _name(system)), type=tuple[str, str]))


def keep(conn: Connection, system: str, seed: str, tokens: Tokens, ends: datetime | None, now: datetime) -> None:
    """Keep what a system gave. StoreError where it cannot be sealed."""
    sealed = seal_secret(conn, msgspec.msgpack.encode(tokens), _name(system))
    conn.execute(_KEEP, {"system": system, "seed": seed, "sealed": sealed, "ends": ends, "now": now})


def _name(system: str) -> str:
    return f"token of {system}"


def _row(seed: str, sealed: bytes | None, ends: datetime | None) -> Row:
    return Row(seed, None if sealed is None else bytes(sealed), None if ends is None else ends.astimezone(UTC))
