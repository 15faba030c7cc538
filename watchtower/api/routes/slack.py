"""POST /slack/interactions: a button that somebody pressed in Slack."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

import structlog
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from watchtower.api import models
from watchtower.api.port import VERBS, TowerPort
from watchtower.api.problems import problem
from watchtower.connectors.signatures import Arrived, authentic
from watchtower.errors import WatchtowerError
from watchtower.flow.slack import Press, pressed
from watchtower.rulebook.telling import Receiver
from watchtower.settings import read_secrets

log = structlog.get_logger(__name__)

SNOOZE = timedelta(days=1)
_BODY = {
    "required": True,
    "content": {
        "application/x-www-form-urlencoded": {
            "schema": {"type": "object", "required": ["payload"], "properties": {"payload": {"type": "string"}}}
        }
    },
}


def routes(tower: TowerPort) -> APIRouter:
    """The one address that Slack calls; its signature is its key."""
    router = APIRouter(tags=["alerts"], responses=dict.fromkeys((400, 403, 404), models.PROBLEM))

    @router.post(
        "/slack/interactions", summary="A button of a Slack message", openapi_extra={"requestBody": _BODY},
        response_model=models.SlackAnswer,
    )  # fmt: skip
    async def post_interaction(request: Request) -> Response:
        """Signed by Slack (v0). Who pressed is known by the `people` of the receiver; nobody else can act."""
        body = await request.body()
        receiver = _signer(tower, request, body)
        if receiver is None:
            return problem(
                403, "the request is not signed by a Slack app of the rulebook's receivers, or is old",
                remedy="give the receiver `signing: VARIABLE`, and set it to the app's signing secret",
            )  # fmt: skip
        press = pressed(body)
        actor = receiver.people.get(press.user)
        if actor is None:
            return _answer(f"{press.user} is not among the people of this receiver: nothing was done", replace=False)
        return await run_in_threadpool(_act, tower, press, actor)

    return router


def _signer(tower: TowerPort, request: Request, body: bytes) -> Receiver | None:
    arrived = Arrived(request.method, str(request.url), request.scope["headers"], body)
    for receiver in tower.rulebook.receivers.values():
        secrets = read_secrets(receiver.signing) if receiver.kind == "slack" and receiver.signing else []
        if authentic("slack", arrived, secrets, tower.clock()):
            return receiver
    return None


def _act(tower: TowerPort, press: Press, actor: str) -> Response:
    try:
        if press.kind == "proposal":
            verdict: Literal["accept", "reject"] = "accept" if press.verb == "accept" else "reject"
            tower.decide(press.id, verdict, actor=actor, note="in Slack")
        else:
            verb = next(verb for verb in VERBS if verb == press.verb)
            until = tower.clock() + SNOOZE if verb == "snooze" else None
            tower.act(press.id, verb, actor=actor, note="in Slack", until=until)
    except WatchtowerError as fault:
        # Slack shows nothing of an answer that is not 200.
        log.info("refused in Slack", actor=actor, because=fault.message)
        return _answer(f"Not done: {fault.message}", replace=False)
    return _answer(f"{press.verb}: done by {actor}", replace=False)


def _answer(text: str, *, replace: bool) -> Response:
    return JSONResponse({"response_type": "ephemeral", "replace_original": replace, "text": text})
