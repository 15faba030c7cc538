"""Findings of a design review: what loads and runs, but will be regretted. Warnings; `--strict` makes them faults."""

from __future__ import annotations

from collections.abc import Iterator

from watchtower.errors import Fault
from watchtower.rulebook import Loaded
from watchtower.rules.compile import Program
from watchtower.rules.condition_text import PredicateError
from watchtower.rules.lint_demands import demands
from watchtower.rules.lint_flows import flows
from watchtower.rules.lint_logic import logic
from watchtower.rules.parse import parse_predicate
from watchtower.rules.readers import metric_conditions, readers


def lint(loaded: Loaded, program: Program) -> list[Fault]:
    """Every finding, with its place, in order."""
    parts = (_rules, _fields, _unread, _metrics, logic, demands)
    return sorted([*flows(loaded), *(fault for part in parts for fault in part(loaded, program))])


def _rules(loaded: Loaded, program: Program) -> Iterator[Fault]:
    book = loaded.rulebook
    for index, rule in enumerate(book.rules):
        place = loaded.place("rules", index, "id")
        if not rule.owner:
            yield place.fault(f"rule {rule.id} has no owner", "name the role that answers for it")
        if not rule.because:
            yield place.fault(f"rule {rule.id} says no because", "one sentence that the owner will read")
        if not any(example.hit is not None for example in rule.examples):
            yield place.fault(f"rule {rule.id} has no example that hits", "examples: [{hit: {...}, at: TIME}]")
        if not any(example.miss is not None for example in rule.examples):
            yield place.fault(f"rule {rule.id} has no example that misses", "examples: [{miss: {...}, at: TIME}]")
        if book.queues and rule.queue not in book.queues:
            where = loaded.place("rules", index, "queue")
            yield where.fault(f"rule {rule.id}: the queue {rule.queue!r} is not among queues", "declare it")
        if book.roles and rule.owner and rule.owner not in book.roles:
            where = loaded.place("rules", index, "owner")
            yield where.fault(f"rule {rule.id}: the owner {rule.owner!r} is not among roles", "declare it")


def _fields(loaded: Loaded, program: Program) -> Iterator[Fault]:
    book = loaded.rulebook
    personal = {
        (name, field) for name, model in book.objects.items() for field, spec in model.fields.items() if spec.personal
    }
    for index, compiled in enumerate(program.rules):
        for column in compiled.columns:
            owner = book.objects[compiled.rule.object].fields[column.ref].to if column.ref else compiled.rule.object
            if (owner, column.path.rpartition(".")[2]) in personal:
                yield loaded.place("rules", index, "when").fault(
                    f"rule {compiled.rule.id} reads {column.path}, which is personal data",
                    "decide on something else",
                )
    for name, model in book.objects.items():
        for field, spec in model.fields.items():
            if spec.fill == "enrichment" and spec.sources and "ai" not in spec.sources:
                yield loaded.place("objects", name, "fields", field, "sources").fault(
                    f"{name}.{field} is filled by enrichment, and ai is not among its sources", "add ai as the last one"
                )
            if spec.fill == "enrichment" and f"{name}.{field}" not in book.acceptance:
                yield loaded.place("objects", name, "fields", field).fault(
                    f"{name}.{field} is filled by enrichment, and no acceptance rule decides on it",
                    f"acceptance: {{{name}.{field}: {{accept_at: 0.9, review_at: 0.5}}}}",
                )


def _unread(loaded: Loaded, program: Program) -> Iterator[Fault]:
    for (name, field), who in readers(program).items():
        spec = loaded.rulebook.objects[name].fields[field]
        if not who and not spec.read_by:
            yield loaded.place("objects", name, "fields", field).fault(
                f"{name}.{field} is read by nobody: no rule, metric, rollup or signal needs it",
                "drop it, or say who does: read_by: [a role, a report]",
            )


def _metrics(loaded: Loaded, program: Program) -> Iterator[Fault]:
    for name, metric in loaded.rulebook.metrics.items():
        for text in metric_conditions(metric) if metric.object else ():
            try:
                parse_predicate(text, program.book, metric.object or "")
            except PredicateError as error:
                yield loaded.place("metrics", name).fault(f"metric {name}: {error.message}", error.remedy)
