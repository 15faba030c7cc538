"""Running a trace on a real tower, and what can be observed of rules that read no AI after each step of the core."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import text
from subordination.company import BOOK, FROM_AI, VERIFIED
from subordination.traces import START, Step, forged_events, merged, pairs_of, proposals_of, values_of

from watchtower.bootstrap import Tower, build
from watchtower.contract import Evidence, Likeness, Proposal, Signal, Weighed
from watchtower.errors import WatchtowerError
from watchtower.flow import merging, work
from watchtower.settings import Settings
from watchtower.store import queries
from watchtower.store.rows import AlertFilter

TABLES = (
    "action, alert, deadletter, document, journal, link, merge, merge_proposal, outbox, proposal, record, "
    "request, signal, span, version"
)  # fmt: skip


def thinking(tower: Tower) -> AbstractContextManager[None]:
    """What is held while a worker thinks: nothing. Mutants put another here."""
    return nullcontext()


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@contextmanager
def open_tower(url: str, folder: Path) -> Iterator[Tower]:
    """A tower under the traces' rulebook. Whoever waits a fifth of a second for a lock is told that it is held."""
    (folder / "rules.yaml").write_text(BOOK)
    separator = "&" if "?" in url else "?"
    quick = f"{url}{separator}options=-c%20lock_timeout%3D200"
    settings = Settings(data=folder, database_url=SecretStr(quick))
    with build(settings, rulebook=folder / "rules.yaml", clock=Clock()) as tower:
        yield tower


