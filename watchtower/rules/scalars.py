"""The scalars of a condition: expressions without the clock, with their types."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Any

from sqlglot import ErrorLevel, exp

from watchtower.contract import format_time, parse_time
from watchtower.rules.condition_columns import ConditionColumns
from watchtower.rules.schema import NUMERIC, TEXT_LIKE
from watchtower.rules.spans import parse_span
from watchtower.rules.tree import Call, Col, Lit, Scalar, Span

MAX_LIST, MAX_NUMBER = 1000, 1e15
CLOCK_FORM = "write x <= now() - interval '48 hours'"
COMPARE: dict[type[exp.Expr], str] = {
    exp.EQ: "=", exp.NEQ: "<>", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">=",
}  # fmt: skip
FUNCTIONS = (
    "lower, upper, trim, length, coalesce, nullif, abs, greatest, least, starts_with, contains, "
    "changed_at, previous, source_of, verified, business_elapsed"
)
_TEXT_FUNCTIONS: dict[type[exp.Expr], str] = {
    exp.Lower: "lower", exp.Upper: "upper", exp.Trim: "trim", exp.Length: "length",
}  # fmt: skip
_ARITHMETIC: dict[type[exp.Expr], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/"}


class Scalars(ConditionColumns):
    """Reads an expression into a typed scalar, or refuses it."""

    def scalar(self, node: exp.Expr) -> Scalar:
        if isinstance(node, exp.Paren):
            return self.scalar(node.this)
        if isinstance(node, exp.Column):
            found = self.column(node)
            asked = node.parent
            while isinstance(asked, exp.Paren):
                asked = asked.parent
            if not (isinstance(asked, exp.Is) and isinstance(asked.expression, exp.Null)):
                self.not_personal(node, self.columns[found.name])
            return found
        if isinstance(node, exp.Literal):
            return self.literal(node)
        if isinstance(node, exp.Boolean):
            return Lit(bool(node.this), "boolean")
        if isinstance(node, exp.Neg):
            inner = self.numeric(node.this)
            if isinstance(inner, Lit) and isinstance(inner.value, (int, float)):
                return Lit(-inner.value, inner.type)
            return Call("-", (Lit(0, "integer"), inner), "number")
        if isinstance(node, exp.Cast):
            return self.cast(node)
        if self.has_clock(node):
            self.refuse(node, "now() stands where it is not a bound", CLOCK_FORM)
        if type(node) in COMPARE:
            return self.compare(node, COMPARE[type(node)], node.this, node.expression)
        if type(node) in _ARITHMETIC:
            return self.arithmetic(node, _ARITHMETIC[type(node)])
        if isinstance(node, (exp.And, exp.Or)):
            op = "and" if isinstance(node, exp.And) else "or"
            return Call(op, tuple(self.boolean(item) for item in node.flatten()), "boolean")
        if isinstance(node, exp.Not):
            return Call("not", (self.boolean(node.this),), "boolean")
        reader = READERS.get(type(node))
        if isinstance(node, exp.Null):
            self.refuse(node, "null stands where a value is expected", "write is null or is not null")
        if reader is None:
            self.refuse(node, self.unknown(node), f"functions: {FUNCTIONS}")
        return reader(self, node)

    def unknown(self, node: exp.Expr) -> str:
        name = node.name if isinstance(node, exp.Anonymous) else self.said(node)
        return f"{name!r:.60} is not accepted in a rule"

    @staticmethod
    def said(node: exp.Expr) -> str:
        """What a person calls it: `random()`, `n % 2`; the parser's own name where it cannot be written out."""
        try:
            return node.sql("postgres", unsupported_level=ErrorLevel.IGNORE)
        except ValueError:
            return type(node).__name__

    def boolean(self, node: exp.Expr) -> Scalar:
        value = self.scalar(node)
        if value.type != "boolean":
            self.refuse(node, f"a condition is expected, found {value.type}")
        return value

    def numeric(self, node: exp.Expr) -> Scalar:
        value = self.scalar(node)
        if value.type not in NUMERIC:
            self.refuse(node, f"a number is expected, found {value.type}")
        return value

    def texts(self, node: exp.Expr) -> Scalar:
        value = self.scalar(node)
        if value.type not in TEXT_LIKE:
            self.refuse(node, f"a text is expected, found {value.type}")
        return value

    def timestamp(self, node: exp.Expr) -> Scalar:
        value = self.scalar(node)
        if value.type == "date":
            return Call("midnight", (value,), "timestamp")
        if isinstance(value, Lit) and value.type == "text":
            return self._coerce(node, value, "timestamp")
        if value.type != "timestamp":
            self.refuse(node, f"only a timestamp is compared with now(), found {value.type}", CLOCK_FORM)
        return value

    def interval(self, node: exp.Expr) -> Span:
        assert isinstance(node, exp.Interval)
        if not isinstance(node.this, exp.Literal):
            self.refuse(node, "an interval is a literal", "write interval '48 hours'")
        unit = f" {node.unit.name}" if node.unit else ""
        try:
            return parse_span(f"{node.this.name}{unit}".lower())
        except ValueError as error:
            self.refuse(node, str(error))

    def literal(self, node: exp.Literal) -> Lit:
        if node.is_string:
            return Lit(node.name, "text")
        text = node.name
        value: int | float = int(text) if text.isdigit() and len(text) < 20 else float(text)
        vanished = not value and re.search("[1-9]", text.lower().partition("e")[0])
        if vanished or abs(value) > MAX_NUMBER or (value and abs(value) < 1 / MAX_NUMBER):
            self.refuse(node, f"{text:.40} is outside the numbers a rule can hold (up to 1e15, down to 1e-15)")
        return Lit(value, "integer" if isinstance(value, int) else "number")

    def cast(self, node: exp.Cast) -> Scalar:
        kind = node.to.this
        names = {
            exp.DataType.Type.TIMESTAMP: "timestamp", exp.DataType.Type.TIMESTAMPTZ: "timestamp",
            exp.DataType.Type.DATE: "date",
        }  # fmt: skip
        if kind not in names or not (isinstance(node.this, exp.Literal) and node.this.is_string):
            self.refuse(
                node,
                f"a cast to {node.to.sql('postgres')} is not accepted",
                "write timestamptz '...Z' or date '...'",
            )
        return self._coerce(node, Lit(node.this.name, "text"), names[kind])

    def _coerce(self, node: exp.Expr, value: Lit, to: str) -> Lit:
        text = str(value.value)
        try:
            if to == "timestamp":
                return Lit(format_time(parse_time(text)), "timestamp")
            return Lit(date.fromisoformat(text).isoformat(), "date")
        except ValueError as error:
            self.refuse(node, str(error) if to == "timestamp" else f"{text!r:.40} is not a date such as 2026-03-01")

    def arithmetic(self, node: exp.Expr, op: str) -> Scalar:
        right = bare(node.expression)
        if isinstance(right, exp.Interval) and op in "+-":
            span = self.interval(right)
            return Call("shift", (self.timestamp(node.this),), "timestamp", span if op == "+" else -span)
        left_value = self.scalar(node.this)
        if left_value.type in ("timestamp", "date"):
            self.refuse(node, "times are not subtracted", "compare instead: a <= b + interval '2 days'")
        if left_value.type not in NUMERIC:
            self.refuse(node.this, f"a number is expected, found {left_value.type}")
        right_value = self.numeric(node.expression)
        if op == "*" and sum(1 for part in node.walk() if isinstance(part, (exp.Mul, exp.Div))) > 8:
            self.refuse(node, "more than 8 multiplications and divisions in one expression")
        return Call(op, (left_value, right_value), "number")

    def compare(self, node: exp.Expr, op: str, left: exp.Expr, right: exp.Expr) -> Scalar:
        if isinstance(right, exp.Null) or isinstance(left, exp.Null):
            self.refuse(node, f"{op} null is never true", "write is null or is not null")
        a, b = self.pair(node, self.scalar(left), self.scalar(right))
        if op not in ("=", "<>") and a.type in ("boolean", "list"):
            self.refuse(node, f"{a.type} values have no order", "use = or <>")
        if a.type == "list":
            self.refuse(node, "a list is not compared", "use contains(list, 'x')")
        return Call(op, (a, b), "boolean")

    def pair(self, node: exp.Expr, a: Scalar, b: Scalar, *, compared: bool = True) -> tuple[Scalar, Scalar]:
        """Two scalars of one type, literals read as the other side's; a fault where there is none.

        Where the two are compared, a literal beside an enum is one of its values, or could never be equal.
        """
        if a.type == "date" and b.type == "timestamp":
            return Call("midnight", (a,), "timestamp"), b
        if a.type == "timestamp" and b.type == "date":
            return a, Call("midnight", (b,), "timestamp")
        for one, other in ((a, b), (b, a)):
            if isinstance(one, Lit) and one.type == "text" and other.type in ("timestamp", "date"):
                read = self._coerce(node, one, other.type)
                return (read, other) if one is a else (other, read)
        for one, other in ((a, b), (b, a)):
            if compared and isinstance(one, Col) and one.type == "enum" and isinstance(other, Lit):
                values = self.columns[one.name].values
                if other.value not in values and other.type == "text":
                    known = ", ".join(values[:20])
                    self.refuse(node, f"{one.name}: {other.value!r} is not one of its values", f"values: {known}")
        families = [NUMERIC if s.type in NUMERIC else TEXT_LIKE if s.type in TEXT_LIKE else {s.type} for s in (a, b)]
        if families[0] is not families[1] and families[0] != families[1]:
            self.refuse(node, f"compares {_named(a)} with {_named(b)}", "both sides need one type")
        return a, b

    def any_of(self, node: exp.In) -> Scalar:
        if node.args.get("query") or node.args.get("unnest") or not node.expressions:
            self.refuse(node, "in takes a list of values", "write stage in ('mql', 'sal')")
        if len(node.expressions) > MAX_LIST:
            self.refuse(node, f"{len(node.expressions)} values in one list; at most {MAX_LIST}")
        subject = self.scalar(node.this)
        items: list[Scalar] = []
        for item in node.expressions:
            if isinstance(item, exp.Null):
                self.refuse(node, "null in a list is never equal", "leave it out, or add: or x is null")
            subject, value = self.pair(node, subject, self.scalar(item))
            items.append(value)
        if subject.type == "timestamp":
            items = [item if item.type == "timestamp" else self._as_time(node, item) for item in items]
        return Call("in", (subject, *items), "boolean")

    def is_(self, node: exp.Is) -> Scalar:
        value, what = self.scalar(node.this), node.expression
        if isinstance(what, exp.Null):
            return Call("is_null", (value,), "boolean")
        if isinstance(what, exp.Boolean) and value.type == "boolean":
            return Call("is_true" if what.this else "is_false", (value,), "boolean")
        self.refuse(node, "is takes null, true or false", "use = for values")

    def like(self, node: exp.Expr) -> Scalar:
        value, pattern = self.texts(node.this), node.expression
        if not (isinstance(pattern, exp.Literal) and pattern.is_string):
            self.refuse(node, "the pattern of like is a text", "write name like 'Acme%'")
        if isinstance(node, exp.ILike) and node.find(exp.Lower, exp.Upper):
            self.refuse(node, "ilike stands around lower or upper", "it heeds no case: leave them out")
        text = pattern.name
        trailing = len(text) - len(text.rstrip("\\"))
        if trailing % 2:
            self.refuse(node, f"the pattern {text!r:.40} ends in a lone backslash")
        return Call("ilike" if isinstance(node, exp.ILike) else "like", (value, Lit(text, "text")), "boolean")

    def between(self, node: exp.Between) -> Scalar:
        if node.args.get("symmetric"):
            self.refuse(node, "between symmetric is not accepted")
        low = self.compare(node, ">=", node.this, node.args["low"])
        high = self.compare(node, "<=", node.this, node.args["high"])
        return Call("and", (low, high), "boolean")

    def distinct(self, node: exp.Expr) -> Scalar:
        a, b = self.pair(node, self.scalar(node.this), self.scalar(node.expression))
        op = "is_distinct" if isinstance(node, exp.NullSafeNEQ) else "is_same"
        return Call(op, (a, b), "boolean")

    def case(self, node: exp.Case) -> Scalar:
        if node.this is not None:
            self.refuse(node, "case x when ... is not accepted", "write case when x = ... then ...")
        tests = [self.boolean(branch.this) for branch in node.args["ifs"]]
        values = [self.scalar(branch.args["true"]) for branch in node.args["ifs"]]
        if (default := node.args.get("default")) is not None and not isinstance(default, exp.Null):
            values.append(self.scalar(default))
        values = self._alike(node, values)
        args = [part for pair in zip(tests, values, strict=False) for part in pair]
        return Call("case", (*args, *values[len(tests) :]), self._joined(values))

    def variadic(self, node: exp.Expr) -> Scalar:
        ops: dict[type[exp.Expr], str] = {exp.Coalesce: "coalesce", exp.Greatest: "greatest", exp.Least: "least"}
        op = ops[type(node)]
        values = self._alike(node, [self.scalar(item) for item in (node.this, *node.expressions)])
        if op != "coalesce" and values[0].type in ("boolean", "list"):
            self.refuse(node, f"{op} does not take {values[0].type}")
        return Call(op, tuple(values), self._joined(values))

    def _alike(self, node: exp.Expr, values: list[Scalar]) -> list[Scalar]:
        """Values of one type: beside a time a date is its midnight, and a text literal is read as what it stands by."""
        found = next((v for v in values if not (isinstance(v, Lit) and v.type == "text")), values[0])
        for value in values:
            if value is not found:
                self.pair(node, found, value, compared=False)
        if any(value.type == "timestamp" for value in values):
            return [v if v.type == "timestamp" else self._as_time(node, v) for v in values]
        if found.type == "date":
            return [self._coerce(node, v, "date") if isinstance(v, Lit) and v.type == "text" else v for v in values]
        return values

    def _as_time(self, node: exp.Expr, value: Scalar) -> Scalar:
        if isinstance(value, Lit) and value.type == "text":
            return self._coerce(node, value, "timestamp")
        return Call("midnight", (value,), "timestamp")

    def _joined(self, values: list[Scalar]) -> str:
        types = {value.type for value in values}
        if len(types) == 1:
            return types.pop()
        return "number" if types <= NUMERIC else "text" if types <= TEXT_LIKE else values[0].type

    def nullif(self, node: exp.Nullif) -> Scalar:
        a, b = self.pair(node, self.scalar(node.this), self.scalar(node.expression))
        return Call("nullif", (a, b), a.type)

    def text_function(self, node: exp.Expr) -> Scalar:
        op = _TEXT_FUNCTIONS[type(node)]
        if op == "trim" and (node.args.get("expression") or node.args.get("position")):
            self.refuse(node, "trim takes one text")
        if op in ("lower", "upper") and any(part is not node for part in node.find_all(exp.Lower, exp.Upper)):
            self.refuse(node, f"{op} stands around another lower or upper", "one of them is enough")
        return Call(op, (self.texts(node.this),), "integer" if op == "length" else "text")

    def absolute(self, node: exp.Abs) -> Scalar:
        return Call("abs", (self.numeric(node.this),), "number")

    def concat(self, node: exp.DPipe) -> Scalar:
        return Call("||", (self.texts(node.this), self.texts(node.expression)), "text")

    def starts_with(self, node: exp.Expr) -> Scalar:
        return Call("starts_with", (self.texts(node.this), self.texts(node.expression)), "boolean")

    def named(self, node: exp.Anonymous) -> Scalar:
        name, args = node.name.lower(), node.expressions
        if name in ("changed_at", "source_of", "previous") and len(args) == 1:
            if not isinstance(args[0], exp.Column):
                self.refuse(node, f"{name} takes a field", f"write {name}(stage)")
            source = self.column(args[0])
            if name == "previous":
                self.not_personal(args[0], self.columns[source.name])
            if self.columns[source.name].gathered:
                self.refuse(node, f"{name} does not take {source.name}, which is a rollup over records")
            if "." in source.name and not self.columns[source.name].ref:
                self.refuse(node, f"{name} takes a field, not a signal")
            self.followed(node, source)
            return self.derived(f"{name}({{}})", source.name).col
        if name == "verified" and len(args) == 1:
            if not isinstance(args[0], exp.Column):
                self.refuse(node, "verified takes a field", "write verified(industry)")
            read = self.column(args[0])
            return self.verified(node, self.columns[read.name]).col
        if name == "contains" and len(args) == 2:
            return self._contains(node, args[0], args[1])
        if name == "starts_with" and len(args) == 2:
            return Call("starts_with", (self.texts(args[0]), self.texts(args[1])), "boolean")
        self.refuse(node, f"the function {node.name}({len(args)} arguments) is not known", f"functions: {FUNCTIONS}")

    def contains(self, node: exp.Expr) -> Scalar:
        return self._contains(node, node.this, node.expression)

    def _contains(self, node: exp.Expr, where: exp.Expr, what: exp.Expr) -> Scalar:
        subject, item = self.scalar(where), self.texts(what)
        if subject.type != "list":
            self.refuse(node, f"contains looks into a list, found {subject.type}", "for texts use like '%x%'")
        return Call("contains", (subject, item), "boolean")


