"""The compiled form written out for an engine. PostgreSQL and DuckDB differ in the few words of `Dialect`; Spark, in
`sql_spark`, also in how it says a time.

Every scalar is total: division by zero is null, arithmetic is in double precision, text is ordered by code
point, calendar units move on the wall clock of the rulebook's zone. So both engines give the same answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from watchtower.rules import letters
from watchtower.rules.compile import Alternative, CompiledRule
from watchtower.rules.tree import And, Atom, Bound, Call, Col, Lit, Node, Scalar, Span, columns

TYPES = {
    "integer": "BIGINT", "number": "DOUBLE PRECISION", "money": "DOUBLE PRECISION", "boolean": "BOOLEAN",
    "timestamp": "TIMESTAMPTZ", "date": "DATE",
}  # fmt: skip
"""The column type of a field type; everything else is text, and a list is a list of texts."""


@dataclass(frozen=True)
class Dialect:
    """How one engine says the few things that differ."""

    name: str
    text_order: str
    contains: str
    micros: str
    """Microseconds since 1970 of a timestamp {x}, null where it is infinite or outside the calendar."""
    case: str
    """A text {x} in `lower` or `upper` {case}, as watchtower.rules.letters has it; {pairs}: its table."""
    types: Mapping[str, str] = field(default_factory=lambda: TYPES)
    materialized: str = "MATERIALIZED "
    """Before a relation that is read more than once."""
    always: str = "'infinity'::TIMESTAMPTZ"
    never: str = "'-infinity'::TIMESTAMPTZ"
    """After, and before, every instant."""
    words: Mapping[str, str] = field(default_factory=dict)
    """Functions and operators that this engine writes in another way."""


POSTGRES = Dialect(
    "postgres", ' COLLATE "C"', "({item} = ANY({list}))",
    "(CASE WHEN isfinite({x}) THEN (extract(epoch FROM {x}) * 1000000)::BIGINT END)",
    # Whatever its collation, PostgreSQL maps A to Z alike; the table, 0.1 ms a text, is for what holds other letters.
    '(CASE WHEN octet_length({x}) = char_length({x}) THEN {case}({x} COLLATE "C") ELSE TRANSLATE({x}, {pairs}) END)',
)  # fmt: skip
DUCKDB = Dialect(
    "duckdb", "", "list_contains({list}, {item})",
    "(CASE WHEN isfinite({x}) THEN epoch_us({x}) END)", "{case}({x})",
)  # fmt: skip


def quote(text: str) -> str:
    """A text literal. Both engines read backslashes in it as themselves."""
    return "'" + text.replace("'", "''") + "'"


def name(text: str) -> str:
    """A quoted identifier."""
    return '"' + text.replace('"', '""') + '"'


class Writer:
    """Scalars and predicates of one rulebook, in one engine's SQL."""

    def __init__(self, dialect: Dialect, timezone: str) -> None:
        self.dialect, self.zone = dialect, quote(timezone)
        self.double = dialect.types["number"]
        self.words = {**_TEMPLATES, **dialect.words}

    def scalar(self, value: Scalar) -> str:
        if isinstance(value, Col):
            return name(value.name)
        if isinstance(value, Lit):
            return self.literal(value)
        args = [self.scalar(arg) for arg in value.args]
        if value.op == "shift":
            return self.shift(args[0], value.span)
        if value.op == "midnight":
            return self.midnight(args[0])
        return self.call(value, args)

    def literal(self, value: Lit) -> str:
        if value.value is None:
            return "NULL"
        if isinstance(value.value, bool):
            return "TRUE" if value.value else "FALSE"
        if isinstance(value.value, int):
            return str(value.value) if value.value >= 0 else f"({value.value})"
        if isinstance(value.value, float):
            return f"CAST({value.value!r} AS {self.double})"
        if value.type == "timestamp":
            return self.time(value.value)
        if value.type == "date":
            return f"CAST({quote(value.value)} AS DATE)"
        return self.text(value.value)

    def text(self, value: str) -> str:
        """A text literal."""
        return quote(value)

    def time(self, value: str) -> str:
        """A time literal, from ISO text in UTC."""
        return f"CAST({quote(value)} AS TIMESTAMPTZ)"

    def midnight(self, date: str) -> str:
        """The instant at which a date begins in the rulebook's zone."""
        return f"(CAST({date} AS TIMESTAMP) AT TIME ZONE {self.zone})"

    def shift(self, text: str, span: Span) -> str:
        for count, unit in ((span.months, "month"), (span.days, "day")):
            if count:
                text = f"((({text} AT TIME ZONE {self.zone}) + INTERVAL '{count} {unit}') AT TIME ZONE {self.zone})"
        return f"({text} + INTERVAL '{span.micros} microseconds')" if span.micros else text

    def call(self, value: Call, args: list[str]) -> str:
        op = value.op
        if op in ("and", "or"):
            return "(" + f" {op.upper()} ".join(args) + ")"
        if op in ("=", "<>", "<", "<=", ">", ">="):
            order = self._order(value) if op not in ("=", "<>") else ""
            return f"({args[0]}{order} {op} {args[1]})"
        if op in ("+", "-", "*", "/"):
            a, b = (f"CAST({arg} AS {self.double})" for arg in args)
            return f"({a} / NULLIF({b}, 0))" if op == "/" else f"({a} {op} {b})"
        if op == "in":
            return f"({args[0]} IN ({', '.join(args[1:])}))"
        if op == "case":
            pairs = "".join(f" WHEN {a} THEN {b}" for a, b in zip(args[::2], args[1::2], strict=False))
            return f"(CASE{pairs}{f' ELSE {args[-1]}' if len(args) % 2 else ''} END)"
        if op == "contains":
            return self.dialect.contains.format(list=args[0], item=args[1])
        if op in ("greatest", "least"):
            order = self._order(value)
            return f"{op.upper()}({', '.join(arg + order for arg in args)})"
        if op in ("lower", "upper"):
            return self._case(op, args[0])
        if op in ("like", "ilike"):
            pattern = value.args[1]
            assert isinstance(pattern, Lit)
            text = str(pattern.value)
            if op == "ilike":
                args[0], text = self._case("lower", args[0]), letters.lower(text)
            return self.words["like"].format(args[0], self.pattern(text))
        template = self.words.get(op)
        if template:
            return template.format(*args)
        return f"{op.upper()}({', '.join(args)})"

    def pattern(self, value: str) -> str:
        """The pattern of a LIKE as a literal; a backslash escapes the next character."""
        return quote(value)

    def _case(self, case: str, text: str) -> str:
        pairs = ", ".join(map(quote, letters.table(case))) if "{pairs}" in self.dialect.case else ""
        return self.dialect.case.format(x=text, case=case, pairs=pairs)

    def _order(self, value: Call) -> str:
        plain = value.args[0].type in TYPES or value.args[0].type == "list"
        return "" if plain else self.dialect.text_order

    def at(self, node: Node, now: str) -> str:
        """The predicate as a boolean at one instant, null where it is unknown."""
        if isinstance(node, Atom):
            return self.scalar(node.test)
        if isinstance(node, Bound):
            return f"({self.scalar(node.instant)} {'<=' if node.is_start else '>'} {now})"
        glue = " AND " if isinstance(node, And) else " OR "
        return "(" + glue.join(self.at(item, now) for item in node.items) + ")"

    def missing(self, node: Node, now: str) -> list[tuple[str, str]]:
        """For each column, the condition under which its absence makes the predicate unknown at `now`, given that the
        predicate is unknown."""
        found: dict[str, list[str]] = {}

        def walk(part: Node, above: tuple[str, ...]) -> None:
            here = above if part is node else (*above, f"({self.at(part, now)}) IS NULL")
            if not isinstance(part, (Atom, Bound)):
                for item in part.items:
                    walk(item, here)
                return
            for column in columns(part.test if isinstance(part, Atom) else part.instant):
                test = all_of((f"{name(column.name)} IS NULL", *here))
                found.setdefault(column.name, []).append(test)

        walk(node, ())
        return [(column, " OR ".join(f"({test})" for test in tests)) for column, tests in found.items()]


