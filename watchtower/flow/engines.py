"""The engines by name, and running one question on several of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from watchtower.errors import InputError, WatchtowerError
from watchtower.flow.backtest import Engine, Held, State, duckdb_engine, held_between, held_in_turn, states_at
from watchtower.flow.gaps import Gap, gaps_at
from watchtower.flow.history import History
from watchtower.rules.compile import Program

T = TypeVar("T", State, Held, Gap)


@dataclass(frozen=True)
class Run:
    """One engine holding one history."""

    engine: Engine
    program: Program

    def states_at(self, at: datetime) -> list[State]:
        return states_at(self.engine, self.program, at)

    def gaps_at(self, at: datetime) -> list[Gap]:
        return gaps_at(self.engine, self.program, at)

    def held_between(self, start: datetime, end: datetime) -> list[Held]:
        return held_between(self.engine, self.program, start, end)


@contextmanager
def _duckdb(history: History) -> Iterator[Engine]:
    with duckdb_engine(history.versions) as engine:
        yield engine


@contextmanager
def _live(history: History) -> Iterator[Engine]:
    """PostgreSQL: that of DATABASE_URL, or the embedded one; the versions stand in temporary tables."""
    from watchtower.settings import read_settings
    from watchtower.store.bulk import scratch_engine
    from watchtower.store.database import connect

    database = connect(read_settings())
    try:
        with scratch_engine(database, {name: table.arrow() for name, table in history.versions.items()}) as engine:
            yield engine
    finally:
        database.close()


@contextmanager
def _spark(history: History) -> Iterator[Engine]:
    """Spark: that of WATCHTOWER_SPARK_MASTER, or this machine's cores."""
    from watchtower.flow.spark import spark_engine, spark_session
    from watchtower.settings import read_settings

    with spark_session(read_settings().spark_master) as session:
        with spark_engine(session, {name: table.arrow() for name, table in history.versions.items()}) as engine:
            yield engine


ENGINES = {"live": _live, "duckdb": _duckdb, "spark": _spark}


@contextmanager
def held_on(names: str, program: Program, history: History, start: datetime, end: datetime) -> Iterator[Iterable[Held]]:
    """Every interval in which a rule held, in order. One that stands on disk is read on as it is asked for."""
    if names.strip() == "duckdb" and history.spill is not None:
        with duckdb_engine(history.versions) as engine:
            yield held_in_turn(engine, program, start, end)
    else:
        yield on_engines(names, program, history, lambda run: run.held_between(start, end))


def on_engines(names: str, program: Program, history: History, ask: Callable[[Run], list[T]]) -> list[T]:
    """The answer of the first engine; with several, WatchtowerError where another answers differently."""
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in ENGINES]
    if unknown or not wanted:
        raise InputError(f"--engine: {names!r} is not known", remedy=f"engines: {', '.join(ENGINES)}")
    first: list[T] | None = None
    for name in wanted:
        with ENGINES[name](history) as engine:
            answer = ask(Run(engine, program))
        if first is None:
            first = answer
        elif answer != first:
            odd = next(iter([a for a in answer if a not in first] + [a for a in first if a not in answer]))
            raise WatchtowerError(
                f"{name} and {wanted[0]} differ, for example on {odd}", remedy="this is a bug: report it"
            )
    return first or []
