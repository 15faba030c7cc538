"""What a language model's answer may cost on the wire: one deadline in all, a cap on bytes, no compression.

A read timeout alone bounds nothing: it starts anew with every byte that drips in, and 48 KB of gzip can
become 50 MB. So bytes are counted as they come, the clock is looked at between them, and an answer that is
compressed is refused unread.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx2

from enrichment.errors import CallFailed


class _Capped(httpx2.SyncByteStream):
    """A response body that ends with CallFailed when it grows too long or takes too long."""

    def __init__(self, inner: httpx2.SyncByteStream, cap: int, deadline: float) -> None:
        self._inner, self._cap, self._deadline = inner, cap, deadline

    def __iter__(self) -> Iterator[bytes]:
        seen = 0
        for chunk in self._inner:
            seen += len(chunk)
            if seen > self._cap:
                raise CallFailed("oversized", f"the answer is longer than {self._cap} bytes")
            if time.monotonic() > self._deadline:
                raise CallFailed("deadline", "the answer was still coming in")
            yield chunk

    def close(self) -> None:
        self._inner.close()


class CappedTransport(httpx2.BaseTransport):
    """HTTP with `seconds` for one call in all and at most `cap` bytes of answer."""

    def __init__(self, cap: int, seconds: float) -> None:
        # A connection is kept for each call at once: making them anew would cost more than the call.
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=256)
        self._inner = httpx2.HTTPTransport(retries=0, limits=limits)
        self._cap, self._seconds = cap, seconds

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        deadline = time.monotonic() + self._seconds
        request.headers["accept-encoding"] = "identity"
        response = self._inner.handle_request(request)
        encoding = response.headers.get("content-encoding", "identity")
        if encoding != "identity":
            response.close()
            raise CallFailed("encoded", f"the answer is compressed ({encoding[:40]}) though we asked it not to be")
        stream: Any = response.stream
        response.stream = _Capped(stream, self._cap, deadline)
        return response

    def close(self) -> None:
        self._inner.close()


def client(cap: int, seconds: float) -> httpx2.Client:
    """A client that follows no redirect and reads no proxy from the environment for a local endpoint."""
    return httpx2.Client(transport=CappedTransport(cap, seconds), timeout=seconds, follow_redirects=False)
