"""The composition root: one place that knows every part, and puts them together. Tests and evals call it too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any, Literal

from watchtower.connectors import Refused
from watchtower.contract import Calibration, DetectionRequest, EnrichmentWorker, Event, FieldRequest, format_time
from watchtower.contract.batch import DETECTION, ENRICHMENT
from watchtower.errors import InputError, Missing
from watchtower.flow import deadletters, intake, retention, silencing, work
from watchtower.flow.activation import activate
from watchtower.flow.acts import Verb, act
from watchtower.flow.apply import Engine, folded
from watchtower.flow.backtest import State, duckdb_engine, states_at
from watchtower.flow.declared import declared_parameters
from watchtower.flow.delivery import Courier
from watchtower.flow.door import Door
from watchtower.flow.erasure import Erasure, erase
from watchtower.flow.explain_stored import explain_stored
from watchtower.flow.handover import Crossing, cross
from watchtower.flow.history import fold_history
from watchtower.flow.intake import Sent, Verdict
from watchtower.flow.jobs import Desk, Tally, own_queue
from watchtower.flow.metrics import Measured, measure
from watchtower.flow.outbox import tell, tell_ended
from watchtower.flow.pages import SOURCE as WEB
from watchtower.flow.pages import Wanted, page_event, wanted
from watchtower.flow.plan import ASK_AGAIN, Cost, Means, Plan, ask, plan
from watchtower.flow.replay import Replayed, replay
from watchtower.flow.retention import Retained
from watchtower.flow.settle import Settled
from watchtower.flow.snapshot import parts_for, write_snapshot
from watchtower.flow.snapshot_usage import reads_usage, write_usage
from watchtower.flow.told import Told, why_told
from watchtower.flow.watching import job_heard
from watchtower.rulebook import DEFAULT, Loaded, Rulebook, from_content, load
from watchtower.rules.compile import Program, compile_rulebook
from watchtower.rules.discoveries import week_of
from watchtower.settings import Settings, read_secret, read_settings
from watchtower.store import audit, journal, rulebooks, spans, turns
from watchtower.store import work as stored_work
from watchtower.store.backup import forget
from watchtower.store.database import Connection, Database, connect, migrate
from watchtower.store.deadletters import DeadLetter, add_deadletters, discard, next_due
from watchtower.store.group import Group
from watchtower.store.jobs import beside, open_jobs
from watchtower.store.ledger import Ledger
from watchtower.store.signals import HeldSignal, held_since
from watchtower.store.silences import Silence
from watchtower.workers import (
    Bench,
    LabelledRow,
    PagesRead,
    calibrate,
    detector_names,
    model_status,
    no_worker,
    open_offline,
    open_worker,
    read_pages,
    run_until_empty,
    shelf_folder,
    stamp,
)

TAKE_EVERY = 1.0
"""Seconds between two looks for answers while a worker works in this process."""

Clock = Callable[[], datetime]
Progress = Callable[[int, int], None]


def system_clock() -> datetime:
    """The one place that reads the time."""
    return datetime.now(UTC)  # noqa: TID251


@dataclass
class Enriched:
    """What an enrichment run did."""

    requests: int = 0
    proposals: int = 0
    decided: work.Decided = field(default_factory=work.Decided)
    faults: int = 0
    """Requests over which the worker failed."""
    cost: Cost = field(default_factory=Cost)
    """What calls to models cost meanwhile, by the ledger."""


@dataclass(frozen=True)
class HandedOver:
    """What a run by way of the provider's batches did: calls taken back and handed over, batches under way."""

    run: Enriched
    taken: int
    handed: int
    waiting: int


@dataclass
class Fetched:
    """What reading pages brought. `unread`: (page, why)."""

    records: int = 0
    pages: int = 0
    unread: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Detected:
    """What one detector run did. `abstained`: cohorts it would not judge, with the reason. `held`: of those raised,
    how many the weekly budget of their family holds back."""

    signal: str
    detector: str
    raised: int
    abstained: Mapping[str, str]
    held: int = 0


