"""Who may do what over HTTP. One table; what it does not name is shut: reading to sources and workers, the rest to
all but an admin.

A program sends `Authorization: Bearer KEY`; a browser has a session's cookie. A request that rides on a cookie and
changes something must say that it comes from our own pages (Fetch Metadata or Origin, which the guard has compared).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from time import monotonic
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request, cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from watchtower.api.guard import SAFE_METHODS
from watchtower.api.problems import answer, status_of
from watchtower.api.rate import Rate
from watchtower.api.views import actor_name
from watchtower.errors import WatchtowerError
from watchtower.flow.door import Credential, Door, Role
from watchtower.store.audit import KEY

COOKIE = "watchtower_session"

OPEN = re.compile(r"/(healthz|readyz|login|logout|slack/interactions|hooks/[^/]+|static/.*)")
"""Asked for no key: probes have none, who signs in has none yet, and Slack and others sign what they send."""
PROBES = re.compile(r"/(healthz|readyz|static/.*)")
READ: frozenset[Role] = frozenset({"viewer", "operator", "admin"})
ADMIN: frozenset[Role] = frozenset({"admin"})
CHANGE: tuple[tuple[re.Pattern[str], frozenset[Role]], ...] = (
    (re.compile(r"/events"), frozenset({"source", "admin"})),
    (re.compile(r"/alerts/.+"), frozenset({"operator", "admin"})),
    (re.compile(r"/(proposals|pairs|merges)/.+"), frozenset({"operator", "admin"})),
    (re.compile(r"/silences(/.+)?"), frozenset({"operator", "admin"})),
    (re.compile(r"/subscriptions(/.+)?"), frozenset({"operator", "admin"})),
    (re.compile(r"/handoffs"), frozenset({"operator", "admin"})),
    (re.compile(r"/review/advance"), READ),
    (
        re.compile(r"/review/((alerts|proposals|pairs|merges)/.+|silences(/.+)?|bulk|confirm)"),
        frozenset({"operator", "admin"}),
    ),
)
"""Requests that change something: the first pattern that is the whole path decides."""


def roles_for(method: str, path: str) -> frozenset[Role] | None:
    """Who may send such a request; None where no key is asked for."""
    if OPEN.fullmatch(path):
        return None
    if method in SAFE_METHODS:
        return READ
    return next((roles for pattern, roles in CHANGE if pattern.fullmatch(path)), ADMIN)


RolesFor = Callable[[str, str], frozenset[Role] | None]
"""Of a method and a path, the roles that may; None where no key is asked for."""


def credential_of(request: Request) -> Credential | None:
    """Who asks; None where the door is open."""
    return getattr(request.state, "credential", None)


def acting(request: Request, said: str | None) -> str:
    """Under which name a request acts: the credential's, where there is one. `said`: the name it gives itself."""
    credential = credential_of(request)
    if credential is None:
        return actor_name("operator" if said is None else said)
    if said is not None and said.strip() != credential.name:
        raise HTTPException(403, f"actor: {said!r:.60} is not {credential.name!r}, whose key this is")
    return credential.name


def source_of(request: Request) -> str | None:
    """The only source under which a request may speak; None where it may name any."""
    credential = credential_of(request)
    return credential.name if credential is not None and credential.role == "source" else None


class Auth:
    """ASGI middleware within the guard: nothing of a request is read before it is known who sends it."""

    def __init__(self, app: ASGIApp, door: Door, rate: Rate, roles: RolesFor = roles_for) -> None:
        self.app, self.door, self.rate, self.roles = app, door, rate, roles

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            refusal = await self._refusal(scope)
        except WatchtowerError as error:
            refusal = answer(Request(scope), status_of(error), error.message, remedy=error.remedy)
        await (self.app if refusal is None else refusal)(scope, receive, send)

    async def _refusal(self, scope: Scope) -> Response | None:
        """The answer to those who may not; None where the request goes on."""
        request, headers = Request(scope), Headers(scope=scope)
        KEY.set("")
        roles = self.roles(scope["method"], scope["path"])
        locked = self.door.known_locked()
        if roles is not None and locked is None:
            locked = await run_in_threadpool(self.door.locked)
        if roles is None or not locked:
            # Probes are never kept out; a sign-in is, and so a key cannot be guessed.
            probe = PROBES.fullmatch(scope["path"])
            return None if probe else self._too_often(request, f"address {_address(scope)}")
        scheme, _, key = headers.get("authorization", "").partition(" ")
        token = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        by_cookie = not key
        if key and scheme.lower() == "bearer":
            credential = await run_in_threadpool(self.door.holder, key.strip())
        elif by_cookie and token:
            credential = await run_in_threadpool(self.door.signed_in, token)
        else:
            credential = None
        caller = f"address {_address(scope)}" if credential is None else f"key {credential.id}"
        if (refusal := self._too_often(request, caller)) is not None:
            return refusal
        if credential is None:
            return _unknown(request, headers, known=bool(key or token))
        if credential.role not in roles:
            need = ", ".join(sorted(roles))
            return answer(
                request, 403, f"{scope['method']} {scope['path']:.200}: not for the role {credential.role} ({need} may)"
            )
        if by_cookie and scope["method"] not in SAFE_METHODS and not _from_our_pages(headers):
            return answer(request, 403, "refused: the request does not say that it comes from these pages")
        scope.setdefault("state", {})["credential"] = credential
        KEY.set(credential.id)
        return None

    def _too_often(self, request: Request, caller: str) -> Response | None:
        """The answer to who asks more often than it may; None where it may ask."""
        seconds = self.rate.wait(caller, monotonic())
        if not seconds:
            return None
        response = answer(
            request,
            429,
            f"more than {self.rate.per_minute} requests a minute from {caller}",
            remedy="wait, or send more in one request; WATCHTOWER_REQUESTS_PER_MINUTE sets the limit",
        )
        response.headers["retry-after"] = str(int(seconds) + 1)
        return response


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


def _from_our_pages(headers: Headers) -> bool:
    return headers.get("sec-fetch-site") == "same-origin" or "origin" in headers


def _unknown(request: Request, headers: Headers, *, known: bool) -> Response:
    path = request.url.path
    page = "text/html" in headers.get("accept", "") and "authorization" not in headers
    if page and request.method in SAFE_METHODS and "hx-request" not in headers:
        here = path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/login?next={quote(here, safe='')}", status_code=303)
    words = "the key or session opens nothing: unknown, revoked or over" if known else "a key is asked for here"
    response = answer(
        request,
        401,
        words,
        remedy="send Authorization: Bearer KEY, or sign in at /login; watchtower keys add makes one",
    )
    response.headers["www-authenticate"] = 'Bearer realm="watchtower"'
    return response
