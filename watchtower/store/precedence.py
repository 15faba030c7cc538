"""Who goes first: what is decided on workers' answers gives way to everything else that writes.

Both need the journal's lock, and hold it to the end of their transaction. A transaction behind the others looks
before each of its statements: where somebody waits, it is rolled back, which takes less than a millisecond, and is
begun again later. Within a process the others are counted, at no cost to them; those of other processes are seen
among the server's locks. What the others do never depends on it, but for the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition
from time import monotonic
from typing import Any

from sqlalchemy import Connection, event

from watchtower.store import journal
from watchtower.store.direct import BEFORE

LOOK = 0.002
"""Seconds that the journal's lock is held between two looks for other processes that wait for it."""


class GaveWay(Exception):
    """Somebody goes first: the transaction is rolled back, and is to be begun again."""


class Precedence:
    """Counts the transactions under way in this process that go first."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._under_way = 0

    @contextmanager
    def first(self) -> Iterator[None]:
        """While this lasts, those behind give way."""
        with self._changed:
            self._under_way += 1
        try:
            yield
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    def wait(self, until: float) -> None:
        """Until nobody here goes first, or until `until` (by `monotonic`)."""
        with self._changed:
            self._changed.wait_for(lambda: not self._under_way, max(until - monotonic(), 0))

    @contextmanager
    def behind(self, conn: Connection, until: float) -> Iterator[None]:
        """Let each statement on this connection raise GaveWay where somebody goes first; from `until` on, none does:
        those behind get their turn, too, however busy the others are. What was to be the last statement is followed by
        the commit, which gives way to nobody."""
        looked = monotonic()

        def look(conn: Connection, *_: Any) -> None:
            nonlocal looked
            now = monotonic()
            if now >= until:
                return
            if self._under_way:
                raise GaveWay
            if not journal.waited(conn):
                looked = now
            elif now - looked >= LOOK:
                looked = now
                if journal.awaited(conn):
                    raise GaveWay

        event.listen(conn, "before_cursor_execute", look)
        conn.info[BEFORE] = look
        try:
            yield
            look(conn)
        except GaveWay:
            # Not by the driver's own rollback, after which it forgets every statement that the server has planned, and
            # whoever has this connection next plans anew. Nothing that was planned here is undone: no table was made.
            driver: Any = conn.connection.driver_connection
            driver.pgconn.exec_(b"rollback")
            raise
        finally:
            del conn.info[BEFORE]
            event.remove(conn, "before_cursor_execute", look)


__all__ = ["GaveWay", "Precedence"]
