"""An oracle for rules: PostgreSQL itself is asked, instant by instant, whether a condition is true.

It shares no code with the compiler, the fold or the SQL writer. A small grammar yields each condition twice: as a
rule's text, and as PostgreSQL's text in which `now()` is a column `t` and intervals stand on the record's side
(`x <= now() - interval 'd'` means `x + interval 'd' <= now()`). The session's time zone is the rulebook's, so that
PostgreSQL's own arithmetic is the reference. Candidate instants are each end of a version and each field's time plus
and minus each interval of the rule, and their neighbours one microsecond away: between two of them no truth changes.

    python tests/oracles/predicate.py --rules 20000 --seed 1

draws rules and histories, runs them on both engines, and names every difference.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time as clock
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg

ZONES = ("Europe/Rome", "America/New_York", "Australia/Lord_Howe", "UTC")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICRO = timedelta(microseconds=1)
Json = dict[str, Any]

SCHEMA: dict[str, dict[str, Json]] = {
    "account": {
        "segment": {"type": "enum", "values": ["smb", "mid", "enterprise"]},
        "employees": {"type": "integer"},
        "renewal_on": {"type": "date"},
        "touched_at": {"type": "timestamp"},
    },
    "deal": {
        "account": {"type": "ref", "to": "account"},
        "stage": {"type": "enum", "values": ["new", "open", "won", "lost"]},
        "opened_at": {"type": "timestamp"},
        "due_at": {"type": "timestamp"},
        "seen_at": {"type": "timestamp"},
        "closed_on": {"type": "date"},
        "amount": {"type": "money"},
        "chance": {"type": "number"},
        "hot": {"type": "boolean"},
        "name": {"type": "text"},
        "tags": {"type": "list"},
        "calls": {"type": "integer", "rollup": {"count": "events", "of": "activity.logged", "where": "kind = 'call'"}},
        "last_at": {"type": "timestamp", "rollup": {"latest": "time", "of": "activity.logged"}},
    },
}
SPANS = (
    "48 hours", "1 day", "2 days", "1 month", "1 week", "30 minutes", "90 minutes", "1 month 1 day", "1 year",
    "2 months 3 days 4 hours", "1 month -1 day", "1.5 hours", "1 microsecond", "24 hours", "3 weeks", "11 months",
)  # fmt: skip

# What each column of the oracle's table is: its type, and the field a rule names for it where it is missing.
_PG = {"timestamp": "timestamptz", "date": "date", "integer": "float8", "money": "float8", "number": "float8"}
_PG |= {"boolean": "bool", "list": "text[]"}
COLUMNS: dict[str, tuple[str, str]] = {
    **{name: (_PG.get(spec["type"], "text"), name) for name, spec in SCHEMA["deal"].items()},
    **{f"account.{name}": (_PG.get(s["type"], "text"), f"account.{name}") for name, s in SCHEMA["account"].items()},
    "changed_at(stage)": ("timestamptz", "stage"),
    "source_of(stage)": ("text", "stage"),
    "changed_at(amount)": ("timestamptz", "amount"),
    "changed_at(account.segment)": ("timestamptz", "account.segment"),
    "source_of(account.segment)": ("text", "account.segment"),
}


# ---- conditions


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
            "opened_at", "due_at", "changed_at(account.segment)", "changed_at(amount)",
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
        form = self.rng.randrange(8)
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
        return self.column("amount", "chance", "calls", "account.employees")

    def plain(self) -> Term:
        forms = (
            self._enum, self._in, self._null, self._number, self._times, self._flag, self._text, self._source,
            self._between, self._days, self._list, self._distinct,
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

    def _distinct(self) -> Term:
        a = self.column("amount", "chance", "calls")
        b = self.column("amount", "chance", "calls")
        return self._leaf(f"{{}} is {self.rng.choice(('', 'not '))}distinct from {{}}", a, b)


# ---- histories


def transitions(zone: str) -> list[datetime]:
    """The instants of 2025 and 2026 at which the zone's offset changes, to the half hour."""
    info, found = ZoneInfo(zone), []
    at = datetime(2025, 1, 1, tzinfo=UTC)
    while at.year < 2027:
        after = at + timedelta(minutes=30)
        if at.astimezone(info).utcoffset() != after.astimezone(info).utcoffset():
            found.append(after)
        at = after
    return found


_TRANSITIONS = {zone: transitions(zone) for zone in ZONES}


