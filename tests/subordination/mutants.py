"""Leaks, planted: for each side channel the smallest mechanism through which a worker's word would reach the core.

A mutant is (name, the side channel, how it is applied, the trace to try first). Some stand for mechanisms that the
tower does not have, such as a cooldown or a round-robin of owners: whoever adds one later is told what the test would
say of the obvious way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import any_, func, select, text
from subordination import runs

from watchtower.bootstrap import Tower, people
from watchtower.contract import Event, format_time
from watchtower.flow import intake, merging, settle, streams, work
from watchtower.flow.apply import apply_events
from watchtower.flow.intake import Sent, Verdict
from watchtower.rules import fold
from watchtower.rules.acceptance import ACCEPTED, REVIEW, Decision
from watchtower.store import alerts, journal, outbox, queries, turns
from watchtower.store.schema import alert

Plant = Callable[[pytest.MonkeyPatch, Tower], None]


@dataclass(frozen=True)
class Mutant:
    name: str
    channel: str
    plant: Plant
    trace: int = 0
    """The seed of a trace that tells it, where others are many: tried first."""


def _opening(choose: Callable[[Any, Sequence[Any]], Sequence[Any]]) -> Plant:
    """Another choice of the alerts that open."""

    def plant(patch: pytest.MonkeyPatch, tower: Tower) -> None:
        patch.setattr(settle, "open_alerts", lambda conn, new: alerts.open_alerts(conn, choose(conn, new)))

    return plant


def _rows(conn: Any, sql: str, **given: Any) -> list[Any]:
    return list(conn.execute(text(sql), given))


def _cooldown(conn: Any, new: Sequence[Any]) -> Sequence[Any]:
    recent = {
        (row.object, row.record): row.at
        for row in _rows(conn, "select object, record, max(opened_at) as at from alert group by 1, 2")
    }
    calm = timedelta(hours=12)
    return [
        one
        for one in new
        if not any(
            (one.object, one.record) == key and format_time(at) <= one.opened_at < format_time(at + calm)
            for key, at in recent.items()
        )
    ]


def _dedupe(conn: Any, new: Sequence[Any]) -> Sequence[Any]:
    standing = _rows(conn, "select object, record, queue from alert where status <> 'resolved'")
    known = {tuple(row) for row in standing}
    return [one for one in new if (one.object, one.record, one.queue) not in known]


def _budget(conn: Any, new: Sequence[Any]) -> Sequence[Any]:
    [(told,)] = _rows(conn, "select count(*) from alert")
    return list(new)[: max(0, 9 - told)]


def _round_robin(conn: Any, new: Sequence[Any]) -> Sequence[Any]:
    [(told,)] = _rows(conn, "select count(*) from alert")
    return [alerts.msgspec.structs.replace(one, owner=f"owner {(told + n) % 3}") for n, one in enumerate(new)]


def _sequence(patch: pytest.MonkeyPatch, tower: Tower) -> None:
    kept = journal._repeat

    def repeat(row: Any, seq: int, body: str) -> Any:
        found = kept(row, seq, body)
        return found._replace(because=f"{found.because} (journal {seq})" if found.because else "")

    patch.setattr(journal, "_repeat", repeat)


def _door(judge: Callable[[Any, Event], str]) -> Plant:
    """Another reason why an event is refused."""

    def plant(patch: pytest.MonkeyPatch, tower: Tower) -> None:
        kept = intake.take

        def take(conn: Any, engine: Any, items: Sequence[Any], now: Any, **rest: Any) -> Any:
            judged = []
            for item in items:
                event = item.what if isinstance(item, Sent) else item
                reason = judge(conn, event) if isinstance(event, Event) else ""
                judged.append(Sent(Verdict(event.id, "refused", reason), item.raw) if reason else item)
            return kept(conn, engine, judged, now, **rest)

        patch.setattr(intake, "take", take)

    return plant


def _watermark(conn: Any, event: Event) -> str:
    [(last,)] = _rows(conn, "select max(received_at) from journal where layer <> 'decision'")
    return "too late" if last is not None and event.time < last - timedelta(minutes=30) else ""


def _poison(conn: Any, event: Event) -> str:
    dead = _rows(conn, "select 1 from deadletter where event = :id", id=event.id)
    return "quarantined: this event was refused before" if dead else ""


def _collision(patch: pytest.MonkeyPatch, tower: Tower) -> None:
    decode = intake.decode
    patch.setattr(intake, "decode", lambda raw, source: decode(raw, None))


def _capacity(patch: pytest.MonkeyPatch, tower: Tower) -> None:
    patch.setattr(queries, "_ORDER", (alert.c.opened_at.desc(), alert.c.id))


def _merge(patch: pytest.MonkeyPatch, tower: Tower) -> None:
    """A proposal that names another account makes the two one."""
    kept = work._decide_all

    def decide_all(conn: Any, engine: Any, fresh: list[Event], asked: Any, now: Any, decided: Any) -> Any:
        applied = kept(conn, engine, fresh, asked, now, decided)
        same = {e.data["value"] for e in fresh if e.data["value"] in ("A1", "A2")}
        merged = [
            Event(id=f"m_{value}", source="watchtower", type="record.merged", subject=f"account/{value}", time=now)
            for value in sorted(same)
        ]
        if merged:
            apply_events(conn, engine, merged)
        return applied

    patch.setattr(work, "_decide_all", decide_all)


def _likely(patch: pytest.MonkeyPatch, tower: Tower) -> None:
    """A pair that is likely enough becomes one, without a rule that says so."""
    kept = merging.decide_pair

    def decide(said: Any, **given: Any) -> Decision:
        found = kept(said, **given)
        return Decision(ACCEPTED, found.rule, "99.9% sure") if found.status == REVIEW else found

    patch.setattr(merging, "decide_pair", decide)


def _waiting_pair(patch: pytest.MonkeyPatch, tower: Tower) -> None:
    """A record that may be another's double opens no alert until somebody has looked."""

    def choose(conn: Any, new: Sequence[Any]) -> Sequence[Any]:
        held = _rows(conn, "select object, record, survivor from merge_proposal where status = 'review'")
        doubtful = {(name, one) for name, *both in map(tuple, held) for one in both}
        return [one for one in new if (one.object, one.record) not in doubtful]

    _opening(choose)(patch, tower)


