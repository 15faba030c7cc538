"""What rules say about states, owners and the clock, read off their trees."""

from __future__ import annotations

from collections.abc import Iterator

from watchtower.rulebook import Rulebook
from watchtower.rulebook.duties import Lifecycle
from watchtower.rules.compile import CompiledRule, Program
from watchtower.rules.tree import Atom, Bound, Call, Col, Lit, Scalar, leaves

OWNER_FIELDS = ("owner", "rep", "assignee", "assigned_to", "agent", "resource")
"""Names of fields that say who works on a record, in order, where the object does not declare its `owner`."""


def owner_field(book: Rulebook, object_name: str) -> str:
    """The field that names who works on a record of the object; empty where there is none, or more than one could."""
    model = book.objects[object_name]
    if model.owner in model.fields:
        return model.owner
    fields = {key for key, spec in model.fields.items() if spec.type in ("text", "ref", "enum", "email")}
    for name in OWNER_FIELDS:
        if name in fields:
            return name
    ending = [name for name in sorted(fields) if name.endswith("_owner")]
    return ending[0] if len(ending) == 1 else ""


def _scalars(compiled: CompiledRule) -> Iterator[Scalar]:
    open_: list[Scalar] = [
        leaf.test if isinstance(leaf, Atom) else leaf.instant for leaf in leaves(compiled.node)
    ]  # fmt: skip
    while open_:
        scalar = open_.pop()
        yield scalar
        if isinstance(scalar, Call):
            open_ += scalar.args


def compared(compiled: CompiledRule, column: str) -> frozenset[str]:
    """The values that a rule compares a column with, by `=` or `in`."""
    return frozenset(
        arg.value
        for scalar in _scalars(compiled)
        if isinstance(scalar, Call) and scalar.op in ("=", "in") and Col(column, "enum") in scalar.args
        for arg in scalar.args
        if isinstance(arg, Lit) and isinstance(arg.value, str)
    )


def asked_empty(compiled: CompiledRule) -> set[str]:
    """The columns that a rule asks to be empty, or not to be: `loss_reason is null`."""
    return {
        arg.name
        for scalar in _scalars(compiled)
        if isinstance(scalar, Call) and scalar.op == "is_null"
        for arg in scalar.args
        if isinstance(arg, Col)
    }


def clocked(compiled: CompiledRule) -> bool:
    """Whether a rule waits for a time to pass. A `for` alone is no limit: it delays the alert."""
    return any(isinstance(leaf, Bound) for leaf in leaves(compiled.node))


def limits(program: Program, cycle: Lifecycle, state: str) -> list[str]:
    """The rules that say how long is too long in a state: they compare with now() there."""
    return [
        compiled.rule.id
        for compiled in program.of_object(cycle.object)
        if clocked(compiled) and state in compared(compiled, cycle.field)
    ]


def rules_of(program: Program, part: str) -> list[CompiledRule]:
    """The rules that follow from a part of the rulebook: `handoffs.sales_to_delivery`."""
    return [c for c in program.rules if c.rule.origin == part or c.rule.origin.startswith(part + ".")]
