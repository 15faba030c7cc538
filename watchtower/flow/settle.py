"""What falls due: alerts open, end by the facts, and are corrected where late news showed them wrong.

An alert is a function of the journal and the clock: it opens at `since + for` and ends where the rule ceases to
hold, to the microsecond, whenever the tick that says so happens to run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import msgspec

from watchtower.contract import CORE_SOURCE, Event, format_time
from watchtower.flow.apply import Applied, Engine
from watchtower.flow.moments import Known, Moment, moments
from watchtower.flow.outbox import tell
from watchtower.rulebook.model import Rulebook
from watchtower.rules.compile import CompiledRule
from watchtower.rules.fold import Record, reading
from watchtower.rules.spans_kept import Span
from watchtower.store import journal
from watchtower.store import spans as span_store
from watchtower.store.agenda import look
from watchtower.store.alerts import (
    Closing,
    NewAction,
    NewAlert,
    Rung,
    add_actions,
    close_alerts,
    count_actions,
    escalate,
    existing_alerts,
    open_alerts,
    reopen_alerts,
    wake_snoozed,
)
from watchtower.store.database import Connection

BATCH = 2000
BY_THE_FACTS = "by the facts"
LATE_NEWS = "late news"
APART = "clock.apart"
WITHDRAWN = "withdrawn: late news showed that it had not held"


@dataclass
class Settled:
    """What a tick did."""

    opened: int = 0
    resolved: int = 0
    corrected: int = 0

    def __add__(self, other: Settled) -> Settled:
        return Settled(self.opened + other.opened, self.resolved + other.resolved, self.corrected + other.corrected)


@dataclass(frozen=True)
class _Decision:
    """One line of an alert's history, and the journal entry that says it."""

    alert: str
    span: Span
    verb: str
    at: datetime
    note: str
    data: dict[str, Any]


def alert_id(span: Span) -> str:
    """The same rule on the same record since the same instant is the same alert, in every replay."""
    key = msgspec.json.encode((span.rule, span.object, span.record, format_time(span.since)))
    return "al_" + hashlib.blake2b(key, digest_size=10).hexdigest()


def settle(
    conn: Connection,
    engine: Engine,
    now: datetime,
    applied: Applied | None = None,
    *,
    because: str = LATE_NEWS,
    spoken: bool = False,
    informed_only: bool = False,
) -> Settled:
    """Correct, open and resolve all that is due at `now`. `because`: why told alerts are corrected.

    `informed_only`: a worker is the occasion. Then only rules that read what AI may supply are told; a worker's word
    is no tick for the others, whose alerts would otherwise show when it spoke.

    While history is being imported nothing opens or resolves: what is not yet read in would look like silence.
    `spoken`: whether this transaction has entries of its own, by which a replay comes here again. What else it must
    know is noted: that the clock was held, or that spans were passed by without a word.
    """
    done, passed = Settled(), 0
    journal.wait(conn)  # before the first look at what is due: transactions follow each other as their entries do
    rungs = [] if informed_only else ladder(engine.program.book)
    rules = [rule.rule.id for rule in engine.program.rules if rule.ai_informed] if informed_only else None
    found = look(conn, now, rungs, rules)

    def say(done: Settled, woken: int = 0) -> None:
        """Messages follow from decisions, and from what held others back."""
        if found.held or woken or done != Settled():
            tell(conn, engine.program.book, found.seq, now, informed_only=informed_only)

    corrected = applied is not None and bool(applied.withdrawn or applied.reopened)
    if applied is not None and corrected:
        done += _correct(conn, applied, now, because)
    if found.importing:
        if spoken:
            _note(conn, "clock.held", now, {"because": "history is being imported"})
        say(done)
        return done
    scan = partial(_batches, conn, now, rules)
    for batch in scan(span_store.due, lambda span: span.opens_at) if found.due or corrected else ():
        done += _open(conn, engine, batch, now, applied.recent if applied is not None else {})
        passed += len(batch)
    news = bool(corrected or passed)
    for batch in scan(span_store.ended, _until) if found.ended or news else ():
        done += _end(conn, batch, now)
        passed += len(batch)
    # A worker's word is no tick: it wakes nobody, and nobody climbs a ladder by it.
    woken = _wake(conn, now) if found.waking and not informed_only else 0
    woken += _escalate(conn, rungs, now) if rungs and (found.climbing or news) else 0
    if passed and not (spoken or woken or done.opened or done.resolved):
        _note(conn, "clock.settled", now, {"spans": passed})
    say(done, woken)
    return done