class Run:
    """One trace on an empty tower. `seen`: after each step of the core, what it answered and what can be observed."""

    def __init__(self, tower: Tower, *, against: Run | None = None) -> None:
        self.tower, self.against = tower, against
        self.informed = {rule.rule.id for rule in tower.program.rules if rule.ai_informed}
        self.seen: list[tuple[Any, dict[str, Any]]] = []
        self.faults: list[str] = []
        self.difference = ""
        """The first thing that is not as in the run it is held against; the run ends there."""
        self.taken = 0
        """Proposals and signals that workers got in: a trace without any proves nothing."""
        with tower.database.begin() as conn:
            conn.execute(text(f"truncate {TABLES} restart identity cascade"))

    def go(self, steps: Sequence[Step]) -> Run:
        waiting = list(steps)
        while waiting and not self.difference:
            self._step(waiting.pop(0), waiting)
        return self

    def _step(self, step: Step, waiting: list[Step]) -> None:
        clock: Any = self.tower.clock
        clock.now = max(clock.now, step.at) if step.at > START else step.at
        if step.core:
            answer = getattr(self, f"_{step.kind}")(step)
            try:
                self.seen.append((answer, self.observe()))
            except Exception as error:  # noqa: BLE001  (nor may it become unobservable)
                self.seen.append((answer, {"records": f"{type(error).__name__}: {error}"[:200]}))
            if self.against is not None and not self.difference:
                self.difference = difference(self.against.seen, self.seen)
            return
        try:
            getattr(self, f"_{step.kind}")(step, random.Random(step.data["seed"]), waiting)
        except Exception as error:  # noqa: BLE001  (a worker's own run may fail; the core's may not)
            self.faults.append(f"{step.kind}: {type(error).__name__}: {error}"[:200])

    # ---- the core

    def _take(self, step: Step) -> Any:
        return self._answered(lambda: [(v.id, v.status, v.reason) for v in self.tower.take(step.data["events"])])

    def _tick(self, step: Step) -> Any:
        return self._answered(lambda: self.tower.tick() and None)

    def _act(self, step: Step) -> Any:
        with self.tower.database.read() as conn:
            found = queries.alerts(conn, AlertFilter(ai_informed=False), after=None, limit=500)
        ids = sorted(row.id for row in found if row.rule not in self.informed)
        if not ids:
            return None
        verb, chosen = step.data["verb"], ids[step.data["nth"] % len(ids)]
        said = {"until": step.data["until"], "assignee": "carla", "note": "seen"}
        return self._answered(lambda: self.tower.act(chosen, verb, actor="anna", **said))

    def _cross(self, step: Step) -> Any:
        given = {"handoff": "to_sales", "action": step.data["action"], "fields": {}, "actor": "anna"}
        return self._answered(lambda: self.tower.cross(step.data["subject"], **given).to_json())

    def _answered(self, ask: Any) -> Any:
        try:
            return ask()
        except WatchtowerError as error:
            return (type(error).__name__, error.message)
        except Exception as error:  # noqa: BLE001  (a core step that fails is something observed)
            return (type(error).__name__,)

    # ---- workers

    def _enrich(self, step: Step, rng: random.Random, waiting: list[Step]) -> None:
        asked = self.tower.requests(limit=3)
        # While a worker thinks, the core goes on.
        with thinking(self.tower):
            if step.data["during"] and waiting and waiting[0].core:
                self._step(waiting.pop(0), waiting)
        ids = [request.id for request in asked]
        given = proposals_of(rng, ids, step.data["said"], 3) if ids else []
        self._propose([proposal(one) for one in given], ids)

    def _propose(self, said: Sequence[Proposal], requests: Sequence[str]) -> None:
        with self.tower._write() as conn:
            decided = work.take_proposals(conn, self.tower._engine, said, self.tower.clock(), requests=requests)
        self.taken += decided.accepted + decided.review

    def _forge(self, step: Step, rng: random.Random, waiting: list[Step]) -> None:
        """Answers to requests of any time, and to none: what a worker writes into its results."""
        with self.tower.database.read() as conn:
            known = list(conn.execute(text("select id from request order by id")).scalars())
        said = step.data["said"]
        pool = [*known * 5, *(event["id"] for event in said), "watchtower", ""]
        given = proposals_of(rng, pool, said, rng.randrange(1, 8))
        self._propose([proposal(one) for one in given], [rng.choice(pool)])

    def _detect(self, step: Step, rng: random.Random, waiting: list[Step]) -> None:
        said = step.data["said"]
        for request in self.tower._detections(None):
            raised = [signal(rng, request, said) for _ in range(rng.randrange(5))]
            with self.tower._write() as conn:
                asked = work.stored_detection(request)
                taken = work.take_signals(conn, self.tower._engine, asked, raised, self.tower.clock())
                self.taken += taken.raised

    def _pairs(self, step: Step, rng: random.Random, waiting: list[Step]) -> None:
        """Records are proposed to be one, in answer to a request, to an old one, or to none. No rule merges here."""
        name = rng.choice(("account", "lead"))
        with self.tower._write() as conn:
            asked = merging.ask_pairs(conn, self.tower._engine, name, self.tower.clock()).request
        given = pairs_of(rng, [asked, asked, asked, "rq_none"], step.data["said"], rng.randrange(1, 5))
        said = [Likeness(**one | {"weights": tuple(Weighed(**w) for w in one["weights"])}) for one in given]
        with self.tower._write() as conn:
            counts = merging.take_pairs(conn, self.tower._engine, asked, said, self.tower.clock())
        self.taken += counts["review"]

    def _door(self, step: Step, rng: random.Random, waiting: list[Step]) -> None:
        events = forged_events(rng, step.data["said"], step.at)
        verdicts = self.tower.take(events, source=rng.choice(("enrichment", "detectors")))
        assert all(verdict.status == "refused" for verdict in verdicts)

    def _verdict(self, step: Step, rng: random.Random, waiting: list[Step]) -> None:
        """A person accepts or rejects what is in review: declassified, by name, for that field."""
        with self.tower.database.read() as conn:
            found = list(conn.execute(text("select id, field from proposal where status = 'review' order by id")))
        if found:
            (chosen, about), verdict = rng.choice(found), rng.choice(("accept", "reject"))
            verdict = "reject" if about in VERIFIED else verdict
            self.tower.decide(chosen, verdict, actor="anna", note="read it")

    # ---- what can be observed

    def observe(self) -> dict[str, Any]:
        """Alerts with their history and order, spans and what is due, decisions, fields, documents, freshness."""
        rules = sorted(self.informed)
        with self.tower.database.read() as conn:

            def rows(sql: str, **given: Any) -> list[tuple[Any, ...]]:
                return [tuple(row) for row in conn.execute(text(sql), given)]

            told = queries.alerts(conn, AlertFilter(), after=None, limit=500)
            first = queries.alerts(conn, AlertFilter(queue=("desk",)), after=None, limit=4)
            mine = [row for row in told if row.rule not in self.informed]
            alerts = [
                {k: v for k, v in row.__rich_repr__() if k != "state"} for row in mine
            ]  # fmt: skip
            held = {row.id for row in mine}
            history = rows("select alert, at, actor, verb, note from action order by alert, seq")
            spans = rows("select * from span where not rule = any(:rules) order by 1, 2, 3, 4, 5", rules=rules)
            decided = rows(
                "select id, type, object, record, time, received_at, data from journal where type like 'alert.%' "
                "and not data ->> 'rule' = any(:rules) order by seq", rules=rules,
            )  # fmt: skip
            refused = rows(
                "select id, type, object, record, time, received_at, data from journal "
                "where type like '%.refused' and id like 'ho_%' order by seq"
            )
            records = rows("select object, id, created_at, deleted_at, state, provenance from record order by 1, 2")
            documents = rows("select * from document order by 1, 2, 3")
            notifications = rows(
                "select id, receiver, alert, event, type, rank, state, body, created_at, due_at from outbox "
                "where not ai_informed order by id"
            )
            health = queries.health(conn)
        return {
            "alerts": alerts,
            "first page": [row.id for row in first if row.rule not in self.informed],
            "history": [row for row in history if row[0] in held],
            "spans": spans,
            "decisions": decided,
            "handoffs refused": refused,
            "records": [(*row[:4], _canonical(row[4]), _canonical(row[5])) for row in records],
            "documents": documents,
            "notifications": notifications,
            "health": {key: health[key] for key in ("records", "last_received", "last_event")},
        }


