"""Findings by reasoning: a rule that can never hold, and one that holds only where another, no less grave, does.

Sound and not complete: what is reported is so, and what cannot be seen from comparisons of a column with literals, from
null tests and from bounds on the same instant is passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import permutations

from watchtower.errors import Fault
from watchtower.rulebook import Loaded
from watchtower.rules.compile import Alternative, CompiledRule, Program
from watchtower.rules.tree import HOUR, Call, Col, Lit, Scalar, Span

MAX_BRANCHES = 32
GRAVITY = ("low", "medium", "high", "critical")
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "<>": "<>"}
_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "=": "<>", "<>": "="}


@dataclass
class Facts:
    """What an alternative says of one column."""

    null: bool = False
    there: bool = False
    allowed: set[object] | None = None
    low: tuple[float, bool] | None = None
    """The greatest lower bound, and whether it is itself excluded."""
    high: tuple[float, bool] | None = None

    def impossible(self) -> bool:
        if self.null and self.there:
            return True
        if self.allowed is not None:
            return not any(self.within(value) for value in self.allowed)
        if self.low is None or self.high is None:
            return False
        return self.low[0] > self.high[0] or (self.low[0] == self.high[0] and (self.low[1] or self.high[1]))

    def within(self, value: object) -> bool:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return True
        above = self.low is None or value > self.low[0] or (value == self.low[0] and not self.low[1])
        below = self.high is None or value < self.high[0] or (value == self.high[0] and not self.high[1])
        return above and below

    def words(self) -> str:
        """What is said, for people: `is empty`, `is 'open' or 'won'`, `is above 5`."""
        if self.null:
            return "is empty"
        if self.allowed is not None:
            return f"is {' or '.join(sorted(repr(value) for value in self.allowed))}"
        bounds = [f"{'above' if self.low[1] else 'at least'} {self.low[0]:g}"] if self.low else []
        bounds += [f"{'below' if self.high[1] else 'at most'} {self.high[0]:g}"] if self.high else []
        return f"is {' and '.join(bounds)}" if bounds else "is not empty"


@dataclass
class Said:
    """An alternative read: facts by column, and the tests that were not understood, whole."""

    facts: dict[str, Facts] = field(default_factory=dict)
    rest: set[Scalar] = field(default_factory=set)


def logic(loaded: Loaded, program: Program) -> Iterator[Fault]:
    """Every finding, with its place."""
    for index, compiled in enumerate(program.rules):
        if all(map(_never, branches(compiled))):
            yield loaded.place_of_condition(index, 0).fault(
                f"rule {compiled.rule.id} can never hold: its conditions contradict each other", "see each and and or"
            )
    places = {compiled.rule.id: index for index, compiled in enumerate(program.rules)}
    for a, b in permutations(program.rules, 2):
        if _adds_nothing(a, b):
            yield loaded.place_of_condition(places[a.rule.id], 0).fault(
                f"rule {a.rule.id} holds only where {b.rule.id} does, which is no less grave",
                "drop it, give it more weight, or let it inhibit the other",
            )


def _adds_nothing(a: CompiledRule, b: CompiledRule) -> bool:
    """Whether b holds wherever a does, tells the same people, and is as grave. Of two that are equal, the later one."""
    same = (a.rule.object, a.rule.queue, a.rule.owner, a.delay) == (b.rule.object, b.rule.queue, b.rule.owner, b.delay)
    if not same or b.rule.mode != "active" or GRAVITY.index(a.rule.severity) > GRAVITY.index(b.rule.severity):
        return False
    if b.rule.id in a.rule.inhibits or a.rule.id in b.rule.inhibits:
        return False
    mine, theirs = [x for x in branches(a) if not _never(x)], branches(b)
    if not mine or not all(any(_implies(x, y) for y in theirs) for x in mine):
        return False
    back = all(any(_implies(y, x) for x in mine) for y in theirs)
    return not back or a.rule.id > b.rule.id


def _never(alternative: Alternative) -> bool:
    if any(facts.impossible() for facts in read(alternative).facts.values()):
        return True
    return any(_base(s)[0] == _base(e)[0] and _at_least(_base(s)[1], _base(e)[1])
               for s in alternative.starts for e in alternative.ends)  # fmt: skip


def _implies(a: Alternative, b: Alternative) -> bool:
    """Whether a holds only where b does. Bounds must be the same, or b's must be wider on the same instant."""
    for mine, theirs, wider in ((a.starts, b.starts, True), (a.ends, b.ends, False)):
        for bound in theirs:
            base, span = _base(bound)
            close = [_base(own)[1] for own in mine if _base(own)[0] == base]
            if not any(_at_least(own, span) if wider else _at_least(span, own) for own in close):
                return False
    one, other = read(a), read(b)
    return other.rest <= one.rest and all(
        stronger(one.facts.get(column, Facts()), facts) for column, facts in other.facts.items()
    )


