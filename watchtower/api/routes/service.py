"""GET /healthz, /readyz, /metrics: for those who keep the service running."""

from __future__ import annotations

from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter
from starlette.responses import PlainTextResponse, Response

from watchtower.api import models
from watchtower.api.exposition import TYPE, Exposition
from watchtower.api.port import TowerPort
from watchtower.errors import StoreError
from watchtower.metered import silent

READY = "Events can be taken: the database answers, locks, has room, and is migrated"
CLOCK_SILENT = 660.0
"""Seconds without a round of the clock after which the process counts as stuck: more than one statement may take."""
_NOT_READY: dict[int | str, dict[str, Any]] = {503: models.PROBLEM}


def routes(tower: TowerPort) -> APIRouter:
    """Is it alive, is it ready, how much is there."""
    router = APIRouter(tags=["service"])

    @router.get("/healthz", summary="The process answers, and its clock goes, where it has one", responses=_NOT_READY)
    def healthz() -> models.Ready:
        seconds = silent("clock")
        if seconds is not None and seconds > CLOCK_SILENT:
            raise StoreError(f"clock: no round for {seconds:.0f} s", remedy="start the process again")
        return models.Ready(status="ok")

    # Threads of its own: where every other one waits for the database, this is what has to say so.
    threads = CapacityLimiter(2)
    exposition = Exposition(tower)

    @router.get("/readyz", summary=READY, responses=_NOT_READY)
    async def readyz() -> models.Ready:
        await to_thread.run_sync(tower.database.check_ready, limiter=threads)
        return models.Ready(status="ok")

    @router.get("/metrics", summary="Counts, in the Prometheus text format", response_class=PlainTextResponse)
    def get_metrics() -> Response:
        return Response(exposition.text(), media_type=TYPE)

    return router
