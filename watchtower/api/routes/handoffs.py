"""POST /handoffs: a handoff or a move goes through its gate, or is refused with what is missing."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from watchtower.api import models
from watchtower.api.auth import acting
from watchtower.api.port import TowerPort
from watchtower.api.problems import problem
from watchtower.errors import InputError

_MADE = ("offered", "accepted", "rejected", "moved")


def routes(tower: TowerPort) -> APIRouter:
    """The gates."""
    router = APIRouter(tags=["handoffs"], responses=dict.fromkeys((400, 404, 422, 503), models.PROBLEM))

    @router.post(
        "/handoffs",
        summary="Hand a record over, or move it",
        response_model=models.Crossing,
        responses={201: {"model": models.Crossing, "description": "It was written."}},
    )
    def post_handoff(request: Request, ask: models.Cross) -> Response:
        """Offer, accept or reject a handoff; without `handoff`, move the record by `fields`. Where a rule at the
        gate says no, the answer is 422 with every rule that does and every field that is missing, and nothing
        changes. 201: it was written; 200: it was so already, or this was a trial."""
        if any("\x00" in text for text in (ask.record, ask.note, ask.handoff or "")):
            raise InputError("record, handoff, note: the character U+0000 cannot be stored")
        crossing = tower.cross(
            ask.record, handoff=ask.handoff, action=ask.action, fields=ask.fields, actor=acting(request, ask.actor),
            note=ask.note, trial=ask.trial,
        )  # fmt: skip
        body = crossing.to_json()
        if crossing.outcome == "refused":
            lacks = f"; missing: {', '.join(body['missing'])}" if body["missing"] else ""
            rules = ", ".join(refusal["rule"] for refusal in body["refusals"])
            remedy = " ".join(dict.fromkeys(refusal["then"] for refusal in body["refusals"]))
            return problem(422, f"{ask.record} is refused by {rules}{lacks}", remedy=remedy, **body)
        return JSONResponse(body, status_code=201 if crossing.outcome in _MADE else 200)

    return router
