"""The composition root: one place that knows every part, and puts them together. Tests and evals call it too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from watchtower.connectors import Refused
from watchtower.contract import (
    DetectionRequest,
    EnrichmentWorker,
    Event,
    ModelStatus,
    Proposal,
    format_time,
)
from watchtower.errors import InputError, Missing, ModelError
from watchtower.flow import intake, work
from watchtower.flow.activation import activate
from watchtower.flow.apply import Engine
from watchtower.flow.explain import explain_stored
from watchtower.flow.intake import Verdict
from watchtower.flow.settle import Settled, settle
from watchtower.flow.snapshot import read_snapshot, write_snapshot
from watchtower.rulebook import DEFAULT, Loaded, Rulebook, from_content, load
from watchtower.rules.compile import Program, compile_rulebook
from watchtower.settings import Settings, read_settings
from watchtower.store import rulebooks, spans
from watchtower.store.alerts import NewAction, add_actions, lock_alert, set_alert
from watchtower.store.database import Database, connect, migrate
from watchtower.store.deadletters import DeadLetter, add_deadletters
from watchtower.store.work import StoredRequest

Clock = Callable[[], datetime]
Progress = Callable[[int, int], None]
Verb = Literal["acknowledge", "snooze", "resolve", "assign", "comment"]


def system_clock() -> datetime:
    """The one place that reads the time."""
    return datetime.now(UTC)  # noqa: TID251


@dataclass
class Enriched:
    """What an enrichment run did."""

    requests: int = 0
    proposals: int = 0
    decided: work.Decided = field(default_factory=work.Decided)
    stopped: str = ""
    """Why it ended early, for people; empty where it did not."""


@dataclass(frozen=True)
class Detected:
    """What one detector run did. `abstained`: cohorts it would not judge, with the reason."""

    signal: str
    detector: str
    raised: int
    abstained: Mapping[str, str]


class Tower:
    """The tower: the one object that commands, the API and the pages speak to."""

    def __init__(self, settings: Settings, database: Database, program: Program, clock: Clock) -> None:
        self.settings, self.database, self.clock = settings, database, clock
        self._engine = Engine.of(program)

    @property
    def program(self) -> Program:
        return self._engine.program

    @property
    def rulebook(self) -> Rulebook:
        return self._engine.program.book

    def close(self) -> None:
        """Close the database; stop it where it is embedded and nobody else uses it."""
        self.database.close()

    def __enter__(self) -> Tower:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- events

    def take(self, raw: Sequence[Mapping[str, Any]], *, source: str | None = None) -> list[Verdict]:
        """CloudEvents JSON in; a verdict for each. `source`: the name the sender's credential stands for."""
        return self._take(intake.decode(raw, source), "api")

    def take_events(
        self, events: Sequence[Event], *, refused: Sequence[Refused] = (), origin: str = "import"
    ) -> list[Verdict]:
        """Events that a connector read; rows it could not read go to the dead letters."""
        if refused:
            letters = [
                DeadLetter(origin=f"{origin}: {r.place}", reason=r.reason, body={"raw": str(r.raw)[:10_000]})
                for r in refused
            ]
            with self.database.begin() as conn:
                add_deadletters(conn, letters, self.clock())
        return self._take(list(events), origin)

    def _take(self, items: Sequence[Event | Verdict], origin: str) -> list[Verdict]:
        if not items:
            return []
        with self.database.begin() as conn:
            return intake.take(conn, self._engine, items, self.clock(), origin=origin).verdicts

    # ---- the clock

    def tick(self, now: datetime | None = None) -> Settled:
        """Open, resolve and correct what is due."""
        with self.database.begin() as conn:
            return settle(conn, self._engine, now or self.clock())

    def next_instant(self) -> datetime | None:
        """When the clock alone will change something."""
        with self.database.read() as conn:
            return spans.next_instant(conn)

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
    ) -> None:
        """A person acts on an alert. Missing, InputError."""
        now = self.clock()
        with self.database.begin() as conn:
            found = lock_alert(conn, alert_id)
            if found is None:
                raise Missing(f"alert {alert_id!r} does not exist")
            status, _, assigned = found
            if verb != "comment" and status == "resolved":
                raise InputError(f"alert {alert_id}: is resolved already", remedy="only a comment can be added")
            if verb == "acknowledge":
                set_alert(conn, alert_id, status="acknowledged", assignee=assigned or actor)
            elif verb == "snooze":
                if until is None or until <= now:
                    raise InputError("until: a snooze ends at a time in the future")
                set_alert(conn, alert_id, status="snoozed", assignee=assigned, snoozed_until=until)
                note = note or f"until {format_time(until)}"
            elif verb == "resolve":
                resolution = note or f"{actor} says so"
                set_alert(
                    conn,
                    alert_id,
                    status="resolved",
                    assignee=assigned,
                    resolved_at=now,
                    resolution=resolution,
                )
            elif verb == "assign":
                if not assignee:
                    raise InputError("assignee: name the person it goes to")
                set_alert(conn, alert_id, status=status, assignee=assignee)
                note = note or f"to {assignee}"
            elif not note.strip():
                raise InputError("note: a comment says something")
            add_actions(conn, [NewAction(alert=alert_id, at=format_time(now), actor=actor, verb=verb, note=note)])

    def decide(self, proposal_id: str, verdict: Literal["accept", "reject"], *, actor: str, note: str = "") -> None:
        """A person accepts or rejects a proposal. Missing, InputError."""
        with self.database.begin() as conn:
            work.person_decides(conn, self._engine, proposal_id, verdict, actor=actor, note=note, now=self.clock())

    def explain(self, rule_id: str, subject: str, at: datetime) -> dict[str, Any]:
        """Each condition of a rule on a record at an instant, the values read, and where they came from."""
        with self.database.read() as conn:
            return explain_stored(conn, self._engine, rule_id, subject, at)

    # ---- the rulebook

    def activate(self, loaded: Loaded, *, by: str, progress: Callable[[int], None] = lambda n: None) -> Settled:
        """Put a rulebook in force; nothing where it is in force already."""
        program = compile_rulebook(loaded)
        if program.book.version == self.rulebook.version and self._in_force():
            return Settled()
        settled = activate(self.database, program, by=by, now=self.clock(), progress=progress)
        self._engine = Engine.of(program)
        return settled

    def _in_force(self) -> bool:
        with self.database.read() as conn:
            return rulebooks.active(conn) is not None

    # ---- the workers

    def requests(self, *, limit: int = 100, only: frozenset[str] | None = None) -> list[Any]:
        """What enrichment is asked now: the fields that starve rules, the most starving first."""
        with self.database.begin() as conn:
            return work.plan(conn, self._engine, self.clock(), limit=limit, only=only)

    def enrich(
        self,
        worker: EnrichmentWorker,
        *,
        limit: int = 100,
        only: frozenset[str] | None = None,
        progress: Progress = lambda done, total: None,
    ) -> Enriched:
        """Ask, let the worker answer outside any transaction, decide on what it says, record by record."""
        asked = self.requests(limit=limit, only=only)
        run = Enriched(requests=len(asked))
        for number, request in enumerate(asked):
            try:
                proposals = list(worker.propose([request]))
            except ModelError as error:
                run.stopped = str(error)
                break
            self._propose(run, proposals, request.id)
            progress(number + 1, len(asked))
        return run

    def _propose(self, run: Enriched, proposals: list[Proposal], request: str) -> None:
        with self.database.begin() as conn:
            decided = work.take_proposals(conn, self._engine, proposals, self.clock(), requests=[request])
        run.proposals += len(proposals)
        run.decided.accepted += decided.accepted
        run.decided.review += decided.review
        run.decided.refused += decided.refused

    def detect(self, *, only: frozenset[str] | None = None) -> Iterator[Detected]:
        """Run the declared detectors over a snapshot of now; admit what they raise."""
        from detectors import ROSTER

        for name, model in self.rulebook.signals.items():
            if only is not None and name not in only and model.detector not in only:
                continue
            if model.detector not in ROSTER:
                raise InputError(
                    f"signal {name}: unknown detector {model.detector!r}",
                    remedy=f"detectors: {', '.join(ROSTER)}",
                )
            detector, at = ROSTER[model.detector], self.clock()
            request = DetectionRequest(
                id=f"dq_{work.digest(name, self.rulebook.version, format_time(at))}", signal=name, detector=model.detector,
                object=model.object, field=model.field, budget=model.budget, at=at, parameters=model.parameters,
            )  # fmt: skip
            with self.database.read() as conn:
                path = write_snapshot(conn, self.rulebook, model.object, at, self.settings.data / "snapshots")
            table = read_snapshot(path)
            fitted = detector.fit(table, request)
            signals = detector.raise_signals(table, fitted, request)
            stored = StoredRequest(
                id=request.id,
                kind="signal",
                object=model.object,
                record="",
                fields=[name],
                because=[],
                asked_at=at,
            )
            with self.database.begin() as conn:
                raised = work.take_signals(conn, self._engine, stored, signals, self.clock())
            yield Detected(name, model.detector, raised, dict(getattr(fitted, "abstentions", {})))

    def worker(self, status: Callable[[ModelStatus], None] = lambda s: None) -> Any:
        """The enrichment worker of these settings, as a context manager; `status` is told what it can do."""

        return open_worker(self, status)


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
            tower = Tower(settings, database, _program(content), clock)
            if rulebook is not None:
                tower.activate(load(rulebook), by=by)
            return tower
        loaded = load(rulebook or DEFAULT)
        tower = Tower(settings, database, compile_rulebook(loaded), clock)
        tower.activate(loaded, by=by)
        return tower
    except BaseException:
        database.close()
        raise


def _program(content: Mapping[str, Any]) -> Program:
    return compile_rulebook(Loaded(from_content(dict(content)), {}))


__all__ = ["Clock", "Detected", "Enriched", "Tower", "build", "system_clock"]
