"""What happened, as plain values: the only part of an audit that folds events and asks a database.

Times are microseconds since 1970 in UTC. Values of fields never leave it, only counts, states and who owns a record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from watchtower.contract import Event, format_time
from watchtower.errors import InputError
from watchtower.flow.audit.facts import owner_field
from watchtower.flow.backtest import DuckEngine, duckdb_engine, held_between
from watchtower.flow.gaps import Gap, gaps_at, valued
from watchtower.flow.history import History
from watchtower.flow.metrics import Measured, measure
from watchtower.rulebook import Loaded, Rulebook, RuleModel
from watchtower.rulebook.derive import column
from watchtower.rulebook.duties import Lifecycle, State
from watchtower.rules.compile import Program, compile_rule
from watchtower.rules.parse import parse_predicate
from watchtower.rules.queries import rows_here
from watchtower.rules.rows import stays
from watchtower.rules.spans import micros, parse_span
from watchtower.rules.sql import Writer, name
from watchtower.rules.tree import Span

AT_ONCE = 100
"""Fields asked for in one condition: a condition has a greatest length."""


@dataclass(frozen=True)
class Stay:
    """A record's stay in a state. `until` and `next` are None where it goes on; `next` alone where the record ended.

    `owner`: who had it when it began, or who got it first; empty where nobody did. `as_asked`: whether it met, when
    it was due, all that the state asks; None where nothing is asked or the time for it is not over.
    """

    record: str
    state: str
    since: int
    until: int | None
    next: str | None
    owner: str = ""
    as_asked: bool | None = None


@dataclass(frozen=True)
class Kept:
    """How a rule was kept: how often it was broken, how often within the first half of the time, and where it stands
    broken at the end."""

    times: int = 0
    early: int = 0
    standing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Observed:
    """What the events show, at an instant. Keys (object, field) and names are those of the rulebook."""

    first: datetime
    at: datetime
    events: int
    records: Mapping[str, int]
    """How many records of each object live at the end."""
    filled: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """In how many of them each field that is not computed has a value."""
    stays: Mapping[str, tuple[Stay, ...]] = field(default_factory=dict)
    offers: Mapping[str, tuple[Stay, ...]] = field(default_factory=dict)
    """By handoff: the stays in offered, accepted and rejected."""
    returns: Mapping[tuple[str, str], Mapping[str, int]] = field(default_factory=dict)
    """By field: how often each record's value came back to the one before the last."""
    owners: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By object: who owns each record at the end."""
    kept: Mapping[str, Kept] = field(default_factory=dict)
    gaps: tuple[Gap, ...] = ()
    measured: tuple[Measured, ...] = ()
    """Every metric, over the second half of the time: some ask what was there at the start."""

    def rule(self, rule_id: str) -> Kept:
        return self.kept.get(rule_id, Kept())


def with_everything(program: Program) -> Program:
    """The rules, and beside them what makes a history keep every field that somebody fills, every state and owner."""
    book, more = program.book, []
    for object_name, model in book.objects.items():
        wanted = [column(key) for key, spec in model.fields.items() if spec.rollup is None or not spec.rollup.over]
        wanted += [f"{key}.status" for key, handoff in book.handoffs.items() if handoff.object == object_name]
        for start in range(0, len(wanted), AT_ONCE):
            when = " and ".join(f"{path} is null" for path in wanted[start : start + AT_ONCE]) + " and false"
            rule = RuleModel.model_validate(
                {"id": f"audit.{object_name}.n{start}", "object": object_name, "when": when}
            )
            more.append(compile_rule(rule, book, program.gathered))
    return Program(book, (*program.rules, *more), program.gathered)


def observe(loaded: Loaded, program: Program, history: History, kept: list[Event], at: datetime | None) -> Observed:
    """`history`: folded with `with_everything(program)`, of the events `kept`. `at`: the instant that is looked at; the
    last event's time where None. InputError where no event counts."""
    if not kept:
        raise InputError(
            "no event on an object of this rulebook was read" + (f" up to {format_time(at)}" if at else ""),
            remedy="leave EVENTS out to review the rulebook alone, or see --mapping and --at",
        )
    first, last = min(event.time for event in kept), max(event.time for event in kept)
    at = last if at is None else at
    book, middle = program.book, first + (at - first) / 2
    with duckdb_engine(history.versions) as engine:
        reader = _Reader(engine, program, at)
        return Observed(
            first, at, len(kept),
            records={object_name: reader.living(object_name) for object_name in book.objects},
            filled={key: n for object_name in book.objects for key, n in reader.filled(object_name).items()},
            stays={key: reader.stays(key, cycle) for key, cycle in book.lifecycles.items()},
            offers={key: reader.spells(handoff.object, f"{key}.status") for key, handoff in book.handoffs.items()},
            returns={key: reader.returns(*key) for key in _entered(book)},
            owners={object_name: reader.owners(object_name) for object_name in book.objects},
            kept=_kept(engine, program, first, middle, at),
            gaps=tuple(gaps_at(engine, valued(program), at)),
            measured=tuple(measure(loaded, kept, middle, at)) if book.metrics and middle < at else (),
        )  # fmt: skip