_TEMPLATES = {
    "not": "(NOT {0})", "is_null": "({0} IS NULL)", "is_true": "({0} IS TRUE)", "is_false": "({0} IS FALSE)",
    "like": "({0} LIKE {1} ESCAPE '\\')", "is_distinct": "({0} IS DISTINCT FROM {1})",
    "is_same": "({0} IS NOT DISTINCT FROM {1})",
    "||": "({0} || {1})", "length": "CAST(LENGTH({0}) AS BIGINT)", "trim": "TRIM(BOTH ' ' FROM {0})",
    "starts_with": "STARTS_WITH({0}, {1})",
}  # fmt: skip


@dataclass(frozen=True)
class Reach:
    """The span of one alternative within a row (record, vfrom, vto, columns...), as SQL."""

    since: str
    until: str
    tests: tuple[str, ...]
    """Conditions without the clock, all of which must be so."""
    known: tuple[str, ...]
    """What must not be null for the bounds to be known."""
    starts: bool
    ends: bool

    @property
    def certain(self) -> list[str]:
        """That it holds there, and not only may hold."""
        return [*self.tests, *(f"{value} IS NOT NULL" for value in self.known)]

    @property
    def possible(self) -> list[str]:
        """That it holds there or may hold."""
        return [f"({test}) IS NOT FALSE" for test in self.tests]

    @property
    def lasting(self) -> list[str]:
        """That it is longer than nothing; without bounds it is as long as the version."""
        return [f"{self.since} < {self.until}"] if self.starts or self.ends else []


