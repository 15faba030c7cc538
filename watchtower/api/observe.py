"""Around every request: its id, in the log and in the answer; how long it took, by the template of its route.

A caller may send X-Request-Id (letters, digits, `-`, `_`, `.`; at most 64); else one is drawn.
"""

from __future__ import annotations

import re
import secrets
import time

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from watchtower.metered import HTTP, OTHER, known
from watchtower.tracing import span

HEADER = "x-request-id"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Observe:
    """ASGI middleware outside of the guard: what the guard turns away is counted, too."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get(HEADER, "")
        request_id = given if _ID.fullmatch(given) else secrets.token_hex(8)
        status = 500

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        begun, method = time.perf_counter(), known(scope["method"], METHODS)
        with (
            structlog.contextvars.bound_contextvars(request=request_id),
            span(method, parent=headers.get("traceparent"), server=True) as current,
        ):
            try:
                await self.app(scope, receive, send_named)
            finally:
                route = route_of(scope)
                HTTP.labels(method, route, f"{status // 100}xx").observe(time.perf_counter() - begun)
                current.update_name(f"{method} {route}")
                current.set_attributes({"http.route": route, "http.response.status_code": status})


def route_of(scope: Scope) -> str:
    """The template of the route that answered, `/alerts/{alert_id}`: as many as the service has. `other`: none did."""
    path = getattr(scope.get("route"), "path", None)
    if isinstance(path, str):
        return path
    return "/static" if scope.get("app_root_path") is not None and scope["path"].startswith("/static/") else OTHER
