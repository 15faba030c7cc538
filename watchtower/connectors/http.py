"""HTTP to a connected system: JSON in and out, one deadline for a call with all its retries, a cap on what is read.

What passes by itself is tried again: a lost connection, 429 and 5xx. `Retry-After` is kept to, whether it is seconds or
a date; where the system says nothing, each pause is twice the one before. What does not pass by itself (401, 403, 404,
400) is a SystemFault that is `refused`: somebody has to put something right. Where access tokens are renewed, a call
that is answered 401 is said once more with the next token. Credentials never stand in a message.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx2
import msgspec

from watchtower import __version__
from watchtower.contract.system import Tokens
from watchtower.errors import SystemFault

SECONDS = 30.0
"""How long one attempt may take in all."""
IN_ALL = 180.0
"""How long a call may take with its retries and the pauses between them."""
READ_LIMIT = 32 << 20
"""Bytes of an answer that are read; a longer one is refused."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
LEAST = 0.1
"""Of the pause that we would make by ourselves, what we make at least, where a system says to come back at once."""
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


class Http:
    """Calls to one system. `headers` go with each call, and a token of `tokens`; `secret`: what is said and answered is
    not for anybody's eyes, and a fault names OAuth's word for it alone. `sleep` and `clock` (seconds) are for tests."""

    def __init__(
        self,
        base: str,
        headers: Mapping[str, str] | None = None,
        *,
        tokens: Tokens | None = None,
        secret: bool = False,
        seconds: float = SECONDS,
        in_all: float = IN_ALL,
        read_limit: int = READ_LIMIT,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        parts = urlsplit(base)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise SystemFault(
                f"the address {_bare(base)!r:.80} is not of the form https://api.example.com", refused=True
            )
        self.base = base.rstrip("/")
        self.headers = dict(headers or {})
        self._tokens, self._secret = tokens, secret
        self._seconds, self._in_all, self._read_limit = seconds, in_all, read_limit
        self._sleep, self._clock = sleep, clock
        self._client = httpx2.Client(
            timeout=seconds, follow_redirects=False, trust_env=False, verify=parts.scheme == "https",
            headers={"user-agent": f"watchtower/{__version__}", "accept-encoding": "identity"},
        )  # fmt: skip

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """The JSON of an answer. SystemFault."""
        return self.call("GET", path, params=params)

    def post(self, path: str, body: Any) -> Any:
        """As `get`. Only for what may be said twice: a search, a read."""
        return self.call("POST", path, body=body)

    def call(
        self, method: str, path: str, *, params: Mapping[str, Any] | None = None, body: Any = None,
        form: Mapping[str, str] | None = None,
    ) -> Any:  # fmt: skip
        """The JSON of an answer; None where it has no body. It is tried again while it may pass by itself.

        `path`: behind the base; a whole address under the same host, too, as systems give for a next page. SystemFault.
        """
        url = path if path.startswith(self.base) else f"{self.base}/{path.lstrip('/')}"
        token, renewed = self._tokens.token() if self._tokens else "", False
        began, attempt = self._clock(), 0
        while True:
            attempt += 1
            because, asked_for = "", None
            try:
                status, headers, said = self._once(method, url, params, body, form, token)
            except httpx2.TransportError as error:
                because = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            else:
                if 200 <= status < 300:
                    return self._read(method, url, said)
                if status == 401 and self._tokens and not renewed:
                    token, renewed = self._tokens.after(token), True
                    continue
                because = f"answered {status}{_word(said) if self._secret else _said(said)}"
                if status not in PASSING:
                    raise SystemFault(
                        f"{method} {_bare(url)}: {because}",
                        remedy=_REMEDIES.get(status, ""),
                        refused=True,
                        status=status,
                    )
                asked_for = _retry_after(headers.get("retry-after", ""))
            own = min(FIRST_PAUSE * 2 ** (attempt - 1), LONGEST_PAUSE)
            pause = own if asked_for is None else max(asked_for, own * LEAST)
            if self._clock() - began + pause > self._in_all:
                raise SystemFault(
                    f"{method} {_bare(url)}: {because}, after {attempt} attempts"
                    + (f"; it asks for {pause:.0f} s more" if asked_for else "")
                )
            self._sleep(pause)

    def _once(
        self, method: str, url: str, params: Mapping[str, Any] | None, body: Any, form: Mapping[str, str] | None,
        token: str,
    ) -> tuple[int, Mapping[str, str], bytes]:  # fmt: skip
        until = self._clock() + self._seconds
        given = self.headers | ({"authorization": f"Bearer {token}"} if token else {})
        content = None if body is None else msgspec.json.encode(body)
        if content is not None:
            given["content-type"] = "application/json"
        with self._client.stream(method, url, params=params, headers=given, content=content, data=form) as answer:
            if answer.headers.get("content-encoding", "identity") != "identity":
                raise SystemFault(f"{method} {_bare(url)}: the answer is compressed, though we asked it not to be")
            read = bytearray()
            for chunk in answer.iter_bytes():
                read += chunk
                if len(read) > self._read_limit:
                    raise SystemFault(f"{method} {_bare(url)}: the answer is longer than {self._read_limit:,} bytes")
                if self._clock() > until:
                    # A read timeout alone bounds nothing: it starts anew with every byte.
                    raise httpx2.ReadTimeout(f"no whole answer within {self._seconds:g} s")
        return answer.status_code, answer.headers, bytes(read)

    def _read(self, method: str, url: str, said: bytes) -> Any:
        if not said.strip():
            return None
        try:
            return msgspec.json.decode(said)
        except (msgspec.MsgspecError, RecursionError):
            shown = "" if self._secret else f": {said[:60]!r}"
            raise SystemFault(f"{method} {_bare(url)}: the answer is no JSON{shown}") from None

    def close(self) -> None:
        self._client.close()


_REMEDIES = {
    401: "Its token is not valid (any more): make a new one, and set the variable that watchtower systems names.",
    403: "The token may not do this: give it the scopes that docs/connectors.md names.",
    404: "It knows no such object or property: see what the rulebook's systems: names.",
    400: "It does not accept what was asked: see the names of objects and properties under systems: in the rulebook.",
}


def _retry_after(value: str) -> float | None:
    """Seconds, of a number or of a date (RFC 9110, 10.2.3); None where there is none that can be read."""
    value = value.strip()
    if value.replace(".", "", 1).isdigit():
        return min(float(value), 1e6)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    # The date is the other side's, and so must be what it is held against: the machine's clock, not the tower's.
    return max((at - datetime.fromtimestamp(time.time(), at.tzinfo or UTC)).total_seconds(), 0.0) if at.tzinfo else None


def _bare(url: str) -> str:
    """Without query, user and password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"


def _word(body: bytes) -> str:
    """OAuth's word for what is wrong (RFC 6749, 5.2), and nothing else of the answer."""
    found = re.search(rb'"error"\s*:\s*"([a-z_]{1,40})"', body)
    return f": {found[1].decode()}" if found else ""


def _said(body: bytes) -> str:
    text = " ".join(body[:400].decode(errors="replace").split())
    return f": {text[:200]}" if text else ""
