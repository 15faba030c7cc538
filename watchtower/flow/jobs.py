"""The tower's desk at the jobs database: batches go down, answers come up and are decided on, each exactly once.

Three transactions, never one inside another: the core's (what is asked is journalled), the jobs database's (the
batch and its job), and, when answers have come, the core's again. Killed between any two of them, the next round
goes on: a request without an answer is asked again, an answer that was decided on is known by its request.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic, sleep
from typing import NamedTuple
from uuid import uuid4

import msgspec
import structlog

from watchtower.contract import DetectionRequest, Document, FieldRequest
from watchtower.contract.batch import (
    DETECTION,
    ENRICHMENT,
    Answer,
    DetectionBatch,
    FieldBatch,
    Labelled,
    proposals_of,
    signals_of,
)
from watchtower.flow import work
from watchtower.flow.apply import Engine
from watchtower.flow.counted import count_tally
from watchtower.flow.plan import ASK_AGAIN, Cost
from watchtower.rulebook import Rulebook
from watchtower.rulebook.asking import Price, Spend
from watchtower.rules.discoveries import threshold
from watchtower.store import jobs, journal, ledger
from watchtower.store import work as stored_work
from watchtower.store.database import Connection, Database
from watchtower.store.precedence import GaveWay, Precedence
from watchtower.tracing import carried, span

log = structlog.get_logger(__name__)

RECORDS = 20
"""Records in one batch, at most: what a worker that dies gives back."""
ANSWERS = 8
"""Answers fetched at once: each may be a quarter of a megabyte, and events of the core wait while it is read."""
PER_FIELD = 4
"""Proposals for each field that was asked about that are looked at; more are refused unread."""
AT_ONCE = 32
"""Proposals decided on in one transaction: an event of the core waits for no more."""
SHARED = (ENRICHMENT, DETECTION)
"""The queues of worker processes. What is run in the tower's own process has a queue of its own."""

PATIENCE = 0.25
"""Seconds for which answers give way to whatever else is written; then they are decided on at last."""

Write = Callable[..., AbstractContextManager[tuple[Connection, Engine]]]


@dataclass
class Tally:
    """What was decided on the answers that came."""

    answers: int = 0
    proposals: int = 0
    decided: work.Decided = field(default_factory=work.Decided)
    signals: dict[str, Found] = field(default_factory=dict)
    """By request."""
    faults: dict[str, str] = field(default_factory=dict)
    """Requests that got none, and why."""

    def add(self, other: Tally) -> None:
        self.answers += other.answers
        self.proposals += other.proposals
        self.decided.accepted += other.decided.accepted
        self.decided.review += other.decided.review
        self.decided.refused += other.decided.refused
        self.signals |= other.signals
        self.faults |= other.faults


class Found(NamedTuple):
    """What a detector's answer came to."""

    raised: int
    abstained: dict[str, str]
    held: int = 0
    """Of those raised, what the weekly budget of their family holds back."""


