"""Why a rule holds, or does not, on a record at an instant: each condition, the value read, where it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from watchtower.contract import Event, format_time
from watchtower.errors import Missing
from watchtower.flow.backtest import duckdb_engine
from watchtower.flow.gathered import gathered_values, refer_to
from watchtower.flow.history import Versions
from watchtower.rules.compile import CompiledRule, Program
from watchtower.rules.fold import Record, build_folds, reading
from watchtower.rules.queries import conditions_query
from watchtower.rules.sql import DUCKDB, Writer
from watchtower.rules.tree import Atom, columns, leaves


def explain_events(
    program: Program, events: Sequence[Event], rule_id: str, subject: str, at: datetime
) -> dict[str, Any]:
    """The explanation over events in memory, those with time <= at. Missing as in `explain_stored`."""
    compiled, _, _ = about(program, rule_id, subject)
    then = Then(program, events, at)
    own = then.record(subject)
    return explain(program, compiled, subject, own, then.related([compiled], own), at)


class Then:
    """Records as events in memory, those with time <= at, make them."""

    def __init__(self, program: Program, events: Sequence[Event], at: datetime) -> None:
        self.program = program
        self.folds = build_folds(program, trace=True)
        self._events: dict[str, dict[str, list[Event]]] = {}
        for event in sorted((event for event in events if event.time <= at), key=lambda event: event.time):
            self._events.setdefault(event.object, {}).setdefault(event.record_id, []).append(event)

    def record(self, subject: str) -> Record:
        """One record, with what rollups over others are."""
        name, _, record = subject.partition("/")
        found = self._own(name, record)
        if found.alive and (rollups := self.program.gathered_on(name)):
            kids = {
                over: refer_to(rollups, 0, record, over, [self._own(over, kid) for kid in self._events.get(over, ())])
                for over in {rollup.over for rollup in rollups}
            }
            (values,) = gathered_values(self.program, rollups, [kids])
            found.state |= {field: value for field, value in values.items() if value is not None}
        return found

    def related(self, rules: Sequence[CompiledRule], own: Record) -> dict[str, Record]:
        """By ref field, the records that these rules look through to from `own`."""
        looked = {(compiled.rule.object, column.ref) for compiled in rules for column in compiled.columns if column.ref}
        return {
            ref: self.record(f"{self.program.book.objects[name].fields[ref].to}/{own.state[ref]}")
            for name, ref in sorted(looked)
            if own.state.get(ref) is not None
        }

    def _own(self, name: str, record: str) -> Record:
        found = Record()
        for event in self._events.get(name, {}).get(record, ()):
            self.folds[name].apply(found, event)
        return found


def about(program: Program, rule_id: str, subject: str) -> tuple[CompiledRule, str, str]:
    """The rule, and object and id of the record. Missing where there is no such rule, or it is not on such records."""
    compiled = program.by_id.get(rule_id)
    if compiled is None:
        raise Missing(f"rule {rule_id!r} is not in the rulebook {program.book.version}")
    name, _, record = subject.partition("/")
    if name != compiled.rule.object or not record:
        raise Missing(f"rule {rule_id} is about {compiled.rule.object} records, not {subject!r}")
    return compiled, name, record


def explain(
    program: Program,
    compiled: CompiledRule,
    subject: str,
    own: Record,
    related: Mapping[str, Record],
    at: datetime,
) -> dict[str, Any]:
    """`sentence`, `state` (holds, unknown, misses, absent) and `conditions`: `text`, `value`, `reads`."""
    conditions, holds = _values(program, compiled, own, related, at)
    state = "absent" if not own.alive else "holds" if holds else "unknown" if holds is None else "misses"
    return {
        "rule": compiled.rule.id, "record": subject, "at": format_time(at), "version": program.book.version,
        "state": state, "sentence": _sentence(compiled, subject, state, conditions, at), "conditions": conditions,
    }  # fmt: skip


def _values(
    program: Program, compiled: CompiledRule, own: Record, related: Mapping[str, Record], at: datetime
) -> tuple[list[dict[str, Any]], bool | None]:
    table = Versions({column.name: column.type for column in compiled.columns}, ["it"], [-(10**17)], [None])
    reads: dict[str, dict[str, Any]] = {}
    for column in compiled.columns:
        value, mark = reading(column, own, related)
        reads[column.name] = {
            "field": column.name, "value": value,
            "source": mark.get("by"), "event": mark.get("id"), "at": mark.get("at"),
        }  # fmt: skip
        table.columns[column.name] = [value]
    parts = list(leaves(compiled.node))
    with duckdb_engine({"it": table}) as engine:
        row = list(
            engine.query(conditions_query(Writer(DUCKDB, program.book.timezone), compiled.node, parts, "v_it", at))
        )[0]
    conditions = []
    for part, value in zip(parts, row[1:], strict=True):
        named = dict.fromkeys(c.name for c in columns(part.test if isinstance(part, Atom) else part.instant))
        conditions.append({"text": part.text, "value": value, "reads": [reads[name] for name in named]})
    return conditions, row[0]


def _sentence(compiled: CompiledRule, subject: str, state: str, conditions: list[dict[str, Any]], at: datetime) -> str:
    rule, when = compiled.rule.id, format_time(at)
    if state == "absent":
        return f"{subject} did not exist at {when}, so {rule} says nothing."
    if state == "holds":
        said = "; ".join(_said(condition) for condition in conditions if condition["value"])
        return f"{rule} holds on {subject} at {when}: {said}."
    if state == "unknown":
        absent = dict.fromkeys(
            read["field"] for c in conditions if c["value"] is None for read in c["reads"] if read["value"] is None
        )
        return f"{rule} is unknown on {subject} at {when}: {', '.join(absent) or 'a value'} is missing."
    said = "; ".join(_said(condition) for condition in conditions if condition["value"] is False)
    return f"{rule} does not hold on {subject} at {when}, because this is not so: {said}."


def _said(condition: dict[str, Any]) -> str:
    values = ", ".join(f"{read['field']} is {_shown(read['value'])}" for read in condition["reads"])
    return f"{condition['text']} ({values})" if values else str(condition["text"])


def _shown(value: Any) -> str:
    return "empty" if value is None else str(value).replace(".000000Z", "Z")
