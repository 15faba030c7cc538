"""Who may come in: keys, what they stand for, and sessions of browsers."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Literal, get_args

from watchtower.errors import InputError, Missing
from watchtower.flow.intake import RESERVED_SOURCES
from watchtower.store import audit, keys
from watchtower.store.database import Database
from watchtower.store.keys import KeyRow

Role = Literal["viewer", "operator", "admin", "source", "worker"]
ROLES: tuple[Role, ...] = get_args(Role)
PREFIX = "wt_"
"""What every key begins with, so that a scanner of secrets knows one when it sees it."""
SESSION = timedelta(hours=12)
FRESH = 1.0
"""Seconds for which what was looked up counts: a key that another process revokes opens nothing after that."""
_MOST = 10_000
"""Credentials remembered at once."""
RESERVED_NAMES = RESERVED_SOURCES | {"person"}
"""Names that stand for somebody else in the history."""


@dataclass(frozen=True)
class Credential:
    """Who asks: a key's id, its role, and the name of the person or of the source."""

    id: str
    role: Role
    name: str


class Door:
    """Keys and sessions of one database. Open to all as long as no key was ever made; then to their holders."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database, self._clock = database, clock
        self._locked, self._looked = False, -FRESH
        self._known: dict[bytes, tuple[float, Credential | None]] = {}

    def locked(self) -> bool:
        """Whether a key is asked for. It stays so when the last one is revoked: nothing opens by being forgotten."""
        if not self._locked and monotonic() - self._looked >= FRESH:
            with self._database.read() as conn:
                self._locked = keys.any_key(conn)
            self._looked = monotonic()
        return self._locked

    def known_locked(self) -> bool | None:
        """As `locked`, without a look at the database; None where it takes one."""
        return self._locked or (None if monotonic() - self._looked >= FRESH else False)

    def holder(self, key: str) -> Credential | None:
        """Who holds this key; None where it opens nothing."""
        return self._look(_digest(key), session=False) if key.startswith(PREFIX) else None

    def signed_in(self, token: str) -> Credential | None:
        """Who signed in with the browser that has this cookie."""
        return self._look(_digest("session:" + token), session=True)

    def sign_in(self, key: str) -> str:
        """Begin a session; what the cookie is to hold. InputError where the key opens nothing."""
        found = self.holder(key.strip())
        if found is None or found.role not in ("viewer", "operator", "admin"):
            raise InputError(
                "key: it opens no page", remedy="watchtower keys add --role operator --name YOU makes one that does"
            )
        token, now = secrets.token_urlsafe(32), self._clock()
        with self._database.begin() as conn:
            keys.begin_session(conn, found.id, _digest("session:" + token), now, now + SESSION)
            audit.note(conn, actor=found.name, what="session.begin", about=found.id, now=now)
        return token

    def sign_out(self, token: str) -> None:
        """End a session."""
        digest, now = _digest("session:" + token), self._clock()
        with self._database.begin() as conn:
            row = keys.key_of_session(conn, digest, now)
            keys.end_session(conn, digest, now)
            if row is not None:
                audit.note(conn, actor=row.name, what="session.end", about=row.id, now=now)
        self._known.pop(digest, None)

    def add(self, role: str, name: str, *, by: str) -> tuple[KeyRow, str]:
        """A new key, which is told once and never again. InputError."""
        if role not in ROLES:
            raise InputError(f"--role: {role!r} is not one of {', '.join(ROLES)}")
        if not name.strip() or name != name.strip() or len(name) > 120 or not name.isprintable():
            raise InputError(f"--name: {name!r:.60} is not a name of 1 to 120 printable characters")
        if name.casefold() in RESERVED_NAMES:
            raise InputError(f"--name: {name!r} stands for somebody else in the history", remedy="choose another")
        secret = PREFIX + secrets.token_urlsafe(32)
        row = KeyRow(id=f"k_{secrets.token_hex(6)}", role=role, name=name, made_at=self._clock(), made_by=by)
        with self._database.begin() as conn:
            keys.add_key(conn, row, _digest(secret))
            said = {"role": role, "name": name}
            audit.note(conn, actor=by, what="key.add", about=row.id, now=row.made_at, data=said)
        self._locked = True
        return row, secret

    def all(self) -> list[KeyRow]:
        """Every key there ever was, the oldest first."""
        with self._database.read() as conn:
            return keys.keys(conn)

    def revoke(self, key_id: str, *, by: str) -> KeyRow:
        """Let a key and its sessions open nothing from now on. Missing where there is none."""
        with self._database.begin() as conn:
            row = keys.revoke_key(conn, key_id, now := self._clock())
            if row is None:
                raise Missing(f"key {key_id!r} does not exist", remedy="watchtower keys list names them")
            audit.note(conn, actor=by, what="key.revoke", about=key_id, now=now)
        self._known.clear()
        return row

    def _look(self, digest: bytes, *, session: bool) -> Credential | None:
        at, found = self._known.get(digest, (-FRESH, None))
        if monotonic() - at < FRESH:
            return found
        with self._database.read() as conn:
            row = keys.key_of_session(conn, digest, self._clock()) if session else keys.key_by_hash(conn, digest)
        credential = None if row is None else Credential(row.id, _role(row.role), row.name)
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[digest] = (monotonic(), credential)
        return credential


def _role(text: str) -> Role:
    return next(role for role in ROLES if role == text)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
