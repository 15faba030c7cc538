"""GET /changes: server-sent events."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Request
from starlette.responses import StreamingResponse

from watchtower.api.live import Feed
from watchtower.api.port import TowerPort

EXAMPLE = (
    'id: 4711\nevent: alert.opened\ndata: {"seq":4711,"type":"alert.opened","record":"lead/L-17",'
    '"time":"2026-03-04T09:00:00.000000Z","alert":"al_1","rule":"mql_uncontacted","actor":null}\n\n'
)


def routes(tower: TowerPort) -> APIRouter:
    """The feed; the application holds it, so that the server can end it."""
    router = APIRouter(tags=["live"])

    @router.get(
        "/changes",
        summary="Changes as they happen (server-sent events)",
        response_class=StreamingResponse,
        responses={
            200: {
                "description": "alert.opened, alert.resolved, field.accepted, handoff.refused, ...; `reset`: read anew",
                "content": {"text/event-stream": {"schema": {"type": "string"}, "example": EXAMPLE}},
            }
        },
    )
    async def get_changes(
        request: Request,
        last_event_id: Annotated[
            str | None, Header(description="Begin after this entry of the journal.", pattern=r"^[0-9]{1,18}$")
        ] = None,
    ) -> StreamingResponse:
        """Each decision on an alert, a proposal or a handoff, within a second. It never ends by itself; a comment is
        sent every 15 seconds."""
        feed: Feed = request.app.state.feed
        said = feed.follow(int(last_event_id) if last_event_id else None)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(said, media_type="text/event-stream", headers=headers)

    return router