def _inhibition(patch: pytest.MonkeyPatch, tower: Tower) -> None:
    """A rule that reads AI hides one that does not, and the queue believes it."""
    waits = {rule.rule.id: ["small_lead", "paused", "unpaused", "odd"] for rule in tower._engine.program.rules}
    patch.setitem(tower._engine.program.__dict__, "inhibitors", waits)
    other = alert.alias("hiding")
    by = select(func.min(other.c.rule)).where(
        other.c.record == alert.c.record, other.c.rule == any_(alert.c.inhibitors), other.c.status != "resolved"
    )
    patch.setattr(queries, "_INHIBITED_BY", by.scalar_subquery())


def _tick(patch: pytest.MonkeyPatch, tower: Tower) -> None:
    kept = work.settle
    patch.setattr(work, "settle", lambda conn, engine, now, applied, **_: kept(conn, engine, now, applied))


def _refused_tick(patch: pytest.MonkeyPatch, tower: Tower) -> None:
    kept = intake.take

    def take(conn: Any, engine: Any, items: Sequence[Any], now: Any, **rest: Any) -> Any:
        taken = kept(conn, engine, items, now, **rest)
        settle.settle(conn, engine, now)
        return taken

    patch.setattr(intake, "take", take)


def _snooze(patch: pytest.MonkeyPatch, tower: Tower) -> None:
    """News from AI on a record ends the snooze of its alerts."""
    kept = work.take_proposals

    def take(conn: Any, engine: Any, proposals: Sequence[Any], now: Any, **rest: Any) -> Any:
        done = kept(conn, engine, proposals, now, **rest)
        conn.execute(text("update alert set status = 'open' where status in ('snoozed', 'acknowledged')"))
        return done

    patch.setattr(work, "take_proposals", take)