def _canonical(values: dict[str, Any]) -> dict[str, Any]:
    """Without what is declassified: fields that AI may fill, with what follows from them, but for verified values."""
    return {
        key: value
        for key, value in values.items()
        if key.startswith("verified(") or not any(name in key for name in FROM_AI)
    }


def proposal(given: dict[str, Any]) -> Proposal:
    return Proposal(**given | {"evidence": tuple(Evidence(**evidence) for evidence in given["evidence"])})


def signal(rng: random.Random, request: Any, said: Sequence[dict[str, Any]]) -> Signal:
    """About a record that is there, mostly; else with a part out of the core's pools."""
    began = START + timedelta(hours=rng.randrange(200))
    given: dict[str, Any] = {
        "request": request.id, "signal": request.signal, "subject": rng.choice(said)["subject"], "detector": "d",
        "version": "0", "p_value": rng.choice((0.001, 0.01, 0.5)), "strength": 3.0, "unit": "days", "direction": "up",
        "explanation": "longer than usual", "began_at": began, "window_from": began, "window_to": began,
    }  # fmt: skip
    if rng.random() < 0.3:
        given[rng.choice(("request", "signal", "subject", "p_value", "strength", "explanation"))] = values_of(rng, said)
    return Signal(**given)


def leak(tower: Tower, core: Sequence[Step], workers: Sequence[Step]) -> str:
    """The first thing in which L and L + A differ; empty where the core cannot tell them apart."""
    return beside(tower, core, workers).difference


def beside(tower: Tower, core: Sequence[Step], workers: Sequence[Step]) -> Run:
    """The run of L + A, held against that of L."""
    alone = Run(tower).go(core)
    return Run(tower, against=alone).go(merged(core, workers))


def difference(alone: Sequence[tuple[Any, dict[str, Any]]], other: Sequence[tuple[Any, dict[str, Any]]]) -> str:
    """Between what was seen after the last step of `other`, and after the same step alone."""
    number = len(other) - 1
    (said, seen), (other_said, other_seen) = alone[number], other[number]
    if said != other_said:
        return f"step {number} of the core answered\n    {said}\nand beside workers\n    {other_said}"
    for part, value in seen.items():
        if value != other_seen.get(part):
            return f"after step {number} of the core: {part}\n" + _apart(value, other_seen.get(part))
    return ""


def _apart(a: Any, b: Any) -> str:
    if isinstance(a, list) and isinstance(b, list):
        a, b = [x for x in a if x not in b][:3], [x for x in b if x not in a][:3]
    return f"    alone          {a}\n    beside workers {b}"


def least(tower: Tower, core: Sequence[Step], workers: Sequence[Step]) -> list[Step]:
    """A leak's workers, without those steps that it does not need."""
    kept = list(workers)
    for step in list(kept):
        fewer = [other for other in kept if other is not step]
        if leak(tower, core, fewer):
            kept = fewer
    return kept
