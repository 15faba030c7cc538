"""What every part of the tower stands on: its settings and databases, the clock, and the rulebook in force."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Lock
from time import monotonic
from typing import Any, Self

from watchtower.contract.batch import DETECTION, ENRICHMENT
from watchtower.flow.apply import Engine
from watchtower.flow.door import Door
from watchtower.flow.jobs import Desk, Tally
from watchtower.flow.watching import job_heard
from watchtower.rulebook import Loaded, Rulebook, from_content
from watchtower.rules.compile import Program, compile_rulebook
from watchtower.settings import Settings
from watchtower.store import rulebooks
from watchtower.store.database import Connection, Database
from watchtower.store.jobs import NotYet, beside, open_as_worker, open_jobs
from watchtower.store.precedence import Precedence
from watchtower.store.standing import Jobs, jobs_standing

Clock = Callable[[], datetime]
Progress = Callable[[int, int], None]


def system_clock() -> datetime:
    """The one place that reads the time."""
    return datetime.now(UTC)  # noqa: TID251


class Core:
    """What every part of the tower stands on: its settings and databases, the clock, and the rulebook in force."""

    def __init__(self, settings: Settings, database: Database, engine: Engine, clock: Clock) -> None:
        self.settings, self.database, self.clock = settings, database, clock
        self._engine = engine
        self._looked = monotonic()
        self._desk: Desk | None = None
        self._opening = Lock()
        self._precedence = Precedence()
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
        with self._precedence.first(), self.database.begin() as conn:
            rulebooks.share_turn(conn)
            self._see(conn)
            yield conn

    def _see(self, conn: Connection) -> None:
        version = rulebooks.version_in_force(conn)
        if version is not None and version != self._engine.program.book.version:
            self._engine = engine_of(rulebooks.content(conn, version) or {})
        self._looked = monotonic()

    @property
    def rulebook(self) -> Rulebook:
        return self.program.book

    def close(self) -> None:
        """Close the databases; stop the server where it is embedded and nobody else uses it."""
        if self._desk is not None:
            self._desk.database.close()
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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
                self._desk = Desk(database, self._write_with_engine, self.clock, self._precedence, beside=own)
            return self._desk

    def jobs_now(self) -> Jobs | None:
        """What stands in the jobs database; None where there is none yet. Looking makes none."""
        if self._desk is None:
            try:
                open_as_worker(self.jobs_url).close()
            except NotYet:
                return None
        with self.desk.database.begin() as conn:
            return jobs_standing(conn, [ENRICHMENT, DETECTION])

    @contextmanager
    def _write_with_engine(self, *, behind: float | None = None) -> Iterator[tuple[Connection, Engine]]:
        """The same with the engine; given `behind`, it raises GaveWay until then where another goes first."""
        if behind is None:
            with self._write() as conn:
                yield conn, self._engine
            return
        with self.database.begin() as conn, self._precedence.behind(conn, behind):
            rulebooks.share_turn(conn)
            self._see(conn)
            yield conn, self._engine

    def beat(self, job: str) -> None:
        """One of the tower's own jobs has run (clock, enrichment, detection). Nothing where it is not watched."""
        if job in self.rulebook.jobs:
            with self._write() as conn:
                job_heard(conn, self._engine, job, self.clock())

    def take_up(self) -> Tally:
        """Decide on what worker processes have answered, and see to the jobs of those that died."""
        self.desk.tend()
        tally = self.desk.collect()
        for job, answers in (("enrichment", tally.answers), ("detection", tally.signals)):
            if answers:
                self.beat(job)
        return tally


def engine_of(content: Mapping[str, Any]) -> Engine:
    """The engine of a rulebook as the database keeps it."""
    return Engine.of(compile_rulebook(Loaded(from_content(dict(content)), {})))