def _entered(book: Rulebook) -> list[tuple[str, str]]:
    """The fields that somebody enters and whose value is not expected to go to and fro."""
    moving = {(cycle.object, cycle.field) for cycle in book.lifecycles.values()}
    return [
        (object_name, key)
        for object_name, model in book.objects.items()
        for key, spec in model.fields.items()
        if spec.rollup is None and spec.type != "boolean" and (object_name, key) not in moving
    ]


def _kept(engine: DuckEngine, program: Program, first: datetime, middle: datetime, at: datetime) -> dict[str, Kept]:
    end = at + timedelta(microseconds=1)  # what holds at the instant itself counts
    times: dict[str, list[int]] = {}
    standing: dict[str, list[str]] = {}
    for held in held_between(engine, program, first, end):
        found = times.setdefault(held.rule, [0, 0])
        found[0] += 1
        found[1] += held.since < middle
        if held.until == end:
            standing.setdefault(held.rule, []).append(held.record)
    return {rule: Kept(n, early, tuple(standing.get(rule, ()))) for rule, (n, early) in times.items()}


class _Reader:
    """Questions about one instant, asked of the versions up to it."""

    def __init__(self, engine: DuckEngine, program: Program, at: datetime) -> None:
        self.engine, self.program = engine, program
        self.writer: Writer = engine.writer(program.book.timezone)
        self.now = self.writer.time(format_time(at))
        self.at = micros(at)
        self._living = f"vfrom <= {self.now} AND {self.now} < vto"

    def living(self, object_name: str) -> int:
        ((n,),) = self.engine.query(f"SELECT count(*) FROM {name('v_' + object_name)} WHERE {self._living}")
        return int(n)

    def filled(self, object_name: str) -> dict[tuple[str, str], int]:
        fields = [key for key, spec in self.program.book.objects[object_name].fields.items() if spec.rollup is None]
        if not fields:
            return {}
        counts = ", ".join(f"count({name(key)})" for key in fields)
        (row,) = self.engine.query(f"SELECT {counts} FROM {name('v_' + object_name)} WHERE {self._living}")
        return {(object_name, key): int(n) for key, n in zip(fields, row, strict=True)}

    def owners(self, object_name: str) -> dict[str, str]:
        owner = owner_field(self.program.book, object_name)
        if not owner:
            return {}
        asked = f"SELECT record, {name(owner)} FROM {name('v_' + object_name)} WHERE {self._living}"
        shown = self._people(object_name, owner)
        return {record: shown[who] for record, who in self.engine.query(asked) if who is not None}

    def _people(self, object_name: str, owner: str) -> dict[str, str]:
        """How each owner is shown: by number where the rulebook calls the field personal."""
        asked = f"SELECT DISTINCT {name(owner)} FROM {name('v_' + object_name)} WHERE {name(owner)} IS NOT NULL"
        hidden = self.program.book.objects[object_name].fields[owner].personal
        people = sorted(who for (who,) in self.engine.query(asked))
        return {who: f"person {n}" if hidden else who for n, who in enumerate(people, 1)}

    def returns(self, object_name: str, key: str) -> dict[str, int]:
        """Value A, then another or none, then A again."""
        order, x = "PARTITION BY record ORDER BY vfrom", name(key)
        steps = (
            f"SELECT record, vfrom, x FROM (SELECT record, vfrom, {x} AS x, lag({x}) OVER w AS was, "
            f"row_number() OVER w AS n FROM {name('v_' + object_name)} WINDOW w AS ({order})) "
            "WHERE n = 1 OR x IS DISTINCT FROM was"
        )
        asked = (
            f"SELECT record, count(*) FROM (SELECT record, x, lag(x, 2) OVER ({order}) AS before FROM ({steps})) "
            "WHERE x = before GROUP BY record ORDER BY record"
        )
        return {record: int(n) for record, n in self.engine.query(asked)}

    def spells(self, object_name: str, key: str) -> tuple[Stay, ...]:
        """Every stay of a record in a value of a column."""
        asked = (
            f"SELECT record, state, {_micros('since')}, {_micros('until')}, next "
            f"FROM ({stays('v_' + object_name, key)}) ORDER BY since, record"
        )
        return tuple(
            Stay(record, state, since, until, next_) for record, state, since, until, next_ in self.engine.query(asked)
        )

    def stays(self, key: str, cycle: Lifecycle) -> tuple[Stay, ...]:
        owners = self._first_owners(cycle)
        asked = self._as_asked(key, cycle)
        return tuple(
            Stay(
                stay.record, stay.state, stay.since, stay.until, stay.next,
                owners.get((stay.record, stay.since), ""), asked.get((stay.record, stay.since)),
            )
            for stay in self.spells(cycle.object, cycle.field)
        )  # fmt: skip

    def _first_owners(self, cycle: Lifecycle) -> dict[tuple[str, int], str]:
        owner = owner_field(self.program.book, cycle.object)
        if not owner:
            return {}
        versions = name("v_" + cycle.object)
        asked = (
            f"SELECT s.record, {_micros('s.since')}, arg_min(v.{name(owner)}, v.vfrom) "
            f"FROM ({stays('v_' + cycle.object, cycle.field)}) AS s JOIN {versions} AS v ON v.record = s.record "
            f"AND v.vfrom < s.until AND s.since < v.vto WHERE v.{name(owner)} IS NOT NULL GROUP BY s.record, s.since"
        )
        shown = self._people(cycle.object, owner)
        return {(record, since): shown[who] for record, since, who in self.engine.query(asked)}

    def _as_asked(self, key: str, cycle: Lifecycle) -> dict[tuple[str, int], bool]:
        """By (record, since): whether a stay met what its state asks, once it was due or when the stay ended."""
        found: dict[tuple[str, int], bool] = {}
        rows = rows_here(self.program, self.writer, cycle.object)
        for state, model in cycle.states.items():
            test = self._test(cycle, model)
            if not test:
                continue
            due = self.writer.shift('"~since"', _delay(model))
            end = f'LEAST("~until", {self.now} + INTERVAL 1 microsecond)'
            asked = (
                f'{rows}, "~s" AS (SELECT *, {due} AS "~due", LEAST({due}, {end} - INTERVAL 1 microsecond) AS "~t" '
                "FROM "
                f'(SELECT record AS "~record", since AS "~since", until AS "~until", state AS "~state" '
                f"FROM ({stays('v_' + cycle.object, cycle.field)}))) "
                f'SELECT "~record", {_micros(chr(34) + "~since" + chr(34))}, coalesce({test}, FALSE) '
                f'FROM "~s" JOIN rows_here ON record = "~record" AND vfrom <= "~t" AND "~t" < vto '
                f'WHERE "~state" = {self.writer.text(state)} AND ("~until" <= {self.now} OR "~due" <= {self.now})'
            )
            found |= {(record, since): bool(met) for record, since, met in self.engine.query(asked)}
        return found

    def _test(self, cycle: Lifecycle, state: State) -> str:
        tests = []
        if state.enter is not None:
            tests.append(
                self.writer.at(parse_predicate(state.enter.when, self.program.book, cycle.object).node, '"~t"')
            )
        if state.requires is not None:
            tests += [f"{name(path)} IS NOT NULL" for path in state.requires.fields]
        return " AND ".join(f"({test})" for test in tests)


def _delay(state: State) -> Span:
    """The longer of the times that the state gives for what it asks."""
    spans = [parse_span(part.for_) for part in (state.enter, state.requires) if part is not None and part.for_]
    return max(spans, key=lambda span: (span.months, span.days, span.micros), default=Span())


def _micros(time: str) -> str:
    return f"CASE WHEN isfinite({time}) THEN epoch_us({time}) END"
