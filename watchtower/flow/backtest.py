"""`rules eval` and `rules backtest`: one program, one history, any engine, equal answers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from watchtower.contract import format_time
from watchtower.flow.history import Table
from watchtower.rules.compile import CompiledRule, Program
from watchtower.rules.queries import held_query, missing_columns, state_query
from watchtower.rules.spans import LAST, instant, shift
from watchtower.rules.sql import DUCKDB, Writer, quote

Row = tuple[Any, ...]
MEMORY = 2048
"""Megabytes that DuckDB may take for a history on disk; beyond, it writes to disk, too."""


class Engine(Protocol):
    """Something that holds relations `v_<object>` and answers SQL in its own words."""

    at_once: int
    """How many rules one query may hold."""

    def writer(self, timezone: str) -> Writer: ...

    def query(self, sql: str) -> Iterable[Row]: ...


@dataclass(frozen=True)
class State:
    """How a rule stands on a record at an instant. Times in UTC; None: unbounded, or not due."""

    rule: str
    record: str
    state: str
    since: datetime | None
    until: datetime | None
    due: datetime | None
    unknown: tuple[str, ...] = ()
    opens: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """The outer form of design.md, section 7. `opens` is there where the rule has a `for`."""
        times = {
            key: None if value is None else format_time(value)
            for key, value in (("since", self.since), ("until", self.until), ("due", self.due))
        }
        answer = {
            "rule": self.rule,
            "record": self.record,
            "state": self.state,
            **times,
            "unknown": list(self.unknown),
        }
        if self.opens is not None:
            answer["opens"] = format_time(self.opens)
        return answer


@dataclass(frozen=True)
class Held:
    """A contiguous interval [since, until) in which a rule held on a record."""

    rule: str
    record: str
    since: datetime
    until: datetime

    def to_json(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "record": self.record,
            "since": format_time(self.since),
            "until": format_time(self.until),
        }


def states_at(engine: Engine, program: Program, at: datetime) -> list[State]:
    """What holds, is unknown or is due later at an instant, ordered by rule, then record."""
    writer = engine.writer(program.book.timezone)
    states = [
        _state(row, part.rules[row[0]], program)
        for part in program.parts(engine.at_once)
        for row in engine.query(state_query(part, writer, at))
    ]
    states = [state for state in states if state.state != "pending" or state.due is not None]
    return sorted(states, key=lambda state: (state.rule, state.record))


def _missing(compiled: CompiledRule, flags: str | None) -> tuple[str, ...]:
    """The fields behind the columns that are missing."""
    fields = {column.name: column.field for column in compiled.columns}
    names = [fields[column] for column in missing_columns(compiled)]
    return tuple(dict.fromkeys(name for name, flag in zip(names, flags or "", strict=False) if flag == "1"))


def _state(row: Row, compiled: CompiledRule, program: Program) -> State:
    _, record, since, until, due, maybe_since, maybe_until, before, missing = row
    fields: tuple[str, ...] = ()
    if since is not None:
        kind = "holds"
    elif maybe_since is not None:
        # Unknown is where it may hold less where it does: from the last end of holding, to the next start.
        kind, since = "unknown", max(maybe_since, before if before is not None else maybe_since)
        until = maybe_until if due is None else due if maybe_until is None else min(maybe_until, due)
        fields = _missing(compiled, missing)
    else:
        kind = "pending"
    start = _time(since)
    opens = _opens(start, compiled, program) if kind == "holds" and start and compiled.delay else None
    subject = f"{compiled.rule.object}/{record}"
    return State(compiled.rule.id, subject, kind, start, _time(until), _time(due), fields, opens)


def _opens(since: datetime, compiled: CompiledRule, program: Program) -> datetime | None:
    try:
        return shift(since, compiled.delay, program.book.zone)
    except OverflowError:
        return None


def _time(value: int | None) -> datetime | None:
    """An instant, or None where it lies outside the years a calendar names, or is the last there is: never."""
    if value is None or value >= LAST:
        return None
    try:
        return instant(value)
    except OverflowError:
        return None


def held_between(engine: Engine, program: Program, start: datetime, end: datetime) -> list[Held]:
    """Every interval in which a rule held, joined across versions, cut to [start, end), in order."""
    writer = engine.writer(program.book.timezone)
    found = [
        Held(rule.id, f"{rule.object}/{record}", instant(since), instant(until))
        for part in program.parts(engine.at_once)
        for number, record, since, until in engine.query(held_query(part, writer, start, end))
        for rule in (part.rules[number].rule,)
    ]
    return sorted(found, key=lambda held: (held.rule, held.record, held.since))


def held_in_turn(engine: DuckEngine, program: Program, start: datetime, end: datetime) -> Iterator[Held]:
    """The same, rule by rule and row by row: never more in memory than a piece of one rule's."""
    writer = engine.writer(program.book.timezone)
    for compiled in sorted(program.rules, key=lambda compiled: compiled.rule.id):
        part = Program(program.book, (compiled,), program.gathered)
        rule = compiled.rule
        for _, record, since, until in engine.rows(held_query(part, writer, start, end) + " ORDER BY 2, 3"):
            yield Held(rule.id, f"{rule.object}/{record}", instant(since), instant(until))


class DuckEngine:
    """DuckDB, over Arrow tables in memory or Parquet files on disk."""

    def __init__(self, connection: Any, at_once: int = 1000) -> None:
        self.connection, self.at_once = connection, at_once

    def writer(self, timezone: str) -> Writer:
        return Writer(DUCKDB, timezone)

    def query(self, sql: str) -> list[Row]:
        return self.connection.execute(sql).fetchall()  # type: ignore[no-any-return]

    def rows(self, sql: str) -> Iterator[Row]:
        """The answer piece by piece."""
        asked = self.connection.execute(sql)
        while piece := asked.fetchmany(10_000):
            yield from piece


@contextmanager
def duckdb_engine(versions: Mapping[str, Table], *, memory: int = MEMORY) -> Iterator[DuckEngine]:
    """An engine holding these versions. `memory`: megabytes that it may take where they stand on disk."""
    import duckdb

    files = {name: [str(path) for path in getattr(table, "files", ())] for name, table in versions.items()}
    with tempfile.TemporaryDirectory(prefix="watchtower-duckdb-") as folder:
        spilled = any(files.values())
        connection = duckdb.connect(f"{folder}/versions.duckdb" if spilled else ":memory:")
        try:
            connection.execute("SET TimeZone = 'UTC'")
            if spilled:
                connection.execute(f"SET memory_limit = '{memory}MB'")
                connection.execute(f"SET temp_directory = '{folder}'")
                connection.execute("SET preserve_insertion_order = false")
            for name, table in versions.items():
                source = f'"a_{name}"'
                if files[name]:
                    source = f"read_parquet([{', '.join(map(quote, files[name]))}])"
                else:
                    connection.register(f"a_{name}", table.arrow())
                connection.execute(
                    f'CREATE TABLE "v_{name}" AS SELECT * REPLACE '
                    f"(coalesce(vto, 'infinity'::TIMESTAMPTZ) AS vto) FROM {source}"
                )
                if not files[name]:
                    connection.unregister(f"a_{name}")
            yield DuckEngine(connection, 1 if spilled else 1000)
        finally:
            connection.close()
