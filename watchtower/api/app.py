"""The application: every route, every fault's answer, and the guard around them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from watchtower import __version__
from watchtower.api import problems
from watchtower.api.auth import Auth
from watchtower.api.guard import Guard
from watchtower.api.heads import Heads
from watchtower.api.live import Feed
from watchtower.api.observe import Observe
from watchtower.api.openapi import describe
from watchtower.api.packed import packed_file, takes_gzip
from watchtower.api.port import TowerPort
from watchtower.api.rate import Rate
from watchtower.api.review import login, pairs
from watchtower.api.review import routes as review
from watchtower.api.review import silences as quiet
from watchtower.api.review.boards import Meter
from watchtower.api.review.environment import STATIC
from watchtower.api.review.remembered import Remembered
from watchtower.api.routes import (
    alerts,
    events,
    handoffs,
    hooks,
    live,
    merges,
    records,
    service,
    silences,
    slack,
    subscriptions,
)

DESCRIPTION = """Events in, alerts out. Faults are application/problem+json (RFC 9457) and name the thing, the
value and the remedy. Times are UTC with six digits. Lists go on with `cursor` until `next` is null."""


ROUTES = (
    events.routes, alerts.routes, handoffs.routes, records.routes, merges.routes, silences.routes,
    subscriptions.routes, slack.routes, hooks.routes, live.routes, service.routes, login.routes, quiet.routes,
    pairs.routes,
    review.routes,
)  # fmt: skip
"""Every route there is; who may use it stands in `auth`."""


_TEXTS = ("text/", "image/svg")


class Assets(StaticFiles):
    """Static files; their addresses carry a hash of the content, so they may be kept for good."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if response.status_code != 200:
            return response
        wanted = scope["method"] == "GET" and takes_gzip(Headers(scope=scope))
        if wanted and isinstance(response, FileResponse) and str(response.media_type).startswith(_TEXTS):
            file = Path(response.path)
            body = await run_in_threadpool(packed_file, file, file.stat().st_mtime_ns)
            response = Response(body, media_type=response.media_type, headers={"content-encoding": "gzip"})
        response.headers["vary"] = "accept-encoding"
        response.headers["cache-control"] = "public, max-age=31536000, immutable"
        return response


def create_app(tower: TowerPort, *, hosts: Collection[str] = (), per_minute: int = 0) -> FastAPI:
    """The service of one tower.

    `hosts` are the dotted names under which it may be reached, beside addresses and names without a dot;
    `*` lets any name through. `per_minute`: how many requests each caller may send; 0: any number.
    """
    app = FastAPI(
        title="Watchtower",
        version=__version__,
        summary="A rulebook for revenue operations that runs.",
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
    )
    problems.install(app)
    for router in ROUTES:
        app.include_router(router(tower))
    app.mount("/static", Assets(directory=STATIC))
    app.state.feed = Feed(tower.database)
    app.state.remembered = Remembered()
    app.state.meter = Meter()
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    app.add_middleware(Auth, door=tower.door, rate=Rate(per_minute))
    app.add_middleware(Heads)
    app.add_middleware(Guard, hosts=frozenset(hosts))
    app.add_middleware(Observe)
    return app
