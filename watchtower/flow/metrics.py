"""The numbers a rulebook steers by, over a history: each with how many cases it stands on.

Durations are in days. A share has a Wilson interval of 95 percent (Wilson 1927), because a share of few cases says
little.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from math import sqrt
from typing import Any
from zoneinfo import ZoneInfo

from watchtower.contract import Event, format_time
from watchtower.errors import Fault, RulebookError
from watchtower.flow.backtest import DuckEngine, duckdb_engine
from watchtower.flow.history import fold_history
from watchtower.rulebook import Loaded, RuleModel
from watchtower.rulebook.derive import column, text
from watchtower.rulebook.model import Metric
from watchtower.rules.compile import Program, compile_rule, compile_rulebook
from watchtower.rules.condition_text import PredicateError
from watchtower.rules.parse import parse_predicate
from watchtower.rules.queries import rows_here
from watchtower.rules.rows import stays
from watchtower.rules.sql import DUCKDB, Writer, name

DAY = 86_400_000_000
Z = 1.959964


@dataclass(frozen=True)
class Measured:
    """One number. `value` is None where there was no case; `low` and `high` bound a share; `part`: the state, or the
    step from one to the next, that it is about."""

    metric: str
    part: str
    value: float | None
    n: int
    low: float | None = None
    high: float | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "metric": self.metric, "part": self.part or None, "value": self.value, "n": self.n, "low": self.low,
            "high": self.high,
        }  # fmt: skip


def measure(loaded: Loaded, events: Iterable[Event], start: datetime, end: datetime) -> list[Measured]:
    """Every metric of the rulebook over [start, end). RulebookError where a metric's condition is not accepted."""
    program = _with_metrics(loaded)
    history = fold_history(program, events, until=end)
    with duckdb_engine(history.versions) as engine:
        meter = _Meter(program, engine, start, end)
        return [found for key, metric in program.book.metrics.items() for found in meter.read(key, metric)]


def _with_metrics(loaded: Loaded) -> Program:
    """The rules, and one beside them for each metric, so that the history keeps what the metric reads."""
    program = compile_rulebook(loaded)
    book, rules, faults = loaded.rulebook, list(program.rules), []
    for key, metric in book.metrics.items():
        parts = [part for part in (metric.where, metric.of) if part]
        parts += [f"{path} is null" for path in (metric.value, metric.start, metric.end) if path]
        parts += [f"{column(field)} is null" for field in metric.fields]
        object_name = metric.object
        if metric.lifecycle is not None:
            cycle = book.lifecycles[metric.lifecycle]
            object_name, parts = cycle.object, [f"{column(cycle.field)} is null"]
        if object_name is None or not parts:
            continue
        when = " and ".join(f"({part})" for part in parts)
        try:
            rule = RuleModel.model_validate({"id": f"metric.{key}", "object": object_name, "when": when})
            rules.append(compile_rule(rule, book, program.gathered))
        except PredicateError as error:
            place = loaded.place("metrics", key)
            faults.append(Fault(place.file, place.line, place.column, f"metric {key}: {error.message}", error.remedy))
    if faults:
        raise RulebookError(faults)
    return Program(book, tuple(rules), program.gathered)


