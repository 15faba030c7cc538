"""The page of silences: of what nobody is told for a while; made and ended here, too."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from watchtower.api.auth import acting
from watchtower.api.port import TowerPort
from watchtower.api.review.environment import page, reviewer
from watchtower.api.review.forms import back, form_of
from watchtower.api.routes.alerts import subject_of
from watchtower.api.views import named
from watchtower.errors import InputError
from watchtower.store import queries
from watchtower.store.silences import MATCHED, Silence, covered, silences

LENGTHS = {
    "1h": ("1 hour", timedelta(hours=1)), "4h": ("4 hours", timedelta(hours=4)), "1d": ("1 day", timedelta(days=1)),
    "3d": ("3 days", timedelta(days=3)), "7d": ("1 week", timedelta(days=7)), "30d": ("30 days", timedelta(days=30)),
}  # fmt: skip
PAST = 20
"""Silences that are over, shown below."""
ASKED = ("rule", "record", "queue", "owner", "severity")
"""What the form names; the address of the page may name it beforehand: /review/silences?rule=mql_uncontacted."""


def about(silence: Silence) -> list[tuple[str, str]]:
    """What a silence names, as (what, value): an object and a record together are one record."""
    said = {name: getattr(silence, name) for name in MATCHED}
    if said["object"] and said["record"]:
        said = {**said, "object": None, "record": f"{said['object']}/{said['record']}"}
    return [(name, value) for name, value in said.items() if value]


def silence_link(**named_: str) -> str:
    """The page with its form filled in."""
    return f"/review/silences?{urlencode(named_)}#new"


def silences_page(tower: TowerPort, request: Request) -> Response:
    """Those that last, with what they hold back; the form; those that are over."""
    now, book = tower.clock(), tower.rulebook
    with tower.database.read() as conn:
        every = silences(conn, now, every=True)
        counts = covered(conn, now)
        waiting = queries.proposal_counts(conn).get("review", 0)
    asked = request.query_params
    words: dict[str, Any] = {
        "now": now,
        "waiting": waiting,
        "lasting": [(one, about(one), *counts.get(one.id, (0, 0))) for one in every if one.ends_at > now],
        "over": [(one, about(one)) for one in every if one.ends_at <= now][:PAST],
        "given": {name: asked.get(name, "")[:1024] for name in ASKED},
        "lengths": [(key, shown) for key, (shown, _) in LENGTHS.items()],
        "known": {
            "rule": [rule.id for rule in book.rules],
            "queue": sorted({rule.queue for rule in book.rules if rule.queue} | set(book.queues)),
            "owner": sorted({rule.owner for rule in book.rules if rule.owner}),
        },
        "severities": queries.SEVERITIES,
    }
    return page(request, "silences.html", words)


def routes(tower: TowerPort) -> APIRouter:
    """The page and its two forms."""
    router = APIRouter(include_in_schema=False)

    @router.get("/review/silences")
    def get_silences(request: Request) -> Response:
        return silences_page(tower, request)

    @router.post("/review/silences")
    async def post_silence(request: Request) -> Response:
        form = await form_of(request)
        given = {name: form.get(name, "").strip() or None for name in ASKED}
        length = LENGTHS.get(form.get("length", "1d"))
        if length is None:
            raise InputError(f"length: {form['length']!r:.20} is not one of {', '.join(LENGTHS)}")
        kind, record = subject_of(given.pop("record"))
        matched = {**given, "object": kind, "record": record}
        actor, because = acting(request, reviewer(request)), form.get("because", "")[:4000]

        def make() -> Response:
            tower.silence(matched, until=tower.clock() + length[1], because=because, actor=actor)
            return back(form, "/review/silences")

        return await run_in_threadpool(make)

    @router.post("/review/silences/{silence_id}/end")
    async def post_end(request: Request, silence_id: str) -> Response:
        form = await form_of(request)
        actor = acting(request, reviewer(request))
        await run_in_threadpool(tower.end_silence, named(silence_id, "silence"), actor=actor)
        return back(form, "/review/silences")

    return router
