"""A rule's `when`: SQL text to a typed tree in negation normal form, or an error that names its place.

sqlglot reads the SQL. Only what is named here is let through, and the tree is built anew from it: nothing of
the author's text reaches an engine except literals and known columns.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlglot import exp
from sqlglot.errors import SqlglotError

from watchtower.rulebook import Rulebook
from watchtower.rules.condition_text import MAX_DEPTH, PredicateError
from watchtower.rules.scalars import CLOCK_FORM, COMPARE, FUNCTIONS, READERS, Scalars, bare
from watchtower.rules.schema import Column
from watchtower.rules.sqltext import OptionError, read_condition
from watchtower.rules.tree import And, Atom, Bound, Call, Col, Node, Or, Scalar, Span

_MIRROR = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "<>": "<>"}


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


class _Reader(Scalars):
    def parse(self) -> exp.Expr:
        try:
            self.tokenize()
            found = read_condition(self.text)
        except SqlglotError as error:
            raise self.syntax(error) from None
        except OptionError as error:
            plain = type(error.node) in READERS or isinstance(error.node, (exp.Column, exp.Interval))
            self.refuse(error.node, str(error) if plain else self.unknown(error.node), f"functions: {FUNCTIONS}")
        if found is None:
            raise PredicateError("is not one condition", 0, "write one boolean expression, without ;")
        return found

    def predicate(self, node: exp.Expr, negate: bool) -> Node:
        """NOT is pushed down to the conditions; where the clock is not read, a condition stays whole."""
        if isinstance(node, exp.Paren):
            return self.predicate(node.this, negate)
        if isinstance(node, exp.Not):
            return self.predicate(node.this, not negate)
        if isinstance(node, (exp.And, exp.Or)):
            items = self.each(node, negate)
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
        op = COMPARE.get(type(node))
        if op is None:
            self.refuse(node, "now() stands where it is not a bound", CLOCK_FORM)
        return self.bound(node, op, negate)

    def each(self, node: exp.Connector, negate: bool) -> tuple[Node, ...]:
        """The conditions that AND or OR joins. Where several are at fault, the first one's error names the others."""
        items, wrong = [], list[PredicateError]()
        for item in node.flatten():
            try:
                items.append(self.predicate(item, negate))
            except PredicateError as error:
                wrong += [error, *error.also]
        if wrong:
            wrong[0].also = wrong[1:]
            raise wrong[0]
        return tuple(items)

    def _negated(self, node: exp.Expr, negate: bool) -> str:
        words = self.words(node)
        return f"not ({words})" if negate and not isinstance(node.parent, exp.Not) else words

    def bound(self, node: exp.Expr, op: str, negate: bool) -> Node:
        left, right = bare(node.this), bare(node.expression)
        if self.has_clock(left) and self.has_clock(right):
            self.refuse(node, "now() stands on both sides", CLOCK_FORM)
        if self.has_clock(left):
            left, right, op = right, left, _MIRROR[op]
        if negate:
            op = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "=": "<>", "<>": "="}[op]
        if op in ("=", "<>"):
            self.refuse(node, f"{op} against now() holds for a microsecond at most", "use <= or >=")
        if isinstance(left, exp.Interval) and not isinstance(right, exp.Anonymous):
            self.refuse(node, "now() stands inside arithmetic", CLOCK_FORM)
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
        node = bare(node)
        while isinstance(node, (exp.Add, exp.Sub)):
            if not isinstance(bare(node.expression), exp.Interval):
                self.refuse(node, "only an interval may be added to or taken from now()", CLOCK_FORM)
            span = self.interval(bare(node.expression))
            spans.append(span if isinstance(node, exp.Add) else -span)
            node = bare(node.this)
        self.plain_now(node)
        return spans

    def plain_now(self, node: exp.Expr) -> None:
        if isinstance(node, exp.CurrentTimestamp) and node.args.get("this") is None:
            start, end = self.extent(node)
            if self.text[start : end + 1].lower() == "now":
                return
        self.refuse(node, f"the only clock is now(), not {node.sql('postgres')}", CLOCK_FORM)

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
        self.followed(call, source)
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
        self.followed(call, field)
        here, there = self.columns[field.name], self.columns[source.name]
        if field.type != "boolean" or here.ref != there.ref or "." in (here.target or here.name):
            self.refuse(
                call, f"paused_by names a boolean field of the same record, not {field.name} ({field.type})", form
            )
        return here
