"""The one idea: a rule compiles to the time in which it holds.

The tree in negation normal form becomes a disjunction of alternatives. Each is a condition without time, its
`starts` (the interval begins at the greatest of them) and its `ends` (it ends at the least). The rule holds in
the union of the half-open intervals of its alternatives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from watchtower.errors import Fault, RulebookError
from watchtower.rulebook import Loaded, Rulebook, RuleModel, survey
from watchtower.rulebook.model import Rollup
from watchtower.rules.business import OpenHours
from watchtower.rules.condition_text import PredicateError
from watchtower.rules.filter import compile_filter
from watchtower.rules.gathered import Gathered, compile_gathered
from watchtower.rules.parse import Predicate, parse_predicate
from watchtower.rules.schema import NUMERIC, Column
from watchtower.rules.spans import parse_span
from watchtower.rules.tree import And, Atom, Bound, Call, Node, Or, Scalar, Span, reads

MAX_ALTERNATIVES = 64


@dataclass(frozen=True)
class Alternative:
    """`test` (None: true) and max(starts) <= now < min(ends)."""

    test: Scalar | None
    starts: tuple[Scalar, ...]
    ends: tuple[Scalar, ...]


@dataclass(frozen=True)
class CompiledRule:
    """A rule, its tree, and the alternatives whose union is the time in which it holds."""

    rule: RuleModel
    node: Node
    alternatives: tuple[Alternative, ...]
    columns: tuple[Column, ...]
    delay: Span

    @cached_property
    def ai_informed(self) -> bool:
        """Whether it reads a fact that may come from a worker: a signal, or a field that enrichment fills."""
        return any(column.from_ai for column in self.columns)

    @cached_property
    def can_be_unknown(self) -> bool:
        return bool(self.columns)

    @cached_property
    def simple(self) -> bool:
        """One alternative: then a version has at most one span, all of it held or all of it unknown."""
        return len(self.alternatives) == 1


@dataclass(frozen=True)
class Program:
    """A rulebook and all that was compiled from it."""

    book: Rulebook
    rules: tuple[CompiledRule, ...]
    gathered: Mapping[tuple[str, str], Gathered] = field(default_factory=dict)
    """(object, field) -> the rollup over records that it is."""

    def gathered_on(self, name: str) -> list[Gathered]:
        """The rollups over records that rules read of an object, directly or through a reference."""
        wanted: dict[str, Gathered] = {}
        for compiled in self.rules:
            for column in compiled.columns:
                if column.gathered and self.home(compiled.rule.object, column) == name:
                    wanted[column.target or column.name] = self.gathered[name, column.target or column.name]
        return list(wanted.values())

    def home(self, object_name: str, column: Column) -> str:
        """The object whose field a column of a rule on `object_name` is."""
        return self.book.objects[object_name].fields[column.ref].to if column.ref else object_name

    def parts(self, size: int) -> Iterator[Program]:
        """The same rules, a few at a time."""
        for first in range(0, len(self.rules), size):
            yield Program(self.book, self.rules[first : first + size], self.gathered)

    def plain(self) -> Program:
        """The same rules, with rollups over records read as columns of the object's own rows: for examples."""
        rules = (replace(r, columns=tuple(replace(c, gathered=False) for c in r.columns)) for r in self.rules)
        return Program(self.book, tuple(rules))

    def of_object(self, name: str) -> list[CompiledRule]:
        return [rule for rule in self.rules if rule.rule.object == name]

    @cached_property
    def by_id(self) -> dict[str, CompiledRule]:
        return {compiled.rule.id: compiled for compiled in self.rules}

    @cached_property
    def inhibitors(self) -> dict[str, list[str]]:
        """For each rule that waits for others: those whose standing alerts on the same record it waits for."""
        found: dict[str, list[str]] = {}
        for compiled in self.rules:
            for other in compiled.rule.inhibits:
                found.setdefault(other, []).append(compiled.rule.id)
        return {rule: sorted(others) for rule, others in found.items()}

    @cached_property
    def columns_of(self) -> dict[str, dict[str, Column]]:
        """For each object, the columns of its own rows that any rule reads, directly or through a reference."""
        found: dict[str, dict[str, Column]] = {name: {} for name in self.book.objects}
        for compiled in self.rules:
            name = compiled.rule.object
            for column in compiled.columns:
                if column.gathered:
                    rollup = self.gathered[self.home(name, column), column.target or column.name]
                    via = Column(rollup.via, "ref", field=rollup.via)
                    for read in (via, *rollup.columns):
                        found[rollup.over].setdefault(read.name, read)
                if not column.ref:
                    if not column.gathered:
                        found[name].setdefault(column.name, column)
                    continue
                ref = self.book.objects[name].fields[column.ref]
                found[name].setdefault(column.ref, Column(column.ref, "ref", field=column.ref))
                if column.gathered:
                    continue
                inner = Column(column.target, column.type, column.values, field=column.field.split(".", 1)[1])
                found[ref.to].setdefault(column.target, inner)
        return found

    @cached_property
    def gathering(self) -> dict[str, list[Gathered]]:
        """For each object, the rollups that gather its records and that rules read."""
        found: dict[str, list[Gathered]] = {name: [] for name in self.book.objects}
        for name in self.book.objects:
            for rollup in self.gathered_on(name):
                found[rollup.over].append(rollup)
        return found

    def references_of(self, name: str) -> list[tuple[str, str]]:
        """(object, ref field) of the references that rules look through, or gather by, on one object's records."""
        looked = {
            (target, ref) for target, lookers in self.looking_through.items() for who, ref in lookers if who == name
        }
        return sorted(looked | {(rollup.object, rollup.via) for rollup in self.gathering[name]})

    @cached_property
    def looking_through(self) -> dict[str, set[tuple[str, str]]]:
        """For each object, the (object, ref field) pairs whose rules read it through that reference."""
        found: dict[str, set[tuple[str, str]]] = {name: set() for name in self.book.objects}
        for compiled in self.rules:
            for column in compiled.columns:
                if column.ref:
                    target = self.book.objects[compiled.rule.object].fields[column.ref].to
                    found[target].add((compiled.rule.object, column.ref))
        return found


