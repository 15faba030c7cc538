"""The planner: the fields that starve rules become requests, ranked by what they are worth for what they cost.

A record's rank is the severity of the rules that starve for it, times what the starving records are worth, divided by
what asking is expected to cost at most. Values that AI filled and that are past their time stand in the same order.
From the top, requests are taken as long as the budgets of the run, the day and the record hold: one that does not fit
is passed over, not cut short, and a cheaper one behind it may still fit.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from watchtower.contract import CORE_SOURCE, Document, Event, FieldRequest, MayLeave, RecordSnapshot
from watchtower.flow.apply import Engine
from watchtower.flow.gaps import SEVERITY
from watchtower.flow.work import digest, own_domains
from watchtower.rulebook.asking import Price, Spend
from watchtower.rules.origin import origin
from watchtower.store import journal, records, spans, work
from watchtower.store.database import Connection
from watchtower.store.rows import RecordRow
from watchtower.store.work import StoredRequest

ASK_AGAIN = timedelta(minutes=30)
"""How long a request may go without an answer before it is asked once more: its worker has died."""
MOST_DOCUMENTS = 3
"""Documents of a request that a model is asked about, at most: one call each."""
PROMPT, FIELD, ANSWER, MOST_TEXT = 900, 80, 400, 6000
"""Tokens of a call's instructions, of each field in question and schema, and of an answer, at most; characters of a
document that a model sees."""
CHARACTERS = 2.5
"""Characters to a token, at least: costs are estimated from above."""
CHEAP = 1e-6
"""What a request that costs nothing counts as, so that it comes first and keeps its order."""


@dataclass(frozen=True)
class Cost:
    """Calls, tokens and money (None where no price is known), at most."""

    calls: int = 0
    tokens: int = 0
    money: float | None = 0.0

    def plus(self, other: Cost) -> Cost:
        known = self.money is not None and other.money is not None
        money = (self.money or 0.0) + (other.money or 0.0) if known else None
        return Cost(self.calls + other.calls, self.tokens + other.tokens, money)

    def within(self, limit: Spend) -> bool:
        """Whether it fits. Where money is limited, what has no price does not."""
        return (
            (limit.calls is None or self.calls <= limit.calls)
            and (limit.tokens is None or self.tokens <= limit.tokens)
            and (limit.money is None or (self.money is not None and self.money <= limit.money + 1e-12))
        )


@dataclass(frozen=True)
class Means:
    """What answers: the model's name (empty: none), whether its calls are paid for, and what stands for the trained
    classifiers: what changes, is asked again."""

    model: str = ""
    paid: bool = True
    trained: str = ""


@dataclass(frozen=True)
class Ask:
    """One request, and why it stands where it stands. `value`: what the starving records are worth together."""

    request: FieldRequest
    weight: int
    value: float
    cost: Cost
    stale: tuple[str, ...] = ()
    """Fields that have a value, which is past its time."""

    @property
    def rank(self) -> float:
        """Larger comes first."""
        price = self.cost.money if self.cost.money is not None else self.cost.tokens / 1e6
        return self.weight * (1 + max(self.value, 0.0)) / max(price, CHEAP)


@dataclass
class Plan:
    """What would be asked, the first first; what it costs at most; and how many were passed over, by reason."""

    asks: list[Ask] = field(default_factory=list)
    cost: Cost = field(default_factory=Cost)
    passed_over: Counter[str] = field(default_factory=Counter)

    @property
    def requests(self) -> list[FieldRequest]:
        return [ask.request for ask in self.asks]


@dataclass
class Starving:
    """What one record's absent or stale fields are needed for."""

    rules: dict[str, int] = field(default_factory=dict)
    worth: dict[tuple[str, str], float] = field(default_factory=dict)
    stale: set[str] = field(default_factory=set)

    @property
    def weight(self) -> int:
        """At least 1: a record may be asked about without a rule that starves."""
        return sum(self.rules.values()) or 1


