"""The questions asked of a set of versions, as SQL: what holds at an instant, and when did it hold.

Both expect a relation `v_<object>` for each object: (record, vfrom, vto, columns...), vto infinite where open.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from watchtower.contract import format_time
from watchtower.rules.compile import CompiledRule, Program
from watchtower.rules.rows import rows_with_references, timeline, with_gathered
from watchtower.rules.sql import Writer, islands, name, quote, raw_spans
from watchtower.rules.tree import Atom, Bound, Node

_NONE = "SELECT '' AS rule, '' AS record, TRUE AS certain, {null} AS since, {null} AS until WHERE FALSE"


class _Relations:
    """The relations that the rules of a program are asked of, and the CTEs they stand on, each written once.

    Records that rules refer to are looked up in `<targets><object>`, those that rollups gather in `<kids><object>`.
    """

    def __init__(self, program: Program, writer: Writer, targets: str = "v_", kids: str = "v_") -> None:
        self.program, self.writer, self.targets, self.kids = program, writer, targets, kids
        self.ctes: dict[str, str] = {}

    def rows(self, object_name: str) -> str:
        """A SELECT of an object's rows, with what its rules read through references."""
        program = self.program
        refs: dict[str, tuple[str, list[str]]] = {}
        gathered: set[str] = set()
        for compiled in program.of_object(object_name):
            for column in compiled.columns:
                if column.ref:
                    target = program.home(object_name, column)
                    wanted = refs.setdefault(column.ref, (target, []))[1]
                    if column.target not in wanted:
                        wanted.append(column.target)
                elif column.gathered:
                    gathered.add(column.name)
        base = self._lives(object_name, "v_", gathered)
        through = {
            target: self._lives(target, self.targets, {c for name_, cs in refs.values() if name_ == target for c in cs})
            for target, _ in refs.values()
        }
        own = [*program.columns_of[object_name], *sorted(gathered)]
        listed = "".join(f", {name(column)}" for column in own)
        select = f"SELECT record, vfrom, vto{listed} FROM {base}"
        return rows_with_references(self.writer, refs, own, select, through.__getitem__)

    def _lives(self, object_name: str, prefix: str, wanted: Collection[str]) -> str:
        """The relation of an object's versions, with those of its rollups over records that are wanted."""
        chosen = [rollup for rollup in self.program.gathered_on(object_name) if rollup.field in wanted]
        if not chosen:
            return name(prefix + object_name)
        relation = name(f"w_{prefix}{object_name}_{'_'.join(rollup.field for rollup in chosen)}")
        if relation not in self.ctes:
            timelines = [name(f"g_{object_name}_{rollup.field}") for rollup in chosen]
            for rollup, cte in zip(chosen, timelines, strict=True):
                self.ctes.setdefault(cte, timeline(self.writer, rollup, self.kids))
            columns = list(self.program.columns_of[object_name])
            listed = "".join(f", {name(column)}" for column in columns)
            base = f"SELECT record, vfrom, vto{listed} FROM {name(prefix + object_name)}"
            self.ctes[relation] = with_gathered(base, columns, list(zip(chosen, timelines, strict=True)))
        return relation

    def written(self) -> list[str]:
        keep = self.writer.dialect.materialized
        return [f"{cte} AS {keep}({sql})" for cte, sql in self.ctes.items()]


def spans_ctes(program: Program, writer: Writer, targets: str = "v_", kids: str = "v_") -> str:
    """WITH ... `raw`: every span of every rule, before joining. `targets`, `kids`: as in `_Relations`."""
    relations, ctes, parts = _Relations(program, writer, targets, kids), [], []
    for object_name in program.book.objects:
        rules = program.of_object(object_name)
        if rules:
            rows = name(f"rows_{object_name}")
            ctes.append(f"{rows} AS ({relations.rows(object_name)})")
            parts.append(raw_spans(writer, rules, rows))
    null = f"CAST(NULL AS {writer.dialect.types['timestamp']})"
    ctes.append(f"raw AS ({' UNION ALL '.join(parts) or _NONE.format(null=null)})")
    return "WITH " + ",\n".join([*relations.written(), *ctes])


