"""GET /pairs, POST /pairs/{id}/accept|reject, GET /merges, POST /merges/{id}/undo."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Body, Query, Request

from watchtower.api import models
from watchtower.api.auth import acting
from watchtower.api.cursor import cursor, place
from watchtower.api.port import TowerPort
from watchtower.api.routes.alerts import SUBJECT, subject_of
from watchtower.api.views import named
from watchtower.errors import InputError, Missing
from watchtower.store import merges
from watchtower.store.merges import MergeProposal, MergeRow
from watchtower.store.rows import TimeKey

PairStatus = Literal["accepted", "review", "refused", "rejected"]


def pair_model(row: MergeProposal) -> models.MergePair:
    return models.MergePair.model_validate({
        **{key: getattr(row, key) for key in models.MergePair.model_fields if hasattr(row, key)}, "into": row.survivor,
    })  # fmt: skip


def merge_model(row: MergeRow) -> models.MergeDone:
    return models.MergeDone.model_validate({
        **{key: getattr(row, key) for key in models.MergeDone.model_fields if hasattr(row, key)},
        "into": row.survivor, "pair": row.proposal,
    })  # fmt: skip


def routes(tower: TowerPort) -> APIRouter:
    """Records that may be one, and records that were made one."""
    router = APIRouter(responses=dict.fromkeys((400, 404, 422, 503), models.PROBLEM), tags=["merges"])

    @router.get("/pairs", summary="Records that may be one")
    def get_pairs(
        status: Annotated[list[PairStatus], Query(max_length=4)] = ["review"],  # noqa: B006 - FastAPI copies defaults
        record: Annotated[str | None, Query(description="object/id, on either side", pattern=SUBJECT)] = None,
        cursor_: Annotated[str | None, Query(alias="cursor", max_length=4000)] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> models.MergePairPage:
        """Pairs with their match weights, the oldest first; those that wait for a person, unless another status is
        named."""
        kind, name = subject_of(record)
        with tower.database.read() as conn:
            rows = merges.proposals(
                conn, status=status, object_name=kind, record=name, after=place(TimeKey, cursor_), limit=limit + 1
            )
        more = cursor(TimeKey(rows[limit - 1].proposed_at, rows[limit - 1].id)) if len(rows) > limit else None
        return models.MergePairPage(items=[pair_model(row) for row in rows[:limit]], next=more)

    def decide(
        request: Request, pair_id: str, verdict: Literal["accept", "reject"], ask: models.Act, into: str | None = None
    ) -> models.MergePair:
        _storable(ask.note, into or "")
        name = named(pair_id, "pair")
        tower.decide_pair(name, verdict, actor=acting(request, ask.actor), note=ask.note, into=into)
        with tower.database.read() as conn:
            row = merges.proposal(conn, name)
        if row is None:
            raise Missing(f"pair {pair_id!r:.80} does not exist")
        return pair_model(row)

    @router.post("/pairs/{pair_id}/accept", summary="They are one")
    def accept(
        request: Request, pair_id: str, ask: Annotated[models.AcceptPair | None, Body()] = None
    ) -> models.MergePair:
        """From now on the one is the other; GET /records of the id that goes says where it went."""
        said = ask or models.AcceptPair.model_validate({})
        return decide(request, pair_id, "accept", said, said.into)

    @router.post("/pairs/{pair_id}/reject", summary="They are two")
    def reject(request: Request, pair_id: str, ask: Annotated[models.Act | None, Body()] = None) -> models.MergePair:
        return decide(request, pair_id, "reject", ask or models.Act.model_validate({}))

    @router.get("/merges", summary="Records that were made one")
    def get_merges(
        undone: Annotated[bool, Query(description="Also those that were undone.")] = False,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> models.MergeList:
        """The latest first."""
        with tower.database.read() as conn:
            rows = merges.merged(conn, object_name=None, undone=undone, limit=limit)
        return models.MergeList(items=[merge_model(row) for row in rows])

    @router.post("/merges/{merge_id}/undo", summary="They are two after all")
    def undo(request: Request, merge_id: str, ask: Annotated[models.Act | None, Body()] = None) -> models.MergeDone:
        """Each is then what it would be without the merge, late events included."""
        said = ask or models.Act.model_validate({})
        _storable(said.note)
        name = named(merge_id, "merge")
        tower.unmerge(name, actor=acting(request, said.actor), note=said.note)
        with tower.database.read() as conn:
            row = merges.merge_by_id(conn, name)
        if row is None:
            raise Missing(f"merge {merge_id!r:.80} does not exist")
        return merge_model(row)

    return router


def _storable(*texts: str) -> None:
    if any("\x00" in text for text in texts):
        raise InputError("note: the character U+0000 cannot be stored")
