"""Rollups over records one step down: `{count: records, over: opportunity, via: account, where: stage = 'proposal'}`.

Their value changes at exactly the instants at which versions of those records begin and end.
"""

from __future__ import annotations

from dataclasses import dataclass

from watchtower.rulebook import Rulebook
from watchtower.rules.condition_text import PredicateError
from watchtower.rules.parse import parse_predicate
from watchtower.rules.schema import NUMERIC, Column, resolve
from watchtower.rules.tree import And, Atom, Bound, Call, Col, Node, Scalar


@dataclass(frozen=True)
class Gathered:
    """One such rollup, compiled. `columns`: what it reads of the records it gathers."""

    object: str
    field: str
    type: str
    op: str
    over: str
    via: str
    what: Col | None
    where: Scalar | None
    columns: tuple[Column, ...]
    via_ai: bool = False
    """Whether enrichment may fill the reference by which records are gathered."""

    @property
    def from_ai(self) -> bool:
        return self.via_ai or any(column.from_ai for column in self.columns)


def via_of(book: Rulebook, object_name: str, over: str, via: str) -> str:
    """The reference that leads from the gathered records to this object. ValueError where it is not clear."""
    if over not in book.objects:
        raise ValueError(f"over: there is no object {over!r}; objects: {', '.join(book.objects)}")
    refs = [key for key, spec in book.objects[over].fields.items() if spec.to == object_name]
    if via:
        if via not in refs:
            raise ValueError(
                f"via: {over}.{via} is no reference to {object_name}; those are: {', '.join(refs) or 'none'}"
            )
        return via
    if len(refs) != 1:
        raise ValueError(
            f"via: say which of {over}'s references to {object_name} is meant: {', '.join(refs) or 'none'}"
        )
    return refs[0]


def compile_gathered(book: Rulebook, object_name: str, field: str) -> Gathered:
    """ValueError, or PredicateError for its `where`, that names what is not accepted."""
    spec = book.objects[object_name].fields[field]
    rollup = spec.rollup
    assert rollup is not None and rollup.over
    via = via_of(book, object_name, rollup.over, rollup.via)
    if rollup.op in ("first", "last"):
        raise ValueError(f"{rollup.op} is not accepted over records, which have no order; use min or max")
    columns: dict[str, Column] = {}
    what: Col | None = None
    if rollup.op == "count":
        if rollup.what != "records":
            raise ValueError(f"count: {rollup.what!r} is not accepted over records; write count: records")
        if spec.type not in ("integer", "number"):
            raise ValueError(f"a count is an integer, not {spec.type}")
    else:
        column = resolve(book, rollup.over, (rollup.what,))
        columns[column.name], what = column, column.col
        accepted = NUMERIC if rollup.op == "sum" else NUMERIC | {"timestamp", "date"}
        if what.type not in accepted:
            raise ValueError(
                f"{rollup.op}: {rollup.over}.{rollup.what} is {what.type}; accepted: {', '.join(sorted(accepted))}"
            )
        if (spec.type in NUMERIC) != (what.type in NUMERIC) or (spec.type not in NUMERIC and spec.type != what.type):
            raise ValueError(f"{rollup.op} of {what.type} values does not give a {spec.type}")
    where: Scalar | None = None
    if rollup.where:
        predicate = parse_predicate(rollup.where, book, rollup.over)
        where = _timeless(predicate.node)
        columns |= predicate.columns
    for column in columns.values():
        if column.ref or column.gathered:
            raise PredicateError(f"{column.name}: a rollup over records reads only their own fields")
    via_ai = book.objects[rollup.over].fields[via].fill == "enrichment"
    return Gathered(
        object_name, field, spec.type, rollup.op, rollup.over, via, what, where, tuple(columns.values()), via_ai
    )


def _timeless(node: Node) -> Scalar:
    if isinstance(node, Atom):
        return node.test
    if isinstance(node, Bound):
        raise PredicateError("now() is not accepted in a rollup over records", 0, "compare in the rule instead")
    return Call("and" if isinstance(node, And) else "or", tuple(map(_timeless, node.items)), "boolean")