def rows_here(program: Program, writer: Writer, object_name: str) -> str:
    """WITH ... `rows_here`: an object's rows."""
    relations = _Relations(program, writer)
    rows = relations.rows(object_name)
    return "WITH " + ",\n".join([*relations.written(), f"rows_here AS ({rows})"])


def held_query(program: Program, writer: Writer, start: datetime, end: datetime) -> str:
    """(rule, record, since, until) in microseconds: where a rule held within [start, end), joined and cut."""
    micros, first, last = writer.dialect.micros, writer.time(format_time(start)), writer.time(format_time(end))
    raw = "SELECT * FROM raw WHERE certain"
    return f"""{spans_ctes(program, writer)}
SELECT rule, record, {micros.format(x=f"GREATEST(since, {first})")}, {micros.format(x=f"LEAST(until, {last})")}
FROM ({islands(raw)}) AS joined WHERE since < {last} AND until > {first}"""


def state_query(program: Program, writer: Writer, at: datetime) -> str:
    """(rule, record, since, until, due, unknown_since, unknown_until, before) in microseconds, where any matters.

    `since` is null where the rule does not hold at the instant; `before` is when it last ceased to hold.
    """
    micros, now = writer.dialect.micros, writer.time(format_time(at))
    inside = f"since <= {now} AND {now} < until"
    picked = ", ".join(
        f"{micros.format(x=column)} AS {column}"
        for column in ("held_since", "held_until", "due", "maybe_since", "maybe_until", "before")
    )
    return f"""{spans_ctes(program, writer)}
SELECT rule, record, {picked} FROM (
  SELECT rule, record,
    max(since) FILTER (WHERE certain AND {inside}) AS held_since,
    max(until) FILTER (WHERE certain AND {inside}) AS held_until,
    min(since) FILTER (WHERE certain AND since > {now}) AS due,
    max(since) FILTER (WHERE NOT certain AND {inside}) AS maybe_since,
    max(until) FILTER (WHERE NOT certain AND {inside}) AS maybe_until,
    max(until) FILTER (WHERE certain AND until <= {now}) AS before
  FROM ({islands("SELECT * FROM raw")}) AS joined GROUP BY rule, record) AS states
WHERE held_since IS NOT NULL OR due IS NOT NULL OR maybe_since IS NOT NULL"""


def missing_query(program: Program, writer: Writer, compiled: CompiledRule, at: datetime) -> tuple[str, list[str]]:
    """(record, flag per column) where the rule is unknown at the instant; and the columns the flags stand for."""
    now = writer.time(format_time(at))
    tests = writer.missing(compiled.node, now)
    flags = "".join(f", ({test})" for _, test in tests)
    sql = f"""{rows_here(program, writer, compiled.rule.object)}
SELECT record{flags} FROM rows_here
WHERE vfrom <= {now} AND {now} < vto AND ({writer.at(compiled.node, now)}) IS NULL"""
    return sql, [column for column, _ in tests]


def example_query(program: Program, writer: Writer, compiled: CompiledRule, record: str, at: datetime) -> str:
    """One row: whether the rule's predicate is true, false or unknown on a record at an instant."""
    now = writer.time(format_time(at))
    return f"""{rows_here(program, writer, compiled.rule.object)}
SELECT {writer.at(compiled.node, now)} FROM rows_here
WHERE record = {quote(record)} AND vfrom <= {now} AND {now} < vto"""


def conditions_query(writer: Writer, node: Node, parts: Sequence[Atom | Bound], relation: str, at: datetime) -> str:
    """One row: the predicate, then each of its conditions, at an instant; true, false or null for unknown."""
    now = writer.time(format_time(at))
    wanted = ", ".join(writer.at(part, now) for part in (node, *parts))
    return f"SELECT {wanted} FROM {name(relation)}"
