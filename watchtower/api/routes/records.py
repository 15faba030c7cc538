"""GET /records/{object}/{id}, GET /proposals, POST /proposals/{id}/accept|reject, GET /rulebook."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Query, Request

from watchtower.api import models
from watchtower.api.auth import acting
from watchtower.api.cursor import cursor, place
from watchtower.api.port import TowerPort
from watchtower.api.routes.alerts import SUBJECT, subject_of
from watchtower.api.views import named, proposal_model, record_model, record_view
from watchtower.errors import InputError, Missing
from watchtower.store import queries
from watchtower.store.rows import TimeKey

ProposalStatus = Literal["accepted", "review", "refused", "rejected"]


def routes(tower: TowerPort) -> APIRouter:
    """Records, what is proposed for them, and the rules they live under."""
    router = APIRouter(responses=dict.fromkeys((400, 404, 422, 503), models.PROBLEM))

    @router.get("/records/{object_name}/{record_id:path}", summary="Everything about a record", tags=["records"])
    def get_record(
        object_name: str,
        record_id: str,
        before: Annotated[str | None, Query(max_length=4000, description="`timeline.next` of the last answer")] = None,
        limit: Annotated[int, Query(ge=1, le=200, description="events of the timeline")] = 50,
    ) -> models.Record:
        """Fields with their provenance, the timeline, alerts, documents, signals and proposals; which rules
        hold, which cannot be decided and for want of what, and which fall due when nothing else happens."""
        return record_model(tower, record_view(tower, object_name, record_id, before=before, limit=limit))

    @router.get("/proposals", summary="What workers proposed", tags=["proposals"])
    def get_proposals(
        status: Annotated[list[ProposalStatus], Query(max_length=4)] = [],  # noqa: B006 - FastAPI copies defaults
        record: Annotated[str | None, Query(description="object/id", pattern=SUBJECT)] = None,
        field: Annotated[str | None, Query(pattern=r"^[^\x00]*$")] = None,
        cursor_: Annotated[str | None, Query(alias="cursor", max_length=4000)] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> models.ProposalPage:
        """Proposals, the oldest first."""
        kind, name = subject_of(record)
        with tower.database.read() as conn:
            rows = queries.proposals(
                conn,
                status=status,
                subject=(kind, name) if kind and name else None,
                field=field,
                after=place(TimeKey, cursor_),
                limit=limit + 1,
            )
        more = cursor(TimeKey(rows[limit - 1].proposed_at, rows[limit - 1].id)) if len(rows) > limit else None
        return models.ProposalPage(items=[proposal_model(row) for row in rows[:limit]], next=more)

    def decide(
        request: Request, proposal_id: str, verdict: Literal["accept", "reject", "withdraw"], ask: models.Act
    ) -> models.Proposal:
        if "\x00" in ask.note:
            raise InputError("note: the character U+0000 cannot be stored")
        actor = acting(request, ask.actor)
        if verdict == "withdraw":
            tower.withdraw(named(proposal_id, "proposal"), actor=actor, note=ask.note)
        else:
            tower.decide(named(proposal_id, "proposal"), verdict, actor=actor, note=ask.note)
        with tower.database.read() as conn:
            row = queries.proposal_by_id(conn, proposal_id)
        if row is None:
            raise Missing(f"proposal {proposal_id!r:.80} does not exist")
        return proposal_model(row)

    @router.post("/proposals/{proposal_id}/accept", summary="Let it become the value", tags=["proposals"])
    def accept(request: Request, proposal_id: str, ask: Annotated[models.Act | None, Body()] = None) -> models.Proposal:
        return decide(request, proposal_id, "accept", ask or models.Act())

    @router.post("/proposals/{proposal_id}/reject", summary="Refuse it", tags=["proposals"])
    def reject(request: Request, proposal_id: str, ask: Annotated[models.Act | None, Body()] = None) -> models.Proposal:
        return decide(request, proposal_id, "reject", ask or models.Act())

    @router.post("/proposals/{proposal_id}/withdraw", summary="Take back a verdict", tags=["proposals"])
    def withdraw(
        request: Request, proposal_id: str, ask: Annotated[models.Act | None, Body()] = None
    ) -> models.Proposal:
        """Within 24 hours of it, as long as the field is still what was accepted: it goes back to what it was before,
        and the proposal waits for review again. The journal keeps both."""
        return decide(request, proposal_id, "withdraw", ask or models.Act())

    @router.get("/explain", summary="Why a rule holds on a record, or does not", tags=["rulebook"])
    def get_explanation(
        rule: Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")],
        record: Annotated[str, Query(max_length=1024, pattern=SUBJECT, description="object/id")],
        at: Annotated[models.Instant | None, Query(description="The instant; else now.")] = None,
    ) -> dict[str, Any]:
        """Each condition, the value it read and where that came from; one sentence; and whether an alert was opened,
        or why not."""
        return dict(tower.explain(rule, record, at or tower.clock()))

    @router.get("/rulebook", summary="The rules in force", tags=["rulebook"])
    def get_rulebook() -> dict[str, Any]:
        """The normalised rulebook, with its version: a hash of that content."""
        book = tower.rulebook
        return {"version": book.version, **book.model_dump(mode="json", by_alias=True)}

    return router
