"""The page of records that may be one: both side by side, with what each comparison weighs; and what was made one."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from watchtower.api.auth import acting
from watchtower.api.cursor import cursor, place
from watchtower.api.port import TowerPort
from watchtower.api.review.environment import page, reviewer
from watchtower.api.review.forms import back, form_of
from watchtower.api.views import named
from watchtower.store import merges
from watchtower.store.merges import MergeProposal
from watchtower.store.rows import TimeKey

PAIRS, DONE = 20, 20


def summed(weights: list[dict[str, Any]]) -> list[tuple[str, str, float]]:
    """(comparison, outcome, bits), the weightiest first; weights that were learnt together as their sum."""
    found: dict[str, tuple[str, float]] = {}
    for one in weights:
        name = one["group"] or one["comparison"]
        outcome, bits = found.get(name, ("" if one["group"] else one["outcome"], 0.0))
        found[name] = outcome, bits + one["bits"]
    return sorted(((name, outcome, bits) for name, (outcome, bits) in found.items()), key=lambda one: -abs(one[2]))


def _words(pair: MergeProposal) -> dict[str, Any]:
    return {"pair": pair, "weights": summed(pair.weights)}


def pairs_page(tower: TowerPort, request: Request) -> Response:
    """Pairs that wait for a person, the oldest first, and the latest merges."""
    after = place(TimeKey, request.query_params.get("cursor"))
    with tower.database.read() as conn:
        rows = merges.proposals(conn, status=["review"], after=after, limit=PAIRS + 1)
        done = merges.merged(conn, object_name=None, undone=True, limit=DONE)
    more = None
    if len(rows) > PAIRS:
        more = "/review/pairs?" + urlencode(
            {"cursor": cursor(TimeKey(rows[PAIRS - 1].proposed_at, rows[PAIRS - 1].id))}
        )
    words = {"now": tower.clock(), "pairs": [_words(row) for row in rows[:PAIRS]], "done": done, "more": more}
    return page(request, "pairs.html", words)


def routes(tower: TowerPort) -> APIRouter:
    """The page, and the forms on it; none of them is part of the JSON interface."""
    router = APIRouter(include_in_schema=False)

    @router.get("/review/pairs")
    def get_pairs(request: Request) -> Response:
        return pairs_page(tower, request)

    @router.post("/review/pairs/{pair_id}/{verdict}")
    async def post_pair(request: Request, pair_id: str, verdict: Literal["accept", "reject"]) -> Response:
        form = await form_of(request)
        actor, note = acting(request, reviewer(request)), form.get("note", "").strip()[:4000]
        into = form.get("into") or None

        def decide() -> Response:
            tower.decide_pair(named(pair_id, "pair"), verdict, actor=actor, note=note, into=into)
            return back(form, "/review/pairs")

        return await run_in_threadpool(decide)

    @router.post("/review/merges/{merge_id}/undo")
    async def post_undo(request: Request, merge_id: str) -> Response:
        form = await form_of(request)
        actor, note = acting(request, reviewer(request)), form.get("note", "").strip()[:4000]

        def undo() -> Response:
            tower.unmerge(named(merge_id, "merge"), actor=actor, note=note)
            return back(form, f"/review/pairs#{quote(merge_id)}")

        return await run_in_threadpool(undo)

    return router