def _unaccepted(patch: pytest.MonkeyPatch, tower: Tower) -> None:
    kept = work.decide

    def decide(proposal: Any, **given: Any) -> Decision:
        found = kept(proposal, **given)
        if proposal.field in ("stage", "segment") and given["field"] is not None:
            return Decision(ACCEPTED, given["key"], "it said so", given["field"].values[0])
        return found

    patch.setattr(work, "decide", decide)


def _folding(change: Callable[[Any, Any, Event, str], None]) -> Plant:
    """A fold that lets a decision on a worker's word do more than set its field."""

    def plant(patch: pytest.MonkeyPatch, tower: Tower) -> None:
        kept = fold.ObjectFold._decide

        def decide(self: Any, record: Any, event: Event, time: str) -> None:
            kept(self, record, event, time)
            change(self, record, event, time)

        patch.setattr(fold.ObjectFold, "_decide", decide)

    return plant


def _counted(self: Any, record: Any, event: Event, time: str) -> None:
    for _, _, step in self._every:
        step(record.state, event, time)


def _active(self: Any, record: Any, event: Event, time: str) -> None:
    if "last_at" in record.state:
        record.state["last_at"] = time


def _believed(self: Any, record: Any, event: Event, time: str) -> None:
    if event.type == fold.FIELD_ACCEPTED and event.data["field"] in self.verified:
        self.verify(record, event.data["field"], event.data["value"], event, time)


def _outbox_full(patch: pytest.MonkeyPatch, tower: Tower) -> None:
    kept = outbox.add

    def add(conn: Any, messages: Sequence[Any], now: Any) -> None:
        [(waiting,)] = _rows(conn, "select count(*) from outbox where state = 'pending'")
        kept(conn, messages[: max(12 - waiting, 0)], now)

    patch.setattr(outbox, "add", add)


def _restamped(self: Any, record: Any, event: Event, time: str) -> None:
    for key in [key for key in record.state if key.startswith("changed_at(stage")]:
        record.state[key] = time


def _existence(patch: pytest.MonkeyPatch, tower: Tower) -> None:
    kept = fold.ObjectFold.apply

    def revive(self: Any, record: Any, event: Event) -> None:
        if event.type in (fold.FIELD_ACCEPTED, fold.SIGNAL_ADMITTED) and not record.alive:
            record.alive, record.state = True, dict.fromkeys(self.zeros, 0)
        kept(self, record, event)

    patch.setattr(fold.ObjectFold, "apply", revive)
    # A deleted record is still one that workers are asked about.
    load = work.records.load
    rows = alerts.msgspec.structs.replace
    patch.setattr(
        work.records,
        "load",
        lambda conn, name, ids: {key: rows(row, deleted_at=None) for key, row in load(conn, name, ids).items()},
    )


def _label(patch: pytest.MonkeyPatch, tower: Tower) -> None:
    for rule in tower._engine.program.rules:
        if rule.rule.id in ("likely_small", "paused", "unpaused"):
            patch.setitem(rule.__dict__, "ai_informed", False)


def _tick_budget(patch: pytest.MonkeyPatch, tower: Tower) -> None:
    """Three alerts a tick, whoever is first."""
    kept, served = settle.span_store.due, dict[Any, int]()

    def due(conn: Any, now: Any, limit: int, **rest: Any) -> Any:
        [(turn,)] = _rows(conn, "select txid_current()")
        left = 2 - served.get(turn, 0)
        found = kept(conn, now, left, **rest) if left > 0 else []
        served[turn] = served.get(turn, 0) + len(found)
        return found

    patch.setattr(settle.span_store, "due", due)


def _tick_lock(conn: Any) -> None:
    """What a tick holds to its end, beside the journal."""
    conn.execute(text("select pg_advisory_xact_lock(:key)"), {"key": turns.TICK})


def _thinking(hold: Callable[[Any], None]) -> Plant:
    """Something is held while a worker thinks."""

    def plant(patch: pytest.MonkeyPatch, tower: Tower) -> None:
        @contextmanager
        def held(tower: Tower) -> Iterator[None]:
            with tower.database.begin() as conn:
                hold(conn)
                yield

        patch.setattr(runs, "thinking", held)

    return plant


