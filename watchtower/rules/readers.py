"""Who reads a field: what would miss it if it went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from watchtower.rulebook.model import Metric
from watchtower.rules.compile import Program
from watchtower.rules.parse import parse_predicate
from watchtower.rules.schema import Column


def readers(program: Program) -> Mapping[tuple[str, str], tuple[str, ...]]:
    """(object, field) -> what reads it, by name: `rule mql_uncontacted`, `metric open_pipeline`. Fields that nothing
    reads are left out.

    A rule that reads `account.country` of a lead reads the lead's reference and the account's country.
    """
    found: dict[tuple[str, str], list[str]] = {}
    book = program.book

    def read(object_name: str, field: str, by: str) -> None:
        if object_name in book.objects and field in book.objects[object_name].fields:
            names = found.setdefault((object_name, field), [])
            if by not in names:
                names.append(by)

    def read_columns(object_name: str, columns: Iterable[Column], by: str) -> None:
        for column in columns:
            read_path(object_name, column.field or column.name, by)

    def read_path(object_name: str, path: str, by: str) -> None:
        first, _, rest = path.partition(".")
        read(object_name, first, by)
        spec = book.objects[object_name].fields.get(first)
        if rest and spec is not None and spec.to:
            read(spec.to, rest, by)

    for compiled in program.rules:
        read_columns(compiled.rule.object, compiled.columns, f"rule {compiled.rule.id}")
    for name, cycle in book.lifecycles.items():
        read(cycle.object, cycle.field, f"lifecycle {name}")
    for name, handoff in book.handoffs.items():
        if handoff.responsible is not None:
            read(handoff.object, handoff.responsible, f"handoff {name}")
    for (object_name, field), rollup in program.gathered.items():
        by = f"rollup {object_name}.{field}"
        read(rollup.over, rollup.via, by)
        read_columns(rollup.over, rollup.columns, by)
    for name, signal in book.signals.items():
        read(signal.object, signal.field, f"signal {name}")
        for value in signal.parameters.values():
            for word in str(value).split(","):
                read(signal.object, word.strip(), f"signal {name}")
    for name, metric in book.metrics.items():
        for object_name, path in _metric_paths(program, metric):
            read_path(object_name, path, f"metric {name}")
    for name, model in book.objects.items():
        for field in (model.label, model.value, model.owner):
            read(name, field, f"object {name}")
    return {key: tuple(names) for key, names in found.items()}


def _metric_paths(program: Program, metric: Metric) -> Iterable[tuple[str, str]]:
    if metric.lifecycle is not None:
        cycle = program.book.lifecycles[metric.lifecycle]
        yield cycle.object, cycle.field
    if metric.object is None:
        return
    for path in (metric.value, metric.start, metric.end, *metric.fields):
        if path:
            yield metric.object, path
    for condition in (metric.where, metric.of):
        if condition:
            for column in parse_predicate(condition, program.book, metric.object).columns.values():
                yield metric.object, column.field or column.name
