"""Findings by reasoning: two rules that demand opposite things, so that a record cannot please both.

A rule holds where something is wrong. Two rules conflict where there is a situation (facts about other columns that a
record can have) in which one of them holds whatever one field is, empty included, and neither does so alone.

Sound and not complete. It sees comparisons of a column with literals, null tests, and `changed_at(x) <= now() - ...`,
which is so in the end. It does not see: other bounds on the clock, which a record may escape by moving the instant;
tests it does not understand (`like`, arithmetic, one column against another, `<>`); conflicts over two fields at once,
or of three rules; facts on two columns that hang together, such as a field and its source; computed fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, product
from math import ceil, floor, inf

from watchtower.errors import Fault
from watchtower.rulebook import FieldModel, Loaded
from watchtower.rules.compile import CompiledRule, Program
from watchtower.rules.lint_logic import Facts, base_of, branches, merged, read, stronger
from watchtower.rules.schema import NUMERIC, Column
from watchtower.rules.tree import Col

_SEEN = NUMERIC | {"text", "enum", "boolean", "ref"}
"""Types of which any literal that a rule may compare with can be the value of a field."""


@dataclass(frozen=True)
class _Branch:
    """One way for a rule to hold: facts by column, and the columns of the instants from which it does."""

    facts: Mapping[str, Facts]
    since: frozenset[str]


def demands(loaded: Loaded, program: Program) -> Iterator[Fault]:
    """Every pair that conflicts, with the place of the later rule's condition."""
    ways = {c.rule.id: list(_ways(c)) for c in program.rules if c.rule.mode == "active"}
    for (_, a), (index, b) in combinations(enumerate(program.rules), 2):
        if a.rule.object != b.rule.object or a.rule.id not in ways or b.rule.id not in ways:
            continue
        found = _conflict(program, a, b, ways[a.rule.id], ways[b.rule.id])
        if found is not None:
            field, situation = found
            where = f", where {situation}" if situation else ""
            yield loaded.place_of_condition(index, 0).fault(
                f"rules {a.rule.id} and {b.rule.id} demand opposite things: whatever {field} is, one of them holds"
                f"{where}",
                "leave one value that both let pass, or keep their situations apart",
            )


def _ways(compiled: CompiledRule) -> Iterator[_Branch]:
    for branch in branches(compiled):
        said, since = read(branch), [base_of(start) for start in branch.starts]
        names = frozenset(base.name for base in since if isinstance(base, Col) and "changed_at(" in base.name)
        if not said.rest and not branch.ends and len(names) == len(set(since)):
            yield _Branch(said.facts, names)


def _conflict(
    program: Program, a: CompiledRule, b: CompiledRule, mine: list[_Branch], theirs: list[_Branch]
) -> tuple[str, str] | None:
    """(the field, the situation in words)"""
    columns = {column.name: column for column in (*a.columns, *b.columns)}
    for one, other in product(mine, theirs):
        for field in one.facts.keys() & other.facts.keys():
            spec = _spec(program, a.rule.object, columns[field])
            if spec is None or spec.rollup is not None or columns[field].name != columns[field].field:
                continue
            situation = merged([_without(one.facts, field), _without(other.facts, field)])
            since = one.since | other.since
            if not _possible(program, a.rule.object, columns, field, situation, since):
                continue
            held = {
                rule: [
                    way.facts.get(field, Facts()) for way in ways
                    if way.since <= since and all(
                        stronger(situation.get(column, Facts()), facts)
                        for column, facts in way.facts.items() if column != field
                    )
                ]
                for rule, ways in (("a", mine), ("b", theirs))
            }  # fmt: skip
            if _covers([*held["a"], *held["b"]], spec) and not any(_covers(facts, spec) for facts in held.values()):
                return field, _words(situation, since)
    return None


def _without(facts: Mapping[str, Facts], field: str) -> dict[str, Facts]:
    return {column: said for column, said in facts.items() if column != field}


