"""A vendor's database, as a fake API serves it: objects, associations, archives, merges, a clock of its own, faults."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response


@dataclass
class Thing:
    """One object. `properties` as text, the way the vendor keeps them."""

    id: str
    properties: dict[str, Any]
    created: datetime
    updated: datetime
    ended: datetime | None = None
    """When it was archived, or merged away."""
    into: str | None = None
    merged: list[str] = field(default_factory=list)


@dataclass
class Faults:
    """How often a call fails, of 1; `seed` makes it the same each time."""

    limited: float = 0.0
    broken: float = 0.0
    delayed: float = 0.0
    twice: float = 0.0
    """How often a page repeats one of its objects, and comes in another order."""
    behind: float = 0.0
    """How often a search has not heard of the last half minute."""


class Vendor:
    """Objects by kind and id. Every change moves its time of modification; times grow by a millisecond at least."""

    def __init__(self, now: datetime, seed: int = 0) -> None:
        self.now = now
        self.things: dict[str, dict[str, Thing]] = {}
        self.linked: set[tuple[str, str, str, str]] = set()
        self.faults = Faults()
        self.random = random.Random(seed)
        self.lock = threading.RLock()
        self.calls: list[tuple[str, str]] = []
        self.retry_after = "0"

    def tick(self, step: timedelta = timedelta(milliseconds=1)) -> datetime:
        self.now += step
        return self.now

    def of(self, kind: str) -> dict[str, Thing]:
        return self.things.setdefault(kind, {})

    def create(self, kind: str, id_: str, **properties: Any) -> Thing:
        with self.lock:
            now = self.tick()
            thing = self.of(kind)[id_] = Thing(id_, dict(properties), now, now)
            return thing

    def update(self, kind: str, id_: str, **properties: Any) -> None:
        with self.lock:
            thing = self.of(kind)[id_]
            thing.properties |= properties
            thing.updated = self.tick()

    def end(self, kind: str, id_: str) -> None:
        with self.lock:
            thing = self.of(kind)[id_]
            thing.ended = thing.updated = self.tick()

    def restore(self, kind: str, id_: str) -> None:
        with self.lock:
            thing = self.of(kind)[id_]
            thing.ended, thing.updated = None, self.tick()

    def merge(self, kind: str, loser: str, winner: str) -> None:
        with self.lock:
            self.end(kind, loser)
            self.of(kind)[loser].into = winner
            self.of(kind)[winner].merged += [loser, *self.of(kind)[loser].merged]
            self.of(kind)[winner].updated = self.now
            for link in [one for one in self.linked if (kind, loser) in ((one[0], one[1]), (one[2], one[3]))]:
                self.linked.discard(link)

    def link(self, kind: str, id_: str, other: str, other_id: str) -> None:
        """Associate; the first one's time of modification moves, as it does where a property names the other."""
        with self.lock:
            for old in [one for one in self.linked if one[:3] == (kind, id_, other)]:
                self.linked.discard(old)
            self.linked.add((kind, id_, other, other_id))
            self.of(kind)[id_].updated = self.tick()

    def others(self, kind: str, id_: str, other: str) -> list[str]:
        mine = [one[3] for one in self.linked if one[:3] == (kind, id_, other)]
        return sorted(mine + [one[1] for one in self.linked if (one[2], one[3], one[0]) == (kind, id_, other)])

    def alive(self, kind: str) -> list[Thing]:
        return [thing for thing in self.of(kind).values() if thing.ended is None]

    # ---- faults

    def upset(self, request: Request) -> Response | None:
        """What a call gets instead of an answer, if anything."""
        with self.lock:
            self.calls.append((request.method, request.url.path))
            roll = self.random.random()
            late = self.random.random() < self.faults.delayed
        if late:
            time.sleep(0.01)
        if roll < self.faults.limited:
            return JSONResponse({"message": "slow down"}, 429, {"retry-after": self.retry_after})
        if roll < self.faults.limited + self.faults.broken:
            return JSONResponse({"message": "out of order"}, 500)
        return None

    def shown(self, things: list[Any]) -> list[Any]:
        """A page as it comes: now and then with an object twice, and in another order."""
        if things and self.random.random() < self.faults.twice:
            things = [*things, self.random.choice(things)]
            self.random.shuffle(things)
        return things

    def heard(self, things: list[Thing]) -> list[Thing]:
        """What a search's index knows of by now."""
        if self.random.random() < self.faults.behind:
            return [thing for thing in things if thing.updated < self.now - timedelta(seconds=30)]
        return things


@contextmanager
def served(app: Starlette) -> Iterator[str]:
    """The address of an app on a port of this machine."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started:
        assert time.monotonic() < deadline and thread.is_alive(), "the fake did not start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