def moment_of(rng: random.Random, zone: str) -> datetime:
    """An instant near a change of clocks, a month's end, or anywhere; often at a round time."""
    info = ZoneInfo(zone)
    kind = rng.randrange(5)
    if kind == 0 and _TRANSITIONS[zone]:
        near = rng.choice(_TRANSITIONS[zone]) + timedelta(days=rng.choice((-31, -2, -1, 0, 0, 1)))
        at = near + timedelta(minutes=30 * rng.randrange(-5, 6))
    elif kind == 1:
        year, month = rng.choice(((2025, 12), (2026, 1), (2026, 2), (2026, 3), (2026, 4), (2026, 5)))
        first = datetime(year + month // 12, month % 12 + 1, 1, rng.choice((0, 0, 9, 23)), tzinfo=info)
        at = first.astimezone(UTC) - timedelta(days=rng.choice((0, 1, 1, 2)))
    elif kind == 2:
        at = datetime(2026, 3, rng.randrange(1, 31), rng.randrange(24), tzinfo=UTC)
    else:
        at = datetime(
            2026, rng.randrange(1, 7), rng.randrange(1, 29), rng.randrange(24), rng.choice((0, 30)), tzinfo=UTC
        )
    return at + rng.choice((0, 0, 0, 0, 1, -1)) * MICRO


def moment_text(rng: random.Random, zone: str) -> str:
    return moment_of(rng, zone).isoformat(timespec="microseconds").replace("+00:00", "Z")


def day_text(rng: random.Random) -> str:
    return rng.choice(
        ("2026-01-31", "2026-03-28", "2026-03-29", "2026-04-05", "2026-02-28", "2026-06-15", "2026-03-08")
    )


@dataclass
class History:
    """Events in the order of their arrival, as plain JSON."""

    zone: str
    events: list[Json] = field(default_factory=list)


def draw_history(rng: random.Random, zone: str, deals: int = 3) -> History:
    history = History(zone)
    times = [moment_of(rng, zone) for _ in range(8)]

    def value(name: str, spec: Json) -> Any:
        if rng.random() < 0.25:
            return None
        kind = spec["type"]
        if kind == "timestamp":
            if rng.random() < 0.3:
                return rng.choice(times).isoformat()
            return moment_text(rng, zone)
        if kind == "ref":
            return rng.choice(("A1", "A2", "A3"))
        if kind == "enum":
            return rng.choice(spec["values"])
        if kind == "date":
            return day_text(rng)
        if kind == "boolean":
            return rng.random() < 0.5
        if kind == "list":
            return rng.choice(([], ["vip"], ["x", "vip"], ["x"]))
        if kind == "text":
            return rng.choice(("Acme", "ACME", "Beta", ""))
        return rng.choice((0, 1, 2, 3, 100)) if kind == "integer" else rng.choice((0, 0.1, 0.3, 2.5, -1, 100))

    subjects = [f"deal/D{n}" for n in range(deals)] + ["account/A1", "account/A2"]
    for subject in subjects:
        name = subject.split("/")[0]
        fields = {key: spec for key, spec in SCHEMA[name].items() if "rollup" not in spec}
        for _ in range(rng.randrange(3, 9) if name == "deal" else rng.randrange(1, 5)):
            at = rng.choice(times) if rng.random() < 0.3 else moment_of(rng, zone)
            for _ in range(rng.choice((1, 1, 1, 2))):
                roll = rng.random()
                data: Json = {}
                if roll < 0.1:
                    kind = "record.deleted"
                elif roll < 0.3:
                    kind, data = "activity.logged", {"kind": rng.choice(("call", "note", "email"))}
                else:
                    share = rng.choice((0.3, 0.6, 1.0))
                    picked = {key: value(key, spec) for key, spec in fields.items() if rng.random() < share}
                    kind, data = "record.updated", {"fields": picked}
                history.events.append({
                    "specversion": "1.0", "id": f"e{len(history.events)}", "type": kind, "subject": subject,
                    "source": rng.choice(("crm", "billing", "person:anna")), "time": at.isoformat(), "data": data,
                })  # fmt: skip
    rng.shuffle(history.events)
    return history


# ---- the fold, again


def state_at(events: Sequence[Json], subject: str, at: datetime) -> Json | None:
    """The record's columns at an instant; None where it does not exist then. `events` in order of time and arrival."""
    state: Json | None = None
    for event in events:
        if event["subject"] != subject:
            continue
        when = datetime.fromisoformat(event["time"])
        if when > at:
            break
        if event["type"] == "record.deleted":
            state = None
            continue
        if state is None:
            state = {"calls": 0}
        who = "person" if event["source"].startswith("person") else event["source"]
        for key, value in event["data"].get("fields", {}).items():
            if state.get(key) != value and _instant(state.get(key)) != _instant(value):
                state[f"changed_at({key})"] = event["time"]
            state[key] = value
            state[f"source_of({key})"] = None if value is None else who
        if event["type"] == "activity.logged":
            state["calls"] += event["data"]["kind"] == "call"
            state["last_at"] = event["time"]
    return state


def _instant(value: Any) -> Any:
    """Two texts of one instant are one value."""
    if isinstance(value, str) and "T" in value:
        return datetime.fromisoformat(value)
    return value


def segments(events: Sequence[Json]) -> list[Json]:
    """Each stretch of each deal in which nothing changes: rec, vfrom, vto and the columns."""
    ordered = sorted(events, key=lambda event: datetime.fromisoformat(event["time"]))
    times = sorted({datetime.fromisoformat(event["time"]) for event in ordered})
    found = []
    for subject in sorted({event["subject"] for event in ordered if event["subject"].startswith("deal/")}):
        for at, after in zip(times, [*times[1:], None], strict=True):
            state = state_at(ordered, subject, at)
            if state is None:
                continue
            account = state_at(ordered, f"account/{state['account']}", at) if state.get("account") else None
            row = {name: state.get(name) for name in COLUMNS if "account." not in name}
            for name in COLUMNS:
                if "account." in name:
                    row[name] = (account or {}).get(name.replace("account.", ""))
            row |= {"rec": subject, "vfrom": at.isoformat(), "vto": after.isoformat() if after else "infinity"}
            found.append(row)
    return found


# ---- asking PostgreSQL

Stretch = tuple[str, int, int | None, bool | None]
"""record, from, to (microseconds since 1970; None: without end), and the truth in between."""


class Oracle:
    """PostgreSQL in the rulebook's zone, with the segments of one history."""

    def __init__(self, conn: psycopg.Connection[Any], history: History) -> None:
        self.conn, self.history = conn, history
        with conn.cursor() as cursor:
            cursor.execute(f"set timezone = '{history.zone}'")

    def load(self, events: Sequence[Json]) -> list[Json]:
        rows = segments(events)
        columns = ", ".join(f'"{name}" {kind}' for name, (kind, _) in COLUMNS.items())
        with self.conn.cursor() as cursor:
            cursor.execute("drop table if exists seg")
            cursor.execute(
                f"create temp table seg as select * from json_to_recordset(%s::json) "
                f"as g(rec text, vfrom timestamptz, vto timestamptz, {columns})",
                (json.dumps(rows),),
            )
        return rows

    def stretches(self, condition: Condition) -> list[Stretch]:
        """The truth of a condition over each deal's life, in maximal stretches."""
        names = sorted(
            name for leaf in condition.leaves() for name in leaf.columns if COLUMNS[name][0] == "timestamptz"
        )
        dates = sorted(name for leaf in condition.leaves() for name in leaf.columns if COLUMNS[name][0] == "date")
        spans = sorted({span for span in SPANS if f"'{span}'" in condition.text("rule")})
        bases = [f'"{name}"' for name in names] + [f'"{name}"::timestamptz' for name in dates]
        wanted = dict.fromkeys(["vfrom", *(i for leaf in condition.leaves() for i in leaf.instants)])
        for base in bases:
            wanted[base] = None
            for span in spans:
                wanted[f"{base} + interval '{span}'"] = wanted[f"{base} - interval '{span}'"] = None
        micro = "interval '1 microsecond'"
        around = ", ".join(f"{w}, {w} - {micro}, {w} + {micro}" for w in wanted)
        with self.conn.cursor() as cursor:
            cursor.execute(
                f"select rec, {_us('t')}, {_us('vto')}, {condition.text('ask')} from (select s.*, c.t from seg s "
                f"cross join lateral (select distinct t from unnest(array[{around}]) t "
                "where t >= s.vfrom and t < s.vto) c"
                f") x order by rec, t"
            )
            found = cursor.fetchall()
        joined: list[Stretch] = []
        for index, (rec, at, end, truth) in enumerate(found):
            after = found[index + 1] if index + 1 < len(found) else None
            until = after[1] if after and after[0] == rec and (end is None or after[1] < end) else end
            last = joined[-1] if joined else None
            if last and last[0] == rec and last[2] == at and last[3] is truth:
                joined[-1] = (rec, last[1], until, truth)
            else:
                joined.append((rec, at, until, truth))
        return joined

    def missing(self, condition: Condition, rows: list[Json], at: datetime) -> dict[str, list[str]]:
        """For each deal on which the condition is unknown: the absent fields under conditions that are unknown too."""
        nodes = list(condition.nodes())
        asked = ", ".join(f"({node.text('ask')}) is null" for node in nodes)
        with self.conn.cursor() as cursor:
            cursor.execute(
                f"select rec, array[{asked}] from (select *, timestamptz '{at.isoformat()}' as t from seg) x "
                "where vfrom <= t and t < vto"
            )
            unknown = dict(cursor.fetchall())
        found: dict[str, list[str]] = {}
        for row in rows:
            end = row["vto"]
            if datetime.fromisoformat(row["vfrom"]) > at or (end != "infinity" and datetime.fromisoformat(end) <= at):
                continue
            flags = dict(zip(map(id, nodes), unknown[row["rec"]], strict=True))

            def walk(node: Condition, flags: dict[int, bool] = flags, row: Json = row) -> Iterator[str]:
                if not flags[id(node)]:
                    return
                for name in node.leaf.columns:
                    if row[name] is None:
                        yield COLUMNS[name][1]
                for part in node.parts:
                    yield from walk(part)

            found[row["rec"]] = sorted(set(walk(condition)))
        return found


def _us(column: str) -> str:
    return f"case when isfinite({column}) then (extract(epoch from {column}) * 1000000)::bigint end"


def expected_intervals(stretches: list[Stretch], start: datetime, end: datetime) -> list[tuple[str, int, int]]:
    """What a backtest must say: (record, since, until), cut to [start, end)."""
    first, last = _micros(start), _micros(end)
    found = []
    for rec, since, until, truth in stretches:
        since, until = max(since, first), last if until is None else min(until, last)
        if truth and since < until:
            found.append((rec, since, until))
    return found


def expected_states(
    stretches: list[Stretch], at: datetime
) -> list[tuple[str, str, int | None, int | None, int | None]]:
    """What an evaluation must say: (record, state, since, until, due)."""
    now = _micros(at)
    found: list[tuple[str, str, int | None, int | None, int | None]] = []
    for rec in sorted({stretch[0] for stretch in stretches}):
        mine = [stretch for stretch in stretches if stretch[0] == rec]
        due = min((since for _, since, _, truth in mine if truth and since > now), default=None)
        here = next((s for s in mine if s[1] <= now and (s[2] is None or now < s[2])), None)
        if here and here[3] is not False:
            found.append((rec, "holds" if here[3] else "unknown", here[1], here[2], due))
        elif due is not None:
            found.append((rec, "pending", None, None, due))
    return found


def _micros(at: datetime) -> int:
    return (at - EPOCH) // MICRO


# ---- comparing


@dataclass
class Tally:
    """How much was compared, and every difference."""

    rules: int = 0
    pairs: int = 0
    answers: int = 0
    differences: list[str] = field(default_factory=list)


def rulebook_text(zone: str, rules: Sequence[Condition]) -> str:
    book = {
        "name": "oracle",
        "timezone": zone,
        "objects": {name: {"fields": fields} for name, fields in SCHEMA.items()},
        "rules": [{"id": f"r{n:03}", "object": "deal", "when": rule.text("rule")} for n, rule in enumerate(rules)],
    }
    return json.dumps(book)


def compare_batch(
    url: str, seed: int, rules: int, tally: Tally, engines: Sequence[str] = ("duckdb", "live"), spark: Any = None
) -> None:
    """Draw one history and some rules; compare a backtest and evaluations at three instants on each engine.

    `spark` is a session, where `engines` has spark.
    """
    from watchtower.contract import parse_event
    from watchtower.flow.backtest import duckdb_engine, held_between, states_at
    from watchtower.flow.history import fold_history
    from watchtower.flow.spark import spark_engine
    from watchtower.rulebook import load
    from watchtower.rules.compile import compile_rulebook
    from watchtower.store.bulk import scratch_engine
    from watchtower.store.database import open_database

    rng = random.Random(seed)
    zone = rng.choice(ZONES)
    history, grammar = draw_history(rng, zone), Grammar(rng, zone)
    drawn = [grammar.rule() for _ in range(rules)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rules.yaml"
        path.write_text(rulebook_text(zone, drawn))
        program = compile_rulebook(load(path))
    events = [parse_event(event) for event in history.events]
    database = open_database(url)
    try:
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as conn:
            oracle = Oracle(conn, history)
            rows = oracle.load(history.events)
            whole = [oracle.stretches(rule) for rule in drawn]
            edges = [at for stretches in whole for _, since, until, _ in stretches for at in (since, until) if at]
            instants = []
            for _ in range(3):
                edge = EPOCH + rng.choice(edges) * MICRO if edges else moment_of(rng, zone)
                instants.append(min(edge, datetime(2027, 6, 1, tzinfo=UTC)) + rng.choice((-1, 0, 0, 1)) * MICRO)
            start, end = datetime(2025, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
            if rng.random() < 0.5:
                start, end = sorted((moment_of(rng, zone), moment_of(rng, zone) + timedelta(days=40)))
            asked: list[tuple[str, Any, list[Any]]] = []
            expected = [expected_intervals(stretches, start, end) for stretches in whole]
            asked.append(("backtest", (start, end), expected))
            for at in instants:
                known = [event for event in history.events if datetime.fromisoformat(event["time"]) <= at]
                rows = oracle.load(known)
                states = []
                for rule in drawn:
                    absent = oracle.missing(rule, rows, at)
                    states.append([
                        (*found, absent[found[0]] if found[1] == "unknown" else [])
                        for found in expected_states(oracle.stretches(rule), at)
                    ])  # fmt: skip
                asked.append(("eval", at, states))
        for engine_name in engines:
            for kind, when, expected in asked:
                folded = fold_history(program, events, until=None if kind == "backtest" else when)
                assert not folded.problems, folded.problems
                tables = {name: table.arrow() for name, table in folded.versions.items()}
                opened: Any = {
                    "duckdb": lambda: duckdb_engine(folded.versions),  # noqa: B023 - called here
                    "live": lambda: scratch_engine(database, tables),  # noqa: B023
                    "spark": lambda: spark_engine(spark, tables),  # noqa: B023
                }[engine_name]()
                answers: dict[str, list[Any]] = {}
                with opened as engine:
                    if kind == "backtest":
                        for held in held_between(engine, program, *when):
                            answers.setdefault(held.rule, []).append(
                                (held.record, _micros(held.since), _micros(held.until))
                            )
                    else:
                        for state in states_at(engine, program, when):
                            times = [None if t is None else _micros(t) for t in (state.since, state.until, state.due)]
                            found = (state.record, state.state, *times, sorted(state.unknown))
                            answers.setdefault(state.rule, []).append(found)
                for number, wanted in enumerate(expected):
                    got = answers.get(f"r{number:03}", [])
                    tally.answers += max(len(wanted), 1)
                    if got != wanted:
                        extra = [a for a in got if a not in wanted][:3]
                        lacking = [a for a in wanted if a not in got][:3]
                        tally.differences.append(
                            f"seed {seed}, {zone}, {engine_name}, {kind} {when}: {drawn[number].text('rule')}\n"
                            f"    said     {extra}\n    expected {lacking}"
                        )
    finally:
        database.close()
    tally.rules += rules
    tally.pairs += rules * len({row["subject"] for row in history.events if row["subject"].startswith("deal/")})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", type=int, default=1000, help="how many rules to draw")
    parser.add_argument("--seed", type=int, default=1, help="the first batch's seed; each batch has the next")
    parser.add_argument("--batch", type=int, default=25, help="rules for each history")
    parser.add_argument("--url", default="", help="a PostgreSQL to use; an embedded one is started otherwise")
    parser.add_argument("--engines", default="duckdb,live", help="of duckdb, live and spark")
    given = parser.parse_args()
    engines = given.engines.split(",")
    from watchtower.flow.spark import spark_session
    from watchtower.store import embedded

    tally, begun = Tally(), clock.monotonic()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, ExitStack() as stack:
        spark = stack.enter_context(spark_session("local[2]")) if "spark" in engines else None
        server = None if given.url else embedded.start(Path(folder) / "data")
        try:
            url = given.url or server.url  # type: ignore[union-attr]
            seed = given.seed
            while tally.rules < given.rules:
                shown = len(tally.differences)
                compare_batch(url, seed, min(given.batch, given.rules - tally.rules), tally, engines, spark)
                for difference in tally.differences[shown : shown + 5]:
                    print(difference, flush=True)
                seed += 1
                if tally.rules % (given.batch * 40) == 0:
                    print(f"{tally.rules} rules, {len(tally.differences)} differences", file=sys.stderr, flush=True)
        finally:
            if server is not None:
                server.close()
    print(
        f"{tally.rules} rules, {tally.pairs} rules x records, {tally.answers} answers compared, "
        f"{len(tally.differences)} differences, {clock.monotonic() - begun:.0f} s"
    )
    return 1 if tally.differences else 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    sys.exit(main())