class Desk:
    """Hands requests down and takes answers up.

    `write` opens a transaction of the core; given `behind`, one that gives way until that time (by `monotonic`).
    `beside`: whether the jobs database is on the core's server, so that what is written later is on disk later.
    """

    def __init__(
        self,
        database: Database,
        write: Write,
        clock: Callable[[], datetime],
        precedence: Precedence | None = None,
        *,
        beside: bool = False,
    ) -> None:
        self.database, self._write, self._clock, self._beside = database, write, clock, beside
        self._precedence = precedence or Precedence()

    def allow(self, day: Spend, prices: Mapping[str, Price], *, calls_per_day: int) -> None:
        """What a day may cost, by the rulebook and the settings, and the price list."""
        calls = calls_per_day if day.calls is None else min(day.calls, calls_per_day)
        money = None if day.money is None else round(day.money * 1e6)
        with self.database.begin() as conn:
            ledger.allow(conn, {"calls_per_day": calls, "tokens_per_day": day.tokens, "money_per_day": money})
            listed = {model: (price.input, price.output) for model, price in prices.items()}
            listed |= {
                f"{model}@batch": (price.batch * price.input, price.batch * price.output)
                for model, price in prices.items()
            }
            ledger.keep_prices(conn, listed)

    def spent(self, since: datetime | None = None) -> Cost:
        """What calls have cost since then, by the clock of the jobs database; None: since the day (UTC) began."""
        with self.database.begin() as conn:
            began = jobs.time(conn).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
            return Cost(*ledger.spending(conn, since or began))

    def calls_by_day(self, since: datetime) -> list[ledger.DaysCalls]:
        """Calls to language models since then, by day and model."""
        with self.database.begin() as conn:
            return ledger.by_day(conn, since)

    def now(self) -> datetime:
        """The time by the clock of the jobs database."""
        with self.database.begin() as conn:
            return jobs.time(conn)

    def waiting(self) -> frozenset[str]:
        """The requests that stand in a queue of the worker processes, or came up and are not taken yet."""
        with self.database.begin() as conn:
            return jobs.waiting(conn, SHARED)

    def ask_fields(self, requests: Sequence[FieldRequest], labelled: Labelled, queue: str) -> list[str]:
        """Hand requests of enrichment down, with what classifiers may learn from; the batches' ids."""
        made = []
        with self.database.begin() as conn:
            shared = jobs.keep_blob(conn, msgspec.json.encode(labelled)) if any(labelled.values()) else None
            for several in batches_of(requests):
                body = msgspec.json.encode(FieldBatch(requests=tuple(several), trace=carried())).decode()
                asked = [(request.id, 1) for request in several]
                made.append(_hand_down(conn, ENRICHMENT, queue, body, shared, asked))
        return made

    def ask_detection(self, request: DetectionRequest, snapshot: bytes, queue: str, *, parts: int = 1) -> list[str]:
        """Hand one request of detection down, with the snapshot it looks at; the ids of its batches, one a part."""
        with self._write() as (conn, _):
            work.ask_detection(conn, work.stored_detection(request), self._clock())
        made = []
        with self.database.begin() as conn:
            shared = jobs.keep_blob(conn, snapshot)
            for part in range(parts):
                body = msgspec.json.encode(DetectionBatch(request=request, part=part, parts=parts)).decode()
                made.append(_hand_down(conn, DETECTION, queue, body, shared, [(request.id, jobs.MAX_PARTS)]))
        return made

    def collect(self, batches: Collection[str] | None = None) -> Tally:
        """Decide on the answers that have come: of these batches, else of the worker processes and of the dead."""
        tally = Tally()
        stale = self._clock_of_jobs()
        while True:
            self._precedence.wait(monotonic() + PATIENCE)
            with self.database.begin() as conn:
                arrived = jobs.arrived(conn, queues=SHARED, stale=stale, batches=batches, limit=ANSWERS)
                # a page may end among the parts of one request: what is decided on is decided on whole
                looks = {one.request for one in arrived if one.request.startswith("dq_")}
                if looks:
                    arrived = [one for one in arrived if one.request not in looks]
                    arrived += jobs.parts_of(conn, sorted(looks))
            if not arrived:
                return tally
            for several in _lots(arrived):
                with span("answers.decide", answers=len(several)):
                    found, book, took = self._decided(several)
                for request, because in found.faults.items():
                    log.error("no answer", request=request, because=because)
                count_tally(book, found)
                tally.add(found)
                self._precedence.wait(monotonic() + PATIENCE)
                with self._briefly() as conn:
                    jobs.taken(conn, [(one.batch, one.request) for one in several])
                if batches is None:
                    # Workers may say as much as they like: two thirds of the time are the core's.
                    sleep(min(2 * took, 1.0))

    def _decided(self, several: Sequence[jobs.Arrived]) -> tuple[Tally, Rulebook, float]:
        """Decide on answers in a transaction that gives way to others for PATIENCE seconds; under which rulebook, and
        how many seconds it took at last."""
        until = monotonic() + PATIENCE
        while True:
            self._precedence.wait(until)
            begun = monotonic()
            with suppress(GaveWay):
                with self._write(behind=until) as (conn, engine):
                    found = _decide(conn, engine, several, self._clock())
                    if self._beside and not (found.decided.accepted or found.signals):
                        # Nobody is told of it but by what is written later, and on disk later: the answers go after
                        # this, and what has this in view is flushed with it. What is accepted may open an alert that
                        # is told before anything else is written.
                        journal.flush_later(conn)
                return found, engine.program.book, monotonic() - begun

    def tend(self, *, silent: float = jobs.STALLED) -> None:
        """Begin the jobs of dead workers again, give up what kills them, and forget the batches that are through.

        A worker counts as dead after so many seconds without a heartbeat.
        """
        with self._briefly() as conn:
            again, given_up = jobs.requeue(conn, seconds=silent)
        if again:
            log.warning("begun again", jobs=again, because="their worker's heartbeat has stopped")
        for batch in given_up:
            self._give_up(batch)
        self.forget(None)

    def _give_up(self, batch: str) -> None:
        """The request at which a batch's worker died each time is not asked again; those behind it are."""
        with self.database.begin() as conn:
            left = jobs.unanswered(conn, batch)
        if left:
            log.error("given up", request=left[0], because=f"{jobs.DEATHS} workers died over it")
            with self._write() as (conn, _):
                because = f"{jobs.DEATHS} workers died over it"
                work.leave_unanswered(conn, left[:1], self._clock(), because=because)

    def forget(self, batches: Collection[str] | None) -> None:
        """Forget batches that are through, or whose job ended; what they left is asked again later."""
        with self._briefly() as conn:
            ended = jobs.ended(conn, queues=SHARED, stale=self._clock_of_jobs(), batches=batches)
            jobs.forget(conn, [one.id for one in ended])

    def abandon(self, batches: Collection[str]) -> None:
        """Forget batches of this process whatever their state."""
        with self._briefly() as conn:
            jobs.forget(conn, batches)

    def _clock_of_jobs(self) -> datetime:
        """Before this, a batch of a process's own queue is one of a process that has died."""
        with self.database.begin() as conn:
            return jobs.time(conn) - ASK_AGAIN

    @contextmanager
    def _briefly(self) -> Iterator[Connection]:
        """A transaction that waits for nobody: a worker may hold a lock here for as long as it likes."""
        with self.database.begin() as conn:
            jobs.wait_briefly(conn)
            yield conn


