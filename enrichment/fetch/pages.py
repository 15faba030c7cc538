"""Reading pages: robots.txt first, then each page, within a deadline and caps on bytes before and after unpacking.

A redirect is followed on the same host only (and between a domain and its `www.`), three times at most. The text is
what trafilatura takes for the page's content.
"""

from __future__ import annotations

import ssl
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit
from urllib.robotparser import RobotFileParser

import httpcore2

from enrichment.fetch.guard import Forbidden, PinnedBackend, Resolve, permitted, plain_host, system_resolve

AGENT = "WatchtowerEnrichment"
"""What robots.txt calls us."""
MAX_WIRE = 1_000_000
MAX_PAGE = 3_000_000
"""Bytes of a page on the wire, and unpacked."""
MAX_ROBOTS = 200_000
MAX_TEXT = 100_000
"""Characters of a page's text that are kept."""
MAX_REDIRECTS = 3
SECONDS = 20.0
"""For all that is read of one company, from the first look-up of a name to the last byte."""
KINDS = ("text/html", "application/xhtml+xml", "text/plain")


@dataclass(frozen=True)
class Page:
    """`path` as it was asked for; `url` is where the text stood in the end."""

    path: str
    url: str
    text: str


@dataclass(frozen=True)
class Unread:
    """A page that could not be read, or must not be."""

    path: str
    because: str


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class _Refused(Exception):
    """This page is not read; the text says why."""


@dataclass
class Fetcher:
    """`resolve`, `permit`, `ports` and `schemes` are for tests: a local server stands nowhere in public."""

    resolve: Resolve = system_resolve
    permit: Callable[[str], bool] = permitted
    ports: dict[str, int] = field(default_factory=lambda: {"https": 443, "http": 80})
    schemes: tuple[str, ...] = ("https", "http")
    seconds: float = SECONDS

    def read(self, domain: str, paths: Sequence[str]) -> tuple[list[Page], list[Unread]]:
        """The pages of a domain, and those that could not be read. Never raises for what a site does."""
        found: list[Page] = []
        unread: list[Unread] = []

        def work() -> None:
            try:
                host = plain_host(domain)
                with self._pool() as pool:
                    _Visit(self, pool, host, time.monotonic() + self.seconds, found, unread).read(paths)
            except Forbidden as error:
                unread.extend(Unread(path, str(error)) for path in paths)

        # A thread is the only bound on name look-ups and headers that drip; what it is late with is not taken.
        thread = threading.Thread(target=work, name="fetch", daemon=True)
        thread.start()
        thread.join(self.seconds + 1)
        pages, others = list(found), list(unread)
        done = {page.path for page in pages} | {other.path for other in others}
        others += [Unread(path, f"not read within {self.seconds:g} s") for path in paths if path not in done]
        return pages, others

    def _pool(self) -> httpcore2.ConnectionPool:
        backend = PinnedBackend(self.resolve, self.permit)
        return httpcore2.ConnectionPool(
            ssl_context=ssl.create_default_context(), network_backend=backend, max_connections=2, retries=0
        )


