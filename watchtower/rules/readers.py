"""Who reads a field: the rules, lifecycles, handoffs, metrics, rollups, signals and objects that would miss it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from watchtower.rulebook.model import Metric
from watchtower.rules.compile import Program
from watchtower.rules.condition_text import PredicateError
from watchtower.rules.parse import parse_predicate
from watchtower.rules.tree import reads

Field = tuple[str, str]
"""(object, field)"""


def readers(program: Program) -> Mapping[Field, tuple[str, ...]]:
    """For each field of the rulebook, in its order, who reads it: `rule mql_uncontacted`, `metric win_rate`, `rollup
    account.open_deals`, ...; nothing where nobody does.

    An acceptance rule decides who may fill a field and reads nothing of it. `source_of(x)` and `changed_at(x)` read
    x; a field that is read through a reference is read on both objects, the reference and the field. A condition of a
    metric that is not accepted reads nothing.
    """
    found: dict[Field, dict[str, None]] = {
        (name, field): {} for name, model in program.book.objects.items() for field in model.fields
    }
    for key, reader in _all(program):
        if key in found:  # facts of signals and handoffs are no fields
            found[key].setdefault(reader)
    return {key: tuple(who) for key, who in found.items()}


def _all(program: Program) -> Iterator[tuple[Field, str]]:
    book = program.book
    for compiled in program.rules:
        for column in compiled.columns:
            yield from _paths(program, compiled.rule.object, column.ref, column.path, f"rule {compiled.rule.id}")
            if paused := _pause(column.target or column.name):
                yield (program.home(compiled.rule.object, column), paused), f"rule {compiled.rule.id}"
    for (name, field), rollup in program.gathered.items():
        who = f"rollup {name}.{field}"
        yield (rollup.over, rollup.via), who
        yield from (((rollup.over, column.path), who) for column in rollup.columns)
    for name, model in book.objects.items():
        yield from (((name, field), f"object {name}") for field in (model.label, model.value) if field)
    for name, cycle in book.lifecycles.items():
        yield (cycle.object, cycle.field), f"lifecycle {name}"
    for name, handoff in book.handoffs.items():
        if handoff.responsible:
            yield (handoff.object, handoff.responsible), f"handoff {name}"
    for name, signal in book.signals.items():
        if signal.field:
            yield (signal.object, signal.field), f"signal {name}"
    for name, metric in book.metrics.items():
        yield from _metric(program, metric, f"metric {name}")


def _paths(program: Program, object_name: str, ref: str, field: str, who: str) -> Iterator[tuple[Field, str]]:
    if not ref:
        yield (object_name, field), who
        return
    yield (object_name, ref), who
    yield (program.book.objects[object_name].fields[ref].to, field.partition(".")[2]), who


def _pause(column: str) -> str:
    """The field of `business_first(opened_at,office,28800000000,waiting)` that stops the calendar's clock, if any."""
    kind, _, arguments = column.partition("(")
    parts = arguments.rstrip(")").split(",")
    return parts[3] if kind in ("business_first", "business_last") and len(parts) == 4 else ""


def _metric(program: Program, metric: Metric, who: str) -> Iterator[tuple[Field, str]]:
    if metric.object is None:
        return
    name = metric.object
    yield from (((name, field), who) for field in metric.fields)
    for text in metric_conditions(metric):
        try:
            predicate = parse_predicate(text, program.book, name)
        except PredicateError:
            continue
        for column in reads(predicate.node):
            found = predicate.columns[column]
            yield from _paths(program, name, found.ref, found.path, who)


def metric_conditions(metric: Metric) -> list[str]:
    """What a metric reads by way of conditions; `value`, `start` and `end` are made into such."""
    paths = [f"({path}) is null" for path in (metric.value, metric.start, metric.end) if path]
    return [text for text in (metric.where, metric.of, *paths) if text]