def own_queue(queue: str) -> str:
    """The name of a queue that only this process knows."""
    return f"{queue}.{uuid4().hex[:12]}"


def batches_of(requests: Sequence[FieldRequest], *, records: int = RECORDS) -> list[list[FieldRequest]]:
    """Requests in batches of at most `records` and MAX_BODY bytes, in their order."""
    batches: list[list[FieldRequest]] = []
    room = 0
    for request in requests:
        request = fitted(request)
        size = len(msgspec.json.encode(request)) + 1
        if not batches or len(batches[-1]) == records or size > room:
            batches.append([])
            room = jobs.MAX_BODY - 1000
        batches[-1].append(request)
        room -= size
    return batches


def fitted(request: FieldRequest, most: int = jobs.MAX_BODY // 4) -> FieldRequest:
    """The request with as many of its documents, the first ones first, as fit into `most` bytes.

    The last one is cut where it must be; quotes count from a document's start, so they stay true.
    """
    if len(msgspec.json.encode(request)) <= most:
        return request
    room, kept = most - len(msgspec.json.encode(msgspec.structs.replace(request, documents=()))), list[Document]()
    for document in request.documents:
        size = len(msgspec.json.encode(document)) + 1
        if size > room:
            if not kept:
                kept.append(msgspec.structs.replace(document, text=document.text[: max(room, 0) // 6]))
            break
        kept.append(document)
        room -= size
    return msgspec.structs.replace(request, documents=tuple(kept))


def _hand_down(
    conn: Connection, task: str, queue: str, body: str, blob: str | None, asked: Sequence[tuple[str, int]]
) -> str:
    batch = jobs.NewBatch(id=f"b_{uuid4().hex}", queue=queue, body=body, blob=blob, requests=asked)
    jobs.hand_down(conn, task, batch)
    return batch.id


def _lots(arrived: Sequence[jobs.Arrived]) -> Iterator[list[jobs.Arrived]]:
    """The answers, so many together that no transaction decides on more than AT_ONCE proposals; a look stays whole."""
    lot: list[jobs.Arrived] = []
    weight = 0
    for several in _whole(arrived):
        parts = [part for one in several for part in map(_parsed, one.bodies) if part is not None]
        heavy = sum(min(len(part.proposals), AT_ONCE) + len(part.signals) for part in parts)
        if lot and weight + heavy > AT_ONCE:
            yield lot
            lot, weight = [], 0
        lot += several
        weight += heavy
    if lot:
        yield lot


def _whole(arrived: Sequence[jobs.Arrived]) -> list[list[jobs.Arrived]]:
    """What is decided on as one: an answer, or the answers of all parts of a detector's look."""
    looks: dict[str, list[jobs.Arrived]] = {}
    for one in arrived:
        looks.setdefault(one.request if one.request.startswith("dq_") else f"{one.batch} {one.request}", []).append(one)
    return list(looks.values())


def _decide(conn: Connection, engine: Engine, arrived: Sequence[jobs.Arrived], now: datetime) -> Tally:
    """Decide on answers in one transaction; those to a request that has its answer are passed over."""
    tally = Tally()
    known = stored_work.requests(conn, sorted({one.request for one in arrived}))
    proposals, requests, postponed, unreadable = [], [], set[str](), 0
    for several in _whole(arrived):
        one = several[0]
        request = known.get(one.request)
        if request is None or request.answered_at is not None:
            continue
        parts = [part for answer in several for part in map(_parsed, answer.bodies) if part is not None]
        fault = next((part.fault for part in parts if part.fault), "") or ("" if parts else "not an answer")
        if not fault and len(several) < (wanted := max(part.parts for part in parts)):
            fault = f"{len(several)} of its {wanted} parts were answered"
        tally.answers += 1
        if fault:
            tally.faults[one.request] = fault[:500]
        if request.kind == "signal":
            tally.signals[one.request] = _signals(conn, engine, request, [] if fault else parts, now, fault)
            continue
        requests.append(one.request)
        if any(part.postponed for part in parts):
            postponed.add(one.request)
        for part in parts:
            found, bad = proposals_of(part, PER_FIELD * len(request.fields))
            proposals.extend(found)
            unreadable += bad
    if requests:
        tally.decided = work.take_proposals(conn, engine, proposals, now, requests=requests, postponed=postponed)
        tally.decided.refused += unreadable
        tally.proposals = len(proposals) + unreadable
    return tally


def _signals(
    conn: Connection,
    engine: Engine,
    request: stored_work.StoredRequest,
    parts: Sequence[Answer],
    now: datetime,
    fault: str,
) -> Found:
    [name] = request.fields
    declared = engine.program.book.signals.get(name)
    if fault or declared is None or declared.object != request.object or work.overtaken(conn, request):
        because = fault or "it is not declared any more, or a later look was answered before"
        work.leave_unanswered(conn, [request.id], now, because=because[:500])
        return Found(0, {})
    signals = [signal for part in parts for signal in signals_of(part)[0]]
    abstained = {cohort: reason for part in parts for cohort, reason in part.abstained.items()}
    tested = max((part.tested for part in parts if part.tested is not None), default=None)
    joint = next((part.joint for part in parts if part.joint is not None), None)
    if joint is not None:
        limit = threshold([signal.p_value for signal in signals], joint, tested or 0)
        signals = [signal for signal in signals if signal.p_value <= limit]
    taken = work.take_signals(conn, engine, request, signals, now, tested=tested)
    return Found(taken.raised, abstained, taken.held)


def _parsed(body: str) -> Answer | None:
    try:
        return msgspec.json.decode(body, type=Answer)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


__all__ = ["Desk", "Found", "Tally", "batches_of", "own_queue"]
