"""The typed tree of a predicate: what the parser yields, the compiler turns into intervals, engines write out.

Scalars are columns, literals and calls. Predicates are `And`, `Or`, `Atom` (no clock in it) and `Bound` (one
comparison with now(), already turned into the instant from which, or until which, it holds).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

MICROSECOND = 1
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


@dataclass(frozen=True)
class Span:
    """A length of time: months and days are calendar units, microseconds are absolute."""

    months: int = 0
    days: int = 0
    micros: int = 0

    def __neg__(self) -> Span:
        return Span(-self.months, -self.days, -self.micros)

    def __bool__(self) -> bool:
        return bool(self.months or self.days or self.micros)

    def __str__(self) -> str:
        parts = [f"{n} {unit}" for n, unit in ((self.months, "months"), (self.days, "days")) if n]
        if self.micros:
            hours, rest = divmod(self.micros, HOUR)
            parts.append(f"{hours} hours" if not rest else f"{self.micros / SECOND:g} seconds")
        return " ".join(parts) or "0 seconds"


@dataclass(frozen=True)
class Col:
    """A column of the record: `stage`, `account.segment`, `changed_at(stage)`, `stuck.p_value`."""

    name: str
    type: str


@dataclass(frozen=True)
class Lit:
    """A literal. Timestamps are ISO text in UTC, dates ISO text, lists of texts tuples; None is null."""

    value: str | int | float | bool | None
    type: str


@dataclass(frozen=True)
class Call:
    """An operator or a function over scalars. `span` for shift, `name` for a calendar."""

    op: str
    args: tuple[Scalar, ...]
    type: str
    span: Span = Span()
    name: str = ""


Scalar = Col | Lit | Call


@dataclass(frozen=True)
class Atom:
    """A boolean scalar without the clock. `text` is how the author wrote it; `negated` under a NOT."""

    test: Scalar
    text: str


@dataclass(frozen=True)
class Bound:
    """`instant <= now` (from) or `now < instant` (until): half-open, exact to the microsecond."""

    instant: Scalar
    is_start: bool
    text: str


@dataclass(frozen=True)
class And:
    items: tuple[Node, ...]


@dataclass(frozen=True)
class Or:
    items: tuple[Node, ...]


Node = And | Or | Atom | Bound


def columns(scalar: Scalar) -> Iterator[Col]:
    """Every column a scalar reads, with repetitions."""
    if isinstance(scalar, Col):
        yield scalar
    elif isinstance(scalar, Call):
        for arg in scalar.args:
            yield from columns(arg)


def leaves(node: Node) -> Iterator[Atom | Bound]:
    """The conditions of a predicate, in the order in which they were written."""
    if isinstance(node, (And, Or)):
        for item in node.items:
            yield from leaves(item)
    else:
        yield node


def reads(node: Node) -> dict[str, Col]:
    """Every column a predicate reads, by name, in order of first appearance."""
    found: dict[str, Col] = {}
    for leaf in leaves(node):
        for column in columns(leaf.test if isinstance(leaf, Atom) else leaf.instant):
            found.setdefault(column.name, column)
    return found
