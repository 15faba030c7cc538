"""One webhook, posted: signed as Standard Webhooks has it, with a deadline of our own and a cap on what is read.

A read timeout alone bounds nothing, since it starts anew with every byte; here each look at the socket gets what is
left of the whole call's time. Redirects are not followed: a message goes where the rulebook says, or nowhere.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import threading
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import httpcore2

from watchtower import __version__
from watchtower.errors import WatchtowerError

SECONDS = 10.0
"""How long one attempt may take in all; looking the name up comes before, within the resolver's own limits."""
READ_LIMIT = 16 * 1024
"""Bytes of an answer that are read; more is cut off, and the connection closed."""
LONGEST_WAIT = 3600.0
"""Seconds for which a receiver may ask to be left alone; whoever asks for more is asked again all the same."""


class Undelivered(WatchtowerError):
    """The receiver did not take the message: `message` says why. `status`: what it answered; 0 where it did not.
    `wait`: seconds that it asks to be left alone for."""

    def __init__(self, message: str, *, status: int = 0, wait: float = 0.0) -> None:
        super().__init__(message)
        self.status, self.wait = status, wait


def key_of(secret: str) -> bytes:
    """The bytes of a `whsec_...` secret. Undelivered where it is none; the message does not show it."""
    try:
        if not secret.startswith("whsec_"):
            raise ValueError
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        raise Undelivered("the secret is not of the form whsec_ and base64") from None
    if not 24 <= len(key) <= 64:
        raise Undelivered(f"the secret has {len(key)} bytes; 24 to 64 are accepted")
    return key


def signed(message: str, body: str, secret: str, now: datetime) -> dict[str, str]:
    """The headers of a message (Standard Webhooks 1.0: v1, HMAC-SHA256 over id.timestamp.body)."""
    stamp = str(int(now.timestamp()))
    digest = hmac.new(key_of(secret), f"{message}.{stamp}.{body}".encode(), hashlib.sha256).digest()
    return {
        "webhook-id": message,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


class Postman:
    """Posts messages. Safe to use from several threads at once."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._until = threading.local()
        self._pool = httpcore2.ConnectionPool(
            max_connections=None, keepalive_expiry=30, network_backend=_Backend(self._until), retries=0
        )

    def __call__(
        self, url: str, headers: Mapping[str, str], body: str, method: str = "POST", limit: int = READ_LIMIT
    ) -> bytes:
        """Post (or put, or get); the beginning of the answer where it is 2xx. Undelivered otherwise."""
        given = [("content-type", "application/json"), ("user-agent", f"watchtower/{__version__}"), *headers.items()]
        self._until.deadline = time.monotonic() + self._seconds
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), self._seconds)
        try:
            with self._pool.stream(
                method, url, headers=given, content=body.encode(), extensions={"timeout": timeouts}
            ) as answer:
                said = _beginning(answer.iter_stream(), limit)
        except httpcore2.TimeoutException:
            raise Undelivered(f"no whole answer within {self._seconds:g} s") from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.UnsupportedProtocol) as error:
            raise Undelivered(str(error) or type(error).__name__) from None
        if 300 <= answer.status < 400:
            raise Undelivered(f"answered {answer.status}; redirects are not followed")
        if not 200 <= answer.status < 300:
            because = f"answered {answer.status}: {said[:200].decode(errors='replace')}"
            raise Undelivered(because, status=answer.status, wait=_asked_for(answer.headers, time.time()))
        return said

    def close(self) -> None:
        self._pool.close()


def _asked_for(headers: Iterable[tuple[bytes, bytes]], now: float) -> float:
    """Seconds that an answer asks to be left alone for: `Retry-After` in seconds (Slack), or `X-RateLimit-Reset` as
    seconds since 1970 (ClickUp). The latter is the other side's clock, so it is held against the machine's."""
    given = {name.lower(): value.strip() for name, value in headers}
    after, reset = given.get(b"retry-after", b""), given.get(b"x-ratelimit-reset", b"")
    if after.isdigit() and len(after) < 7:
        return min(float(after), LONGEST_WAIT)
    if reset.isdigit() and len(reset) < 12:
        return min(max(float(reset) - now, 0.0), LONGEST_WAIT)
    return 0.0


def _beginning(chunks: Iterable[bytes], limit: int) -> bytes:
    read = b""
    for chunk in chunks:
        read += chunk
        if len(read) > limit:
            break
    return read


class _Backend(httpcore2.NetworkBackend):
    """The network, seen through what is left of the calling thread's time."""

    def __init__(self, until: threading.local) -> None:
        self._inner, self._until = httpcore2.SyncBackend(), until

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:  # fmt: skip
        left = _left(self._until)
        return _Stream(self._inner.connect_tcp(host, port, left, local_address, socket_options), self._until)


class _Stream(httpcore2.NetworkStream):
    def __init__(self, inner: httpcore2.NetworkStream, until: threading.local) -> None:
        self._inner, self._until = inner, until

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(self._until))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(self._until))

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, _left(self._until)), self._until)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)

    def close(self) -> None:
        self._inner.close()


def _left(until: threading.local) -> float:
    left = float(until.deadline - time.monotonic())
    if left <= 0:
        raise httpcore2.ReadTimeout("the deadline is over")
    return left
