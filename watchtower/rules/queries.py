"""The questions asked of a set of versions, as SQL: what holds at an instant, and when did it hold.

Both expect a relation `v_<object>` for each object: (record, vfrom, vto, columns...), vto infinite where open.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from watchtower.contract import format_time
from watchtower.rules.compile import CompiledRule, Program
from watchtower.rules.rows import rows_with_references, timeline, with_gathered
from watchtower.rules.sql import Reach, Writer, all_of, islands, name, quote, raw_spans, reach, select_spans
from watchtower.rules.tree import Atom, Bound, Node, reads


class _Relations:
    """The relations that the rules of a program are asked of, and the CTEs they stand on, each written once.

    Records that rules refer to are looked up in `<targets><object>`, those that rollups gather in `<kids><object>`.
    """

    def __init__(self, program: Program, writer: Writer, targets: str = "v_", kids: str = "v_") -> None:
        self.program, self.writer, self.targets, self.kids = program, writer, targets, kids
        self.ctes: dict[str, str] = {}

    def rows(self, object_name: str, rules: Iterable[CompiledRule]) -> str:
        """The relation of an object's rows, with what these rules read through references.

        Rules that read nothing through them, and nothing gathered, get the versions as they are: fewer, and not copied.
        """
        program = self.program
        refs: dict[str, tuple[str, list[str]]] = {}
        gathered: set[str] = set()
        for compiled in rules:
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
        if not refs:
            return base
        listed = "".join(f", {name(column)}" for column in own)
        select = f"SELECT record, vfrom, vto{listed} FROM {base}"
        relation = name(f"rows_{object_name}")
        self.ctes[relation] = rows_with_references(self.writer, refs, own, select, through.__getitem__)
        return relation

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

    def with_ctes(self, more: Mapping[str, str]) -> str:
        """WITH: the relations so far, and more that stand on them."""
        keep = self.writer.dialect.materialized
        ctes = [f"{cte} AS {keep}({sql})" for cte, sql in self.ctes.items()]
        return "WITH " + ",\n".join(ctes + [f"{cte} AS ({sql})" for cte, sql in more.items()])


def spans_ctes(program: Program, writer: Writer, targets: str = "v_", kids: str = "v_", *, unknown: bool = True) -> str:
    """WITH ... `raw`: every span of every rule, before joining. `targets`, `kids`: as in `_Relations`."""
    relations, parts = _Relations(program, writer, targets, kids), []
    for object_name in program.book.objects:
        for rules in _groups(program, object_name):
            parts += raw_spans(writer, rules, relations.rows(object_name, [c for _, c in rules]), unknown=unknown)
    return relations.with_ctes({"raw": _union(writer, parts, "rule, record, certain, since, until")})


Numbered = tuple[int, CompiledRule]


def _groups(program: Program, object_name: str) -> list[list[Numbered]]:
    """The rules on an object with their numbers: those that read its own fields only, and the others."""
    found: tuple[list[Numbered], list[Numbered]] = ([], [])
    for number, compiled in enumerate(program.rules):
        if compiled.rule.object == object_name:
            found[any(column.ref or column.gathered for column in compiled.columns)].append((number, compiled))
    return [group for group in found if group]


_NOTHING = {
    "rule": "0", "record": "''", "certain": "TRUE", "missing": "''", "touches": "TRUE",
    "since": "{null}", "until": "{null}",
}  # fmt: skip


def _union(writer: Writer, selects: Sequence[str], columns: str) -> str:
    """The SELECTs joined; of none, an empty relation with these columns."""
    null = f"CAST(NULL AS {writer.dialect.types['timestamp']})"
    empty = ", ".join(f"{_NOTHING[c].format(null=null)} AS {c}" for c in columns.split(", "))
    return "\nUNION ALL\n".join(selects) or f"SELECT {empty} WHERE FALSE"


def rows_here(program: Program, writer: Writer, object_name: str) -> str:
    """WITH ... `rows_here`: an object's rows."""
    relations = _Relations(program, writer)
    rows = relations.rows(object_name, program.of_object(object_name))
    return relations.with_ctes({"rows_here": f"SELECT * FROM {rows}"})


def held_query(program: Program, writer: Writer, start: datetime, end: datetime) -> str:
    """(rule's number, record, since, until) in microseconds: where it held within [start, end), joined and cut."""
    micros, first, last = writer.dialect.micros, writer.time(format_time(start)), writer.time(format_time(end))
    return f"""{spans_ctes(program, writer, unknown=False)}
SELECT rule, record, {micros.format(x=f"GREATEST(since, {first})")}, {micros.format(x=f"LEAST(until, {last})")}
FROM ({islands("SELECT * FROM raw")}) AS joined WHERE since < {last} AND until > {first}"""