class Tower:
    """The tower: the one object that commands, the API and the pages speak to."""

    def __init__(self, settings: Settings, database: Database, engine: Engine, clock: Clock) -> None:
        self.settings, self.database, self.clock = settings, database, clock
        self._engine = engine
        self._looked = monotonic()
        self._group: Group[Sent, Verdict] = Group(lambda items: self._take(items, "api"))
        self._desk: Desk | None = None
        self._opening = Lock()
        self.door = Door(database, clock)

    @property
    def program(self) -> Program:
        """What is in force, as this process last saw it: at its last write, or a second ago at most."""
        if monotonic() - self._looked > 1:
            with self.database.read() as conn:
                self._see(conn)
        return self._engine.program

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        """A transaction under the rulebook in force: another process may have put a new one there."""
        with self.database.begin() as conn:
            rulebooks.share_turn(conn)
            self._see(conn)
            yield conn

    def _see(self, conn: Connection) -> None:
        version = rulebooks.version_in_force(conn)
        if version is not None and version != self._engine.program.book.version:
            self._engine = Engine.of(_program(rulebooks.content(conn, version) or {}))
        self._looked = monotonic()

    @property
    def rulebook(self) -> Rulebook:
        return self.program.book

    def close(self) -> None:
        """Close the databases; stop the server where it is embedded and nobody else uses it."""
        if self._desk is not None:
            self._desk.database.close()
        self.database.close()

    def __enter__(self) -> Tower:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- events

    def take(self, raw: Sequence[Mapping[str, Any]], *, source: str | None = None) -> list[Verdict]:
        """CloudEvents JSON in; a verdict for each. `source`: the name the sender's credential stands for."""
        items = intake.decode(raw, source)
        return list(self._group.put(items)) if items else []

    def take_events(
        self, events: Sequence[Event], *, refused: Sequence[Refused] = (), origin: str = "import"
    ) -> list[Verdict]:
        """Events that a connector read; rows it could not read go to the dead letters."""
        if refused:
            letters = [DeadLetter(origin=r.place, reason=r.reason, body=r.raw, event=r.event) for r in refused]
            with self._write() as conn:
                add_deadletters(conn, letters, self.clock())
        return self._take(list(events), origin)

    @contextmanager
    def importing(self) -> Iterator[None]:
        """While history is read in, alerts stand still; at the end all that is due is settled at once."""
        with turns.importing(self.database):
            yield
        self.tick()

    def _take(self, items: Sequence[Event | Sent], origin: str) -> list[Verdict]:
        if not items:
            return []
        with self._write() as conn:
            return intake.take(conn, self._engine, items, self.clock(), origin=origin).verdicts

    def redrive(self, seqs: Sequence[int] | None = None, *, by: str = "command line") -> Counter[str]:
        """Dead letters go through the door again, those that can: how many got which verdict. None: all of them."""
        counts: Counter[str] = Counter()
        after = 0
        while True:
            with self._write() as conn:
                now = self.clock()
                done = deadletters.redrive(conn, self._engine, now, seqs=seqs, after=after)
                if done.last:
                    about = f"up to {done.last}"
                    audit.note(conn, actor=by, what="deadletters.redrive", about=about, now=now, data=done.counts)
            counts += done.counts
            if not done.last:
                return counts
            after = done.last

    def discard(self, seq: int, because: str, *, by: str = "command line") -> bool:
        """A dead letter is not wanted; False where it is closed already, or unknown."""
        with self._write() as conn:
            now = self.clock()
            done = discard(conn, seq, because, now)
            if done:
                audit.note(conn, actor=by, what="deadletters.discard", about=str(seq), now=now, data={"note": because})
            return done

    def erase(self, subject: str, *, because: str, by: str) -> Erasure:
        """Erase a person (`contact/C-1`): destroy the key of what is personal. InputError."""
        with self._write() as conn:
            done = self._erase(conn, subject, because, by, self.clock())
        forget(self.database, self.settings.data / "erased.keys", [done.key])
        return done

    def _erase(self, conn: Connection, subject: str, because: str, by: str, now: datetime) -> Erasure:
        done = erase(conn, self._engine, subject, because=because, by=by, now=now)
        audit.note(conn, actor=by, what="person.erase", about=subject, now=now, data={"note": because})
        return done

    def retain(self, days: int, *, by: str, dry: bool = False) -> Retained:
        """Erase whom the rulebook keeps no longer (`keep_personal`), and delete what only the past of operations needs
        and is older than `days`: notifications that went out, closed dead letters, snapshots. `dry`: only count."""
        now, folder = self.clock(), self.settings.data / "snapshots"
        with self.database.read() as conn:
            found = retention.due(conn, self._engine, now, days, folder)
        if dry:
            return found
        for several in retention.lots(found.people):
            with self._write() as conn:
                keys = [self._erase(conn, subject, because, by, now).key for subject, because in several]
            forget(self.database, self.settings.data / "erased.keys", keys)
        with self._write() as conn:
            done = retention.let_go(conn, found, now, days)
            if done.anything:
                audit.note(conn, actor=by, what="retention", about=f"{days} days", now=now, data=done.counts())
        return done

    # ---- the clock

    def tick(self, now: datetime | None = None) -> Settled:
        """Take what waited for its time, and open, resolve and correct what is due."""
        with self._write() as conn:
            done = deadletters.tick(conn, self._engine, now or self.clock())
            job_heard(conn, self._engine, "clock", now or self.clock())
            return done

    def next_instant(self) -> datetime | None:
        """When the clock alone will change something."""
        with self.database.read() as conn:
            known = (spans.next_instant(conn), next_due(conn))
        return min((instant for instant in known if instant is not None), default=None)

    @contextmanager
    def courier(self) -> Iterator[Courier]:
        """What carries notifications to the receivers that the rulebook in force names."""
        courier = Courier(
            self.database, lambda: self.rulebook.receivers, read_secret, self.clock,
            zone=lambda: self.rulebook.zone, pages=self.settings.public_url or "",
        )  # fmt: skip
        try:
            yield courier
        finally:
            courier.close()

    # ---- people

    def act(
        self,
        alert_id: str,
        verb: Verb,
        *,
        actor: str,
        note: str = "",
        until: datetime | None = None,
        assignee: str | None = None,
        verdict: str = "",
        expected: str | None = None,
    ) -> None:
        """A person acts on an alert. Missing, InputError; Stale where it is not at the revision `expected` any more."""
        with self._write() as conn:
            now, begun = self.clock(), journal.last_seq(conn)
            said = act(
                conn, alert_id, verb, actor=actor, note=note, until=until, assignee=assignee, verdict=verdict,
                expected=expected, now=now,
            )  # fmt: skip
            audit.note(conn, actor=actor, what=f"alert.{verb}", about=alert_id, now=now, data={"note": said})
            book = self._engine.program.book
            if verb == "resolve":
                tell_ended(conn, book, [alert_id], f"{alert_id}.{format_time(now)}", now)
            elif verb == "reopen":
                tell(conn, book, begun, now)

    def silence(self, matched: Mapping[str, str | None], *, until: datetime, because: str, actor: str) -> Silence:
        """Tell nobody of alerts that are all this, until a time. InputError."""
        with self._write() as conn:
            return silencing.silence(conn, matched, until=until, because=because, by=actor, now=self.clock())

    def end_silence(self, silence_id: str, *, actor: str) -> Silence:
        """Let a silence end now; what waited for it is told. Missing."""
        with self._write() as conn:
            now = self.clock()
            ended = silencing.lift(conn, silence_id, by=actor, now=now)
            tell(conn, self._engine.program.book, journal.last_seq(conn), now)
            return ended

    def told(self, alert_id: str, *, person: str = "") -> list[Told]:
        """Which receivers know of an alert, and why, or why not. Missing."""
        with self.database.read() as conn:
            return why_told(conn, self.rulebook, alert_id, self.clock(), person=person)

    def decide(self, proposal_id: str, verdict: Literal["accept", "reject"], *, actor: str, note: str = "") -> None:
        """A person accepts or rejects a proposal. Missing, InputError."""
        with self._write() as conn:
            now = self.clock()
            work.person_decides(conn, self._engine, proposal_id, verdict, actor=actor, note=note, now=now)
            audit.note(conn, actor=actor, what=f"proposal.{verdict}", about=proposal_id, now=now, data={"note": note})

    def cross(
        self,
        subject: str,
        *,
        handoff: str | None = None,
        action: str = "offer",
        fields: Mapping[str, Any] | None = None,
        actor: str,
        note: str = "",
        trial: bool = False,
    ) -> Crossing:
        """Hand a record over, or move it, where no rule at the gate says no; `trial` only asks. InputError, Missing."""
        with self._write() as conn:
            now = self.clock()
            crossing = cross(
                conn, self._engine, subject, handoff=handoff, action=action, fields=fields or {}, actor=actor,
                note=note, now=now, trial=trial,
            )  # fmt: skip
            if crossing.outcome in ("offered", "accepted", "rejected", "moved"):
                said = {"handoff": handoff, "fields": sorted(fields or {}), "note": note}
                audit.note(conn, actor=actor, what=f"handoff.{crossing.outcome}", about=subject, now=now, data=said)
            return crossing

    def explain(self, rule_id: str, subject: str, at: datetime) -> dict[str, Any]:
        """Each condition of a rule on a record at an instant, the values read, and where they came from."""
        with self.database.read() as conn:
            return explain_stored(conn, self._engine, rule_id, subject, at)

    # ---- the rulebook

    def activate(
        self,
        loaded: Loaded,
        *,
        by: str,
        note: str = "",
        pass_over: bool = False,
        progress: Callable[[int], None] = lambda n: None,
    ) -> Settled:
        """Put a rulebook in force; nothing where it is in force already. InputError where earlier events say what it
        does not allow, unless `pass_over`."""
        program = compile_rulebook(loaded)
        if program.book.version == self.rulebook.version:
            return Settled()
        engine = Engine.of(program)
        settled = activate(
            self.database, engine, by=by, now=self.clock(), note=note, pass_over=pass_over, progress=progress
        )
        self._engine = engine
        return settled

    def activations(self) -> list[rulebooks.Activation]:
        """Every rulebook that ever was in force, the first one first."""
        with self.database.read() as conn:
            return rulebooks.history(conn)

    def roll_back(self, version: str = "", *, by: str, note: str = "") -> rulebooks.Activation:
        """Put an earlier rulebook in force again: the one before, or the one named. Missing where there is none."""
        past = [known for known in self.activations() if known.version != self.rulebook.version]
        chosen = [known for known in past if known.version.startswith(version)]
        if not chosen:
            raise Missing(
                f"rulebook {version!r} was never in force" if version else "no other rulebook was ever in force",
                remedy="watchtower rules history lists those that were",
            )
        back = self._loaded(chosen[-1].version)
        # The way back is never barred: what came since and the earlier rulebook does not know is passed over.
        self.activate(back, by=by, note=note or f"back to {chosen[-1].version}", pass_over=True)
        return chosen[-1]

    def shadow(self, since: datetime) -> list[rulebooks.Shadow]:
        """What the rules that run in shadow would have told since then."""
        rules = [rule.id for rule in self.rulebook.rules if rule.mode == "shadow"]
        with self.database.read() as conn:
            return rulebooks.shadow(conn, rules, since, self.clock())

    def book_at(self, at: datetime) -> Program:
        """The rules that were in force at an instant. Missing where there were none yet."""
        with self.database.read() as conn:
            version = rulebooks.version_in_force(conn, at)
        if version is None:
            raise Missing(
                f"no rulebook was in force at {format_time(at)}", remedy="watchtower rules history tells when"
            )
        return compile_rulebook(self._loaded(version))

    def _loaded(self, version: str) -> Loaded:
        with self.database.read() as conn:
            return Loaded(from_content(rulebooks.content(conn, version) or {}), {})

    def states_at(self, at: datetime) -> tuple[Program, list[State]]:
        """What held, was unknown or was due at an instant, under the rules then in force, by the journal of today."""
        program = self.book_at(at)
        with self.database.read() as conn:
            history = fold_history(program, _folded(conn), until=at)
        with duckdb_engine(history.versions) as engine:
            return program, states_at(engine, program, at)

    def measure(self, start: datetime, end: datetime) -> list[Measured]:
        """Every metric of the rulebook in force over [start, end), by the journal of today."""
        with self.database.read() as conn:
            return measure(Loaded(self.rulebook, {}), _folded(conn), start, end)

    def replay(
        self,
        *,
        verify: bool = True,
        until: int | None = None,
        dump: Path | None = None,
        progress: Progress = lambda seq, last: None,
    ) -> Replayed:
        """Make everything again from the journal, beside what is there, and say whether it is the same. InputError."""
        return replay(self.database, verify=verify, until=until, dump=dump, progress=progress)

    # ---- the workers

    def requests(
        self,
        *,
        limit: int = 100,
        only: frozenset[str] | None = None,
        means: str = "",
        waiting: frozenset[str] = frozenset(),
        write: bool = True,
    ) -> list[FieldRequest]:
        """What enrichment is asked now: the fields that starve rules, the most starving first.

        A record is asked about once per set of documents and `means` (the model at hand, to which the trained
        classifiers are added). Without `write`, nothing is asked: this only looks.
        """
        return self.plan(limit=limit, only=only, means=means, waiting=waiting, write=write).requests

    def plan(
        self,
        *,
        limit: int = 100,
        only: frozenset[str] | None = None,
        means: str = "",
        paid: bool | None = None,
        waiting: frozenset[str] = frozenset(),
        write: bool = False,
        again: timedelta = ASK_AGAIN,
    ) -> Plan:
        """What enrichment would be asked now, in order, within the rulebook's budgets, and what it costs at most.

        `paid`: whether calls to the model cost something (None: where an endpoint is configured). With `write`, what
        is asked is journalled.
        """
        paid = self.settings.llm_base_url is not None if paid is None else paid
        spent = self._spent() if paid and means else None
        by = Means(means, paid, stamp(self.settings))
        with self._write() as conn:
            made = plan(
                conn, self._engine, self.clock(), limit=limit, only=only, means=by, waiting=waiting, spent=spent,
                again=again,
            )  # fmt: skip
            if write:
                ask(conn, made, self.clock())
            return made

    def wanted_pages(self, *, limit: int = 20, only: frozenset[str] | None = None) -> list[Wanted]:
        """The own pages of records that starve, the most wanted first, that were not read lately."""
        with self._write() as conn:
            return wanted(conn, self._engine, self.clock(), limit=limit, only=only)

    def fetch(
        self,
        pages: Sequence[Wanted],
        *,
        read: Callable[[str, Sequence[str]], PagesRead] = read_pages,
        progress: Progress = lambda done, total: None,
    ) -> Fetched:
        """Read pages, outside of any transaction; each comes in through the door, as what the source `web` says."""
        done = Fetched()
        for number, one in enumerate(pages, start=1):
            found, unread = read(one.domain, one.paths)
            now = self.clock()
            events = [page_event(one, path, url, text, now) for path, url, text in found]
            verdicts = self.take(events, source=WEB)
            taken = sum(verdict.status == "accepted" for verdict in verdicts)
            done.records, done.pages = done.records + (taken > 0), done.pages + taken
            done.unread += [(f"{one.domain}{path}", because) for path, because in unread]
            progress(number, len(pages))
        return done

    def _spent(self) -> Cost:
        """What calls have cost today; and the rulebook's budget of the day goes down to where it is kept."""
        asking = self.rulebook.enrichment
        self.desk.allow(asking.budget.day, asking.prices, calls_per_day=self.settings.llm_calls_per_day)
        return self.desk.spent()

    def enrich(
        self,
        worker: EnrichmentWorker,
        *,
        limit: int = 100,
        only: frozenset[str] | None = None,
        progress: Progress = lambda done, total: None,
        enough: Callable[[], bool] = lambda: False,
        slots: int = 1,
        again: timedelta = ASK_AGAIN,
    ) -> Enriched:
        """Ask, let the worker answer the jobs in this process, decide on what it says while it goes on.

        `slots` requests are answered at once. It ends early once `enough` says so; what was asked and not answered is
        asked again by a later run.
        """
        self.take_up()  # what a process that died had answered
        waiting = self.desk.waiting()
        means = model_status(worker).name
        asked = self.plan(limit=limit, only=only, means=means, waiting=waiting, again=again, write=True).requests
        run, tally, took = Enriched(), Tally(), monotonic()
        if not asked:
            self.beat("enrichment")
            return run
        queue, began = own_queue(ENRICHMENT), self.desk.now()
        batches = self.desk.ask_fields(asked, self.labelled(), queue)

        def take(*, last: bool = False) -> None:
            nonlocal took
            if last or monotonic() - took > TAKE_EVERY:
                tally.add(self.desk.collect(batches))
                progress(tally.answers, len(asked))
                took = monotonic()

        try:
            bench = Bench(self.desk.database, lambda blob, read: worker, after=take, enough=enough, slots=slots)
            run_until_empty(bench, self.jobs_url, queue)
            take(last=True)
        finally:
            self.desk.abandon(batches)
        run.requests, run.proposals, run.decided = tally.answers, tally.proposals, tally.decided
        run.faults = len(tally.faults)
        run.cost = self.desk.spent(began)
        self.beat("enrichment")
        return run

    def enrich_offline(
        self,
        *,
        limit: int = 100,
        only: frozenset[str] | None = None,
        progress: Progress = lambda done, total: None,
    ) -> HandedOver:
        """Enrich by way of the provider's batches: take back what it has answered, decide on that, hand over the rest.

        Run it again until nothing waits: results are those of `enrich`. InputError, ModelError.
        """
        self._spent()
        shelf = shelf_folder(self.settings)
        with open_offline(self.settings, self.labelled(), self.desk.database, shelf=shelf) as offline:
            taken, waiting = offline.take_back()
            run = self.enrich(offline.worker, limit=limit, only=only, progress=progress, again=timedelta(0))
            handed, batches = offline.hand_over()
        return HandedOver(run, taken, handed, waiting + len(batches))

    def beat(self, job: str) -> None:
        """One of the tower's own jobs has run (clock, enrichment, detection). Nothing where it is not watched."""
        if job in self.rulebook.jobs:
            with self._write() as conn:
                job_heard(conn, self._engine, job, self.clock())

    def detect(self, *, only: frozenset[str] | None = None, parts: int = 1) -> list[Detected]:
        """Run the declared detectors over a snapshot of now, each in so many parts; admit what they raise."""
        asked = {request.id: request for request in self._detections(only)}
        if not asked:
            self.beat("detection")
            return []
        queue = own_queue(DETECTION)
        batches = self._ask_detections(asked.values(), queue, parts=parts)
        try:
            run_until_empty(Bench(self.desk.database, no_worker), self.jobs_url, queue)
            tally = self.desk.collect(batches)
        finally:
            self.desk.abandon(batches)
        for id_, fault in tally.faults.items():
            raise InputError(f"signal {asked[id_].signal}: {fault}", remedy="correct it in the rulebook's signals")
        self.beat("detection")
        return [
            Detected(asked[id_].signal, asked[id_].detector, found.raised, found.abstained, found.held)
            for id_, found in tally.signals.items()
        ]

    def held(self) -> list[HeldSignal]:
        """What the weekly budgets of families hold back this week, the strangest first."""
        with self.database.read() as conn:
            return held_since(conn, week_of(self.clock(), self.rulebook.zone))

    def hand_down(
        self, *, fields: bool = True, detections: bool = True, limit: int = 100, parts: int | None = None
    ) -> int:
        """Ask worker processes what is due: at most `limit` records at a time, and each detector once at a time.

        `parts`: the jobs that one look is parted into, for as many workers; None: by the size of the snapshot.
        """
        waiting = self.desk.waiting()
        handed = 0
        if detections:
            looking = {id_.partition(".")[0] for id_ in waiting}
            due = [one for one in self._detections(None) if f"dq_{one.signal}" not in looking]
            self._ask_detections(due, DETECTION, parts=parts)
            handed += len(due)
        room = limit - sum(id_.startswith("rq_") for id_ in waiting) if fields else 0
        if room > 0:
            means = self.settings.llm_model or ""
            asked = self.plan(limit=room, means=means, paid=bool(means), waiting=waiting, write=True).requests
            if asked:
                self.desk.ask_fields(asked, self.labelled(), ENRICHMENT)
            elif room == limit:
                self.beat("enrichment")  # nothing is asked, and nothing waits for an answer
            handed += len(asked)
        return handed

    def take_up(self) -> Tally:
        """Decide on what worker processes have answered, and see to the jobs of those that died."""
        self.desk.tend()
        tally = self.desk.collect()
        for job, answers in (("enrichment", tally.answers), ("detection", tally.signals)):
            if answers:
                self.beat(job)
        return tally

    def _detections(self, only: frozenset[str] | None) -> list[DetectionRequest]:
        at, known, found = self.clock(), detector_names(), []
        for name, model in self.rulebook.signals.items():
            if only is not None and name not in only and model.detector not in only:
                continue
            if model.detector not in known:
                raise InputError(
                    f"signal {name}: unknown detector {model.detector!r}", remedy=f"detectors: {', '.join(known)}"
                )
            found.append(
                DetectionRequest(
                    id=f"dq_{name}.{work.digest(name, self.rulebook.version, format_time(at))}",
                    signal=name, detector=model.detector, object=model.object, field=model.field,
                    budget=model.budget, at=at, parameters=declared_parameters(self.rulebook, name, model),
                )
            )  # fmt: skip
        return found

    def _ask_detections(self, requests: Iterable[DetectionRequest], queue: str, *, parts: int | None) -> list[str]:
        """Hand them down, each with the snapshot that it reads, all of the same time."""
        written: dict[str, Path] = {}
        batches = []
        for request in requests:
            path = self._snapshot(request, written)
            several = 1 if reads_usage(request) else parts_for(path) if parts is None else parts
            batches += self.desk.ask_detection(request, path.read_bytes(), queue, parts=several)
        return batches

    def _snapshot(self, request: DetectionRequest, written: dict[str, Path]) -> Path:
        """What a request reads: weekly usage, or an object's versions, which are written once for all."""
        folder = self.settings.data / "snapshots"
        looked_at = str(request.parameters.get("of", request.object))
        if not reads_usage(request) and looked_at in written:
            return written[looked_at]
        with self.database.read() as conn:
            if reads_usage(request):
                return write_usage(conn, self.rulebook, request, folder)
            written[looked_at] = write_snapshot(conn, self.rulebook, looked_at, request.at, folder)
        return written[looked_at]

    def calibrate(
        self, *, only: frozenset[str] | None, runs: int, progress: Progress = lambda done, of: None
    ) -> list[tuple[DetectionRequest, list[Calibration] | None]]:
        """What the declared detectors' promises come to on simulated data. Nothing is raised, nothing journalled.

        None for a detector that promises no rate which can be shown so.
        """
        asked, written, found = self._detections(only), dict[str, Path](), []
        steps = iter(range(1, runs * len(asked) + 1))
        for request in asked:
            snapshot = self._snapshot(request, written)
            try:
                counts = calibrate(
                    request, snapshot, runs=runs, progress=lambda: progress(next(steps), runs * len(asked))
                )
            except ValueError as error:
                because = f"signal {request.signal}: {error}"
                raise InputError(because, remedy="correct it in the rulebook's signals") from error
            found.append((request, counts))
        return found

    @property
    def jobs_url(self) -> str:
        """The address of the jobs database."""
        if self.settings.jobs_url is not None:
            return self.settings.jobs_url.get_secret_value()
        return beside(self.database.url)

    @property
    def desk(self) -> Desk:
        """The tower's side of the jobs database, which is opened, and made, when it is first needed."""
        with self._opening:
            if self._desk is None:
                own = self.settings.jobs_url is None
                database = open_jobs(
                    self.jobs_url, core=self.database if own else None, calls_per_day=self.settings.llm_calls_per_day
                )
                self._desk = Desk(database, self._write_with_engine, self.clock)
            return self._desk

    @contextmanager
    def _write_with_engine(self) -> Iterator[tuple[Connection, Engine]]:
        with self._write() as conn:
            yield conn, self._engine

    def labelled(self) -> dict[str, list[tuple[str, str]]]:
        """For each category that enrichment fills: the texts of records whose value a person or a system set."""
        found: dict[str, list[tuple[str, str]]] = {}
        with self.database.read() as conn:
            for name, model in self.rulebook.objects.items():
                for key, spec in model.fields.items():
                    if spec.fill == "enrichment" and spec.type == "enum":
                        found.setdefault(key, []).extend(stored_work.labelled(conn, name, key))
        return found

    def labelled_rows(self, object_name: str, field: str, finer: str | None = None) -> list[LabelledRow]:
        """What a classifier of one field may learn from, with the value of a finer field."""
        with self.database.read() as conn:
            return stored_work.labelled_beside(conn, object_name, field, finer or "")

    @contextmanager
    def worker(self, *, use_model: bool = True) -> Iterator[EnrichmentWorker]:
        """The enrichment worker of these settings: its classifiers learn from this tower's own labelled records."""
        ledger = Ledger(self.desk.database)
        shelf = shelf_folder(self.settings)
        with open_worker(self.settings, self.labelled(), use_model=use_model, ledger=ledger, shelf=shelf) as worker:
            yield worker


