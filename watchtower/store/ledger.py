"""The ledger of calls to language models, in the jobs database: intents, ends, answers, and what they cost.

A call is named by a hash of what was asked (model, prompt, messages, schema). An intent is committed before the call,
its end after it. A call that was answered is not made again: its answer is here. One whose end nobody knows is not
made again either. One that cost nothing may be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import TextClause, text

from watchtower.store.database import Connection, Database
from watchtower.store.group import Group

_INTEND = text(
    "select done.status, done.said from unnest(cast(:key as text[]), cast(:model as text[]), "
    "cast(:most_in as bigint[]), cast(:most_out as bigint[])) with ordinality as one(key, model, most_in, most_out, n) "
    "cross join lateral intend_call(one.key, one.model, one.most_in, one.most_out) as done order by one.n"
)
_SETTLE = text(
    "select settle_call(one.key, one.how, one.free, one.said, one.took_in, one.took_out) from unnest("
    "cast(:key as text[]), cast(:how as text[]), cast(:free as boolean[]), cast(:said as text[]), "
    "cast(:took_in as bigint[]), cast(:took_out as bigint[])) as one(key, how, free, said, took_in, took_out)"
)
_LOOK = text(
    "select case when outcome is null and exists (select 1 from provider_batch p where p.closed_at is null "
    "and call.key = any(p.keys)) then 'deferred' when outcome is null then 'spent' when said is null then 'failed' "
    "else 'known' end, coalesce(said, outcome, '') from call where key = :key and not free"
)
_KEEP_BATCH = text("insert into provider_batch (id, keys) values (:id, cast(:keys as text[]))")
_SPENDING = text(
    "select count(*), "
    "coalesce(sum(case when outcome is null then reserved_tokens else tokens_in + tokens_out end), 0)::bigint, "
    "coalesce(sum(case when outcome is null then reserved_money else money end), 0) "
    "from call where intended_at >= :since and not free"
)
_BY_DAY = text(
    """
    select (intended_at at time zone 'UTC')::date as day, model, count(*) filter (where not free) as calls,
      sum(tokens_in)::bigint as tokens_in, sum(tokens_out)::bigint as tokens_out,
      sum(case when free then 0 when outcome is null then reserved_money else money end) as money,
      count(*) filter (where outcome is null) as unknown
    from call where intended_at >= :since group by 1, 2 order by 1, 2
    """
)
_PRICE = text(
    "insert into price (model, input, output) values (:model, :input, :output) "
    "on conflict (model) do update set input = excluded.input, output = excluded.output "
    "where (price.input, price.output) is distinct from (excluded.input, excluded.output)"
)
_QUOTA = text(
    "insert into quota (name, value) values (:name, :value) on conflict (name) do update set value = excluded.value "
    "where quota.value <> excluded.value"
)


class Spent(Exception):
    """What a day may cost is spent."""


class Intent(NamedTuple):
    """What the ledger says to an intent (`enrichment.ledger.Intent`): go, known, failed or spent; what was said."""

    status: str
    said: str


class Ledger:
    """The ledger of calls (`enrichment.CallLedger`): each write is committed before it returns.

    Writes of threads that come at the same time share a transaction, with one statement for all the intents in it and
    one for all the ends.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._group: Group[tuple[TextClause, dict[str, Any]], Any] = Group(self._write)

    def intend(self, key: str, model: str, most_in: int, most_out: int) -> Intent:
        """Commit the intent of a call of at most so many tokens. Spent where nothing may be spent any more today."""
        given = {"key": key, "model": model[:200], "most_in": most_in, "most_out": most_out}
        [row] = self._group.put([(_INTEND, given)])
        return Intent(*row)

    def look(self, key: str) -> Intent | None:
        """What is known of a call, without an intent: for the tower's own role. None: it may be made."""
        with self._database.begin() as conn:
            row = conn.execute(_LOOK, {"key": key}).one_or_none()
        return None if row is None else Intent(*row)

    def settle(self, key: str, outcome: str, *, free: bool, said: str | None, tokens_in: int, tokens_out: int) -> None:
        """Commit how the call ended. `free`: nothing was paid; `said`: the answer, None where there is none."""
        given = {
            "key": key, "how": outcome[:200], "free": free, "said": said, "took_in": tokens_in, "took_out": tokens_out,
        }  # fmt: skip
        self._group.put([(_SETTLE, given)])

    def _write(self, items: Sequence[tuple[TextClause, dict[str, Any]]]) -> list[Any]:
        from sqlalchemy.exc import DBAPIError

        answers: list[Any] = [None] * len(items)
        try:
            with self._database.begin() as conn:
                # Ends first: what they did not take of what was set aside for them is there for the intents.
                for statement in (_SETTLE, _INTEND):
                    places = [place for place, (wanted, _) in enumerate(items) if wanted is statement]
                    if places:
                        rows = conn.execute(statement, _columns([items[place][1] for place in places])).all()
                        for place, row in zip(places, rows, strict=True):
                            answers[place] = row
                return answers
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == "WT001":
                raise Spent("what may be spent today is spent") from error
            raise


