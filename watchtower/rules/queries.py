"""The questions asked of a set of versions, as SQL: what holds at an instant, and when did it hold.

Both expect a relation `v_<object>` for each object: (record, vfrom, vto, columns...), vto infinite where open.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from watchtower.contract import format_time
from watchtower.rules.compile import CompiledRule, Program
from watchtower.rules.rows import rows_with_references, with_gathered
from watchtower.rules.sql import Writer, islands, name, quote, raw_spans
from watchtower.rules.tree import Atom, Bound, Node

_NONE = "SELECT '' AS rule, '' AS record, TRUE AS certain, {null} AS since, {null} AS until WHERE FALSE"


def _rows(program: Program, writer: Writer, object_name: str, targets: str = "v_", kids: str = "v_") -> str:
    """The relation of an object's rows, with what its rules read through references."""
    refs: dict[str, tuple[str, list[str]]] = {}
    own: list[str] = list(program.columns_of[object_name])
    for compiled in program.of_object(object_name):
        for column in compiled.columns:
            if column.ref:
                target = program.book.objects[object_name].fields[column.ref].to
                wanted = refs.setdefault(column.ref, (target, []))[1]
                if column.target not in wanted:
                    wanted.append(column.target)

    def lives(name_: str, prefix: str) -> str:
        columns = list(program.columns_of[name_])
        listed = "".join(f", {name(column)}" for column in columns)
        base = f"SELECT record, vfrom, vto{listed} FROM {name(prefix + name_)}"
        return with_gathered(writer, base, columns, program.gathered_on(name_), kids)

    def lives_of(target: str) -> str:
        plain = not program.gathered_on(target)
        return name(targets + target) if plain else f"({lives(target, targets)}) AS {name('g_' + target)}"

    gathered = [rollup.field for rollup in program.gathered_on(object_name)]
    return rows_with_references(writer, refs, [*own, *gathered], lives(object_name, "v_"), lives_of)


def spans_ctes(program: Program, writer: Writer, targets: str = "v_", kids: str = "v_") -> str:
    """WITH ... `raw`: every span of every rule, before joining. Records that rules refer to are looked up in
    `<targets><object>`, those that rollups gather in `<kids><object>`."""
    ctes, parts = [], []
    for object_name in program.book.objects:
        rules = program.of_object(object_name)
        if rules:
            rows = name(f"rows_{object_name}")
            ctes.append(f"{rows} AS ({_rows(program, writer, object_name, targets, kids)})")
            parts.append(raw_spans(writer, rules, rows))
    null = f"CAST(NULL AS {writer.dialect.types['timestamp']})"
    ctes.append(f"raw AS ({' UNION ALL '.join(parts) or _NONE.format(null=null)})")
    return "WITH " + ",\n".join(ctes)


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
    sql = f"""WITH rows_here AS ({_rows(program, writer, compiled.rule.object)})
SELECT record{flags} FROM rows_here
WHERE vfrom <= {now} AND {now} < vto AND ({writer.at(compiled.node, now)}) IS NULL"""
    return sql, [column for column, _ in tests]


def example_query(program: Program, writer: Writer, compiled: CompiledRule, record: str, at: datetime) -> str:
    """One row: whether the rule's predicate is true, false or unknown on a record at an instant."""
    now = writer.time(format_time(at))
    return f"""WITH rows_here AS ({_rows(program, writer, compiled.rule.object)})
SELECT {writer.at(compiled.node, now)} FROM rows_here
WHERE record = {quote(record)} AND vfrom <= {now} AND {now} < vto"""


def conditions_query(writer: Writer, node: Node, parts: Sequence[Atom | Bound], relation: str, at: datetime) -> str:
    """One row: the predicate, then each of its conditions, at an instant; true, false or null for unknown."""
    now = writer.time(format_time(at))
    wanted = ", ".join(writer.at(part, now) for part in (node, *parts))
    return f"SELECT {wanted} FROM {name(relation)}"
