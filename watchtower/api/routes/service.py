"""GET /healthz, /readyz, /metrics: for those who keep the service running."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter
from starlette.responses import PlainTextResponse, Response

from watchtower.api import models
from watchtower.api.port import TowerPort
from watchtower.store import outbox, queries

_NOT_READY: dict[int | str, dict[str, Any]] = {503: models.PROBLEM}


def _label(value: object) -> str:
    text = str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{text}"'


def _metric(name: str, kind: str, words: str, samples: Iterable[tuple[dict[str, object], float]]) -> list[str]:
    lines = [f"# HELP {name} {words}", f"# TYPE {name} {kind}"]
    for labels, value in samples:
        shown = ",".join(f"{key}={_label(text)}" for key, text in labels.items())
        lines.append(f"{name}{{{shown}}} {value:g}" if shown else f"{name} {value:g}")
    return lines


def metrics(tower: TowerPort) -> str:
    """The counts of the database in the Prometheus text format, version 0.0.4."""
    with tower.database.read() as conn:
        standing = queries.standing_by_queue(conn)
        journal = queries.journal_counts(conn)
        proposals = queries.proposal_counts(conn)
        health = queries.health(conn)
        messages = outbox.counts(conn)
    now = tower.clock()
    lines = _metric(
        "watchtower_alerts_standing",
        "gauge",
        "Alerts that are open, acknowledged or snoozed.",
        (
            ({"queue": queue, "severity": severity, "ai_informed": str(informed).lower()}, count)
            for queue, severity, informed, count in standing
        ),
    )
    lines += _metric(
        "watchtower_events_total",
        "counter",
        "Events in the journal, by layer.",
        (({"layer": layer}, journal.get(layer, 0)) for layer in ("core", "worker", "decision")),
    )
    lines += _metric(
        "watchtower_proposals",
        "gauge",
        "Proposals, by what became of them.",
        (({"status": s}, proposals.get(s, 0)) for s in ("accepted", "review", "refused", "rejected")),
    )
    lines += _metric(
        "watchtower_dead_letters_total", "counter", "What could not be taken.", [({}, health["dead_letters_ever"])]
    )
    lines += _metric(
        "watchtower_dead_letters_open", "gauge", "What stands set aside now.", [({}, health["dead_letters"])]
    )
    lines += _metric("watchtower_records", "gauge", "Records that exist.", [({}, health["records"])])
    lines += _metric(
        "watchtower_notifications",
        "gauge",
        "Notifications, by receiver and by how far they have come.",
        (({"receiver": receiver, "state": state}, count) for receiver, state, count in messages),
    )
    late = (now - health["next_due"]).total_seconds() if health["next_due"] is not None else 0.0
    lines += _metric(
        "watchtower_tick_lag_seconds",
        "gauge",
        "How long the oldest due alert has waited.",
        [({}, max(late, 0.0))],
    )
    return "\n".join(lines) + "\n"


def routes(tower: TowerPort) -> APIRouter:
    """Is it alive, is it ready, how much is there."""
    router = APIRouter(tags=["service"])

    @router.get("/healthz", summary="The process answers")
    def healthz() -> models.Ready:
        return models.Ready(status="ok")

    # Threads of its own: where every other one waits for the database, this is what has to say so.
    threads = CapacityLimiter(2)

    @router.get("/readyz", summary="Events can be taken: the database answers, locks, has room", responses=_NOT_READY)
    async def readyz() -> models.Ready:
        await to_thread.run_sync(tower.database.check_ready, limiter=threads)
        return models.Ready(status="ok")

    @router.get("/metrics", summary="Counts, in the Prometheus text format", response_class=PlainTextResponse)
    def get_metrics() -> Response:
        return Response(metrics(tower), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router