class _Visit:
    """One company's site, read once."""

    def __init__(
        self,
        fetcher: Fetcher,
        pool: httpcore2.ConnectionPool,
        host: str,
        deadline: float,
        found: list[Page],
        unread: list[Unread],
    ) -> None:
        self._fetcher, self._pool, self._deadline = fetcher, pool, deadline
        bare = host.removeprefix("www.")
        self._hosts = (host, bare if host != bare else f"www.{host}")
        self._found, self._unread = found, unread
        self._robots: dict[str, RobotFileParser | None] = {}

    def read(self, paths: Sequence[str]) -> None:
        scheme = next((scheme for scheme in self._fetcher.schemes if self._answers(scheme)), None)
        for path in paths:
            if scheme is None:
                self._unread.append(Unread(path, "the site does not answer"))
                continue
            try:
                self._found.append(self._page(scheme, path))
            except (_Refused, Forbidden) as error:
                self._unread.append(Unread(path, str(error)))

    def _answers(self, scheme: str) -> bool:
        try:
            self._rules(scheme, self._hosts[0])
            return True
        except (_Refused, Forbidden):
            return False

    def _page(self, scheme: str, path: str) -> Page:
        host, asked = self._hosts[0], path
        for _ in range(MAX_REDIRECTS + 1):
            rules = self._rules(scheme, host)
            url = f"{scheme}://{host}{path}"
            if rules is not None and not rules.can_fetch(AGENT, url):
                raise _Refused("robots.txt forbids it")
            answer = self._get(scheme, host, path, MAX_PAGE)
            if answer.status in (301, 302, 303, 307, 308):
                scheme, host, path = self._followed(url, answer.headers.get("location", ""))
                continue
            if answer.status != 200:
                raise _Refused(f"HTTP {answer.status}")
            kind = answer.headers.get("content-type", "text/html").partition(";")[0].strip().lower()
            if kind not in KINDS:
                raise _Refused(f"it is {kind[:60]}, not a page")
            text = _text(answer.body, kind)
            if not text:
                raise _Refused("it has no text")
            return Page(asked, url, text)
        raise _Refused(f"more than {MAX_REDIRECTS} redirects")

    def _followed(self, url: str, location: str) -> tuple[str, str, str]:
        """Where a redirect leads, on the company's own host; _Refused where it leads elsewhere."""
        try:
            parts = urlsplit(urljoin(url, location))
            host, port, scheme = parts.hostname or "", parts.port, parts.scheme
        except ValueError:
            raise _Refused(f"it redirects to {location!r:.80}") from None
        if parts.username is not None or host not in self._hosts or scheme not in self._fetcher.schemes:
            raise _Refused(f"it redirects to {location!r:.80}, another host")
        if port is not None and port != self._fetcher.ports[scheme]:
            raise _Refused(f"it redirects to port {port}")
        query = f"?{parts.query}" if parts.query else ""
        return scheme, host, (parts.path or "/") + query

    def _rules(self, scheme: str, host: str) -> RobotFileParser | None:
        """What robots.txt says; None: nothing. A site whose robots.txt cannot be had is not read (RFC 9309, 2.3.1)."""
        key = f"{scheme}://{host}"
        if key not in self._robots:
            answer = self._get(scheme, host, "/robots.txt", MAX_ROBOTS)
            if answer.status >= 500 or answer.status == 429:
                raise _Refused(f"robots.txt: HTTP {answer.status}")
            rules: RobotFileParser | None = None
            if answer.status == 200:
                rules = RobotFileParser()
                rules.parse(answer.body.decode("utf-8", "replace").splitlines())
            self._robots[key] = rules
        return self._robots[key]

    def _get(self, scheme: str, host: str, path: str, most: int) -> _Answer:
        """One exchange. The bytes are counted as they come, before and after unpacking."""
        if path != "/robots.txt" and not path.isascii():
            raise _Refused("its path is not ASCII")
        left = self._left()
        port = self._fetcher.ports[scheme]
        headers = [
            (b"host", host.encode()), (b"user-agent", f"{AGENT}/1".encode()), (b"accept", ", ".join(KINDS).encode()),
            (b"accept-encoding", b"gzip"), (b"connection", b"close"),
        ]  # fmt: skip
        url = httpcore2.URL(scheme=scheme.encode(), host=host.encode(), port=port, target=path.encode())
        timeout = {"connect": left, "read": left, "write": left, "pool": left}
        try:
            with self._pool.stream("GET", url, headers=headers, extensions={"timeout": timeout}) as response:
                given = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
                return _Answer(response.status, given, self._body(response, given, most))
        except (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError) as error:
            raise _Refused(f"{type(error).__name__}: {error}"[:200]) from error

    def _body(self, response: httpcore2.Response, headers: dict[str, str], most: int) -> bytes:
        encoding = headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", "", "gzip"):
            raise _Refused(f"it is packed as {encoding[:40]}, which was not asked for")
        unpack = zlib.decompressobj(16 + zlib.MAX_WBITS) if encoding == "gzip" else None
        body, wire = bytearray(), 0
        for chunk in response.iter_stream():
            wire += len(chunk)
            self._left()
            if wire > min(MAX_WIRE, most):
                raise _Refused(f"it is longer than {min(MAX_WIRE, most)} bytes")
            try:
                body += unpack.decompress(chunk, most + 1 - len(body)) if unpack else chunk
            except zlib.error as error:
                raise _Refused(f"it cannot be unpacked: {error}") from error
            if len(body) > most or (unpack and unpack.unconsumed_tail):
                raise _Refused(f"it is longer than {most} bytes once unpacked")
        return bytes(body)

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise _Refused(f"not read within {self._fetcher.seconds:g} s")
        return left


def _text(body: bytes, kind: str) -> str:
    if kind == "text/plain":
        return body.decode("utf-8", "replace")[:MAX_TEXT].strip()
    import trafilatura

    found = trafilatura.extract(body, include_comments=False, include_tables=True, favor_recall=True)
    return (found or "")[:MAX_TEXT].strip()
