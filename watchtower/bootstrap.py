"""The composition root: one place that knows every part, and puts them together. Tests and evals call it too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, Literal

from watchtower.connectors import Refused
from watchtower.contract import (
    DetectionRequest,
    EnrichmentWorker,
    Event,
    FieldRequest,
    ModelStatus,
    Proposal,
    format_time,
)
from watchtower.errors import InputError, Missing, ModelError
from watchtower.flow import intake, work
from watchtower.flow.activation import activate
from watchtower.flow.apply import Engine, folded
from watchtower.flow.backtest import State, duckdb_engine, states_at
from watchtower.flow.explain_stored import explain_stored
from watchtower.flow.group import Group
from watchtower.flow.handover import Crossing, cross
from watchtower.flow.history import fold_history
from watchtower.flow.intake import Verdict
from watchtower.flow.settle import Settled, settle
from watchtower.flow.snapshot import read_snapshot, write_snapshot
from watchtower.rulebook import DEFAULT, Loaded, Rulebook, from_content, load
from watchtower.rules.compile import Program, compile_rulebook
from watchtower.settings import Settings, read_settings
from watchtower.store import journal, rulebooks, spans, turns
from watchtower.store import work as stored_work
from watchtower.store.alerts import NewAction, add_actions, lock_alert, set_alert
from watchtower.store.database import Connection, Database, connect, migrate
from watchtower.store.deadletters import DeadLetter, add_deadletters
from watchtower.store.work import StoredRequest

LOCAL_SECONDS = 180.0
"""How long one call to the embedded model may take in all: it reads about 70 tokens a second on two cores."""

DEFAULT_MODEL = "default"
"""What an endpoint is asked for where WATCHTOWER_LLM_MODEL names nothing: most local servers serve just one."""

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


@dataclass(frozen=True)
class Detected:
    """What one detector run did. `abstained`: cohorts it would not judge, with the reason."""

    signal: str
    detector: str
    raised: int
    abstained: Mapping[str, str]


class Tower:
    """The tower: the one object that commands, the API and the pages speak to."""

    def __init__(self, settings: Settings, database: Database, engine: Engine, clock: Clock) -> None:
        self.settings, self.database, self.clock = settings, database, clock
        self._engine = engine
        self._looked = monotonic()
        self._group: Group[Event | Verdict, Verdict] = Group(lambda items: self._take(items, "api"))

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
        """Close the database; stop it where it is embedded and nobody else uses it."""
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
            letters = [
                DeadLetter(origin=f"{origin}: {r.place}", reason=r.reason, body={"raw": str(r.raw)[:10_000]})
                for r in refused
            ]
            with self._write() as conn:
                add_deadletters(conn, letters, self.clock())
        return self._take(list(events), origin)

    @contextmanager
    def importing(self) -> Iterator[None]:
        """While history is read in, alerts stand still; at the end all that is due is settled at once."""
        with turns.importing(self.database):
            yield
        self.tick()

    def _take(self, items: Sequence[Event | Verdict], origin: str) -> list[Verdict]:
        if not items:
            return []
        with self._write() as conn:
            return intake.take(conn, self._engine, items, self.clock(), origin=origin).verdicts

    # ---- the clock

    def tick(self, now: datetime | None = None) -> Settled:
        """Open, resolve and correct what is due."""
        with self._write() as conn:
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
        with self._write() as conn:
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
        with self._write() as conn:
            work.person_decides(conn, self._engine, proposal_id, verdict, actor=actor, note=note, now=self.clock())

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
            return cross(
                conn, self._engine, subject, handoff=handoff, action=action, fields=fields or {}, actor=actor,
                note=note, now=self.clock(), trial=trial,
            )  # fmt: skip

    def explain(self, rule_id: str, subject: str, at: datetime) -> dict[str, Any]:
        """Each condition of a rule on a record at an instant, the values read, and where they came from."""
        with self.database.read() as conn:
            return explain_stored(conn, self._engine, rule_id, subject, at)

    # ---- the rulebook

    def activate(
        self, loaded: Loaded, *, by: str, note: str = "", progress: Callable[[int], None] = lambda n: None
    ) -> Settled:
        """Put a rulebook in force; nothing where it is in force already."""
        program = compile_rulebook(loaded)
        if program.book.version == self.rulebook.version:
            return Settled()
        engine = Engine.of(program)
        settled = activate(self.database, engine, by=by, now=self.clock(), note=note, progress=progress)
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
        self.activate(self._loaded(chosen[-1].version), by=by, note=note or f"back to {chosen[-1].version}")
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

    # ---- the workers

    def requests(
        self, *, limit: int = 100, only: frozenset[str] | None = None, means: str = "", write: bool = True
    ) -> list[FieldRequest]:
        """What enrichment is asked now: the fields that starve rules, the most starving first.

        A record is asked about once per set of documents and `means` (the model at hand). Without `write`,
        nothing is asked: this only looks.
        """
        with self._write() as conn:
            return work.plan(conn, self._engine, self.clock(), limit=limit, only=only, means=means, write=write)

    def enrich(
        self,
        worker: EnrichmentWorker,
        *,
        limit: int = 100,
        only: frozenset[str] | None = None,
        progress: Progress = lambda done, total: None,
        enough: Callable[[], bool] = lambda: False,
    ) -> Enriched:
        """Ask, let the worker answer outside any transaction, decide on what it says, record by record.

        It ends early once `enough` says so; what was asked and not answered is asked again by a later run.
        """
        asked = self.requests(limit=limit, only=only, means=model_status(worker).name)
        run = Enriched()
        for number, request in enumerate(asked):
            if enough():
                break
            run.requests += 1
            proposals = list(worker.propose([request]))
            self._propose(run, proposals, request.id)
            progress(number + 1, len(asked))
        return run

    def _propose(self, run: Enriched, proposals: list[Proposal], request: str) -> None:
        with self._write() as conn:
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
                id=f"dq_{work.digest(name, self.rulebook.version, format_time(at))}",
                signal=name, detector=model.detector,
                object=model.object, field=model.field, budget=model.budget, at=at, parameters=model.parameters,
            )  # fmt: skip
            with self.database.read() as conn:
                path = write_snapshot(conn, self.rulebook, model.object, at, self.settings.data / "snapshots")
            table = read_snapshot(path)
            try:
                fitted = detector.fit(table, request)
                signals = detector.raise_signals(table, fitted, request)
            except ValueError as error:
                raise InputError(f"signal {name}: {error}", remedy="correct it in the rulebook's signals") from error
            stored = StoredRequest(
                id=request.id,
                kind="signal",
                object=model.object,
                record="",
                fields=[name],
                because=[],
                asked_at=at,
            )
            with self._write() as conn:
                raised = work.take_signals(conn, self._engine, stored, signals, self.clock())
            yield Detected(name, model.detector, raised, dict(getattr(fitted, "abstentions", {})))

    def labelled(self) -> dict[str, list[tuple[str, str]]]:
        """For each category that enrichment fills: the texts of records whose value a person or a system set."""
        found: dict[str, list[tuple[str, str]]] = {}
        with self.database.read() as conn:
            for name, model in self.rulebook.objects.items():
                for key, spec in model.fields.items():
                    if spec.fill == "enrichment" and spec.type == "enum":
                        found.setdefault(key, []).extend(stored_work.labelled(conn, name, key))
        return found

    @contextmanager
    def worker(self, *, use_model: bool = True) -> Iterator[EnrichmentWorker]:
        """The enrichment worker of these settings: its classifiers learn from this tower's own labelled records."""
        with open_worker(self.settings, self.labelled(), use_model=use_model) as worker:
            yield worker