def read_program(path: Path) -> tuple[Loaded, Program]:
    """The rulebook of a file or folder, compiled. RulebookError names every fault, also of what others would hide."""
    loaded, faults, rest = survey(path)
    if loaded is None:
        raise RulebookError(faults)
    try:
        program = compile_rulebook(loaded)
    except RulebookError as error:
        raise RulebookError(faults + [fault for fault in error.faults if not rest.follows(fault)]) from None
    if faults:
        raise RulebookError(faults)
    return loaded, program


def compile_rulebook(loaded: Loaded) -> Program:
    """Every rule compiled, or every fault named with file, line and column."""
    compiled: list[CompiledRule] = []
    faults: list[Fault] = []
    gathered = _gathered(loaded, faults)
    for index, rule in enumerate(loaded.rulebook.rules):
        try:
            compiled.append(compile_rule(rule, loaded.rulebook, gathered))
        except PredicateError as error:
            for flaw in (error, *error.also):
                place = loaded.place_of_condition(index, flaw.offset)
                faults.append(place.fault(f"rule {rule.id}: {flaw.message}", flaw.remedy))
        except ValueError as error:
            faults.append(loaded.place("rules", index, "for").fault(f"rule {rule.id}: for: {error}"))
    faults += _definitions(loaded) + _inhibitions(loaded, compiled)
    if faults:
        raise RulebookError(faults)
    return Program(loaded.rulebook, tuple(compiled), gathered)