def _batches(
    conn: Connection,
    now: datetime,
    rules: Sequence[str] | None,
    scan: Callable[..., list[Span]],
    key: Callable[[Span], datetime],
) -> Iterator[list[Span]]:
    """What is due, a bounded number at a time; the next scan begins where the last one ended."""
    after = span_store.EARLIEST
    while batch := scan(conn, now, BATCH, rules=rules, after=after):
        yield batch
        if len(batch) < BATCH:
            return
        after = key(batch[-1])


def apart(conn: Connection, now: datetime) -> None:
    """Between two things that one transaction takes: a replay takes them apart, too."""
    _note(conn, APART, now, {})


def _note(conn: Connection, kind: str, now: datetime, data: dict[str, Any]) -> None:
    """What the clock did, where no decision tells of it."""
    key = f"ck_{journal.last_seq(conn)}"
    event = Event(id=key, source=CORE_SOURCE, type=kind, subject="clock/tower", time=now, data=data)
    journal.append(conn, [event], layer="decision", received_at=now)


def _wake(conn: Connection, now: datetime) -> int:
    decisions = []
    for id_, rule, name, record, since in wake_snoozed(conn, now):
        span = Span(rule=rule, object=name, record=record, state="holds", since=since, until=None, opens_at=since)
        decisions.append(_Decision(id_, span, "woken", now, "", {}))
    if decisions:
        _record(conn, decisions, now)
    return len(decisions)


def _escalate(conn: Connection, rungs: Sequence[Rung], now: datetime) -> int:
    """Who has not been answered is heard by the next on the ladder of its queue: a rung at a time, each at its time."""
    done = 0
    while climbed := escalate(conn, rungs, now):
        decisions = []
        for id_, rule, name, record, since, level, to, was, at in climbed:
            span = Span(rule=rule, object=name, record=record, state="holds", since=since, until=None, opens_at=since)
            data = {"level": level, "to": to, "was": was}
            decisions.append(_Decision(id_, span, "escalated", at, f"to {to}", data))
        _record(conn, decisions, now)
        done += len(decisions)
    return done


def ladder(book: Rulebook) -> list[Rung]:
    """The rungs of all queues."""
    return [
        Rung(name, level, rung.delay.total_seconds(), rung.to)
        for name, queue in book.queues.items()
        for level, rung in enumerate(queue.ladder, start=1)
    ]


def _open(conn: Connection, engine: Engine, spans: Sequence[Span], now: datetime, known: Known) -> Settled:
    told = [s for s in spans if s.rule in engine.rules and engine.rules[s.rule].rule.mode == "active"]
    states = moments(conn, engine, [(s.object, s.record, s.since) for s in told], known)
    wanted: dict[Span, dict[str, Moment]] = {span: {} for span in told}
    for span in told:
        for column in engine.rules[span.rule].columns:
            target = states[span.object, span.record, span.since].state.get(column.ref) if column.ref else None
            if target is not None:
                name = engine.program.book.objects[span.object].fields[column.ref].to
                wanted[span][column.ref] = (name, target, span.since)
    related = moments(conn, engine, [moment for mine in wanted.values() for moment in mine.values()], known)
    alerts, decisions = [], []
    for span in told:
        refs = {ref: related[moment] for ref, moment in wanted[span].items()}
        alert = _alert(engine, engine.rules[span.rule], span, states[span.object, span.record, span.since], refs)
        alerts.append(alert)
        data = {
            key: getattr(alert, key)
            for key in ("rulebook", "severity", "queue", "owner", "causes", "reads", "ai_informed")
        }
        decisions.append(_Decision(alert.id, span, "opened", span.opens_at, "", data))
    opened = open_alerts(conn, alerts)
    decisions = [decision for decision in decisions if decision.alert in opened]
    _record(conn, decisions, now)
    span_store.replace(conn, [], [msgspec.structs.replace(span, opened=True) for span in spans])
    return Settled(opened=len(decisions))


