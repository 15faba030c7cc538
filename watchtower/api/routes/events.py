"""POST /events: the door for CloudEvents over HTTP."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from watchtower.api import models
from watchtower.api.auth import source_of
from watchtower.api.cloudevents import BATCH, STRUCTURED, read_events
from watchtower.api.port import TowerPort, Verdict
from watchtower.api.problems import problem

SINGLE_STATUS = {"conflict": 409, "refused": 400, "quarantined": 202}
"""What a verdict on a single event is answered with; any other is 200. A batch is always 200."""

EXAMPLE = {
    "specversion": "1.0",
    "id": "e1",
    "source": "crm",
    "type": "record.updated",
    "subject": "lead/L-17",
    "time": "2026-03-02T09:00:00Z",
    "data": {"fields": {"stage": "mql", "mql_at": "2026-03-02T09:00:00Z", "contacted_at": None}},
}
_EVENT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["specversion", "id", "source", "type", "subject", "time"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "minLength": 1, "maxLength": 1024},
        "source": {"type": "string", "minLength": 1, "maxLength": 1024},
        "type": {"type": "string", "minLength": 1, "maxLength": 1024},
        "subject": {"type": "string", "pattern": "^[^/]+/.+$", "maxLength": 1024},
        "time": {"type": "string", "format": "date-time"},
        "data": {"type": "object"},
    },
}
# Of a batch each event has a verdict of its own: what is not one is refused there, and the batch is answered 200.
_BATCH_SCHEMA = {"type": "array", "items": {"description": "An event, as one by itself."}}
_BODY = {
    "required": True,
    "content": {
        STRUCTURED: {"schema": _EVENT_SCHEMA, "example": EXAMPLE},
        BATCH: {"schema": _BATCH_SCHEMA, "example": [EXAMPLE]},
        "application/json": {"schema": {"anyOf": [_EVENT_SCHEMA, _BATCH_SCHEMA]}, "example": EXAMPLE},
    },
}


def _answer(verdicts: list[Verdict], single: bool) -> Response:
    shown: dict[str, Any] = {"verdicts": [{"id": v.id, "status": str(v.status), "reason": v.reason} for v in verdicts]}
    status = SINGLE_STATUS.get(str(verdicts[0].status), 200) if single and verdicts else 200
    if status >= 400:
        return problem(status, verdicts[0].reason or str(verdicts[0].status), **shown)
    return Response(msgspec.json.encode(shown), status_code=status, media_type="application/json")


def routes(tower: TowerPort) -> APIRouter:
    """POST /events."""
    router = APIRouter(tags=["events"])

    @router.post(
        "/events",
        summary="Take events (CloudEvents 1.0: structured, binary or batch)",
        response_model=models.EventVerdicts,
        responses={
            202: {"model": models.EventVerdicts},
            **dict.fromkeys((400, 403, 409, 413, 415, 503), models.PROBLEM),
        },
        openapi_extra={"requestBody": _BODY},
    )
    async def post_events(request: Request) -> Response:
        """One verdict for each event, in order. An event that was acknowledged is kept and applied once:
        sending it again answers `duplicate`; another body under the same source and id is a `conflict`. One that lies
        more than 5 minutes ahead is `quarantined` (202): it is taken by itself when its time has come."""
        received = read_events(request.headers, await request.body())
        verdicts = await run_in_threadpool(tower.take, received.events, source=source_of(request))
        return _answer(list(verdicts), received.single)

    return router