def stronger(a: Facts, b: Facts) -> bool:
    if b.null and not a.null:
        return False
    if b.there and not a.there:
        return False
    values = a.allowed
    if b.allowed is not None and (values is None or not values <= b.allowed):
        return False
    if values is not None:
        return all(b.within(value) for value in values if a.within(value))
    low = b.low is None or (a.low is not None and (a.low[0], a.low[1]) >= (b.low[0], b.low[1]))
    high = b.high is None or (a.high is not None and (-a.high[0], a.high[1]) >= (-b.high[0], b.high[1]))
    return low and high


def _base(bound: Scalar) -> tuple[Scalar, Span]:
    """The instant a bound counts from, and how far it is shifted."""
    total = Span()
    while isinstance(bound, Call) and bound.op == "shift":
        total = Span(total.months + bound.span.months, total.days + bound.span.days, total.micros + bound.span.micros)
        bound = bound.args[0]
    return bound, total


def base_of(bound: Scalar) -> Scalar:
    """The instant a bound counts from."""
    return _base(bound)[0]


def _at_least(a: Span, b: Span) -> bool:
    """Whether a is never shorter than b: a day has 20 hours at least, whatever the clocks do, and a month 28 days."""
    months, days, micros = a.months - b.months, a.days - b.days, a.micros - b.micros
    return months >= 0 and days >= 0 and micros + (months * 28 + days) * 20 * HOUR >= 0


def branches(rule: CompiledRule) -> list[Alternative]:
    """The rule's alternatives, with an OR of conditions without the clock taken apart, too, where they stay few."""
    found = [
        Alternative(test, alternative.starts, alternative.ends)
        for alternative in rule.alternatives
        for test in _either(alternative.test)
    ]
    return found if len(found) <= MAX_BRANCHES else list(rule.alternatives)


def _either(test: Scalar | None) -> list[Scalar | None]:
    if not isinstance(test, Call) or test.op not in ("and", "or"):
        return [test]
    if test.op == "or":
        return [branch for arg in test.args for branch in _either(arg)]
    found: list[tuple[Scalar, ...]] = [()]
    for arg in test.args:
        found = [(*one, branch) for one in found for branch in _either(arg) if branch is not None]
        if len(found) > MAX_BRANCHES:
            return [test]
    return [Call("and", one, "boolean") for one in found]


def read(alternative: Alternative) -> Said:
    said = Said()
    for test in _all(alternative.test):
        if not _note(said, test, positive=True):
            said.rest.add(test)
    return said


def merged(parts: Iterable[Mapping[str, Facts]]) -> dict[str, Facts]:
    """What several say together of each column."""
    found: dict[str, Facts] = {}
    for part in parts:
        for column, b in part.items():
            a = found.get(column, Facts())
            lows, highs = [x for x in (a.low, b.low) if x], [x for x in (a.high, b.high) if x]
            found[column] = Facts(
                a.null or b.null, a.there or b.there,
                b.allowed if a.allowed is None else a.allowed if b.allowed is None else a.allowed & b.allowed,
                max(lows, default=None), min(highs, key=lambda x: (x[0], not x[1]), default=None),
            )  # fmt: skip
    return found


def _all(test: Scalar | None) -> Iterable[Scalar]:
    if isinstance(test, Call) and test.op == "and":
        return [inner for arg in test.args for inner in _all(arg)]
    return [] if test is None else [test]


def _note(said: Said, test: Scalar, *, positive: bool) -> bool:
    """Take a test in as facts about a column; False where it is of another kind."""
    if not isinstance(test, Call):
        return False
    if test.op == "not":
        return _note(said, test.args[0], positive=not positive)
    subject = test.args[0]
    if test.op == "is_null" and isinstance(subject, Col):
        facts = said.facts.setdefault(subject.name, Facts())
        facts.null, facts.there = facts.null or positive, facts.there or not positive
        return True
    if test.op == "in" and positive and isinstance(subject, Col) and all(isinstance(a, Lit) for a in test.args[1:]):
        _allow(said, subject, {a.value for a in test.args[1:] if isinstance(a, Lit)})
        return True
    if test.op not in _TURNED or len(test.args) != 2:
        return False
    left, right, op = test.args[0], test.args[1], test.op if positive else _OPPOSITE[test.op]
    if isinstance(left, Lit):
        left, right, op = right, left, _TURNED[op]
    if not (isinstance(left, Col) and isinstance(right, Lit)) or op == "<>":
        return False
    if op == "=":
        _allow(said, left, {right.value})
        return True
    if not isinstance(right.value, (int, float)) or isinstance(right.value, bool):
        return False
    facts = said.facts.setdefault(left.name, Facts())
    facts.there = True
    bound = (float(right.value), op in ("<", ">"))
    if op in (">", ">="):
        facts.low = bound if facts.low is None else max(facts.low, bound)
    else:
        facts.high = bound if facts.high is None else min(facts.high, bound, key=lambda b: (b[0], not b[1]))
    return True


def _allow(said: Said, column: Col, values: set[object]) -> None:
    facts = said.facts.setdefault(column.name, Facts())
    facts.there = True
    facts.allowed = values if facts.allowed is None else facts.allowed & values
