"""What every request passes: the Host it names, where it was sent from, its size, and its answer's headers.

Host: a page elsewhere can point its own domain at 127.0.0.1 and read us as its own origin (DNS rebinding).
It needs a dotted name for that, so a name with a dot is let in only where it is listed; addresses are.
Origin: a state-changing request that a browser sent from another site is refused (Fetch Metadata, Origin).
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from watchtower.api.headers import dress
from watchtower.api.problems import problem

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
ANY_HOST = "*"
MAX_BODY = 1_000_000
TOO_LARGE = f"the body has more than {MAX_BODY} bytes; send fewer events at a time"


def host_name(value: str) -> str:
    """The name in a Host header, without the port: `[::1]:80` is `::1`. Empty where it is malformed."""
    try:
        return urlsplit(f"//{value}").hostname or ""
    except ValueError:
        return ""


def host_allowed(value: str, hosts: Collection[str]) -> bool:
    """Whether a Host header may reach us."""
    if ANY_HOST in hosts:
        return True
    name = host_name(value).rstrip(".")
    if not name:
        return False
    if "." not in name or name in hosts or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def foreign(headers: Headers) -> str | None:
    """Why a state-changing request counts as sent from another site; None where it does not."""
    site = headers.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        return f"Sec-Fetch-Site is {site}"
    origin = headers.get("origin")
    if origin is not None:
        try:
            place = urlsplit(origin).netloc
        except ValueError:
            place = ""
        if not place or place.lower() != headers.get("host", "").lower():
            return f"Origin is {origin:.200}, the request is for {headers.get('host', 'no host'):.200}"
    return None


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, hosts: Collection[str] = ()) -> None:
        self.app = app
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        nonce = secrets.token_urlsafe(16)
        scope.setdefault("state", {})["nonce"] = nonce

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                dress(MutableHeaders(scope=message), nonce)
            await send(message)

        if not host_allowed(headers.get("host", ""), self.hosts):
            refusal = problem(
                421,
                f"Host: {headers.get('host', '')!r:.200} is not a name of this service",
                remedy="use its address or localhost, or start the service with this name allowed",
            )
            await refusal(scope, receive, send_guarded)
            return
        if scope["method"] not in SAFE_METHODS and (reason := foreign(headers)):
            refusal = problem(403, f"refused: sent from another site ({reason})")
            await refusal(scope, receive, send_guarded)
            return
        if (headers.get("content-length") or "0").isdigit() and int(headers.get("content-length") or 0) > MAX_BODY:
            await problem(413, TOO_LARGE)(scope, receive, send_guarded)
            return
        taken = 0

        async def receive_capped() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > MAX_BODY:
                raise HTTPException(413, TOO_LARGE)
            return message

        await self.app(scope, receive_capped, send_guarded)
