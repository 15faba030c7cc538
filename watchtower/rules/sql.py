"""The compiled form written out for an engine. PostgreSQL and DuckDB differ in the few words of `Dialect`.

Every scalar is total: division by zero is null, arithmetic is in double precision, text is ordered by code
point, calendar units move on the wall clock of the rulebook's zone. So both engines give the same answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from watchtower.rules import letters
from watchtower.rules.compile import Alternative, CompiledRule
from watchtower.rules.tree import And, Atom, Bound, Call, Col, Lit, Node, Scalar, Span, columns

TYPES = {
    "integer": "BIGINT", "number": "DOUBLE PRECISION", "money": "DOUBLE PRECISION", "boolean": "BOOLEAN",
    "timestamp": "TIMESTAMPTZ", "date": "DATE",
}  # fmt: skip
"""The column type of a field type, in both engines; everything else is text, and a list is a list of texts."""


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

ALWAYS, NEVER_BEFORE = "'infinity'::TIMESTAMPTZ", "'-infinity'::TIMESTAMPTZ"


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

    def scalar(self, value: Scalar) -> str:
        if isinstance(value, Col):
            return name(value.name)
        if isinstance(value, Lit):
            return self.literal(value)
        args = [self.scalar(arg) for arg in value.args]
        if value.op == "shift":
            return self.shift(args[0], value.span)
        if value.op == "midnight":
            return f"(CAST({args[0]} AS TIMESTAMP) AT TIME ZONE {self.zone})"
        return self.call(value, args)

    def literal(self, value: Lit) -> str:
        if value.value is None:
            return "NULL"
        if isinstance(value.value, bool):
            return "TRUE" if value.value else "FALSE"
        if isinstance(value.value, int):
            return str(value.value) if value.value >= 0 else f"({value.value})"
        if isinstance(value.value, float):
            return f"CAST({value.value!r} AS DOUBLE PRECISION)"
        if value.type in ("timestamp", "date"):
            return f"CAST({quote(value.value)} AS {TYPES[value.type]})"
        return quote(value.value)

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
            a, b = (f"CAST({arg} AS DOUBLE PRECISION)" for arg in args)
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
        if op == "ilike":
            pattern = value.args[1]
            assert isinstance(pattern, Lit)
            return f"({self._case('lower', args[0])} LIKE {quote(letters.lower(str(pattern.value)))} ESCAPE '\\')"
        template = _TEMPLATES.get(op)
        if template:
            return template.format(*args)
        return f"{op.upper()}({', '.join(args)})"

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
        """For each column, the condition under which its absence makes the predicate unknown at `now`."""
        found: dict[str, list[str]] = {}

        def walk(part: Node, above: tuple[str, ...]) -> None:
            here = (*above, f"({self.at(part, now)}) IS NULL")
            if not isinstance(part, (Atom, Bound)):
                for item in part.items:
                    walk(item, here)
                return
            for column in columns(part.test if isinstance(part, Atom) else part.instant):
                test = f"({name(column.name)} IS NULL AND {' AND '.join(here)})"
                found.setdefault(column.name, []).append(test)

        walk(node, ())
        return [(column, " OR ".join(tests)) for column, tests in found.items()]


_TEMPLATES = {
    "not": "(NOT {0})", "is_null": "({0} IS NULL)", "is_true": "({0} IS TRUE)", "is_false": "({0} IS FALSE)",
    "like": "({0} LIKE {1} ESCAPE '\\')", "is_distinct": "({0} IS DISTINCT FROM {1})",
    "is_same": "({0} IS NOT DISTINCT FROM {1})",
    "||": "({0} || {1})", "length": "CAST(LENGTH({0}) AS BIGINT)", "trim": "TRIM(BOTH ' ' FROM {0})",
    "starts_with": "STARTS_WITH({0}, {1})",
}  # fmt: skip


def raw_spans(writer: Writer, rules: Sequence[CompiledRule], rows: str) -> str:
    """One SELECT per rule, alternative and reading of null, joined: (rule, record, certain, since, until).

    `rows` is a relation (record, vfrom, vto, columns...), cut at the validity of versions. `certain` rows read
    null as false: there the rule holds. The others read null as true: there it holds or is unknown.
    """
    selects = []
    for compiled in rules:
        for alternative in compiled.alternatives:
            selects.append(_select(writer, compiled.rule.id, alternative, rows, certain=True))
            if compiled.can_be_unknown:
                selects.append(_select(writer, compiled.rule.id, alternative, rows, certain=False))
    return "\nUNION ALL\n".join(selects)


def _select(writer: Writer, rule: str, alternative: Alternative, rows: str, *, certain: bool) -> str:
    starts = [writer.scalar(start) for start in alternative.starts]
    ends = [writer.scalar(end) for end in alternative.ends]
    # GREATEST and LEAST skip nulls, which is just what reading an unknown bound as true means.
    since = f"GREATEST(vfrom, {', '.join(starts)})" if starts else "vfrom"
    until = f"LEAST(vto, {', '.join(ends)})" if ends else "vto"
    tests = [f"{since} < {until}"]
    if alternative.test is not None:
        test = writer.scalar(alternative.test)
        tests.insert(0, test if certain else f"({test}) IS NOT FALSE")
    if certain:
        tests += [f"{bound} IS NOT NULL" for bound in starts + ends]
    flag = "TRUE" if certain else "FALSE"
    return (
        f"SELECT {quote(rule)} AS rule, record, {flag} AS certain, {since} AS since, {until} AS until "
        f"FROM {rows} WHERE {' AND '.join(tests)}"
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


def rows_with_references(
    writer: Writer,
    object_name: str,
    refs: dict[str, tuple[str, list[str]]],
    own: list[str],
    target_prefix: str = "v_",
) -> str:
    """The versions of an object, split where a record it refers to changes.

    `refs` maps a ref field to (target object, columns of the target). Expects relations `v_<object>` with
    (record, vfrom, vto, columns). The target's columns are null before it exists, after it, and where there is none.
    """
    base = f"SELECT record, vfrom, vto{''.join(', ' + name(c) for c in own)} FROM {name('v_' + object_name)}"
    carried = list(own)
    for ref, (target, wanted) in refs.items():
        listed = "".join(", " + name(column) for column in wanted)
        nulls = "".join(f", NULL AS {name(column)}" for column in wanted)
        lives = name(target_prefix + target)
        timeline = f"""
  SELECT record, vfrom, vto{listed} FROM {lives}
  UNION ALL SELECT record, before, vfrom{nulls} FROM (
    SELECT record, vfrom, lag(vto, 1, {NEVER_BEFORE}) OVER (PARTITION BY record ORDER BY vfrom) AS before
    FROM {lives}) AS gaps WHERE before < vfrom
  UNION ALL SELECT record, max(vto), {ALWAYS}{nulls} FROM {lives} GROUP BY record HAVING max(vto) < {ALWAYS}"""
        through = "".join(f", t.{name(c)} AS {name(f'{ref}.{c}')}" for c in wanted)
        kept = "".join(f", b.{name(c)}" for c in carried)
        base = f"""SELECT b.record, GREATEST(b.vfrom, t.vfrom) AS vfrom, LEAST(b.vto, t.vto) AS vto{kept}{through}
FROM ({base}) AS b LEFT JOIN ({timeline}) AS t
  ON t.record = b.{name(ref)} AND t.vfrom < b.vto AND b.vfrom < t.vto"""
        carried += [f"{ref}.{c}" for c in wanted]
    return base
