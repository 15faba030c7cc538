"""`rules test`: each rule beside its examples, run on the engine that backtests use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from watchtower.contract import Event, format_time, parse_time
from watchtower.errors import Fault
from watchtower.flow.backtest import duckdb_engine
from watchtower.flow.history import Versions
from watchtower.rulebook import Loaded
from watchtower.rulebook.duties import HANDOFF_FIELDS
from watchtower.rulebook.model import SIGNAL_FIELDS
from watchtower.rulebook.parts import Example
from watchtower.rules.compile import CompiledRule, Program
from watchtower.rules.fold import ObjectFold, Record, build_folds
from watchtower.rules.queries import example_query
from watchtower.rules.sql import DUCKDB, Writer
from watchtower.rules.values import parser

_DERIVED = ("changed_at", "previous", "source_of", "verified")
"""What an example may give beside fields: `changed_at(stage): 2026-03-01T00:00:00Z`."""


@dataclass(frozen=True)
class Outcome:
    """What one example showed. `fault` is None where it did what it says."""

    rule: str
    kind: str
    at: datetime
    holds: bool | None
    fault: Fault | None


def run_examples(loaded: Loaded, program: Program) -> list[Outcome]:
    """Every example of every rule, in order."""
    program = program.plain()
    folds = build_folds(program)
    versions = {
        name: Versions({c.name: c.type for c in columns.values()}, columns={c: [] for c in columns})
        for name, columns in program.columns_of.items()
    }
    cases: list[tuple[int, int, CompiledRule, Example, Fault | None]] = []
    for index, compiled in enumerate(program.rules):
        for number, example in enumerate(compiled.rule.examples):
            fault = None
            try:
                for target, record, state in _records(program, folds, compiled, example, f"{index}.{number}"):
                    _append(versions[target], record, state)
            except ValueError as error:
                kind = "hit" if example.hit is not None else "miss"
                place = loaded.place("rules", index, "examples", number, kind)
                fault = place.fault(f"rule {compiled.rule.id}, example {number + 1}: {error}")
            cases.append((index, number, compiled, example, fault))
    outcomes = []
    writer = Writer(DUCKDB, program.book.timezone)
    with duckdb_engine(versions) as engine:
        for index, number, compiled, example, fault in cases:
            at = parse_time(example.at)
            holds: bool | None = None
            if fault is None:
                rows = list(engine.query(example_query(program, writer, compiled, f"{index}.{number}", at)))
                holds = rows[0][0] if rows else None
                fault = _verdict(loaded, index, number, compiled, example, holds)
            kind = "hit" if example.hit is not None else "miss"
            outcomes.append(Outcome(compiled.rule.id, kind, at, holds, fault))
    return outcomes


def _verdict(
    loaded: Loaded, index: int, number: int, compiled: CompiledRule, example: Example, holds: bool | None
) -> Fault | None:
    wants_hit = example.hit is not None
    if wants_hit == (holds is True):
        return None
    found = "holds" if holds else "is unknown (a field it reads is missing)" if holds is None else "does not hold"
    place = loaded.place("rules", index, "examples", number)
    wanted = "a hit" if wants_hit else "a miss"
    when = format_time(parse_time(example.at))
    return place.fault(
        f"rule {compiled.rule.id}, example {number + 1}: {wanted} is expected at {when}; the rule {found}"
    )


def _records(
    program: Program, folds: dict[str, ObjectFold], compiled: CompiledRule, example: Example, record: str
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The example's record, and the related records nested in it: (object, id, state)."""
    values = example.hit if example.hit is not None else example.miss
    assert values is not None
    yield from _state(program, folds, compiled.rule.object, values, record)


def _state(
    program: Program, folds: dict[str, ObjectFold], name: str, values: dict[str, Any], record: str
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    fields, fold = program.book.objects[name].fields, folds[name]
    named = {key: ("signal", SIGNAL_FIELDS) for key, signal in program.book.signals.items() if signal.object == name}
    named |= {key: ("handoff", HANDOFF_FIELDS) for key, h in program.book.handoffs.items() if h.object == name}
    event = Event(
        id="example",
        source="example",
        type="record.updated",
        subject=f"{name}/{record}",
        time=parse_time("2000-01-01T00:00:00Z"),
    )
    now = Record(alive=True, state=dict.fromkeys(fold.zeros, 0))
    given: dict[str, Any] = {}
    for key, value in values.items():
        base, bracket, rest = key.partition("(")
        if bracket and base in _DERIVED and (field := rest.rstrip(")")) in fields:
            if base in ("previous", "verified"):
                given[key] = None if value is None else parser(field, fields[field])(value)
            else:
                given[key] = format_time(parse_time(value)) if base == "changed_at" else str(value)
        elif key in named and isinstance(value, dict):
            kind, parts = named[key]
            for part, inner in value.items():
                if part not in parts:
                    raise ValueError(f"a {kind} has {', '.join(parts)}, not {part!r}")
                given[f"{key}.{part}"] = format_time(parse_time(inner)) if parts[part] == "timestamp" else inner
        elif key not in fields:
            raise ValueError(f"{name} has no field {key!r}; it has {', '.join(fields)}")
        elif fields[key].type == "ref" and isinstance(value, dict):
            fold.set(now, key, f"{record}.{key}", event, "")
            yield from _state(program, folds, fields[key].to, value, f"{record}.{key}")
        else:
            parsed = None if value is None else parser(key, fields[key])(value)
            fold.set(now, key, parsed, event, "")
            if key in fold.verified:
                given.setdefault(fold.verified[key], parsed)
    state = {k: v for k, v in now.state.items() if k.partition("(")[0] not in _DERIVED}
    yield name, record, state | given


def _append(into: Versions, record: str, state: dict[str, Any]) -> None:
    into.record.append(record)
    into.vfrom.append(-(10**17))
    into.vto.append(None)
    for name, values in into.columns.items():
        values.append(state.get(name))
