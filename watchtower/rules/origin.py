"""Where a document comes from, and whether its word on a record counts alone.

A page or a mail says what its author likes. It counts alone where it stands under a domain that is the record's own:
one that a person or a system entered, never one that AI filled. What our own people and systems wrote (a description,
a note, a file, without an address) counts alone, too. Anything else needs a second, independent source.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from watchtower.contract import Document

FOREIGN_KINDS = frozenset({"web", "email"})
"""Kinds whose text somebody else wrote, whether it has an address or not."""


@dataclass(frozen=True)
class Origin:
    """`name` tells sources apart: those of one name are one source. `own`: it counts alone."""

    name: str
    own: bool


def origin(document: Document, domains: Iterable[str]) -> Origin:
    """`domains`: the record's own."""
    if not document.url.strip():
        return Origin(document.kind, document.kind not in FOREIGN_KINDS)
    host = host_of(document.url)
    if host is None:
        return Origin("an address that cannot be read", False)
    own = any(host == domain or host.endswith("." + domain) for domain in map(bare, domains) if "." in domain)
    return Origin(_party(host), own)


def host_of(url: str) -> str | None:
    """The host of a web or mail address, in ASCII and lower case; None where it has none that can be read."""
    url = url.strip()
    # Readers disagree on a backslash and on blanks: what is read here as one host, a browser may read as another.
    if any(character == "\\" or character <= " " for character in url):
        return None
    try:
        parts = urlsplit(url)
        if parts.scheme == "mailto":
            return bare(parts.path.partition("@")[2]) or None if parts.path.count("@") == 1 else None
        host = parts.hostname if parts.scheme in ("http", "https") else None
        # A host beyond ASCII may only look like the record's own: as IDNA writes it, it does not.
        return bare(host.encode("idna").decode("ascii")) if host else None
    except (ValueError, UnicodeError):
        return None


def bare(domain: str) -> str:
    """Without `www.`, dots at the ends and capitals."""
    return domain.strip().strip(".").lower().removeprefix("www.")


def _party(host: str) -> str:
    """The last two labels: what shares them may be one party's. That takes some for one who are two, never the
    other way round."""
    return ".".join(host.split(".")[-2:])
