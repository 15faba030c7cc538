"""GET /metrics: what this process counts, and what stands in the databases, in the Prometheus text format.

What stands is asked for at most once in FRESH seconds, however many ask. A database that is away costs its own series
alone: the rest is said, and `watchtower_database_up` is 0.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from datetime import datetime

import structlog
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from watchtower import __version__
from watchtower.api.port import TowerPort
from watchtower.errors import StoreError
from watchtower.metered import known
from watchtower.rulebook.model import Rulebook
from watchtower.store.standing import Jobs, Standing, standing

log = structlog.get_logger(__name__)

TYPE = "text/plain; version=0.0.4; charset=utf-8"
FRESH = 5.0
"""Seconds for which what stands in the databases counts."""
SEVERITIES = ("critical", "high", "medium", "low")

Samples = Iterable[tuple[tuple[str, ...], float]]


class Exposition:
    """The metrics of one tower."""

    def __init__(self, tower: TowerPort) -> None:
        self._tower = tower
        self._lock = threading.Lock()
        self._known: bytes = b""
        self._book: Rulebook | None = None
        self._looked = float("-inf")

    def text(self) -> bytes:
        """All of it; safe in threads."""
        with self._lock:
            if time.monotonic() - self._looked > FRESH:
                registry = CollectorRegistry(auto_describe=False)
                registry.register(_Collected(list(self._gauges())))
                self._known, self._looked = generate_latest(registry), time.monotonic()
            return generate_latest(REGISTRY) + self._known

    def _gauges(self) -> Iterator[Metric]:
        stands, jobs = self._standing(), self._jobs()
        if stands is not None:
            self._book = self._tower.rulebook
        book, runs = self._book, ("version", "rulebook")
        named = book.version if book is not None else ""
        yield _gauge("watchtower_build_info", "What runs here.", runs, [((__version__, named), 1)])
        yield _gauge(
            "watchtower_database_up", "1 where the database answered, 0 where it did not.", ("database",),
            [(("core",), float(stands is not None)), (("jobs",), float(jobs is not None))],
        )  # fmt: skip
        if stands is not None and book is not None:
            yield from _of_core(book, stands, self._tower.clock())
        if jobs is not None:
            yield from _of_jobs(jobs)

    def _standing(self) -> Standing | None:
        try:
            with self._tower.database.read() as conn:
                return standing(conn)
        except StoreError as error:
            log.warning("not measured", database="core", because=error.message)
            return None

    def _jobs(self) -> Jobs | None:
        try:
            return self._tower.jobs_now()
        except StoreError as error:
            log.warning("not measured", database="jobs", because=error.message)
            return None


class _Collected:
    """What is collected already, as prometheus_client wants it."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _gauge(name: str, words: str, labels: tuple[str, ...], samples: Samples) -> Metric:
    family = GaugeMetricFamily(name, words, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _summed(samples: Samples) -> Samples:
    """Those that became `other` are one."""
    total: dict[tuple[str, ...], float] = {}
    for labels, value in samples:
        total[labels] = total.get(labels, 0.0) + value
    return sorted(total.items())


def _of_core(book: Rulebook, stands: Standing, now: datetime) -> Iterator[Metric]:
    queues = {rule.queue for rule in book.rules}
    yield _gauge(
        "watchtower_alerts_standing", "Alerts that are open, acknowledged or snoozed.",
        ("queue", "severity", "status", "ai_informed"),
        _summed(
            ((known(queue, queues), known(severity, SEVERITIES), status, str(informed).lower()), count)
            for queue, severity, status, informed, count in stands.alerts
        ),
    )  # fmt: skip
    waiting = [
        ((known(one.receiver, book.receivers), str(one.ai_informed).lower(), one.state), one) for one in stands.outbox
    ]
    names = ("receiver", "ai_informed", "state")
    yield _gauge(
        "watchtower_notifications", "Notifications that have not gone: due (pending), or held back (waiting).", names,
        _summed((labels, one.many) for labels, one in waiting),
    )  # fmt: skip
    oldest: dict[tuple[str, ...], float] = {}
    for labels, one in waiting:
        oldest[labels] = max(oldest.get(labels, 0.0), (now - one.oldest).total_seconds())
    waits = sorted(oldest.items())
    yield _gauge("watchtower_notification_oldest_seconds", "How long the oldest of them has waited.", names, waits)
    late = max((now - stands.next_due).total_seconds(), 0.0) if stands.next_due is not None else 0.0
    for name, words, value in (
        ("watchtower_proposals_in_review", "Proposals that wait for a person (100,000: or more).", stands.review),
        ("watchtower_dead_letters_open", "What stands set aside (100,000: or more).", stands.letters),
        ("watchtower_quarantined", "Events of the future that wait for their time.", stands.quarantined),
        ("watchtower_tick_lag_seconds", "How long the oldest thing that is due has waited for a tick.", late),
        ("watchtower_journal_seq", "The number of the journal's last entry.", stands.journal),
        ("watchtower_records_estimated", "Records, by the server's own estimate.", stands.records),
        ("watchtower_database_bytes", "The size of the core's database.", stands.size),
    ):
        yield _gauge(name, words, (), [((), value)])
    yield _gauge(
        "watchtower_llm_price", "Money for a million tokens, by the rulebook's price list.", ("model", "direction"),
        [
            ((model, direction), float(price))
            for model, listed in sorted(book.enrichment.prices.items())
            for direction, price in (("in", listed.input), ("out", listed.output))
        ],
    )  # fmt: skip


def _of_jobs(jobs: Jobs) -> Iterator[Metric]:
    yield _gauge(
        "watchtower_jobs", "Jobs of worker processes that wait (todo) or are under way (doing).", ("queue", "status"),
        [((queue, status), count) for queue, status, count in jobs.depth],
    )  # fmt: skip
    yield _gauge(
        "watchtower_job_oldest_seconds", "How long the oldest job that nobody has begun has waited.", ("queue",),
        [((queue,), age) for queue, age in jobs.ages.items()],
    )  # fmt: skip
    spent = {"calls_per_day": jobs.calls, "tokens_per_day": jobs.tokens, "money_per_day": jobs.money}
    units = {"calls_per_day": "calls", "tokens_per_day": "tokens", "money_per_day": "money"}
    yield _gauge(
        "watchtower_llm_spent_today", "What calls to language models of all workers took today (UTC).", ("unit",),
        [((units[name],), float(value)) for name, value in spent.items()],
    )  # fmt: skip
    yield _gauge(
        "watchtower_llm_allowed_today", "What they may take in a day, where it is bounded.", ("unit",),
        [((units[name],), value / (1e6 if name == "money_per_day" else 1)) for name, value in jobs.quota.items()],
    )  # fmt: skip
