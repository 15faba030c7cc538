"""A rule's `when`: SQL text to a typed tree in negation normal form, or an error that names its place.

sqlglot reads the SQL. Only what is named here is let through, and the tree is built anew from it: nothing of
the author's text reaches an engine except literals and known columns.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NoReturn

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from watchtower.contract import format_time, parse_time
from watchtower.rulebook import Rulebook
from watchtower.rules.schema import NUMERIC, TEXT_LIKE, Column, UnknownName, resolve
from watchtower.rules.spans import parse_span
from watchtower.rules.sqltext import OptionError, read_condition
from watchtower.rules.tree import And, Atom, Bound, Call, Col, Lit, Node, Or, Scalar, Span

MAX_TOKENS, MAX_DEPTH, MAX_LIST, MAX_NUMBER = 3000, 40, 1000, 1e15

logging.getLogger("sqlglot").setLevel(logging.ERROR)
_POSTGRES = Dialect.get_or_raise("postgres")
_COMPARE: dict[type[exp.Expr], str] = {
    exp.EQ: "=", exp.NEQ: "<>", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">=",
}  # fmt: skip
_TEXT_FUNCTIONS: dict[type[exp.Expr], str] = {
    exp.Lower: "lower", exp.Upper: "upper", exp.Trim: "trim", exp.Length: "length",
}  # fmt: skip
_MIRROR = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "<>": "<>"}
_ARITHMETIC: dict[type[exp.Expr], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/"}
_SPAN_PART = re.compile(r"-?[0-9]+(?:\.[0-9]+)?\s*[a-zA-Z]+")
_SPAN_WHOLE = re.compile(r"\s*-?[0-9]+(?:\.[0-9]+)?\s*[a-zA-Z]+\s*\Z")
_CLOCK_FORM = "write x <= now() - interval '48 hours'"
_CLOCKS = (exp.CurrentTimestamp, exp.CurrentDate, exp.CurrentTime, exp.CurrentDatetime)
_FUNCTIONS = (
    "lower, upper, trim, length, coalesce, nullif, abs, greatest, least, starts_with, contains, "
    "changed_at, previous, source_of, verified, business_elapsed"
)


class PredicateError(ValueError):
    """What is wrong with a predicate, and at which offset of its text."""

    def __init__(self, message: str, offset: int = 0, remedy: str = "") -> None:
        super().__init__(message)
        self.message, self.offset, self.remedy = message, offset, remedy


@dataclass
class Predicate:
    """A parsed `when`: its tree, and every column it reads."""

    text: str
    node: Node
    columns: dict[str, Column] = field(default_factory=dict)


def parse_predicate(text: str, book: Rulebook, object_name: str, *, verified: bool = False) -> Predicate:
    """The typed tree of a rule's condition. PredicateError otherwise.

    `verified`: what enrichment may fill is read as `verified(x)`, and what cannot be read so is refused."""
    reader = _Reader(text, book, object_name, verified)
    try:
        return Predicate(text, reader.predicate(reader.parse(), False), reader.columns)
    except RecursionError:
        raise PredicateError("is nested too deeply", 0, f"at most {MAX_DEPTH} levels") from None


class _Reader:
    def __init__(self, text: str, book: Rulebook, object_name: str, verified: bool) -> None:
        self.text, self.book, self.object, self.trusting = text, book, object_name, not verified
        self.columns: dict[str, Column] = {}
        self.tokens: list[Token] = []
        self._clocked: dict[int, tuple[exp.Expr, bool]] = {}

    # ---- reading the text

    def parse(self) -> exp.Expr:
        if "\x00" in self.text:
            raise PredicateError("holds a NUL character", self.text.index("\x00"))
        try:
            self.tokens = _POSTGRES.tokenize(self.text)
            self._limits()
            self._nothing_between()
            self._whole_intervals()
            found = read_condition(self.text)
        except SqlglotError as error:
            raise self._syntax(error) from None
        except OptionError as error:
            plain = type(error.node) in _READERS or isinstance(error.node, (exp.Column, exp.Interval))
            self.refuse(error.node, str(error) if plain else self._unknown(error.node), f"functions: {_FUNCTIONS}")
        if found is None:
            raise PredicateError("is not one condition", 0, "write one boolean expression, without ;")
        return found

    def _limits(self) -> None:
        if len(self.tokens) > MAX_TOKENS:
            raise PredicateError(f"is longer than {MAX_TOKENS} words", 0, "split the rule")
        depth = 0
        for token in self.tokens:
            deeper = token.token_type in (TokenType.L_PAREN, TokenType.CASE, TokenType.L_BRACKET)
            depth += deeper - (token.token_type in (TokenType.R_PAREN, TokenType.END, TokenType.R_BRACKET))
            if depth > MAX_DEPTH:
                raise PredicateError(f"is nested deeper than {MAX_DEPTH}", token.start)

    def _nothing_between(self) -> None:
        """A comment could hide half a condition, all the more where YAML folds its lines into one."""
        end = -1
        for start, after in [*((token.start, token.end) for token in self.tokens), (len(self.text), 0)]:
            gap = self.text[end + 1 : start]
            if gap.strip():
                offset = end + 1 + len(gap) - len(gap.lstrip())
                if self.text.startswith(("--", "/*"), offset):
                    raise PredicateError("a comment is not accepted in a condition", offset, "write it under because:")
            end = after

    def _whole_intervals(self) -> None:
        """sqlglot picks `1 day` out of `interval '1 day ago'` and drops the rest: such texts are refused before."""
        for word, token in zip(self.tokens, self.tokens[1:], strict=False):
            literal = word.token_type is TokenType.INTERVAL and token.token_type is TokenType.STRING
            if literal and len(_SPAN_PART.findall(token.text)) == 1 and not _SPAN_WHOLE.match(token.text):
                message = f"{token.text!r:.60} is not a length of time; write '48 hours' or '1 month 2 days'"
                raise PredicateError(message, token.start)

    def _syntax(self, error: SqlglotError) -> PredicateError:
        details = getattr(error, "errors", None) or [{}]
        line, column = details[0].get("line"), details[0].get("col")
        offset = 0
        if line and column:
            lines = self.text.split("\n")
            offset = sum(len(part) + 1 for part in lines[: line - 1]) + max(column - 1, 0)
        message = (details[0].get("description") or str(error)).splitlines()[0].rstrip(".")
        if message.startswith("Required keyword"):
            message = "something is missing"
        highlight = details[0].get("highlight")
        if highlight:
            offset = max(offset - len(highlight), 0) if column else self.text.find(highlight)
            message += f" near {highlight!r:.40}"
        return PredicateError(f"SQL syntax: {message}", max(min(offset, len(self.text) - 1), 0))

    def extent(self, node: exp.Expr) -> tuple[int, int]:
        """First and last character of what a node was written with, as far as its parts know."""
        metas = [part.meta for part in node.walk() if "start" in part.meta]
        if not metas and isinstance(node, _CLOCKS):
            word = next((t for t in self.tokens if t.text.lower().startswith(("current_", "local"))), None)
            return (word.start, word.end) if word else (0, 0)
        if not metas and node.parent is not None:
            return self.extent(node.parent)
        return min((m["start"] for m in metas), default=0), max((m["end"] for m in metas), default=0)

    def refuse(self, node: exp.Expr, message: str, remedy: str = "") -> NoReturn:
        raise PredicateError(message, self.extent(node)[0], remedy)

    def words(self, node: exp.Expr) -> str:
        """A condition as its author wrote it: its parts, out to the nearest AND, OR or bracket."""
        start, end = self.extent(node)
        stop = (TokenType.AND, TokenType.OR)
        depth = 0
        for token in self.tokens:
            if token.start < start:
                continue
            depth += (token.token_type is TokenType.L_PAREN) - (token.token_type is TokenType.R_PAREN)
            if token.start <= end:
                continue
            if depth < 0 or (depth == 0 and token.token_type in stop):
                break
            end = token.end
        depth = 0
        for token in reversed(self.tokens):
            if token.end >= start:
                continue
            depth += (token.token_type is TokenType.R_PAREN) - (token.token_type is TokenType.L_PAREN)
            if depth < 0 or (depth == 0 and token.token_type in stop):
                break
            start = token.start
        return " ".join(self.text[start : end + 1].split())

    # ---- predicates

    def predicate(self, node: exp.Expr, negate: bool) -> Node:
        """NOT is pushed down to the conditions; where the clock is not read, a condition stays whole."""
        if isinstance(node, exp.Paren):
            return self.predicate(node.this, negate)
        if isinstance(node, exp.Not):
            return self.predicate(node.this, not negate)
        if isinstance(node, (exp.And, exp.Or)):
            items = tuple(self.predicate(item, negate) for item in node.flatten())
            return And(items) if isinstance(node, exp.And) != negate else Or(items)
        if not self.has_clock(node):
            test = self.scalar(node)
            if test.type != "boolean":
                self.refuse(node, f"a condition is expected, found {test.type}", "compare it with something")
            return Atom(Call("not", (test,), "boolean") if negate else test, self._negated(node, negate))
        if isinstance(node, exp.Between) and not node.args.get("symmetric"):
            low = exp.GTE(this=node.this, expression=node.args["low"])
            high = exp.LTE(this=node.this, expression=node.args["high"])
            items = (self.predicate(low, negate), self.predicate(high, negate))
            return Or(items) if negate else And(items)
        op = _COMPARE.get(type(node))
        if op is None:
            self.refuse(node, "now() stands where it is not a bound", _CLOCK_FORM)
        return self.bound(node, op, negate)

    def _negated(self, node: exp.Expr, negate: bool) -> str:
        words = self.words(node)
        return f"not ({words})" if negate and not isinstance(node.parent, exp.Not) else words

    def has_clock(self, node: exp.Expr) -> bool:
        known = self._clocked.get(id(node))
        if known is None:
            found = isinstance(node, _CLOCKS) or (
                isinstance(node, exp.Anonymous) and node.name.lower() in ("business_elapsed", "now")
            )
            # The node is kept beside its answer, so that no other comes to bear its id.
            known = (node, found or any(self.has_clock(part) for part in node.iter_expressions()))
            self._clocked[id(node)] = known
        return known[1]

    def bound(self, node: exp.Expr, op: str, negate: bool) -> Node:
        left, right = _bare(node.this), _bare(node.expression)
        if self.has_clock(left) and self.has_clock(right):
            self.refuse(node, "now() stands on both sides", _CLOCK_FORM)
        if self.has_clock(left):
            left, right, op = right, left, _MIRROR[op]
        if negate:
            op = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "=": "<>", "<>": "="}[op]
        if op in ("=", "<>"):
            self.refuse(node, f"{op} against now() holds for a microsecond at most", "use <= or >=")
        if isinstance(left, exp.Interval) and not isinstance(right, exp.Anonymous):
            self.refuse(node, "now() stands inside arithmetic", _CLOCK_FORM)
        text = self._negated(node, negate)
        if isinstance(right, exp.Anonymous):
            return self.business(right, left, _MIRROR[op], text)
        instant = self.timestamp(left)
        for span in self.now_offsets(right):
            instant = Call("shift", (instant,), "timestamp", -span)
        # x <= now: from x on. x < now: from the microsecond after. x >= now: until just after x. x > now: until x.
        if op in ("<", ">="):
            instant = Call("shift", (instant,), "timestamp", Span(micros=1))
        return Bound(instant, op in ("<", "<="), text)

    def now_offsets(self, node: exp.Expr) -> list[Span]:
        """The intervals added to now(), the outermost first."""
        spans: list[Span] = []
        node = _bare(node)
        while isinstance(node, (exp.Add, exp.Sub)):
            if not isinstance(_bare(node.expression), exp.Interval):
                self.refuse(node, "only an interval may be added to or taken from now()", _CLOCK_FORM)
            span = self.interval(_bare(node.expression))
            spans.append(span if isinstance(node, exp.Add) else -span)
            node = _bare(node.this)
        self.plain_now(node)
        return spans

    def plain_now(self, node: exp.Expr) -> None:
        if isinstance(node, exp.CurrentTimestamp) and node.args.get("this") is None:
            start, end = self.extent(node)
            if self.text[start : end + 1].lower() == "now":
                return
        self.refuse(node, f"the only clock is now(), not {node.sql('postgres')}", _CLOCK_FORM)

    def business(self, call: exp.Anonymous, length: exp.Expr, op: str, text: str) -> Bound:
        """business_elapsed(x, 'calendar') >= interval: monotone in now, so one instant."""
        form = "write business_elapsed(x, 'office') >= interval '8 hours', or (x, 'office', paused_by => waiting)"
        if call.name.lower() != "business_elapsed" or len(call.expressions) not in (2, 3):
            self.refuse(call, f"{call.sql('postgres')} is not understood", form)
        inner, calendar, *rest = call.expressions
        if not (isinstance(calendar, exp.Literal) and calendar.is_string):
            self.refuse(call, "the calendar is a text", form)
        if calendar.name not in self.book.calendars:
            known = ", ".join(self.book.calendars) or "none is declared"
            self.refuse(calendar, f"unknown calendar {calendar.name!r}", f"calendars: {known}")
        if not isinstance(length, exp.Interval):
            self.refuse(call, "business time is compared with an interval", form)
        span = self.interval(length)
        if span.months or span.days or span.micros <= 0:
            self.refuse(length, "business time is counted in hours, minutes and seconds above 0", form)
        source = self.scalar(inner)
        if not isinstance(source, Col) or source.type != "timestamp" or self.columns[source.name].gathered:
            self.refuse(call, "business_elapsed takes a timestamp field", form)
        self._followed(call, source)
        pause = self.pause(call, rest[0], source, form) if rest else None
        paused = f",{pause.target or pause.name}" if pause else ""
        # elapsed >= d from the first instant that has d; elapsed > d from just after the last that has it.
        kind = "business_first" if op in (">=", "<") else "business_last"
        kept = f"{kind}({{}},{calendar.name},{span.micros}{paused})"
        column = self.derived(kept, source.name, from_ai=pause is not None and pause.from_ai)
        instant: Scalar = column.col
        if op in (">", "<="):
            instant = Call("shift", (instant,), "timestamp", Span(micros=1))
        return Bound(instant, op in (">=", ">"), text)

    def pause(self, call: exp.Anonymous, node: exp.Expr, source: Col, form: str) -> Column:
        """The boolean field, of the same record as the timestamp, while which the calendar's clock stands."""
        if not (isinstance(node, exp.Kwarg) and node.this.name.lower() == "paused_by"):
            self.refuse(call, "business_elapsed knows one option, paused_by", form)
        value = node.expression
        if isinstance(value, exp.Literal) and value.is_string:
            value = exp.column(value.name)
        if not isinstance(value, exp.Column):
            self.refuse(call, "paused_by names a boolean field", form)
        field = self.column(value)
        self._followed(call, field)
        here, there = self.columns[field.name], self.columns[source.name]
        if field.type != "boolean" or here.ref != there.ref or "." in (here.target or here.name):
            self.refuse(
                call, f"paused_by names a boolean field of the same record, not {field.name} ({field.type})", form
            )
        return here

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

    def _followed(self, node: exp.Expr, source: Col) -> None:
        """The fold follows fields; a verified value is one of its own columns already."""
        if self.columns[source.name].verified:
            self.refuse(
                node, f"{source.name} is read as it is: nothing else is computed from a verified value",
                "compute it from a field that enrichment does not fill",
            )  # fmt: skip

    # ---- scalars

    def timestamp(self, node: exp.Expr) -> Scalar:
        value = self.scalar(node)
        if value.type == "date":
            return Call("midnight", (value,), "timestamp")
        if isinstance(value, Lit) and value.type == "text":
            return self._coerce(node, value, "timestamp")
        if value.type != "timestamp":
            self.refuse(node, f"only a timestamp is compared with now(), found {value.type}", _CLOCK_FORM)
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

    def scalar(self, node: exp.Expr) -> Scalar:
        if isinstance(node, exp.Paren):
            return self.scalar(node.this)
        if isinstance(node, exp.Column):
            found = self.column(node)
            asked = node.parent
            while isinstance(asked, exp.Paren):
                asked = asked.parent
            if not (isinstance(asked, exp.Is) and isinstance(asked.expression, exp.Null)):
                self._not_personal(node, self.columns[found.name])
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
            self.refuse(node, "now() stands where it is not a bound", _CLOCK_FORM)
        if type(node) in _COMPARE:
            return self.compare(node, _COMPARE[type(node)], node.this, node.expression)
        if type(node) in _ARITHMETIC:
            return self.arithmetic(node, _ARITHMETIC[type(node)])
        if isinstance(node, (exp.And, exp.Or)):
            op = "and" if isinstance(node, exp.And) else "or"
            return Call(op, tuple(self.boolean(item) for item in node.flatten()), "boolean")
        if isinstance(node, exp.Not):
            return Call("not", (self.boolean(node.this),), "boolean")
        reader = _READERS.get(type(node))
        if isinstance(node, exp.Null):
            self.refuse(node, "null stands where a value is expected", "write is null or is not null")
        if reader is None:
            self.refuse(node, self._unknown(node), f"functions: {_FUNCTIONS}")
        return reader(self, node)

    def _unknown(self, node: exp.Expr) -> str:
        name = node.name if isinstance(node, exp.Anonymous) else type(node).__name__
        return f"{name!r:.60} is not accepted in a rule"

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

    def _not_personal(self, node: exp.Expr, column: Column) -> None:
        """A live tower holds what is personal sealed: a comparison would mean one thing there and another in a file."""
        home = self.book.objects[self.object].fields[column.ref].to if column.ref else self.object
        if column.path.rpartition(".")[2] in self.book.personal.get(home, ()):
            self.refuse(
                node, f"{column.path} is personal data: no rule reads its value",
                f"only whether it is there and when it changed: {column.path} is null, changed_at({column.path})",
            )  # fmt: skip

    def column(self, node: exp.Column) -> Col:
        path = tuple(p.name if p.args.get("quoted") else p.name.lower() for p in node.parts)
        try:
            column = resolve(self.book, self.object, path)
        except UnknownName as error:
            self.refuse(node, str(error))
        if not self.trusting:
            column = self.verified(node, column)
        return self.columns.setdefault(column.name, column).col

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
        right = _bare(node.expression)
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
                self._not_personal(args[0], self.columns[source.name])
            if self.columns[source.name].gathered:
                self.refuse(node, f"{name} does not take {source.name}, which is a rollup over records")
            if "." in source.name and not self.columns[source.name].ref:
                self.refuse(node, f"{name} takes a field, not a signal")
            self._followed(node, source)
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
        self.refuse(node, f"the function {node.name}({len(args)} arguments) is not known", f"functions: {_FUNCTIONS}")

    def contains(self, node: exp.Expr) -> Scalar:
        return self._contains(node, node.this, node.expression)

    def _contains(self, node: exp.Expr, where: exp.Expr, what: exp.Expr) -> Scalar:
        subject, item = self.scalar(where), self.texts(what)
        if subject.type != "list":
            self.refuse(node, f"contains looks into a list, found {subject.type}", "for texts use like '%x%'")
        return Call("contains", (subject, item), "boolean")


_READERS: dict[type[exp.Expr], Callable[[_Reader, Any], Scalar]] = {
    exp.In: _Reader.any_of, exp.Is: _Reader.is_, exp.Like: _Reader.like, exp.ILike: _Reader.like,
    exp.Between: _Reader.between, exp.NullSafeEQ: _Reader.distinct, exp.NullSafeNEQ: _Reader.distinct,
    exp.Case: _Reader.case, exp.Coalesce: _Reader.variadic, exp.Greatest: _Reader.variadic,
    exp.Least: _Reader.variadic, exp.Nullif: _Reader.nullif, exp.Lower: _Reader.text_function,
    exp.Upper: _Reader.text_function, exp.Trim: _Reader.text_function, exp.Length: _Reader.text_function,
    exp.Abs: _Reader.absolute, exp.DPipe: _Reader.concat, exp.StartsWith: _Reader.starts_with,
    exp.Anonymous: _Reader.named, exp.ArrayContains: _Reader.contains, exp.Contains: _Reader.contains,
}  # fmt: skip


def _bare(node: exp.Expr) -> exp.Expr:
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