def _connections(patch: pytest.MonkeyPatch, tower: Tower) -> None:
    """A worker holds as many connections as it likes."""
    pool: Any = tower.database.engine.pool
    patch.setattr(pool, "_timeout", 0.2)
    patch.setattr(pool, "_max_overflow", 0)

    @contextmanager
    def greedy(tower: Tower) -> Iterator[None]:
        held = [tower.database.engine.connect() for _ in range(pool.size())]
        try:
            yield
        finally:
            for conn in held:
                conn.close()

    patch.setattr(runs, "thinking", greedy)


def _feedback(patch: pytest.MonkeyPatch, tower: Tower) -> None:
    """What people say of proposals makes rules' alerts less grave."""
    kept = people.person_decides

    def decides(conn: Any, engine: Any, proposal_id: str, verdict: str, **rest: Any) -> None:
        kept(conn, engine, proposal_id, verdict, **rest)
        conn.execute(text("update alert set severity = 'low'"))

    patch.setattr(people, "person_decides", decides)


def _worker_fold(patch: pytest.MonkeyPatch, tower: Tower) -> None:
    """Proposals come to the fold like events: any event counts as a touch."""
    kept = streams.folded
    patch.setattr(streams, "folded", lambda kind, layer: kept(kind, layer) or layer == "worker")


def _freshness(patch: pytest.MonkeyPatch, tower: Tower) -> None:
    kept = queries.health

    def health(conn: Any) -> Any:
        [(last,)] = _rows(conn, "select max(received_at) from journal")
        return {**kept(conn), "last_received": last}

    patch.setattr(queries, "health", health)


MUTANTS = (
    Mutant("cooldown", "after any alert on a record, silence for 12 hours", _opening(_cooldown), 21),
    Mutant("dedupe", "alerts of one record in one queue are one", _opening(_dedupe)),
    Mutant("budget", "nine alerts in all, whoever opens them", _opening(_budget)),
    Mutant("round-robin", "owners by turns, counted over all alerts", _opening(_round_robin)),
    Mutant("sequence", "a refusal tells the journal's number, which counts workers' entries", _sequence, 1),
    Mutant("watermark", "an event before the latest entry is too late", _door(_watermark), 10),
    Mutant("poison", "an id that a worker sent to the door before is quarantined", _door(_poison)),
    Mutant("collision", "the door believes the source that an event names", _collision),
    Mutant("capacity", "a queue's page holds the newest, whoever said them", _capacity),
    Mutant("merge", "a proposal that names a record merges it", _merge),
    Mutant("likely-merge", "a likely pair becomes one without a rule", _likely),
    Mutant("doubtful", "a record that may be a double opens no alert", _waiting_pair),
    Mutant("inhibition", "an AI-informed alert hides others", _inhibition),
    Mutant("tick", "a worker's results are a tick", _tick),
    Mutant("refused-tick", "what the door refuses is a tick", _refused_tick),
    Mutant("snooze", "news from AI ends a snooze", _snooze, 9),
    Mutant("unaccepted", "a field that nobody asked about is accepted", _unaccepted, 14),
    Mutant("worker-fold", "proposals are folded when a history is rebuilt", _worker_fold),
    Mutant("count-window", "a decision on AI counts as an event", _folding(_counted)),
    Mutant("last-activity", "a decision on AI is the last activity", _folding(_active)),
    Mutant("changed-at", "a decision on AI restamps other fields", _folding(_restamped), 1),
    Mutant("verified", "what AI was granted counts as verified", _folding(_believed)),
    Mutant("notifications", "a dozen notifications may wait, whoever they are of", _outbox_full),
    Mutant("existence", "a decision on AI brings a record back", _existence),
    Mutant("label", "rules through AI's reference or pause bear no label", _label),
    Mutant("tick-budget", "a tick opens two alerts, whoever is first", _tick_budget, 1),
    Mutant("journal-lock", "the journal is locked while a worker thinks", _thinking(journal.wait), 1),
    Mutant("tick-lock", "the clock is locked while a worker thinks", _thinking(_tick_lock)),
    Mutant("connections", "a worker takes all connections", _connections),
    Mutant("feedback", "verdicts on proposals retune alerts", _feedback),
    Mutant("freshness", "a worker's entry looks like news from a source", _freshness),
)
