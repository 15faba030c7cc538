"""`rules gaps`: the fields that starve rules, ranked by what they starve."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from watchtower.contract import format_time
from watchtower.flow.backtest import Engine, State, states_at
from watchtower.rulebook import RuleModel
from watchtower.rulebook.derive import column
from watchtower.rules.compile import Program, compile_rule
from watchtower.rules.sql import name

SEVERITY = {"critical": 8, "high": 4, "medium": 2, "low": 1}
"""How much heavier an unknown rule weighs than one of low severity: each step doubles it."""

RARE = 0.01
"""A fill rate below this is as good as none."""


@dataclass(frozen=True)
class Gap:
    """A field that is missing where rules read it.

    `weight` is the sum of the severities of what it starves: each rule on each record counts. `value` is what those
    records are worth together, where their object names its value. `fill_rate`, in [0, 1], is the share of the living
    records of its object that have the field; None where there are none. Gaps are ranked by weight, then by value.
    """

    object: str
    field: str
    weight: int
    value: float
    records: int
    rules: tuple[str, ...]
    fill_rate: float | None
    filled_by: str
    """`enrichment` where the rulebook lets it be filled so; empty otherwise."""

    def to_json(self) -> dict[str, Any]:
        return {
            "object": self.object, "field": self.field, "weight": self.weight, "value": self.value,
            "records": self.records, "rules": list(self.rules), "fill_rate": self.fill_rate,
            "filled_by": self.filled_by,
        }  # fmt: skip


def valued(program: Program) -> Program:
    """The rules, and beside them what makes a history keep each object's value."""
    worth = [
        compile_rule(
            RuleModel(id=f"value.{name}", object=name, when=f"{column(model.value)} is null and false"),
            program.book, program.gathered,
        )
        for name, model in program.book.objects.items()
        if model.value
    ]  # fmt: skip
    return Program(program.book, (*program.rules, *worth), program.gathered)


def gaps_at(engine: Engine, program: Program, at: datetime) -> list[Gap]:
    """The fields that starve rules at an instant. `program`: as `valued` makes it."""
    writer = engine.writer(program.book.timezone)
    now = writer.time(format_time(at))
    living = f"vfrom <= {now} AND {now} < vto"
    worth: dict[str, float] = {}
    for object_name, model in program.book.objects.items():
        if model.value:
            rows = engine.query(f"SELECT record, {name(model.value)} FROM {name('v_' + object_name)} WHERE {living}")
            worth |= {f"{object_name}/{record}": float(value) for record, value in rows if value is not None}

    def fill_rate(object_name: str, field: str) -> float | None:
        if field not in program.columns_of[object_name]:
            return None
        ask = f"SELECT count({name(field)}), count(*) FROM {name('v_' + object_name)} WHERE {living}"
        ((known, there),) = engine.query(ask)
        return known / there if there else None

    return rank(states_at(engine, program, at), program, worth, fill_rate)


def unfilled(engine: Engine, program: Program, at: datetime) -> list[tuple[str, str, int, int, tuple[str, ...]]]:
    """(object, field, those that have it, living records, rules) of every field that rules read and no living record
    has, or fewer than one in a hundred.

    Fields that are computed, and facts of signals and handoffs, are not somebody's to fill.
    """
    readers: dict[tuple[str, str], set[str]] = {}
    for compiled in program.rules:
        for read in compiled.columns:
            home = program.home(compiled.rule.object, read)
            readers.setdefault((home, read.target or read.name), set()).add(compiled.rule.id)
    now = engine.writer(program.book.timezone).time(format_time(at))
    found = []
    for (object_name, field), rules in sorted(readers.items()):
        spec = program.book.objects[object_name].fields.get(field)
        if spec is None or spec.rollup is not None:
            continue
        living = f"FROM {name('v_' + object_name)} WHERE vfrom <= {now} AND {now} < vto"
        ((known, there),) = engine.query(f"SELECT count({name(field)}), count(*) {living}")
        if known < RARE * there or (there and not known):
            found.append((object_name, field, known, there, tuple(sorted(rules))))
    return found


def rank(
    states: Sequence[State],
    program: Program,
    worth: Mapping[str, float],
    fill_rate: Callable[[str, str], float | None],
) -> list[Gap]:
    """The missing fields behind every unknown, the heaviest first, then the most valuable, then by name.

    A field read through a reference is counted on the object that has it; its records are those that starve.
    """
    weights: dict[tuple[str, str], int] = {}
    records: dict[tuple[str, str], set[str]] = {}
    rules: dict[tuple[str, str], set[str]] = {}
    for state in states:
        if state.state != "unknown":
            continue
        rule = program.by_id[state.rule].rule
        for path in state.unknown:
            key = _home(program, rule.object, path)
            weights[key] = weights.get(key, 0) + SEVERITY[rule.severity]
            records.setdefault(key, set()).add(state.record)
            rules.setdefault(key, set()).add(state.rule)
    gaps = [
        Gap(
            *key, weight, sum(worth.get(record, 0.0) for record in sorted(records[key])), len(records[key]),
            tuple(sorted(rules[key])), fill_rate(*key), _filler(program, *key),
        )
        for key, weight in weights.items()
    ]  # fmt: skip
    return sorted(gaps, key=lambda gap: (-gap.weight, -gap.value, gap.object, gap.field))


def _home(program: Program, object_name: str, path: str) -> tuple[str, str]:
    first, _, rest = path.partition(".")
    field = program.book.objects[object_name].fields.get(first)
    if rest and field is not None and field.to:
        return field.to, rest
    return object_name, path


def _filler(program: Program, object_name: str, field: str) -> str:
    spec = program.book.objects[object_name].fields.get(field)
    return spec.fill if spec is not None else ""