def plan(
    conn: Connection,
    engine: Engine,
    now: datetime,
    *,
    limit: int,
    only: frozenset[str] | None = None,
    means: Means,
    waiting: frozenset[str] = frozenset(),
    spent: Cost | None = None,
    again: timedelta = ASK_AGAIN,
) -> Plan:
    """What to ask now. `spent`: what today's calls have cost already; `again`: when what has no answer is asked anew.

    A record is asked about once per set of documents and `means`: nothing is asked twice, and nothing again that is
    `waiting` in a queue. `only`: these records (`object/id`), whether they starve a rule or not.
    """
    book = engine.program.book
    price = book.enrichment.prices.get(means.model)
    asks: list[Ask] = []
    made = Plan()
    by_object: dict[str, dict[str, Starving]] = defaultdict(dict)
    for (name, record), one in starving(conn, engine, now, only).items():
        by_object[name][record] = one
    for name, wanted in sorted(by_object.items()):
        stored, documents = records.load(conn, name, sorted(wanted)), work.documents_of(conn, name, sorted(wanted))
        for record, hungry in sorted(wanted.items()):
            row = stored.get(record)
            if row is None or row.deleted_at is not None or not documents.get(record):
                continue
            ask = _ask(engine, name, row, hungry, documents[record], means, price)
            if ask is not None and ask.cost.calls == 0 and means.model and means.paid:
                made.passed_over["record budget"] += 1
            elif ask is not None:
                asks.append(ask)
    known = work.requests(conn, [ask.request.id for ask in asks])
    budget, today = book.enrichment.budget, spent or Cost()
    for ask in sorted(asks, key=lambda ask: (-ask.rank, ask.request.id)):
        before = known.get(ask.request.id)
        if ask.request.id in waiting or (
            before is not None and (before.answered_at is not None or now - before.asked_at < again)
        ):
            continue
        total = made.cost.plus(ask.cost)
        if len(made.asks) == limit:
            made.passed_over["limit"] += 1
        elif ask.cost.calls and not total.within(budget.run):
            made.passed_over["run budget"] += 1
        elif ask.cost.calls and not today.plus(total).within(budget.day):
            made.passed_over["day budget"] += 1
        else:
            made.asks.append(ask)
            made.cost = total
    return made


def ask(conn: Connection, made: Plan, now: datetime) -> None:
    """Journal and keep what is asked."""
    rows, events = [], []
    for one in made.asks:
        request, fields = one.request, [spec.name for spec in one.request.fields]
        rows.append(
            StoredRequest(
                id=request.id, kind="fields", object=request.record.object, record=request.record.id, fields=fields,
                because=list(request.because), asked_at=now,
            )
        )  # fmt: skip
        events.append(
            Event(
                id=request.id, source=CORE_SOURCE, type="field.requested", subject=request.record.subject, time=now,
                data={"fields": fields, "because": list(request.because)},
            )
        )  # fmt: skip
    work.ask(conn, rows)
    journal.append(conn, events, layer="decision", received_at=now)


def expected(documents: Sequence[Document], fields: int, means: Means, price: Price | None) -> Cost:
    """What a request costs at most: a call for each document that a model is asked about."""
    if not means.model or not means.paid:
        return Cost()
    read = documents[:MOST_DOCUMENTS]
    tokens_in = sum(int(PROMPT + FIELD * fields + min(len(doc.text), MOST_TEXT) / CHARACTERS) for doc in read)
    tokens_out = ANSWER * len(read)
    money = None if price is None else (tokens_in * price.input + tokens_out * price.output) / 1e6
    return Cost(len(read), tokens_in + tokens_out, money)


