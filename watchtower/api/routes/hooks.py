"""POST /hooks/{name}: what a connected system or a work tool sends by itself."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from watchtower.api import models
from watchtower.api.port import TowerPort
from watchtower.api.problems import problem
from watchtower.connectors.signatures import Arrived

_BODY = {"required": True, "content": {"application/json": {"schema": {}}}}


def routes(tower: TowerPort) -> APIRouter:
    """The one address for all webhooks; the signature is the key."""
    router = APIRouter(tags=["events"], responses=dict.fromkeys((401, 413, 503), models.PROBLEM))

    @router.post(
        "/hooks/{name}", summary="A webhook of a connected system", openapi_extra={"requestBody": _BODY},
        response_model=models.Heard,
    )  # fmt: skip
    async def post_hook(request: Request, name: str) -> Response:
        """`name` is that of the system (or of the receiver, for ClickUp) in the rulebook. Signed as its kind signs, and
        five minutes old at most where the scheme has a time. Whatever is wrong with it, the answer is the same."""
        body = await request.body()
        arrived = Arrived(request.method, str(request.url), request.scope["headers"], body)
        if not await run_in_threadpool(tower.hear, name, arrived):
            return problem(401, "refused")
        return JSONResponse({"status": "taken"})

    return router