def _inhibitions(loaded: Loaded, rules: Sequence[CompiledRule]) -> list[Fault]:
    """What AI says can hide no alert of a rule; and two rules cannot wait for each other."""
    faults, by_id = [], {compiled.rule.id: (index, compiled) for index, compiled in enumerate(rules)}
    for index, compiled in by_id.values():
        for other in compiled.rule.inhibits:
            place = loaded.place("rules", index, "inhibits")
            if other not in by_id:
                continue
            hidden = by_id[other][1]
            if compiled.ai_informed and not hidden.ai_informed:
                faults.append(
                    place.fault(
                        f"rule {compiled.rule.id} reads what AI may supply; it would hide {other}, which does not",
                        "only a rule that reads no such fact may inhibit it",
                    )
                )
            if hidden.rule.object != compiled.rule.object:
                faults.append(place.fault(f"rule {compiled.rule.id} inhibits {other}, which is on another object"))
    waiting = {compiled.rule.id: set(compiled.rule.inhibits) for compiled in rules}
    for start, (index, _) in by_id.items():
        reached, open_ = set[str](), list(waiting[start])
        while open_:
            rule = open_.pop()
            if rule not in reached:
                reached.add(rule)
                open_ += waiting.get(rule, ())
        if start in reached:
            place = loaded.place("rules", index, "inhibits")
            faults.append(
                place.fault(f"rule {start} inhibits itself, through {', '.join(sorted(reached - {start})) or start}")
            )
    return faults


def _gathered(loaded: Loaded, faults: list[Fault]) -> dict[tuple[str, str], Gathered]:
    """Every rollup over records; what is wrong with one is added to `faults`."""
    found = {}
    for name, model in loaded.rulebook.objects.items():
        for key, spec in model.fields.items():
            if spec.rollup is None or not spec.rollup.over:
                continue
            path = ("objects", name, "fields", key, "rollup")
            try:
                found[name, key] = compile_gathered(loaded.rulebook, name, key)
            except PredicateError as error:
                place = loaded.place(*path, "where").at(spec.rollup.where, error.offset)
                message = f"{name}.{key}: {error.message}"
                faults.append(Fault(place.file, place.line, place.column, message, error.remedy))
            except ValueError as error:
                faults.append(loaded.place(*path).fault(f"{name}.{key}: {error}"))
    return found


def _definitions(loaded: Loaded) -> list[Fault]:
    """Faults in what rules stand on: rollups and calendars."""
    faults = []
    for name, model in loaded.rulebook.objects.items():
        for key, spec in model.fields.items():
            if spec.rollup is None or spec.rollup.over:
                continue
            if flaw := _rollup_flaw(spec.type, spec.rollup):
                place = loaded.place("objects", name, "fields", key, "rollup")
                faults.append(place.fault(f"{name}.{key}: {flaw}"))
            if spec.rollup.where:
                try:
                    compile_filter(spec.rollup.where)
                except ValueError as error:
                    place = loaded.place("objects", name, "fields", key, "rollup", "where")
                    faults.append(place.fault(f"{name}.{key}: {error}"))
        if model.keep_personal:
            try:
                span = parse_span(model.keep_personal.lower())
                if min(span.months, span.days, span.micros) < 0 or span == Span():
                    raise ValueError(f"{model.keep_personal!r} is no time at all")
            except ValueError as error:
                faults.append(loaded.place("objects", name, "keep_personal").fault(f"{name}: keep_personal: {error}"))
    for name, calendar in loaded.rulebook.calendars.items():
        try:
            OpenHours(calendar, loaded.rulebook.zone)
        except (ValueError, NotImplementedError) as error:
            faults.append(loaded.place("calendars", name).fault(f"calendar {name}: {error}"))
    return faults


