"""Live changes: one look at the journal for all who watch, and server-sent events for each of them.

Who is too slow is told to read anew (`reset`), rather than being kept a backlog for. Who comes back with Last-Event-ID
gets what it missed, up to a limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import structlog
from starlette.concurrency import run_in_threadpool

from watchtower.api.port import Reader
from watchtower.contract import format_time
from watchtower.errors import StoreError
from watchtower.store.changes import Change, changes, last_change

log = structlog.get_logger(__name__)

LOOK_EVERY = 0.2
"""Seconds between two looks at the journal, while anybody watches."""
REST = 5.0
"""Seconds until the next look after the database did not answer."""
BACKLOG = 1_000
BEAT = 15.0
"""Seconds of silence after which a comment is sent, so that what lies between does not take the line for dead."""
RESET = "event: reset\ndata: {}\n\n"


def told(change: Change) -> str:
    """One change as a server-sent event: its number, its type, and a line of JSON."""
    said = {
        "seq": change.seq, "type": change.type, "record": f"{change.object}/{change.record}",
        "time": format_time(change.time), "alert": change.alert or None, "rule": change.rule or None,
        "actor": change.actor or None,
    }  # fmt: skip
    return f"id: {change.seq}\nevent: {change.type}\ndata: {msgspec.json.encode(said).decode()}\n\n"


class Feed:
    """The changes of one tower, for as many as watch. Lives in one event loop."""

    def __init__(self, database: Reader) -> None:
        self._database = database
        self._watching: set[asyncio.Queue[str | None]] = set()
        self._looking: asyncio.Task[None] | None = None
        self._closed = False
        self._seen = 0

    async def follow(self, after: int | None) -> AsyncIterator[str]:
        """What changes from now on, or after this entry; ends when the feed is closed. StoreError."""
        last = await run_in_threadpool(self._last)
        mine: asyncio.Queue[str | None] = asyncio.Queue(BACKLOG)
        if self._looking is None or self._looking.done():
            self._seen = last
            self._looking = asyncio.create_task(self._look())
        self._watching.add(mine)
        try:
            yield f"retry: 2000\nid: {last}\n\n"
            if after is not None and after < last:
                missed = await run_in_threadpool(self._changes, after, BACKLOG)
                yield RESET if len(missed) == BACKLOG else "".join(told(c) for c in missed if c.seq <= last)
            while not self._closed:
                try:
                    said = await asyncio.wait_for(mine.get(), BEAT)
                except TimeoutError:
                    said = ": still here\n\n"
                if said is None:
                    return
                yield said
        finally:
            self._watching.discard(mine)

    def close(self) -> None:
        """Let everybody who watches go."""
        self._closed = True
        for queue in self._watching:
            _put(queue, None)

    async def _look(self) -> None:
        while self._watching and not self._closed:
            wait = LOOK_EVERY
            try:
                last, found = await run_in_threadpool(self._new)
            except StoreError as fault:
                log.warning("live changes cannot be read", because=fault.message)
                last, found, wait = self._seen, [], REST
            if last < self._seen:  # the database was restored: its numbers have gone back
                self._seen = last
                for queue in self._watching:
                    _put(queue, RESET)
            elif found:
                self._seen = found[-1].seq
                said = RESET if len(found) == BACKLOG else "".join(map(told, found))
                for queue in self._watching:
                    _put(queue, said)
            await asyncio.sleep(wait)

    def _last(self) -> int:
        with self._database.read() as conn:
            return last_change(conn)

    def _new(self) -> tuple[int, list[Change]]:
        with self._database.read() as conn:
            return last_change(conn), changes(conn, self._seen, BACKLOG)

    def _changes(self, after: int, limit: int) -> list[Change]:
        with self._database.read() as conn:
            return changes(conn, after, limit)


def _put(queue: asyncio.Queue[str | None], said: str | None) -> None:
    if queue.full():
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(RESET)
        if said is not None:
            return
    queue.put_nowait(said)
