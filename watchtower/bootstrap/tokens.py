"""Access tokens of connected systems that end: one mechanism for all that renew them.

The tokens stand sealed in the database, and every process reads them there. A process whose token was refused, or is
about to end, holds the row, looks whether another one was faster, and else fetches the next: one fetches, the others
read. What was fetched is committed before it is used. Killed before that, what was kept stands as it was, and is asked
with again: lost is only a token whose answer was under way, and then the system's owner is told to authorize anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta

import structlog

from watchtower.bootstrap.core import Clock
from watchtower.connectors.oauth import renew
from watchtower.errors import Busy, StoreError, SystemFault
from watchtower.settings import credential
from watchtower.store import tokens as store
from watchtower.store.database import Connection, Database

AHEAD = timedelta(minutes=2)
"""So long before its end an access token is renewed, where the system says when that is."""

log = structlog.get_logger(__name__)


class KeptTokens:
    """The tokens of one system: see `watchtower.contract.system.Tokens`."""

    def __init__(self, database: Database, clock: Clock, name: str, kind: str, credentials: Mapping[str, str]) -> None:
        self._database, self._clock = database, clock
        self._name, self._kind, self._credentials = name, kind, credentials
        first = [credentials.get(end, "") for end in ("CLIENT_ID", "REFRESH_TOKEN", "URL")]
        self._seed = hashlib.blake2b("\n".join(first).encode(), digest_size=16).hexdigest()

    def token(self) -> str:
        """The access token that is kept, or a new one where it is about to end."""
        with self._database.begin() as conn:
            row = store.kept(conn, self._name)
            if row is not None and self._lasts(row):
                return self._opened(conn, row).access
        return self.after("")

    def after(self, refused: str) -> str:
        """Another one than this: what another process has fetched meanwhile, or the next."""
        try:
            return self._after(refused)
        except Busy:
            # Each process that waited asks once it may; where the endpoint does not answer, that takes long.
            raise SystemFault(f"{self._name}: other processes are renewing its token, for long") from None

    def _after(self, refused: str) -> str:
        with self._database.begin() as conn:
            row = store.hold(conn, self._name)
            mine = self._opened(conn, row)
            if mine.access not in ("", refused) and self._lasts(row):
                return mine.access
            refresh = mine.refresh or self._credentials.get("REFRESH_TOKEN", "")
            fresh = renew(self._kind, self._credentials, refresh, credential(self._name, "REFRESH_TOKEN"))
            now = self._clock()
            ends = None if fresh.seconds is None else now + timedelta(seconds=fresh.seconds)
            got = store.Tokens(fresh.access, fresh.refresh or refresh)
            try:
                store.keep(conn, self._name, self._seed, got, ends, now)
            except StoreError as fault:
                raise self._unreadable(fault) from None
        log.info("access token renewed", system=self._name, ends=None if ends is None else ends.isoformat())
        return fresh.access

    def _lasts(self, row: store.Row) -> bool:
        if row.seed != self._seed or row.sealed is None:
            return False
        return row.ends_at is None or self._clock() < row.ends_at - AHEAD

    def _opened(self, conn: Connection, row: store.Row) -> store.Tokens:
        """What is kept under these credentials; nothing where they are new."""
        if row.seed != self._seed or row.sealed is None:
            return store.Tokens("", "")
        try:
            return store.opened(conn, self._name, row.sealed)
        except StoreError as fault:
            raise self._unreadable(fault) from None

    def _unreadable(self, fault: StoreError) -> SystemFault:
        return SystemFault(f"{self._name}: its tokens: {fault.message}", remedy=fault.remedy, refused=True)