def _rollup_flaw(kind: str, rollup: Rollup) -> str:
    """What a field of this type cannot hold of a rollup; empty where it can."""
    if rollup.op == "count":
        return "" if kind in ("integer", "number") else f"a count is an integer, not {kind}"
    if rollup.what == "time" and kind != "timestamp":
        return f"the time of an event is a timestamp, not {kind}"
    if rollup.op == "sum" and kind not in NUMERIC:
        return f"a sum is a number, not {kind}"
    if rollup.op in ("min", "max") and kind in ("list", "boolean"):
        return f"{kind} values have no order; use first or last"
    return ""


def compile_rule(rule: RuleModel, book: Rulebook, gathered: Mapping[tuple[str, str], Gathered]) -> CompiledRule:
    """PredicateError where the condition is not accepted, ValueError where `for` is not a length of time."""
    delay = parse_span(rule.for_.lower()) if rule.for_ else Span()
    if min(delay.months, delay.days, delay.micros) < 0:
        raise ValueError(f"{rule.for_!r} is negative")
    predicate = parse_predicate(rule.when, book, rule.object, verified=rule.trust == "verified")
    alternatives = tuple(_alternatives(_gather(predicate.node), rule.when))
    columns = _columns(predicate, rule.object, book, gathered)
    if rule.trust == "verified" and (informed := [column.name for column in columns if column.from_ai]):
        raise PredicateError(
            f"{informed[0]} is a rollup over records that enrichment may fill: it is never verified", 0,
            "leave it out, or drop trust: verified",
        )  # fmt: skip
    return CompiledRule(rule, predicate.node, alternatives, columns, delay)


def _columns(
    predicate: Predicate, object_name: str, book: Rulebook, gathered: Mapping[tuple[str, str], Gathered]
) -> tuple[Column, ...]:
    """What the tree reads; for `changed_at(stage)` that column, not `stage` itself."""
    columns = []
    for name in reads(predicate.node):
        column = predicate.columns[name]
        if column.gathered:
            home = book.objects[object_name].fields[column.ref].to if column.ref else object_name
            rollup = gathered.get((home, column.target or column.name))
            column = replace(column, from_ai=column.from_ai or (rollup is not None and rollup.from_ai))
        columns.append(column)
    return tuple(columns)


def _gather(node: Node) -> Node:
    """Neighbouring conditions without the clock become one, so that only time is multiplied out."""
    if not isinstance(node, (And, Or)):
        return node
    op = "and" if isinstance(node, And) else "or"
    items: list[Node] = []
    for item in map(_gather, node.items):
        items.extend(item.items if type(item) is type(node) else (item,))
    tests = [item.test for item in items if isinstance(item, Atom)]
    rest: list[Node] = [item for item in items if not isinstance(item, Atom)]
    if tests:
        whole: Scalar = tests[0] if len(tests) == 1 else Call(op, tuple(tests), "boolean")
        rest.insert(0, Atom(whole, ""))
    return rest[0] if len(rest) == 1 else type(node)(tuple(rest))


def _alternatives(node: Node, text: str) -> list[Alternative]:
    if isinstance(node, Atom):
        return [Alternative(node.test, (), ())]
    if isinstance(node, Bound):
        return [Alternative(None, (node.instant,), ()) if node.is_start else Alternative(None, (), (node.instant,))]
    if isinstance(node, Or):
        found = [alternative for item in node.items for alternative in _alternatives(item, text)]
    else:
        found = [Alternative(None, (), ())]
        for item in node.items:
            found = [_both(a, b) for a in found for b in _alternatives(item, text)]
            if len(found) > MAX_ALTERNATIVES:
                break
    if len(found) > MAX_ALTERNATIVES:
        raise PredicateError(f"has more than {MAX_ALTERNATIVES} alternatives in time", 0, "split it into several rules")
    return found


def _both(a: Alternative, b: Alternative) -> Alternative:
    tests = tuple(test for test in (a.test, b.test) if test is not None)
    test = None if not tests else tests[0] if len(tests) == 1 else Call("and", tests, "boolean")
    return Alternative(test, a.starts + b.starts, a.ends + b.ends)