def _ask(
    engine: Engine,
    name: str,
    row: RecordRow,
    hungry: Starving,
    documents: Sequence[Document],
    means: Means,
    price: Price | None,
) -> Ask | None:
    """The request for one record, with as many documents as its budget allows; None where there is nothing to ask."""
    book, model = engine.program.book, engine.program.book.objects[name]
    # In the order of their names: that of a rulebook's file is not kept, and what is asked must be the same again.
    fillable = sorted(
        f for f, spec in model.fields.items() if spec.fill == "enrichment" and f"{name}.{f}" in book.acceptance
    )
    fields = [f for f in fillable if row.state.get(f) is None or f in hungry.stale]
    if not fields:
        return None
    domains = own_domains(engine, name, row)
    # The record's own pages first: what they say may be accepted, and a model reads only the first few.
    texts = sorted(documents, key=lambda doc: not origin(doc, domains).own)
    cost = expected(texts, len(fields), means, price)
    while texts and cost.calls and not cost.within(book.enrichment.budget.record):
        texts = texts[: min(len(texts), MOST_DOCUMENTS) - 1]
        cost = expected(texts, len(fields), means, price)
    stale = tuple(f for f in fields if row.state.get(f) is not None)
    since = [row.state.get(f"changed_at({f})") for f in stale]
    by = " ".join(filter(None, (means.model, means.trained)))
    key = digest(name, row.id, fields, [(doc.id, doc.text) for doc in documents], by, *since)
    leaving = book.enrichment.leaving.get(name)
    personal = book.personal.get(name, frozenset())
    told = {
        k: v
        for k, v in row.state.items()
        if k in engine.folds[name].parsers
        and k not in personal
        and (leaving is None or leaving.fields is None or k in leaving.fields)
    }
    request = FieldRequest(
        id=f"rq_{key}", record=RecordSnapshot(object=name, id=row.id, fields=told),
        fields=tuple(model.fields[f].spec(f) for f in fields), documents=tuple(texts),
        because=tuple(sorted(hungry.rules)),
        may_leave=None if leaving is None else MayLeave(
            documents=None if leaving.documents is None else tuple(leaving.documents),
            providers=tuple(leaving.providers), regions=tuple(leaving.regions),
        ),
    )  # fmt: skip
    return Ask(request, hungry.weight, sum(hungry.worth.values()), cost, stale)


def starving(
    conn: Connection, engine: Engine, now: datetime, only: frozenset[str] | None
) -> dict[tuple[str, str], Starving]:
    """(object, record) -> the rules that its absent fields leave unknown, or its stale ones make hold."""
    found: dict[tuple[str, str], Starving] = defaultdict(Starving)
    if only is not None:
        for subject in sorted(only):
            name, _, record = subject.partition("/")
            if name in engine.folds:
                found[name, record] = Starving()
        return dict(found)
    through: dict[tuple[str, str], list[tuple[str, str, int]]] = defaultdict(list)
    hungry: dict[str, set[str]] = defaultdict(set)
    for rule, name, record in spans.unknown_now(conn, now):
        compiled = engine.rules.get(rule)
        if compiled is None:
            continue
        weight = SEVERITY[compiled.rule.severity]
        if any(column.from_ai and not column.ref and "." not in column.field for column in compiled.columns):
            found[name, record].rules[rule] = weight
            hungry[name].add(record)
            found[name, record].worth[name, record] = 0.0
        for ref in {column.ref for column in compiled.columns if column.ref and column.from_ai}:
            through[name, ref].append((record, rule, weight))
            hungry[name].add(record)
    acceptance = engine.program.book.acceptance
    stale = {f"{key}.stale": key.partition(".")[2] for key, one in acceptance.items() if one.expires_after}
    for rule, name, record in spans.holding_now(conn, sorted(stale), now):
        found[name, record].rules[rule] = SEVERITY["low"]
        found[name, record].stale.add(stale[rule])
        found[name, record].worth[name, record] = 0.0
        hungry[name].add(record)
    loaded = {name: records.load(conn, name, sorted(ids)) for name, ids in hungry.items()}
    for (name, ref), items in through.items():
        target = engine.program.book.objects[name].fields[ref].to
        for record, rule, weight in items:
            row = loaded[name].get(record)
            other = row.state.get(ref) if row is not None else None
            if other is not None:
                entry = found[target, other]
                entry.rules[rule] = entry.rules.get(rule, 0) + weight
                entry.worth[name, record] = 0.0
    for entry in found.values():
        for name, record in entry.worth:
            entry.worth[name, record] = _worth(engine, name, loaded.get(name, {}).get(record))
    return dict(found)


def _worth(engine: Engine, name: str, row: RecordRow | None) -> float:
    value = engine.program.book.objects[name].value
    worth: Any = row.state.get(value) if row is not None and value else None
    return float(worth) if isinstance(worth, int | float) and not isinstance(worth, bool) else 0.0