def _alert(engine: Engine, compiled: CompiledRule, span: Span, record: Record, refs: dict[str, Record]) -> NewAlert:
    rule = compiled.rule
    reads: dict[str, Any] = {}
    causes: dict[tuple[str, str], dict[str, Any]] = {}
    for column in compiled.columns:
        reads[column.name], mark = reading(column, record, refs)
        if mark:
            causes[mark["source"], mark["id"]] = {"source": mark["source"], "id": mark["id"], "at": mark["at"]}
    return NewAlert(
        id=alert_id(span), rule=rule.id, rulebook=engine.program.book.version, object=span.object, record=span.record,
        since=format_time(span.since), opened_at=format_time(span.opens_at), severity=rule.severity, queue=rule.queue,
        owner=rule.owner, because=rule.because, ai_informed=compiled.ai_informed,
        inhibitors=engine.program.inhibitors.get(rule.id, []),
        causes=sorted(causes.values(), key=lambda cause: (cause["at"], cause["source"], cause["id"])), reads=reads,
    )  # fmt: skip


def _end(conn: Connection, spans: Sequence[Span], now: datetime) -> Settled:
    ends = {alert_id(span): span for span in spans}
    closed = close_alerts(
        conn,
        [Closing(id=id_, at=format_time(_until(span)), resolution=BY_THE_FACTS) for id_, span in ends.items()],
    )
    decisions = [
        _Decision(id_, span, "resolved", _until(span), BY_THE_FACTS, {"resolution": BY_THE_FACTS})
        for id_, span in ends.items()
        if id_ in closed
    ]
    _record(conn, decisions, now)
    span_store.replace(conn, [], [msgspec.structs.replace(span, closed=True) for span in spans])
    return Settled(resolved=len(decisions))


def _until(span: Span) -> datetime:
    assert span.until is not None
    return span.until


def _correct(conn: Connection, applied: Applied, now: datetime, because: str) -> Settled:
    wrong = WITHDRAWN if because == LATE_NEWS else because
    gone = {alert_id(span): span for span in applied.withdrawn}
    back = {alert_id(span): span for span in applied.reopened}
    closed = close_alerts(conn, [Closing(id=id_, at=format_time(now), resolution=wrong) for id_ in gone])
    opened = reopen_alerts(conn, list(back))
    # What ended before its rule came into force was never told. Where it has not ended, it is told now.
    untold = back.keys() - existing_alerts(conn, list(back))
    span_store.tell(conn, [back[id_] for id_ in sorted(untold)])
    note = f"{because}: it had not ended then"
    decisions = [
        *(_Decision(id_, gone[id_], "corrected", now, wrong, {"resolution": wrong}) for id_ in sorted(closed)),
        *(_Decision(id_, back[id_], "corrected", now, note, {"because": note}) for id_ in sorted(opened)),
    ]
    _record(conn, decisions, now)
    return Settled(corrected=len(decisions))


def _record(conn: Connection, decisions: Sequence[_Decision], now: datetime) -> None:
    """Into the journal and into the alerts' history."""
    counts = count_actions(conn, [decision.alert for decision in decisions])
    events = [
        Event(
            id=f"{d.alert}.{counts.get(d.alert, 0)}.{d.verb}", source=CORE_SOURCE, type=f"alert.{d.verb}",
            subject=f"{d.span.object}/{d.span.record}", time=d.at,
            data={"alert": d.alert, "rule": d.span.rule, "since": format_time(d.span.since), **d.data},
        )
        for d in decisions
    ]  # fmt: skip
    journal.append(conn, events, layer="decision", received_at=now)
    add_actions(
        conn,
        [
            NewAction(alert=d.alert, at=format_time(d.at), actor=CORE_SOURCE, verb=d.verb, note=d.note)
            for d in decisions
        ],
    )