READERS: dict[type[exp.Expr], Callable[[Scalars, Any], Scalar]] = {
    exp.In: Scalars.any_of, exp.Is: Scalars.is_, exp.Like: Scalars.like, exp.ILike: Scalars.like,
    exp.Between: Scalars.between, exp.NullSafeEQ: Scalars.distinct, exp.NullSafeNEQ: Scalars.distinct,
    exp.Case: Scalars.case, exp.Coalesce: Scalars.variadic, exp.Greatest: Scalars.variadic,
    exp.Least: Scalars.variadic, exp.Nullif: Scalars.nullif, exp.Lower: Scalars.text_function,
    exp.Upper: Scalars.text_function, exp.Trim: Scalars.text_function, exp.Length: Scalars.text_function,
    exp.Abs: Scalars.absolute, exp.DPipe: Scalars.concat, exp.StartsWith: Scalars.starts_with,
    exp.Anonymous: Scalars.named, exp.ArrayContains: Scalars.contains, exp.Contains: Scalars.contains,
}  # fmt: skip


def bare(node: exp.Expr) -> exp.Expr:
    while isinstance(node, exp.Paren):
        node = node.this
    return node


def _named(value: Scalar) -> str:
    if isinstance(value, Col):
        return f"{value.name} ({value.type})"
    if isinstance(value, Lit):
        return (
            f"{'text' if value.type == 'text' else 'a number' if value.type in NUMERIC else value.type} {value.value!r}"
        )
    return f"an expression ({value.type})"
