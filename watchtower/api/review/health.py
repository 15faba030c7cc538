"""The health page: what is in and how late, who is silent, what waits and what was set aside, what models cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from watchtower.api.port import TowerPort
from watchtower.api.review.environment import page
from watchtower.api.review.pictures import DayColumn, columns
from watchtower.contract import parse_time
from watchtower.errors import WatchtowerError
from watchtower.flow.costs import Costs
from watchtower.rulebook.asking import Spend
from watchtower.store import boards, outbox, queries
from watchtower.store.boards import Heard
from watchtower.store.rows import AlertFilter, AlertRow

DAYS = 30
"""Over which the cost of models is shown."""


class Source(NamedTuple):
    """A source, or a job, that is watched or has spoken. `alert`: what stands because it is silent."""

    name: str
    kind: str
    last_at: datetime | None
    may_rest: str
    alert: AlertRow | None
    heard: Heard | None


class Limit(NamedTuple):
    """What a day may cost, and what today has: calls, tokens or money."""

    what: str
    spent: float | None
    limit: float | None

    @property
    def share(self) -> float | None:
        """In [0, 1]; None where there is no limit, or no price."""
        if self.spent is None or not self.limit:
            return None
        return min(1.0, self.spent / self.limit)


class Bill(NamedTuple):
    """What the page shows of cost."""

    costs: Costs
    limits: list[Limit]
    pictured: str
    """What the columns are: money, or calls where nothing has a price."""
    columns: list[DayColumn]


def health_page(tower: TowerPort, request: Request) -> Response:
    """How much is in, how late it is, who is silent, what waits, and what it costs."""
    now, book = tower.clock(), tower.rulebook
    with tower.database.read() as conn:
        proposals = queries.proposal_counts(conn)
        words: dict[str, Any] = {
            "now": now,
            "book": book,
            "waiting": proposals.get("review", 0),
            "health": queries.health(conn),
            "journal": queries.journal_counts(conn),
            "alerts": queries.alert_counts(conn, AlertFilter(), "status"),
            "proposals": proposals,
            "dead": queries.dead_letters(conn),
            "sources": _sources(tower, conn),
            "messages": _by_receiver(outbox.counts(conn)),
            "put_off": boards.put_off(conn),
            "undone": boards.waiting(conn, now),
            "failing": outbox.listed(conn, state="dead", receiver=None, limit=10),
            "proposed": boards.proposed_by(conn),
        }
    try:
        words |= {"bill": _bill(tower.costs(DAYS), book.enrichment.budget.day), "unbilled": ""}
    except WatchtowerError as fault:
        words |= {"bill": None, "unbilled": fault.message}
    return page(request, "health.html", words | {"days": DAYS})


def _sources(tower: TowerPort, conn: Any) -> list[Source]:
    """The watched first, those that are silent before all; then whoever else has spoken, the most silent first."""
    book = tower.rulebook
    heard = {one.source: one for one in boards.sources(conn)}
    found: list[Source] = []
    for kind, parts in (("source", book.sources), ("job", book.jobs)):
        records = queries.record_states(conn, [(kind, name) for name in parts])
        for name, watch in parts.items():
            said = records.get((kind, name), {}).get("last_event_at")
            wanted = AlertFilter(status=queries.STANDING, rule=(f"{kind}.{name}.silent",))
            alerts = queries.alerts(conn, wanted, after=None, limit=1)
            mine = heard.pop(watch.source or name, None) if kind == "source" else None
            rest = watch.silent_after + (f" of {watch.calendar} time" if watch.calendar else "")
            last = parse_time(said) if isinstance(said, str) else None
            found.append(Source(name, kind, last, rest, alerts[0] if alerts else None, mine))
    found.sort(key=lambda one: one.alert is None)
    return found + [Source(name, "source", one.last_at, "", None, one) for name, one in heard.items()]


def _bill(costs: Costs, day: Spend) -> Bill:
    today = costs.today
    limits = [
        Limit("calls", today.calls, day.calls), Limit("tokens", today.tokens, day.tokens),
        Limit("money", today.money, day.money),
    ]  # fmt: skip
    by_day = costs.by_day()
    priced = any(money for _, _, money in by_day)
    drawn = {at: money if priced else float(calls) for at, calls, money in by_day}
    return Bill(costs, limits, "money" if priced else "calls", columns(drawn, costs.since.date(), DAYS))


def _by_receiver(counts: Iterable[tuple[str, str, int]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for receiver, state, count in counts:
        found[receiver][state] = count
    return found
