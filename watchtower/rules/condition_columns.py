"""The columns that a condition reads: fields, signals, handoffs, and what the fold computes from them."""

from __future__ import annotations

from sqlglot import exp

from watchtower.rulebook import Rulebook
from watchtower.rules.condition_text import ConditionText
from watchtower.rules.schema import Column, UnknownName, resolve
from watchtower.rules.tree import Col


class ConditionColumns(ConditionText):
    """`columns`: by name, what was read so far. Unless `trusting`, what enrichment may fill is read as verified."""

    def __init__(self, text: str, book: Rulebook, object_name: str, verified: bool) -> None:
        super().__init__(text)
        self.book, self.object, self.trusting = book, object_name, not verified
        self.columns: dict[str, Column] = {}

    def column(self, node: exp.Column) -> Col:
        path = tuple(p.name if p.args.get("quoted") else p.name.lower() for p in node.parts)
        try:
            column = resolve(self.book, self.object, path)
        except UnknownName as error:
            self.refuse(node, str(error))
        if not self.trusting:
            column = self.verified(node, column)
        return self.columns.setdefault(column.name, column).col

    def derived(self, form: str, name: str, *, from_ai: bool = False) -> Column:
        """A column that the fold computes from a field: `changed_at(stage)`, also through a reference.

        `from_ai`: whether enrichment may fill another field that it follows."""
        base = self.columns[name]
        inner = form.format(base.target or base.name)
        full = f"{base.ref}.{inner}" if base.ref else inner
        type_ = "text" if form.startswith("source_of") else "timestamp"
        values: tuple[str, ...] = ()
        if form.startswith("previous"):
            type_, values = base.type, base.values
        column = Column(full, type_, values, base.ref, inner if base.ref else "", base.field, from_ai or base.from_ai)
        return self.columns.setdefault(full, column)

    def verified(self, node: exp.Expr, column: Column) -> Column:
        """What a field would hold had AI never filled it; the field itself where enrichment may not fill it."""
        if not column.from_ai or column.verified:
            return column
        remedy = "leave it out, or drop trust: verified"
        if column.ref and self.book.objects[self.object].fields[column.ref].fill == "enrichment":
            self.refuse(node, f"{column.ref} may be filled by enrichment, which then chooses the record read", remedy)
        if "." in column.name and not column.ref:
            self.refuse(node, f"{column.name} is of a signal, which a model raised: it is never verified", remedy)
        inner = f"verified({column.target or column.name})"
        full = f"{column.ref}.{inner}" if column.ref else inner
        found = Column(full, column.type, column.values, column.ref, inner if column.ref else "", full, verified=True)
        return self.columns.setdefault(full, found)

    def followed(self, node: exp.Expr, source: Col) -> None:
        """The fold follows fields; a verified value is one of its own columns already."""
        if self.columns[source.name].verified:
            self.refuse(
                node, f"{source.name} is read as it is: nothing else is computed from a verified value",
                "compute it from a field that enrichment does not fill",
            )  # fmt: skip

    def not_personal(self, node: exp.Expr, column: Column) -> None:
        """A live tower holds what is personal sealed: a comparison would mean one thing there and another in a file."""
        home = self.book.objects[self.object].fields[column.ref].to if column.ref else self.object
        if column.path.rpartition(".")[2] in self.book.personal.get(home, ()):
            self.refuse(
                node, f"{column.path} is personal data: no rule reads its value",
                f"only whether it is there and when it changed: {column.path} is null, changed_at({column.path})",
            )  # fmt: skip