def build(
    settings: Settings | None = None,
    *,
    rulebook: Path | None = None,
    clock: Clock = system_clock,
    by: str = "command line",
) -> Tower:
    """A tower over the database of these settings. The rulebook in force is read from the database; where none
    is, or where `rulebook` names another, that one (else the default) comes into force."""
    settings = settings or read_settings()
    database = connect(settings)
    try:
        migrate(database)
        with database.read() as conn:
            content = rulebooks.active(conn)
        if content is not None:
            tower = Tower(settings, database, Engine.of(_program(content)), clock)
            if rulebook is not None:
                tower.activate(load(rulebook), by=by)
            return tower
        engine = Engine.of(compile_rulebook(load(rulebook or DEFAULT)))
        activate(database, engine, by=by, now=clock())
        return Tower(settings, database, engine, clock)
    except BaseException:
        database.close()
        raise


def _folded(conn: Connection) -> Iterator[Event]:
    """Every entry of the journal that changes a record, in order of arrival."""
    after = 0
    while batch := journal.tail(conn, after, 10_000):
        after = batch[-1][0]
        yield from (event for _, event, layer in batch if folded(event.type, layer))


def _program(content: Mapping[str, Any]) -> Program:
    return compile_rulebook(Loaded(from_content(dict(content)), {}))


__all__ = ["Clock", "Detected", "Enriched", "Tower", "build", "system_clock"]
