"""Messages leave: at least once, in order, each under its own stable id, however often the process dies.

A lane is one receiver and one class of alerts (deterministic, or AI-informed), and is delivered one message after
another. A message is held by a row lock while it is posted and noted as delivered in the same transaction: a process
that is killed in between leaves it due, and at most this one message is sent again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec
import structlog

from watchtower.flow.clickup import Call, tell_clickup
from watchtower.flow.counted import count_delivery
from watchtower.flow.mail import notify_apprise, send_mail
from watchtower.flow.post import Postman, Undelivered, signed
from watchtower.flow.slack import post_to_slack
from watchtower.rulebook.telling import Receiver, midnight
from watchtower.store import outbox
from watchtower.store.database import Connection, Database
from watchtower.store.outbox import Lane, Message
from watchtower.store.subscriptions import end_subscription

log = structlog.get_logger(__name__)

FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(hours=1)
GIVE_UP_AFTER = timedelta(days=5)
"""From the first attempt. A receiver may be away for a long weekend and miss nothing."""
_LANE_PAUSES = tuple(timedelta(seconds=seconds) for seconds in (1, 2, 5, 10, 20, 30, 60))
"""After so many failures in a row a lane rests for this long: a receiver that is down costs little, and one that is
back is noticed within a minute, however long it was away."""
GONE = 410
"""The answer by which a subscriber says that it is no more (Zapier sends it for a zap that was switched off)."""
LOOK_EVERY = 0.5
"""Seconds between two looks for what is due."""

Outcome = Literal["delivered", "pending", "dead", "none"]


@dataclass
class Delivered:
    """What one pass did."""

    delivered: int = 0
    failed: int = 0
    dead: int = 0


def pause(message: str, attempts: int) -> timedelta:
    """How long until the next attempt, after so many: twice as long each time, up to an hour, more or less a
    quarter of it, so that messages which failed together do not come back together."""
    doubled: int = 2 ** min(attempts - 1, 20)
    whole = min(FIRST_PAUSE * doubled, LONGEST_PAUSE)
    share = int.from_bytes(hashlib.blake2b(f"{message}.{attempts}".encode(), digest_size=2).digest()) / 65535
    return whole * (0.75 + share / 2)


class Courier:
    """Delivers what is due. `receivers` and `clock` are asked anew each time; `secret` by an environment's name.

    `zone`: where a day begins; `pages`: the address of the review pages, for links, or nothing.
    """

    def __init__(
        self,
        database: Database,
        receivers: Callable[[], Mapping[str, Receiver]],
        secret: Callable[[str], str | None],
        clock: Callable[[], datetime],
        post: Call | None = None,
        *,
        zone: Callable[[], ZoneInfo] = lambda: ZoneInfo("UTC"),
        pages: str = "",
    ) -> None:
        self._database, self._receivers, self._secret, self._clock = database, receivers, secret, clock
        self._zone, self._pages = zone, pages.rstrip("/")
        self._post = post or Postman()
        self._failures: dict[Lane, int] = {}
        self._resting: dict[Lane, datetime] = {}
        self._stop = Event()
        # What AI informed has a thread and a connection of its own, and can take none from the others.
        self._pools = {False: ThreadPoolExecutor(4, "outbox"), True: ThreadPoolExecutor(1, "outbox-ai")}
        self._running: dict[Lane, Future[None]] = {}

    def deliver(self) -> Delivered:
        """Deliver what is due now, lane by lane, deterministic alerts first."""
        done = Delivered()
        for lane in self._lanes():
            while (outcome := self._next(lane)) != "none":
                done.delivered += outcome == "delivered"
                done.failed += outcome == "pending"
                done.dead += outcome == "dead"
                if outcome != "delivered":
                    break
        return done

    def look(self) -> float:
        """Set every lane going in which something is due and nothing is on its way; the seconds until the next look.

        A fault of a lane (the database is away) is raised here, at the next look.
        """
        ended = [lane for lane, running in self._running.items() if running.done()]
        faults = [fault for lane in ended if (fault := self._running.pop(lane).exception()) is not None]
        if faults:
            raise faults[0]
        for lane in self._lanes():
            if lane not in self._running:
                self._running[lane] = self._pools[lane.ai_informed].submit(self._drain, lane)
        return LOOK_EVERY

    def close(self) -> None:
        """End after the message that is on its way."""
        self._stop.set()
        for pool in self._pools.values():
            pool.shutdown(cancel_futures=True)

    def _lanes(self) -> list[Lane]:
        """Where something is due, but for lanes that rest after a failure."""
        now = self._clock()
        names = list(self._receivers())
        if not names:
            return []
        with self._database.read() as conn:
            due = outbox.due_lanes(conn, names, now)
        return [lane for lane in due if lane not in self._resting or self._resting[lane] <= now]

    def _drain(self, lane: Lane) -> None:
        while not self._stop.is_set() and self._next(lane) == "delivered":
            pass

    def _next(self, lane: Lane) -> Outcome:
        """Deliver the next message of a lane; of a receiver with a digest, all that is due as one."""
        receiver = self._receivers().get(lane.receiver)
        if receiver is None:
            return "none"
        with self._database.begin() as conn:
            now = self._clock()
            self._budget(conn, receiver, lane, now)
            if receiver.digest:
                messages = outbox.digest(conn, lane, now)
            else:
                message = outbox.take(conn, lane, now, rate=receiver.rate)
                messages = [] if message is None else [message]
            if not messages:
                return "none"
            try:
                self._send(conn, receiver, lane.receiver, messages, now)
            except Undelivered as fault:
                if fault.status == GONE and end_subscription(conn, lane.receiver, now, f"its answer, {GONE}"):
                    log.info("subscription ended", receiver=lane.receiver, because=fault.message)
                    return "dead"
                states = [self._failed(conn, message, now, fault) for message in messages]
                self._rest(lane, now, fault.wait)
                log.warning(
                    "not delivered", message=messages[0].id, more=len(messages) - 1, receiver=lane.receiver,
                    because=fault.message,
                )  # fmt: skip
                count_delivery(lane.receiver, ai_informed=lane.ai_informed, outcome="failed", messages=len(messages))
                return states[0]
            for message in messages:
                outbox.tried(conn, message.id, "delivered", now, now)
        count_delivery(lane.receiver, ai_informed=lane.ai_informed, outcome="delivered", messages=len(messages))
        self._failures.pop(lane, None)
        self._resting.pop(lane, None)
        return "delivered"

    def _budget(self, conn: Connection, receiver: Receiver, lane: Lane, now: datetime) -> None:
        """What is over the day's budget waits for the next day, and says so."""
        if receiver.per_day is None:
            return
        zone = self._zone()
        if outbox.sent(conn, lane, midnight(now, zone)) >= receiver.per_day:
            held = f"over the budget of {receiver.per_day} a day"
            deferred = outbox.defer(conn, lane, now, midnight(now, zone, days=1), held)
            if deferred:
                log.info("deferred", receiver=lane.receiver, messages=deferred, because=held)

    def _failed(self, conn: Connection, message: Message, now: datetime, fault: Undelivered) -> Outcome:
        first = message.first_tried_at or now
        state: Outcome = "dead" if now - first >= GIVE_UP_AFTER else "pending"
        wait = max(pause(message.id, message.attempts + 1), timedelta(seconds=fault.wait))
        outbox.tried(conn, message.id, state, now, now + wait, fault.message)
        return state

    def _send(
        self, conn: Connection, receiver: Receiver, name: str, messages: Sequence[Message], now: datetime
    ) -> None:
        secret = self._secret(receiver.secret)
        if not secret:
            raise Undelivered(f"the environment has no {receiver.secret}, which holds the receiver's secret")
        if receiver.kind == "webhook":
            (message,) = messages
            self._post(receiver.url, signed(message.id, message.body, secret, now), message.body)
            return
        bodies = [(message.id, msgspec.json.decode(message.body)) for message in messages]
        if receiver.kind == "slack":
            post_to_slack(self._post, receiver, secret, bodies, self._pages)
        elif receiver.kind == "clickup":
            for _, body in bodies:
                tell_clickup(conn, self._post, receiver, name, secret, body, self._pages)
        elif receiver.kind == "email":
            send_mail(receiver, secret, bodies, now, self._pages)
        else:
            notify_apprise(secret, bodies, self._pages)

    def _rest(self, lane: Lane, now: datetime, wait: float = 0.0) -> None:
        failures = self._failures[lane] = self._failures.get(lane, 0) + 1
        known = _LANE_PAUSES[min(failures, len(_LANE_PAUSES)) - 1]
        self._resting[lane] = now + max(known, timedelta(seconds=wait))
