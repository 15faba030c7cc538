"""`rules gaps`: the fields that starve rules, ranked by what they starve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from watchtower.flow.backtest import State
from watchtower.rules.compile import Program

SEVERITY = {"critical": 8, "high": 4, "medium": 2, "low": 1}
"""How much heavier an unknown rule weighs than one of low severity: each step doubles it."""


@dataclass(frozen=True)
class Gap:
    """A field that is missing where rules read it. `weight`: the sum of the severities of what it starves."""

    object: str
    field: str
    weight: int
    records: int
    rules: tuple[str, ...]
    filled_by: str
    """`enrichment` where the rulebook lets it be filled so; empty otherwise."""

    def to_json(self) -> dict[str, Any]:
        return {
            "object": self.object, "field": self.field, "weight": self.weight, "records": self.records,
            "rules": list(self.rules), "filled_by": self.filled_by,
        }  # fmt: skip


def rank(states: Sequence[State], program: Program) -> list[Gap]:
    """The missing fields behind every unknown, the heaviest first, then by name.

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
        Gap(*key, weight, len(records[key]), tuple(sorted(rules[key])), _filler(program, *key))
        for key, weight in weights.items()
    ]
    return sorted(gaps, key=lambda gap: (-gap.weight, gap.object, gap.field))


def _home(program: Program, object_name: str, path: str) -> tuple[str, str]:
    first, _, rest = path.partition(".")
    field = program.book.objects[object_name].fields.get(first)
    if rest and field is not None and field.to:
        return field.to, rest
    return object_name, path


def _filler(program: Program, object_name: str, field: str) -> str:
    spec = program.book.objects[object_name].fields.get(field)
    return spec.fill if spec is not None else ""
