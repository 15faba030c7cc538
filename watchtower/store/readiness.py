"""Whether the database can do its work now: answer, lock, and find room on its disk. Said within a few seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from sqlalchemy import Connection, text

from watchtower.errors import Busy, StoreError

SECONDS = 4.0
"""How long an answer may take in all. A server that is frozen, or whose connections are all taken, gives none."""

_LIMITS = text(
    "select set_config('lock_timeout', '2s', true), set_config('statement_timeout', '3s', true), "
    "set_config('work_mem', '64kB', true)"
)
_LOCKS = text("lock table journal, record, version, span, alert in row exclusive mode")
_ROOM = text(
    "select max(t.x) from (select md5(i::text) as x from generate_series(1, 5000) as i order by 1 offset 10) t"
)
"""Sorted outside the memory it is given, so that 300 KB go to the disk: a full one is seen before an event is lost to
it, and nothing is left behind."""


def work(conn: Connection) -> None:
    """Do what every event needs. Raises where that cannot be."""
    conn.execute(_LIMITS)
    conn.execute(_LOCKS)
    conn.execute(_ROOM)


def of_this_version(address: str, revision: str | None, head: str) -> None:
    """Return where the tables are of this version. StoreError where another process has brought them elsewhere."""
    if revision != head:
        raise StoreError(
            f"{address}: its tables are of revision {revision}, this process needs {head}",
            remedy="Start the version that belongs to them, or let this one bring them up by starting it again.",
        )


class Readiness:
    """Asks, one at a time: callers who come while a question is open share its answer."""

    def __init__(self, ask: Callable[[], None], address: str) -> None:
        self._ask, self._address = ask, address
        self._lock = threading.Lock()
        self._open: _Question | None = None

    def check(self) -> None:
        """Return where the database is ready. StoreError says why it is not, within SECONDS."""
        with self._lock:
            question = self._open
            if question is None or question.answered.is_set():
                question = self._open = _Question(self._ask)
        if not question.answered.wait(max(question.began + SECONDS - time.monotonic(), 0)):
            raise Busy(
                f"{self._address}: no answer within {SECONDS:g} s",
                remedy="See whether the server hangs, and whether long transactions hold its locks.",
            )
        if question.fault is not None:
            raise question.fault


class _Question:
    def __init__(self, ask: Callable[[], None]) -> None:
        self.began = time.monotonic()
        self.answered = threading.Event()
        self.fault: Exception | None = None
        threading.Thread(target=self._run, args=(ask,), name="readiness", daemon=True).start()

    def _run(self, ask: Callable[[], None]) -> None:
        try:
            ask()
        except Exception as fault:  # noqa: BLE001  (raised again, in whoever asks)
            self.fault = fault
        finally:
            self.answered.set()