def state_query(program: Program, writer: Writer, at: datetime) -> str:
    """(rule's number, record, since, until, due, unknown_since, unknown_until, before, missing), times in
    microseconds, where any matters. What changed after the instant is not looked at.

    `since` is null where the rule does not hold at the instant; `before` is when it last ceased to hold; `missing` has
    a 1 at the place of each column (in the order of `missing_columns`) that is missing where the rule is unknown.

    Of a rule with one alternative a version has at most one span. So only those of the version that is in force are
    asked for; and where one begins with its version, those of earlier versions that reach to their version's end.
    """
    now = writer.time(format_time(at))
    relations = _Relations(program, writer)
    here: list[str] = []
    past: list[str] = []
    compound: list[str] = []
    unknown: list[str] = []
    for object_name in program.book.objects:
        for group, rules in enumerate(_groups(program, object_name)):
            compiled_rules = [compiled for _, compiled in rules]
            rows, always = relations.rows(object_name, compiled_rules), writer.dialect.always
            columns = dict.fromkeys(column.name for compiled in compiled_rules for column in compiled.columns)
            listed = "".join(f", {name(column)}" for column in columns)
            current, known = name(f"now_{object_name}_{group}"), name(f"known_{object_name}_{group}")
            relations.ctes[current] = (
                f"SELECT record, vfrom, {always} AS vto{listed} FROM {rows} WHERE vfrom <= {now} AND {now} < vto"
            )
            for number, compiled in rules:
                if compiled.simple:
                    span = reach(writer, compiled.alternatives[0])
                    here.append(_now(writer, number, compiled, span, current, now))
                    past.append(_before(number, compiled, span, rows, now))
                else:
                    unknown.append(
                        f"SELECT {number} AS rule, record, {_missing(writer, compiled, now)} AS missing "
                        f"FROM {current} WHERE ({writer.at(compiled.node, now)}) IS NULL"
                    )
            multiple = [rule for rule in rules if not rule[1].simple]
            if multiple:
                relations.ctes[known] = (
                    f"SELECT record, vfrom, CASE WHEN {now} < vto THEN {always} ELSE vto END AS vto{listed} "
                    f"FROM {rows} WHERE vfrom <= {now}"
                )
                compound += raw_spans(writer, multiple, known)
    ctes = {
        "here": _union(writer, here, "rule, record, certain, since, until, touches, missing"),
        "back": f"""SELECT p.* FROM ({_union(writer, past, "rule, record, certain, since, until")}) AS p
JOIN here ON here.touches AND here.rule = p.rule AND here.record = p.record AND here.certain = p.certain""",
        "chains": islands("SELECT * FROM back"),
        "gaps": _union(writer, unknown, "rule, record, missing"),
        "known": islands(_union(writer, compound, "rule, record, certain, since, until")),
        "states": _STATES.format(
            now=now, inside=f"since <= {now} AND {now} < until", type=writer.dialect.types["timestamp"]
        ),
    }
    micros = writer.dialect.micros
    times = ("held_since", "held_until", "due", "maybe_since", "maybe_until", "before")
    picked = ", ".join(f"{micros.format(x=column)} AS {column}" for column in times)
    return f"{relations.with_ctes(ctes)}\nSELECT rule, record, {picked}, missing FROM states"


_STATES = """
SELECT rule, record,
  CASE WHEN certain AND since <= {now} THEN since END AS held_since,
  CASE WHEN certain AND since <= {now} THEN until END AS held_until,
  CASE WHEN since > {now} THEN since END AS due,
  CASE WHEN NOT certain THEN since END AS maybe_since,
  CASE WHEN NOT certain THEN until END AS maybe_until,
  CAST(NULL AS {type}) AS before, missing
FROM (
  SELECT h.rule, h.record, h.certain, COALESCE(c.since, h.since) AS since, h.until, h.missing
  FROM here AS h LEFT JOIN chains AS c
    ON c.rule = h.rule AND c.record = h.record AND c.certain = h.certain AND c.until = h.since AND h.touches) AS simple
UNION ALL SELECT s.*, gaps.missing FROM (
  SELECT rule, record,
    max(since) FILTER (WHERE certain AND {inside}) AS held_since,
    max(until) FILTER (WHERE certain AND {inside}) AS held_until,
    min(since) FILTER (WHERE certain AND since > {now}) AS due,
    max(since) FILTER (WHERE NOT certain AND {inside}) AS maybe_since,
    max(until) FILTER (WHERE NOT certain AND {inside}) AS maybe_until,
    max(until) FILTER (WHERE certain AND until <= {now}) AS before
  FROM known GROUP BY rule, record) AS s
  LEFT JOIN gaps ON gaps.rule = s.rule AND gaps.record = s.record
WHERE held_since IS NOT NULL OR due IS NOT NULL OR maybe_since IS NOT NULL"""


def _now(writer: Writer, number: int, compiled: CompiledRule, span: Reach, rows: str, now: str) -> str:
    """The span of the version in force: it contains the instant, or begins later."""
    tests = [f"{span.until} > {now}"] if span.ends else []
    tests += span.lasting if span.ends else []
    touches = f"{span.since} = vfrom" if span.starts else "TRUE"
    if not compiled.can_be_unknown:
        return select_spans(number, span, "TRUE", rows, tests, f", {touches} AS touches, '' AS missing")
    certain = f"({all_of(span.certain)}) IS TRUE"
    if span.starts:
        tests.append(f"{certain} OR {span.since} <= {now}")
    missing = f"CASE WHEN {certain} THEN '' ELSE {_missing(writer, compiled, now)} END"
    more = f", {touches} AS touches, {missing} AS missing"
    return select_spans(number, span, certain, rows, span.possible + tests, more)


def _before(number: int, compiled: CompiledRule, span: Reach, rows: str, now: str) -> str:
    """The spans of earlier versions that reach to their version's end."""
    certain = f"({all_of(span.certain)}) IS TRUE" if compiled.can_be_unknown else "TRUE"
    ends = [f"{span.until} = vto"] if span.ends else []
    tests = [f"vto <= {now}", *(span.possible if compiled.can_be_unknown else ()), *ends, *span.lasting]
    return select_spans(number, span, certain, rows, tests)


def _missing(writer: Writer, compiled: CompiledRule, now: str) -> str:
    """A text with a 1 or a 0 for each of the `missing_columns`."""
    flags = [f"CASE WHEN {test} THEN '1' ELSE '0' END" for _, test in writer.missing(compiled.node, now)]
    return " || ".join(flags) or "''"


def missing_columns(compiled: CompiledRule) -> list[str]:
    """The columns whose absence `state_query` tells, in order."""
    return list(reads(compiled.node))


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