def reach(writer: Writer, alternative: Alternative) -> Reach:
    """The span of an alternative. An unknown bound is read as kept: GREATEST and LEAST skip nulls."""
    starts = [writer.scalar(start) for start in alternative.starts]
    ends = [writer.scalar(end) for end in alternative.ends]
    test = alternative.test
    tests = test.args if isinstance(test, Call) and test.op == "and" else () if test is None else (test,)
    return Reach(
        since=f"GREATEST(vfrom, {', '.join(starts)})" if starts else "vfrom",
        until=f"LEAST(vto, {', '.join(ends)})" if ends else "vto",
        tests=tuple(writer.scalar(item) for item in tests),
        known=tuple(dict.fromkeys(writer.scalar(_unmoved(bound)) for bound in alternative.starts + alternative.ends)),
        starts=bool(starts),
        ends=bool(ends),
    )


def _unmoved(bound: Scalar) -> Scalar:
    """What is null just where the bound is, without the calendar arithmetic, which costs most."""
    while isinstance(bound, Call) and bound.op in ("shift", "midnight"):
        bound = bound.args[0]
    return bound


def all_of(tests: Iterable[str]) -> str:
    """The conjunction; TRUE of none."""
    return " AND ".join(f"({test})" for test in tests) or "TRUE"


def raw_spans(
    writer: Writer, rules: Iterable[tuple[int, CompiledRule]], rows: str, *, unknown: bool = True
) -> list[str]:
    """SELECTs of (rule, record, certain, since, until), a rule being its number: where it holds (`certain`), and,
    where `unknown` is asked for, where it may hold (null read as true).

    `rows` is a relation (record, vfrom, vto, columns...), cut at the validity of versions. Of a rule with one
    alternative the uncertain spans are those in which it is unknown; of others they hold what is certain, too.
    """
    selects = []
    for number, compiled in rules:
        for alternative in compiled.alternatives:
            span = reach(writer, alternative)
            if not unknown or not compiled.can_be_unknown:
                selects.append(select_spans(number, span, "TRUE", rows, span.certain + span.lasting))
            elif compiled.simple:
                flag = f"({all_of(span.certain)}) IS TRUE"
                selects.append(select_spans(number, span, flag, rows, span.possible + span.lasting))
            else:
                selects.append(select_spans(number, span, "TRUE", rows, span.certain + span.lasting))
                selects.append(select_spans(number, span, "FALSE", rows, span.possible + span.lasting))
    return selects


def select_spans(rule: int, span: Reach, certain: str, rows: str, tests: Sequence[str], more: str = "") -> str:
    """The spans of a rule over the rows that pass the tests. `more`: further columns, with a comma before each."""
    return (
        f"SELECT {rule} AS rule, record, {certain} AS certain, {span.since} AS since, {span.until} AS until{more} "
        f"FROM {rows} WHERE {all_of(tests)}"
    )


def islands(raw: str) -> str:
    """Spans of the same rule, record and certainty that touch or overlap, joined into one."""
    return f"""
SELECT rule, record, certain, min(since) AS since, max(until) AS until FROM (
  SELECT *, sum(CASE WHEN since <= reach THEN 0 ELSE 1 END) OVER w AS island FROM (
    SELECT *, max(until) OVER (PARTITION BY rule, record, certain ORDER BY since, until
      ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reach
    FROM ({raw}) AS raw) AS reached
  WINDOW w AS (PARTITION BY rule, record, certain ORDER BY since, until)) AS numbered
GROUP BY rule, record, certain, island"""