class _Meter:
    def __init__(self, program: Program, engine: DuckEngine, start: datetime, end: datetime) -> None:
        self.program, self.engine = program, engine
        self.writer = Writer(DUCKDB, program.book.timezone)
        self.start, self.end = self.writer.time(format_time(start)), self.writer.time(format_time(end))

    def read(self, key: str, metric: Metric) -> Iterator[Measured]:
        kind = metric.kind
        if kind in ("velocity", "conversion"):
            yield from self._stays(key, metric)
        elif kind == "adherence":
            yield from self._adherence(key, metric)
        elif kind == "retention":
            value = name(metric.value)
            ((then, now, n),) = self._ask(
                metric, f"sum(CASE WHEN {value} > 0 THEN {value} END), sum(later.x), count(*)",
                at=self.start, more=f"{value} > 0",
                join=f"LEFT JOIN (SELECT record AS r, {value} AS x FROM rows_here WHERE vfrom < {self.end} "
                f"AND {self.end} <= vto) AS later ON later.r = record",
            )  # fmt: skip
            yield Measured(key, "", (now or 0) / then if then else None, n)
        elif kind == "duration":
            begin, end = name(metric.start), name(metric.end)
            days = f"(epoch_us({end}) - epoch_us({begin})) / {DAY}.0"
            within = f"{end} >= {self.start} AND {end} < {self.end} AND {begin} IS NOT NULL"
            ((value_, n),) = self._ask(metric, f"median({days}), count(*)", more=within)
            yield Measured(key, "", value_, n)
        elif kind == "share":
            ((held, n),) = self._ask(metric, f"count(*) FILTER (WHERE {self._test(metric, metric.of)}), count(*)")
            yield share(key, "", held, n)
        elif kind == "completeness":
            filled = " + ".join(f"CAST({name(field)} IS NOT NULL AS INTEGER)" for field in metric.fields)
            ((held, n),) = self._ask(metric, f"coalesce(sum({filled}), 0), count(*)")
            yield share(key, "", held, n * len(metric.fields))
        else:
            what = f"sum({name(metric.value)})" if kind == "sum" else "count(*)"
            ((value_, n),) = self._ask(metric, f"{what}, count(*)")
            yield Measured(key, "", value_, n)

    def _ask(
        self, metric: Metric, picked: str, *, at: str | None = None, more: str = "", join: str = ""
    ) -> list[tuple[Any, ...]]:
        """Over the records as they were when the period ended (or `at`), where the metric's condition held."""
        assert metric.object is not None
        tests = [f"vfrom <= {at} AND {at} < vto"] if at else [f"vfrom < {self.end} AND {self.end} <= vto"]
        tests += [f"({self._test(metric, metric.where)})"] if metric.where else []
        tests += [more] if more else []
        rows = rows_here(self.program, self.writer, metric.object)
        return self.engine.query(f"{rows} SELECT {picked} FROM rows_here {join} WHERE {' AND '.join(tests)}")

    def _test(self, metric: Metric, condition: str) -> str:
        assert metric.object is not None
        return self.writer.at(parse_predicate(condition, self.program.book, metric.object).node, self.end)

    def _stays(self, key: str, metric: Metric) -> Iterator[Measured]:
        """Stays in a state that ended in the period, and where they led."""
        assert metric.lifecycle is not None
        cycle = self.program.book.lifecycles[metric.lifecycle]
        ended = (
            f"SELECT state, next, (epoch_us(until) - epoch_us(since)) / {DAY}.0 AS days "
            f"FROM ({stays(f'v_{cycle.object}', cycle.field)}) AS s WHERE until >= {self.start} AND until < {self.end}"
        )
        for state, model in cycle.states.items():
            if metric.kind == "velocity":
                if not model.final:
                    found = self.engine.query(
                        f"SELECT median(days), count(*) FROM ({ended}) WHERE state = {text(state)}"
                    )
                    yield Measured(key, state, *found[0])
                continue
            for target in model.next:
                ((led, n),) = self.engine.query(
                    f"SELECT count(*) FILTER (WHERE next = {text(target)}), count(*) FROM ({ended}) "
                    f"WHERE state = {text(state)} AND next IS NOT NULL"
                )
                yield share(key, f"{state} -> {target}", led, n)

    def _adherence(self, key: str, metric: Metric) -> Iterator[Measured]:
        """Of the records on which a rule could have come to hold in the period, those on which it did not."""
        risked: set[tuple[str, str]] = set()
        broken: set[tuple[str, str]] = set()
        for rule in metric.rules:
            compiled = self.program.by_id[rule]
            rows = rows_here(self.program, self.writer, compiled.rule.object)
            for alternative in compiled.alternatives:
                starts = [self.writer.scalar(start) for start in alternative.starts]
                tests = [f"{start} IS NOT NULL" for start in starts]
                tests += [self.writer.scalar(alternative.test)] if alternative.test is not None else []
                test = " AND ".join(tests) or "TRUE"
                since = f"GREATEST(vfrom, {', '.join(starts)})" if starts else "vfrom"
                found = self.engine.query(
                    f"{rows} SELECT record, bool_or({since} < LEAST(vto, {self.end}) AND {since} >= {self.start}) "
                    f"FROM rows_here WHERE {test} AND vfrom < {self.end} AND vto > {self.start} GROUP BY record"
                )
                risked |= {(rule, record) for record, _ in found}
                broken |= {(rule, record) for record, held in found if held}
        yield share(key, "", len(risked) - len(broken), len(risked))


def last_months(now: datetime, zone: ZoneInfo, months: int) -> list[tuple[datetime, datetime]]:
    """The last so many calendar months of a zone, [start, end) in UTC, the latest first: that of `now`."""
    found, local = [], now.astimezone(zone)
    year, month = local.year, local.month
    end = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=zone)
    for _ in range(months):
        start = datetime(year, month, 1, tzinfo=zone)
        found.append((start.astimezone(UTC), end.astimezone(UTC)))
        end = start
        year, month = (year - 1, 12) if month == 1 else (year, month - 1)
    return found


def share(metric: str, part: str, held: int, n: int) -> Measured:
    """A share of n cases with its Wilson interval."""
    if not n:
        return Measured(metric, part, None, 0)
    p, spread = held / n, Z * Z / n
    middle = (p + spread / 2) / (1 + spread)
    half = Z * sqrt(p * (1 - p) / n + spread / (4 * n)) / (1 + spread)
    return Measured(metric, part, p, n, max(middle - half, 0.0), min(middle + half, 1.0))