def _spec(program: Program, object_name: str, column: Column) -> FieldModel | None:
    """The field that a column stands for; None for facts of signals and handoffs."""
    home = program.home(object_name, column)
    return program.book.objects[home].fields.get(column.path.rpartition(".")[2] if column.ref else column.path)


def _possible(
    program: Program,
    object_name: str,
    columns: Mapping[str, Column],
    field: str,
    situation: Mapping[str, Facts],
    since: frozenset[str],
) -> bool:
    """Whether a record can surely have these facts, whatever the field is, and reach these instants."""
    seen = {_root(columns[field])}
    for name, facts in situation.items():
        column = columns[name]
        spec = _spec(program, object_name, column)
        if spec is None or column.name != column.field or _root(column) in seen:
            return False
        seen.add(_root(column))
        # A rollup follows from what happened: that it is empty, or has a certain value, may be out of reach.
        if spec.rollup is not None or not _some_value(facts, spec):
            return False
    for name in since:
        column = columns[name]
        facts = situation.get(column.field, Facts())
        whole = (column.target or name) == f"changed_at({column.field.rpartition('.')[2]})"
        if not whole or column.field == field or facts.null or columns[field].field == column.ref:
            return False
    refs = {columns[name].ref for name in (field, *situation, *since)}
    return not any(name in refs for name in (field, *situation))


def _root(column: Column) -> str:
    """Columns of one root hang together: a field and when it changed, the facts of one signal."""
    return column.path if column.ref else column.path.partition(".")[0]


def _some_value(facts: Facts, spec: FieldModel) -> bool:
    if facts.null and facts.there:
        return False
    if facts.null or (facts.allowed is None and facts.low is None and facts.high is None):
        return True
    if spec.type not in _SEEN:
        return False
    return any(_meets(facts, value, spec) for value in _witnesses([facts], spec))


def _covers(sides: list[Facts], spec: FieldModel) -> bool:
    """Whether every value of the field, and its absence, fulfils one of these."""
    if not any(facts.null and not facts.there or facts == Facts() for facts in sides):
        return False
    if any(not facts.null and facts.allowed is None and facts.low is None and facts.high is None for facts in sides):
        return True
    if spec.type not in NUMERIC | {"enum", "boolean"}:
        return False
    return all(any(_meets(facts, value, spec) for facts in sides) for value in _witnesses(sides, spec))


def _meets(facts: Facts, value: object, spec: FieldModel) -> bool:
    if facts.null or (facts.allowed is not None and value not in facts.allowed):
        return False
    return facts.within(value) and (spec.type != "enum" or value in spec.values)


def _witnesses(sides: Iterable[Facts], spec: FieldModel) -> list[object]:
    """Values of the field such that, if these fulfil a condition made of `sides`, all do, and if one can, one does."""
    if spec.type == "enum":
        return list(spec.values)
    if spec.type == "boolean":
        return [True, False]
    literals = {value for facts in sides for value in facts.allowed or ()}
    if spec.type not in NUMERIC:
        return list(literals)
    marks = {float(value) for value in literals if isinstance(value, (int, float))}
    marks |= {bound[0] for facts in sides for bound in (facts.low, facts.high) if bound is not None}
    low, high = spec.min if spec.min is not None else -inf, spec.max if spec.max is not None else inf
    ordered = sorted(marks | {bound for bound in (low, high) if abs(bound) != inf})
    if not ordered:
        return [0.0]
    between = [(x + y) / 2 for x, y in zip(ordered, ordered[1:], strict=False)]
    points = {*ordered, *between, ordered[0] - 1, ordered[-1] + 1}
    if spec.type == "integer":
        points = {float(y) for x in (*ordered, *between) for y in (floor(x) - 1, floor(x), ceil(x), ceil(x) + 1)}
    return [point for point in sorted(points) if low <= point <= high]


def _words(situation: Mapping[str, Facts], since: frozenset[str]) -> str:
    said = [f"{column} {facts.words()}" for column, facts in sorted(situation.items()) if facts != Facts()]
    return " and ".join([*said, *(f"{column} is long ago" for column in sorted(since))])
