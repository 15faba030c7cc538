"""Conditions on deals, each drawn twice: as a rule's text, and as PostgreSQL's with `now()` a column `t`."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from oracles.fields import CALENDARS, COLUMNS, LENGTHS, SCHEMA, SPANS
from oracles.moments import day_text, moment_text


@dataclass(frozen=True)
class Term:
    """A part of a condition: as a rule says it, as PostgreSQL is asked, the columns read, the instants that matter."""

    rule: str
    ask: str
    columns: tuple[str, ...] = ()
    instants: tuple[str, ...] = ()


@dataclass(frozen=True)
class Condition:
    """`op` is and, or, not, or empty for a leaf. The parts of a leaf are the halves of a `between`."""

    op: str
    parts: tuple[Condition, ...] = ()
    leaf: Term = Term("", "")

    def text(self, which: str) -> str:
        if not self.op:
            return str(getattr(self.leaf, which))
        inner = [f"({part.text(which)})" for part in self.parts]
        return f"not {inner[0]}" if self.op == "not" else f" {self.op} ".join(inner)

    def leaves(self) -> Iterator[Term]:
        if not self.op:
            yield self.leaf
        for part in self.parts:
            yield from part.leaves()

    def nodes(self) -> Iterator[Condition]:
        yield self
        for part in self.parts:
            yield from part.nodes()


class Grammar:
    """Draws conditions on deals."""

    def __init__(self, rng: random.Random, zone: str) -> None:
        self.rng, self.zone = rng, zone
        self.bounds = 0

    def condition(self, depth: int = 3) -> Condition:
        roll = self.rng.random()
        if depth == 0 or roll < 0.25:
            clock_read = self.bounds < 3 and self.rng.random() < 0.6
            self.bounds += clock_read
            return self.clock() if clock_read else Condition("", (), self.plain())
        if roll < 0.4:
            return Condition("not", (self.condition(depth - 1),))
        op = "and" if roll < 0.75 else "or"
        return Condition(op, tuple(self.condition(depth - 1) for _ in range(self.rng.choice((2, 2, 2, 3)))))

    def rule(self) -> Condition:
        """With at least one comparison with now()."""
        while True:
            self.bounds = 0
            found = self.condition()
            if self.bounds:
                return found

    def span(self) -> str:
        return self.rng.choice(SPANS)

    def column(self, *names: str) -> Term:
        name = self.rng.choice(names)
        return Term(name, f'"{name}"', (name,))

    def moment(self, depth: int = 2) -> Term:
        """A timestamp, or a date read as its midnight."""
        kind = self.rng.randrange(12) if depth else 0
        if kind == 7:
            when = self.column("closed_on", "account.renewal_on")
            return replace(when, ask=f"({when.ask}::timestamptz)")
        if kind == 8:
            a, b = self.moment(0), self.moment(0)
            name = self.rng.choice(("coalesce", "greatest", "least"))
            return Term(f"{name}({a.rule}, {b.rule})", f"{name}({a.ask}, {b.ask})", a.columns + b.columns)
        if kind == 9:
            inner, sign, span = self.moment(depth - 1), self.rng.choice("+-"), self.span()
            tail = f" {sign} interval '{span}'"
            return Term(f"({inner.rule}{tail})", f"({inner.ask}{tail})", inner.columns)
        if kind == 10:
            a, b = self.moment(0), self.moment(0)
            form = "case when hot then {} else {} end"
            ask = form.replace("hot", '"hot"').format(a.ask, b.ask)
            return Term(form.format(a.rule, b.rule), f"({ask})", ("hot", *a.columns, *b.columns))
        if kind == 11:
            text = moment_text(self.rng, self.zone)
            return Term(f"timestamptz '{text}'", f"timestamptz '{text}'")
        return self.column(
            "opened_at", "due_at", "seen_at", "last_at", "changed_at(stage)", "account.touched_at",
            "opened_at", "due_at", "changed_at(account.segment)", "changed_at(amount)", "previous(due_at)", "begun_at",
            "account.first_due",
        )  # fmt: skip

    def shifted(self) -> tuple[str, Any]:
        """now() and its offsets as a rule says it; and what they do to an instant on the record's side."""
        offsets = [(self.rng.choice("+-"), self.span()) for _ in range(self.rng.choice((0, 1, 1, 1, 1, 2)))]
        rule = "now()" + "".join(f" {sign} interval '{span}'" for sign, span in offsets)

        def moved(ask: str) -> str:
            for sign, span in reversed(offsets):
                ask = f"({ask} {'-' if sign == '+' else '+'} interval '{span}')"
            return ask

        return rule, moved

    def clock(self) -> Condition:
        term = self.moment()
        now, moved = self.shifted()
        form = self.rng.randrange(10)
        if form > 7:
            return Condition("", (), self.business())
        if form == 0:
            later, moved_later = self.shifted()
            word = self.rng.choice(("between", "not between"))
            low = Term("", f"({moved(term.ask)} >= t)", term.columns, (moved(term.ask),))
            high = Term("", f"({moved_later(term.ask)} <= t)", term.columns, (moved_later(term.ask),))
            return self._halves(f"{term.rule} {word} {now} and {later}", low, high, word)
        if form == 1:
            other = self.moment()
            low = Term("", f"({term.ask} <= t)", term.columns, (term.ask,))
            high = Term("", f"(t <= {other.ask})", other.columns, (other.ask,))
            return self._halves(f"now() between {term.rule} and {other.rule}", low, high, "between")
        op = self.rng.choice(("<=", "<=", "<", ">", ">="))
        rule = f"{now} {op} {term.rule}" if form == 2 else f"{term.rule} {op} {now}"
        ask = f"(t {op} {moved(term.ask)})" if form == 2 else f"({moved(term.ask)} {op} t)"
        return Condition("", (), Term(rule, ask, term.columns, (moved(term.ask),)))

    def business(self) -> Term:
        """Open hours since a timestamp, which may stand while the deal is hot."""
        since = self.column("opened_at", "due_at", "seen_at", "changed_at(stage)", "begun_at", "account.touched_at")
        calendar, length = self.rng.choice(list(CALENDARS)), self.rng.choice(LENGTHS)
        paused = not since.rule.startswith("account") and self.rng.random() < 0.5
        op = self.rng.choice((">=", ">=", ">", "<", "<="))
        pauses = '"pauses(hot)"' if paused else "'{}'::tstzmultirange"
        given = f"'{calendar}', {since.ask}, {pauses}"
        rule = f"business_elapsed({since.rule}, '{calendar}'{', paused_by => hot' if paused else ''})"
        reached = tuple(f"pg_temp.reached({given}, interval '{length}', {last})" for last in ("false", "true"))
        ask = f"(pg_temp.worked({given}, t) {op} interval '{length}')"
        return Term(f"{rule} {op} interval '{length}'", ask, since.columns, reached)

    def _halves(self, rule: str, low: Term, high: Term, word: str) -> Condition:
        ask = f"({low.ask} and {high.ask})"
        whole = Term(rule, ask if word == "between" else f"(not {ask})")
        return Condition("", (Condition("", (), low), Condition("", (), high)), whole)

    def number(self, depth: int = 1) -> Term:
        kind = self.rng.randrange(8) if depth else self.rng.randrange(4)
        if kind == 3:
            value = self.rng.choice(("0", "1", "2.5", "-1", "100", "0.3"))
            return Term(value, f"{value}::float8" if value[0] != "-" else f"({value})::float8")
        if kind in (4, 5):
            a, b, op = self.number(0), self.number(0), self.rng.choice("+-*/")
            ask = f"({a.ask} / nullif({b.ask}, 0))" if op == "/" else f"({a.ask} {op} {b.ask})"
            return Term(f"({a.rule} {op} {b.rule})", ask, a.columns + b.columns)
        if kind == 6:
            a = self.number(0)
            return Term(f"coalesce({a.rule}, 1)", f"coalesce({a.ask}, 1)", a.columns)
        if kind == 7:
            a = self.number(0)
            return Term(f"abs({a.rule})", f"abs({a.ask})", a.columns)
        return self.column(
            "amount", "chance", "calls", "account.employees", "used", "least", "first_used", "previous(amount)",
            "account.deals", "account.called", "account.top",
        )  # fmt: skip

    def plain(self) -> Term:
        forms = (
            self._enum, self._in, self._null, self._number, self._times, self._flag, self._text, self._source,
            self._between, self._days, self._list, self._distinct, self._previous,
        )  # fmt: skip
        return self.rng.choice(forms)()

    def _leaf(self, form: str, *terms: Term) -> Term:
        rule = form.format(*(term.rule for term in terms))
        ask = form.format(*(term.ask for term in terms))
        return Term(rule, f"({ask})", tuple(name for term in terms for name in term.columns))

    def _value(self, term: Term) -> str:
        object_name, _, name = term.rule.rpartition(".")
        return f"'{self.rng.choice(SCHEMA[object_name or 'deal'][name]['values'])}'"

    def _enum(self) -> Term:
        term = self.column("stage", "account.segment")
        return self._leaf(f"{{}} {self.rng.choice(('=', '=', '<>'))} {self._value(term)}", term)

    def _in(self) -> Term:
        term = self.column("stage", "account.segment")
        word = self.rng.choice(("in", "in", "not in"))
        return self._leaf(f"{{}} {word} ({self._value(term)}, {self._value(term)})", term)

    def _null(self) -> Term:
        term = self.column(*(name for name in COLUMNS if "(" not in name))
        return self._leaf(f"{{}} {self.rng.choice(('is null', 'is not null'))}", term)

    def _number(self) -> Term:
        return self._leaf(
            f"{{}} {self.rng.choice(('=', '<>', '<', '<=', '>', '>='))} {{}}", self.number(), self.number()
        )

    def _times(self) -> Term:
        return self._leaf(f"{{}} {self.rng.choice(('<', '<=', '>', '>='))} {{}}", self.moment(), self.moment())

    def _flag(self) -> Term:
        return self._leaf(self.rng.choice(("{}", "{} is true", "{} = false", "{} is not true")), self.column("hot"))

    def _text(self) -> Term:
        form = self.rng.choice(
            ("lower({}) = 'acme'", "{} like 'A%'", "{} not like '%me'", "length({}) > 3", "starts_with({}, 'B')",
             "{} || 'x' = 'Acmex'", "nullif({}, 'Acme') is null")
        )  # fmt: skip
        return self._leaf(form, self.column("name"))

    def _source(self) -> Term:
        return self._leaf("{} = 'crm'", self.column("source_of(stage)", "source_of(account.segment)"))

    def _between(self) -> Term:
        word = self.rng.choice(("between", "not between"))
        return self._leaf(f"{{}} {word} {{}} and {{}}", self.number(), self.number(0), self.number(0))

    def _days(self) -> Term:
        term = self.column("closed_on", "account.renewal_on")
        day = day_text(self.rng)
        return self._leaf(f"{{}} {self.rng.choice(('<', '>=', '='))} '{day}'", term)

    def _list(self) -> Term:
        term = self.column("tags")
        return Term("contains(tags, 'vip')", "('vip' = any(\"tags\"))", term.columns)

    def _previous(self) -> Term:
        term = self.column("previous(stage)", "previous(account.segment)")
        value = self.rng.choice(("open", "new") if "stage" in term.rule else ("smb", "mid"))
        return self._leaf(f"{{}} {self.rng.choice(('=', '<>', 'is distinct from'))} '{value}'", term)

    def _distinct(self) -> Term:
        a = self.column("amount", "chance", "calls")
        b = self.column("amount", "chance", "calls")
        return self._leaf(f"{{}} is {self.rng.choice(('', 'not '))}distinct from {{}}", a, b)
