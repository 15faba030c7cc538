"""Whose turn it is: advisory locks that keep the clock and a bulk import out of each other's way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from watchtower.store.database import Database

TICK = 0x7469636B_00000000
IMPORT = 0x696D706F_72740000
"""The keys of the locks: "tick" and "import" in ASCII."""

HUNG = 7
"""Seconds that a tick may think without a word to the server; a busy one does so for a fraction of a second."""
_HUNG = text("select set_config('idle_in_transaction_session_timeout', :limit, true)")

_TAKE = text("select pg_advisory_lock_shared(:key)")
_GIVE = text("select pg_advisory_unlock_shared(:key)")
IMPORTING = f"""case when pg_try_advisory_xact_lock(:import) then false else exists (
    select from pg_locks where locktype = 'advisory' and mode = 'ShareLock' and granted and objsubid = 1
      and database = (select oid from pg_database where datname = current_database())
      and classid::bigint = {IMPORT >> 32} and objid::bigint = {IMPORT & 0xFFFFFFFF}) end"""
"""Importers share the lock. Who only asks has it alone, to the end of a transaction, and is none of them: a transaction
that ends lets its locks go one by one, and whoever waited for the first may come before the last."""
_ANYONE = text(f"select {IMPORTING}")


def alone(conn: Connection) -> bool:
    """Whether nobody else writes where this connection does (a replay's tables are its own): no lock is needed."""
    return bool(conn.get_execution_options().get("watchtower_alone"))


def held(conn: Connection) -> bool | None:
    """What a replay says through its connection of whether history was being read in; None: it is to be asked."""
    told: bool | None = conn.get_execution_options().get("watchtower_held")
    return told


def import_under_way(conn: Connection) -> bool:
    """Whether history is being read in: until it is all there, nothing can be said of what is due now.

    A replay knows what was so then, and says it through its connection (`scratch.hold_clock`).
    """
    told = held(conn)
    if told is not None:
        return told
    return bool(conn.execute(_ANYONE, {"import": IMPORT}).scalar_one())


def let_go_when_hung(conn: Connection) -> None:
    """Where nothing is heard of this process for HUNG seconds in the midst of its transaction, the server ends that,
    and its locks with it: another takes over. Of a silent network the server would else know nothing for minutes."""
    conn.execute(_HUNG, {"limit": f"{HUNG}s"})


@contextmanager
def importing(database: Database) -> Iterator[None]:
    """While this lasts, nobody opens or resolves alerts. It ends with the process, however that ends."""
    connection = database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    try:
        connection.execute(_TAKE, {"key": IMPORT})
        try:
            yield
        finally:
            try:
                connection.execute(_GIVE, {"key": IMPORT})
            except DBAPIError as error:
                # Where the server has ended, so has the lock; what is to be told is what went wrong before.
                if not error.connection_invalidated:
                    raise
    finally:
        connection.close()
