"""The handoff board, and the page of metrics and cadences."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from watchtower.api.port import TowerPort
from watchtower.api.review.environment import page
from watchtower.api.views import title
from watchtower.contract import parse_time
from watchtower.errors import WatchtowerError
from watchtower.flow.metrics import Measured
from watchtower.flow.recurring import Recurring
from watchtower.store import boards, queries
from watchtower.store.rows import AlertFilter

COLUMNS = ("offered", "rejected", "accepted")
KINDS = {"back": "went back", "rejected": "handoff rejected", "corrected": "corrected after acceptance"}
SHOWN = 30
"""Records in each column of the board."""
PERIOD = timedelta(days=90)
AT_ONCE = 50_000
"""Entries of the journal up to which metrics are measured when the page is opened; beyond, when it is asked for."""
KEPT = timedelta(hours=1)


class Card(NamedTuple):
    """A record on the board. `alerts`: what stands on it because of this handoff."""

    object: str
    id: str
    title: str
    since: datetime | None
    alerts: list[Any]


def handoffs_page(tower: TowerPort, request: Request) -> Response:
    """Each handoff of the rulebook: what was offered, what came back, what was taken."""
    lanes = []
    with tower.database.read() as conn:
        waiting = queries.proposal_counts(conn).get("review", 0)
        for name, model in tower.rulebook.handoffs.items():
            columns: dict[str, list[Card]] = {}
            for status in COLUMNS:
                rows = boards.handed(conn, model.object, name, status, SHOWN)
                columns[status] = [_card(tower, conn, name, row) for row in rows]
            if not status_rules(tower, name) and not any(columns.values()):
                continue
            lanes.append((name, model, columns))
    return page(request, "handoffs.html", {"now": tower.clock(), "waiting": waiting, "lanes": lanes, "most": SHOWN})


def status_rules(tower: TowerPort, handoff: str) -> list[str]:
    """The rules that a handoff brings."""
    return [rule.id for rule in tower.rulebook.rules if rule.id.startswith(f"{handoff}.")]


def _card(tower: TowerPort, conn: Any, handoff: str, row: boards.Handed) -> Card:
    wanted = AlertFilter(
        status=queries.STANDING, object=row.object, record=row.id, rule=tuple(status_rules(tower, handoff))
    )
    alerts = queries.alerts(conn, wanted, after=None, limit=3) if wanted.rule else []
    since = row.state.get(f"{handoff}.{row.status}_at")
    named = title(tower.rulebook, row.object, row.id, row.state)
    return Card(row.object, row.id, named, parse_time(since) if isinstance(since, str) else None, alerts)


class Gauge(NamedTuple):
    """One number of a metric, with what is to be said of it. `share`: in [0, 1], to be drawn; None for other kinds."""

    metric: str
    part: str
    shown: str
    n: int
    target: str
    met: bool | None
    share: float | None
    low: float | None
    high: float | None
    percent: bool = False


class Measurements(NamedTuple):
    """What was measured, and when."""

    at: datetime
    metrics: list[Measured]
    rework: list[Recurring]


class Meter:
    """The last measurements, kept for an hour: they read the whole journal."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: Measurements | None = None
        self._version = ""

    def last(self, tower: TowerPort, *, measure: bool) -> Measurements | None:
        """None where there are none, and none were to be made."""
        with self._lock:
            now, version = tower.clock(), tower.rulebook.version
            if self._last is not None and self._version == version and now - self._last.at < KEPT:
                return self._last
            if not measure:
                return None
            metrics = tower.measure(now - PERIOD, now) if tower.rulebook.metrics else []
            self._last, self._version = Measurements(now, metrics, tower.rework(now - PERIOD, now)), version
            return self._last


def metrics_page(tower: TowerPort, request: Request) -> Response:
    """What the rulebook's metrics are over the last 90 days, the scorecards, and what recurs when."""
    now, book = tower.clock(), tower.rulebook
    overdue = {name: f"{name}.overdue" for name in book.cadences}
    with tower.database.read() as conn:
        waiting = queries.proposal_counts(conn).get("review", 0)
        entries = sum(queries.journal_counts(conn).values()) if not request.query_params.get("measure") else 0
        due = boards.next_due(conn, list(overdue.values()), now)
        standing = queries.alert_counts(
            conn, AlertFilter(status=queries.STANDING, rule=tuple(overdue.values()) or ("",)), "rule"
        )
    meter: Meter = request.app.state.meter
    fault = ""
    try:
        found = meter.last(tower, measure=entries <= AT_ONCE)
    except WatchtowerError as error:
        found, fault = None, error.message
    gauges: dict[str, list[Gauge]] = {}
    for measured in found.metrics if found else ():
        gauges.setdefault(measured.metric, []).append(_gauge(tower, measured))
    words = {
        "now": now, "waiting": waiting, "book": book, "gauges": gauges,
        "missed": [gauge for parts in gauges.values() for gauge in parts if gauge.met is False],
        "aimed": sum(gauge.met is not None for parts in gauges.values() for gauge in parts),
        "as_of": found.at if found else None,
        "rework": found.rework if found else [], "kinds": KINDS, "fault": fault, "days": PERIOD.days,
        "cadences": [
            (name, cadence, standing.get(overdue[name], 0), due.get(overdue[name]), overdue[name])
            for name, cadence in book.cadences.items()
        ],
    }  # fmt: skip
    return page(request, "metrics.html", words)


def _gauge(tower: TowerPort, measured: Measured) -> Gauge:
    metric = tower.rulebook.metrics[measured.metric]
    value, target = measured.value, metric.target
    is_share = measured.low is not None or metric.kind in ("share", "adherence", "completeness", "conversion")
    if value is None:
        shown = "no case"
    elif is_share or metric.kind == "retention":
        shown = f"{value:.1%}"
    else:
        shown = f"{value:,.1f} {metric.unit or ('days' if metric.kind in ('velocity', 'duration') else '')}".strip()
    met = None
    if value is not None and target is not None:
        met = value >= target if metric.better == "higher" else value <= target
    share = min(max(value, 0.0), 1.0) if value is not None and is_share else None
    percent = is_share or metric.kind == "retention"
    goal = "" if target is None else f"{target:.0%}" if percent else f"{target:g}"
    part = measured.part.replace(" -> ", " → ")
    return Gauge(measured.metric, part, shown, measured.n, goal, met, share, measured.low, measured.high, percent)
