"""The addresses of the review pages, and the forms on them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from watchtower.api.auth import acting, credential_of
from watchtower.api.port import VERBS, TowerPort
from watchtower.api.review import boards, health, pages, queue, rules
from watchtower.api.review.environment import STAY, page, path_to, reviewer
from watchtower.api.review.forms import back, form_of, pairs_of
from watchtower.api.review.picked import bulk, to_undo, with_did
from watchtower.api.routes.alerts import scoped
from watchtower.api.views import actor_name, named
from watchtower.errors import InputError, Missing
from watchtower.store import queries

SNOOZE_DAYS = {"1": 1, "3": 3, "7": 7, "30": 30}


def snooze_until(form: dict[str, str], now: datetime) -> datetime:
    """When a snooze ends, by the form's `days`."""
    days = SNOOZE_DAYS.get(form.get("days", "1"))
    if days is None:
        raise InputError(f"days: {form['days']!r:.20} is not one of {', '.join(SNOOZE_DAYS)}")
    return now + timedelta(days=days)


def routes(tower: TowerPort) -> APIRouter:
    """Pages and forms; none of them is part of the JSON interface."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    def get_queue(request: Request) -> Response:
        return queue.queue_page(tower, request)

    @router.get("/review/alerts/{alert_id}")
    def get_alert(request: Request, alert_id: str) -> Response:
        return queue.alert_page(tower, request, alert_id)

    @router.get("/review/proposals")
    def get_proposals(request: Request) -> Response:
        return pages.proposals_page(tower, request)

    @router.get("/review/rules")
    def get_rules(request: Request) -> Response:
        return rules.rules_page(tower, request)

    @router.get("/review/why")
    def get_why(request: Request) -> Response:
        return rules.why_page(tower, request)

    @router.get("/review/handoffs")
    def get_handoffs(request: Request) -> Response:
        return boards.handoffs_page(tower, request)

    @router.get("/review/metrics")
    def get_metrics(request: Request) -> Response:
        return boards.metrics_page(tower, request)

    @router.get("/review/health")
    def get_health(request: Request) -> Response:
        return health.health_page(tower, request)

    @router.get("/review/{object_name}/{record_id:path}")
    def get_record(request: Request, object_name: str, record_id: str) -> Response:
        return pages.record_page(tower, request, object_name, record_id)

    @router.post("/review/reviewer")
    async def post_reviewer(request: Request) -> Response:
        form = await form_of(request)
        response = back(form, "/")
        if credential_of(request) is not None:
            return response  # the key says who this is
        name = actor_name(form.get("name", ""))
        response.set_cookie("watchtower_reviewer", quote(name), max_age=31_536_000, httponly=True, samesite="strict")
        return response

    @router.post("/review/advance")
    async def post_advance(request: Request) -> Response:
        form = await form_of(request)
        response = back(form, "/")
        stay = "yes" if form.get("stay") == "yes" else "no"
        response.set_cookie(STAY, stay, max_age=31_536_000, httponly=True, samesite="strict")
        return response

    @router.post("/review/alerts/{alert_id}/{verb}")
    async def post_act(request: Request, alert_id: str, verb: str) -> Response:
        form = await form_of(request)
        known = next((name for name in VERBS if name == verb), None)
        if known is None:
            raise Missing(f"{verb!r:.40}: there is no such action; there are {', '.join(VERBS)}")
        note, assignee = form.get("note", "").strip(), form.get("assignee", "").strip()
        others = (
            await run_in_threadpool(scoped, tower, alert_id, form.get("scope", "alert")) if verb == "snooze" else []
        )
        if (known == "comment" and not note) or (known == "assign" and not assignee):
            raise InputError("the comment is empty" if known == "comment" else "nobody is named to assign it to")
        until = snooze_until(form, tower.clock()) if known == "snooze" else None
        actor = acting(request, reviewer(request))

        def act() -> Response:
            tower.act(
                named(alert_id, "alert"),
                known,
                actor=actor,
                note=note[:4000],
                until=until,
                assignee=assignee[:120] or None,
                verdict=form.get("verdict", "") if known == "resolve" else "",
                expected=form.get("seen") or None,
            )
            for other in others:
                tower.act(other, "snooze", actor=actor, note=note[:4000], until=until)
            request.app.state.remembered.doubt()
            if form.get("part") == "row" and "hx-request" in request.headers:
                with tower.database.read() as conn:
                    row = queries.alert_by_id(conn, alert_id)
                    if row is None:
                        raise Missing(f"alert {alert_id!r:.80} does not exist")
                    of = queue.owners_of(tower, conn, [row])
                words = {
                    **queue.row_words(tower, row, of=of.get(row.id)),
                    "now": tower.clock(),
                    "back": form.get("next", "/"),
                    "within": queue.within_of(form.get("next", "/")),
                    "done": True,
                }
                return page(request, "row.html", words)
            return back(form, f"/review/alerts/{quote(alert_id)}")

        return await run_in_threadpool(act)

    @router.post("/review/confirm")
    async def post_confirm(request: Request) -> Response:
        form, actor = await form_of(request), acting(request, reviewer(request))
        subject, odd = form.get("record", ""), {"yes": True, "no": False}.get(form.get("odd", ""))
        object_name, _, record_id = subject.partition("/")

        def confirm() -> Response:
            if odd is None:
                raise InputError(f"odd: {form.get('odd', '')!r:.20} is neither yes nor no")
            with tower.database.read() as conn:
                row = queries.record_by_id(conn, object_name, record_id)
            if row is None:
                raise Missing(f"{subject:.80}: there is no such record")
            known = {name: field for name, field, _ in pages.confirmable(tower, row)}
            field = known.get(form.get("signal", ""))
            if field is None:
                raise InputError(f"signal: {form.get('signal', '')!r:.60} asks for no verdict on {object_name}")
            tower.cross(subject, fields={field: odd}, actor=actor, note=form.get("note", "")[:4000])
            return back(form, path_to("review", object_name, record_id))

        return await run_in_threadpool(confirm)

    @router.post("/review/bulk")
    async def post_bulk(request: Request) -> Response:
        pairs = await pairs_of(request)
        form, actor = dict(pairs), acting(request, reviewer(request))
        picked = [value for name, value in pairs if name == "pick"]

        def decide() -> Response:
            verb, chosen = form.get("verb", ""), picked
            if verb == "undo":
                chosen = to_undo(tower, form.get("did", ""), actor)
            elif picked and form.get("every"):
                chosen = queue.matching(tower, form.get("next", "/"), form["every"])
            if not chosen:
                raise InputError("nothing is picked", remedy="tick the boxes (or press x) of those that are meant")
            done = bulk(
                tower, verb, chosen, actor, note=form.get("note", ""), assignee=form.get("assignee", "").strip()[:120]
            )
            request.app.state.remembered.doubt()
            onward = back({"next": with_did(form.get("next", "/"), done.did)}, "/")
            if done.refused:
                words = {"now": tower.clock(), "done": done, "onward": onward.headers["location"]}
                return page(request, "bulk.html", words, status=409)
            return onward

        return await run_in_threadpool(decide)

    @router.post("/review/proposals/{proposal_id}/{verdict}")
    async def post_decide(
        request: Request, proposal_id: str, verdict: Literal["accept", "reject", "withdraw"]
    ) -> Response:
        form = await form_of(request)
        actor, note = acting(request, reviewer(request)), form.get("note", "").strip()[:4000]

        def decide() -> Response:
            if verdict == "withdraw":
                tower.withdraw(named(proposal_id, "proposal"), actor=actor, note=note)
            else:
                tower.decide(named(proposal_id, "proposal"), verdict, actor=actor, note=note)
            request.app.state.remembered.doubt()
            if form.get("part") == "row" and "hx-request" in request.headers:
                with tower.database.read() as conn:
                    row = queries.proposal_by_id(conn, proposal_id)
                    if row is None:
                        raise Missing(f"proposal {proposal_id!r:.80} does not exist")
                    card = pages.card_words(tower, conn, row)
                words = {"card": card, "now": tower.clock(), "back": form.get("next", "/"), "done": True}
                return page(request, "card.html", words)
            return back(form, "/review/proposals")

        return await run_in_threadpool(decide)

    return router