def _columns(rows: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """The same, by column."""
    return {name: [row[name] for row in rows] for name in rows[0]}


def keep_batch(conn: Connection, batch: str, keys: Sequence[str]) -> None:
    """A provider has these calls in a batch."""
    conn.execute(_KEEP_BATCH, {"id": batch, "keys": list(keys)})


def open_batches(conn: Connection) -> list[tuple[str, list[str]]]:
    """(id, keys) of the providers' batches that are not taken back, the oldest first."""
    rows = conn.execute(text("select id, keys from provider_batch where closed_at is null order by made_at, id"))
    return [(row.id, row.keys) for row in rows]


def close_batch(conn: Connection, batch: str) -> None:
    """Its calls are settled."""
    conn.execute(text("update provider_batch set closed_at = now() where id = :id"), {"id": batch})


class Spending(NamedTuple):
    """Calls to language models: how many were made, what they took, and what they cost by the price list."""

    calls: int
    tokens: int
    money: float


def spending(conn: Connection, since: datetime) -> Spending:
    """What was spent since then (by the clock of this database). Calls whose end is unknown count at their most."""
    return Spending(*conn.execute(_SPENDING, {"since": since}).one())


class DaysCalls(NamedTuple):
    """The calls of one day (UTC) to one model. Those whose end is `unknown` count at the most that they may cost."""

    day: date
    model: str
    calls: int
    tokens_in: int
    tokens_out: int
    money: float
    unknown: int


def by_day(conn: Connection, since: datetime) -> list[DaysCalls]:
    """Calls by day and model, the first day first."""
    return [DaysCalls(*row) for row in conn.execute(_BY_DAY, {"since": since})]


def allow(conn: Connection, quotas: Mapping[str, int | None]) -> None:
    """What a day may cost: calls_per_day, tokens_per_day, money_per_day in millionths. None: no limit."""
    for name, value in quotas.items():
        if value is None:
            conn.execute(text("delete from quota where name = :name"), {"name": name})
        else:
            conn.execute(_QUOTA, {"name": name, "value": value})


def keep_prices(conn: Connection, prices: Mapping[str, tuple[float, float]]) -> None:
    """The price list: for each model, money for a million tokens in and out."""
    rows = [{"model": model, "input": price[0], "output": price[1]} for model, price in sorted(prices.items())]
    conn.execute(text("delete from price where model <> all(:models)"), {"models": [row["model"] for row in rows]})
    for row in rows:
        conn.execute(_PRICE, row)


def calls(conn: Connection) -> dict[str, int]:
    """How many calls ended how; `unknown` are those whose end nobody knows."""
    rows = conn.execute(text("select coalesce(outcome, 'unknown') as how, count(*) as n from call group by 1"))
    return {row.how: row.n for row in rows}