@contextmanager
def open_worker(
    settings: Settings, labelled: Mapping[str, Sequence[tuple[str, str]]], *, use_model: bool = True
) -> Iterator[EnrichmentWorker]:
    """A worker with the configured endpoint, else the embedded model where its file is there, else without one."""
    import enrichment

    with ExitStack() as stack:
        endpoint, seconds = None, 60.0
        try:
            if use_model and settings.llm_base_url is not None:
                key = settings.llm_api_key.get_secret_value() if settings.llm_api_key else "none"
                endpoint = enrichment.Endpoint(settings.llm_base_url, key, settings.llm_model or DEFAULT_MODEL)
            elif use_model and (path := _model_file(settings)) is not None:
                endpoint, seconds = stack.enter_context(enrichment.local_endpoint(path)), LOCAL_SECONDS
        except enrichment.EnrichmentError as error:
            raise ModelError(error.message, remedy=error.remedy) from error
        yield enrichment.build_worker(endpoint=endpoint, labelled=labelled, seconds=seconds)


def _model_file(settings: Settings) -> Path | None:
    from enrichment import weights

    return settings.gguf or weights.find(settings.models)


def model_name(settings: Settings) -> str:
    """The language model that these settings lead to, as its worker names it; empty where there is none."""
    if settings.llm_base_url is not None:
        return settings.llm_model or DEFAULT_MODEL
    path = _model_file(settings)
    return path.stem if path is not None else ""


def model_status(worker: EnrichmentWorker) -> ModelStatus:
    """Whether a language model stands behind a worker, and what it goes without."""
    status = getattr(worker, "status", None)
    return status() if status is not None else ModelStatus(ready=True, name=type(worker).__name__, detail="")


def pull_model(settings: Settings, name: str, progress: Progress) -> Path:
    """Fetch a model of the catalogue, check it, and tell where it is. `progress`: bytes done, bytes in all."""
    from enrichment import weights
    from enrichment.errors import EnrichmentError

    try:
        return weights.pull(name, settings.models, lambda p: progress(p.done, p.model.size))
    except EnrichmentError as error:
        raise ModelError(error.message, remedy=error.remedy) from error


def model_catalogue(settings: Settings) -> list[dict[str, Any]]:
    """The models that can be pulled, the best first: name, size, licence, memory, and the path where it is here."""
    from enrichment import weights

    return [
        {
            "name": model.name,
            "bytes": model.size,
            "licence": model.licence,
            "memory": model.memory,
            "path": str(settings.models / model.file) if weights.find(settings.models, catalogue=[model]) else None,
        }
        for model in weights.CATALOGUE
    ]


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
