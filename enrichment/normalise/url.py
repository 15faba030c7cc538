"""URLs of the web, so that two that lead to the same page are the same text.

Source: RFC 3986, section 6.2.2 (case, percent-encoding, dot segments) and 6.2.3 (default ports, empty path). Beyond it,
what only tracks a click is left out, and so are fragments and credentials.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from enrichment.normalise.domain import ascii_host, listed, registrable
from enrichment.normalise.outcome import Normalised, accepted, readable, refused

PORTS = {"http": 80, "https": 443}
TRACKING = re.compile(
    r"(?:utm_\w+|gclid|gclsrc|dclid|fbclid|msclkid|mc_[ce]id|igshid|_hs(?:enc|mi)|yclid)(?:=|$)", re.I
)
OTHER_SCHEME = re.compile(r"^(?!https?:)[a-z][a-z0-9+.-]*:(?!\d)", re.I)
ENCODED = re.compile(r"%([0-9a-fA-F]{2})")
UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
KEPT = frozenset(b"!$&'()*+,;=:@/?%") | UNRESERVED


def normalise(raw: str, region: str = "") -> Normalised | None:
    """A page's address; https where no scheme is written. Parts: scheme, host, domain, path."""
    text = readable(raw)
    if not isinstance(text, str):
        return text
    text = text.strip("<>\"'()")
    if OTHER_SCHEME.match(text):
        return refused(raw, "accepted are http and https")
    if " " in text or "@" in text.partition("/")[0]:
        return refused(raw, "no URL: it holds a blank, or is an e-mail address")
    try:
        split = urlsplit(text if re.match(r"https?:", text, re.I) else f"https://{text.lstrip('/')}")
        port = split.port
    except ValueError as error:
        return refused(raw, str(error))
    host = ascii_host(split.hostname or "")
    if host is None or not listed(host) or (domain := registrable(host)) is None:
        return refused(raw, "its host is no name in a public domain")
    return _accepted(raw, split, host, domain, port)


def _accepted(raw: str, split: SplitResult, host: str, domain: str, port: int | None) -> Normalised:
    scheme = split.scheme.lower()
    path = _without_dots(_percent(split.path)) or "/"
    query = "&".join(part for part in _percent(split.query).split("&") if part and not TRACKING.match(part))
    where = host if port in (None, PORTS[scheme]) else f"{host}:{port}"
    value = f"{scheme}://{where}{path}" + (f"?{query}" if query else "")
    return accepted(raw, value, scheme=scheme, host=host, domain=domain, path=path)


def _percent(text: str) -> str:
    """Encoded where it must be, decoded where it may be, hex digits in capitals."""

    def one(match: re.Match[str]) -> str:
        byte = int(match[1], 16)
        return chr(byte) if byte in UNRESERVED else f"%{match[1].upper()}"

    spelt = "".join(chr(byte) if byte in KEPT else f"%{byte:02X}" for byte in text.encode("utf-8", "replace"))
    lone = re.sub(r"%(?![0-9a-fA-F]{2})", "%25", spelt)
    return ENCODED.sub(one, lone)


def _without_dots(path: str) -> str:
    """RFC 3986, section 5.2.4."""
    kept: list[str] = []
    parts = path.split("/")[1:]
    for index, part in enumerate(parts):
        if part == "..":
            kept = kept[:-1]
        elif part != ".":
            kept.append(part)
        if part in (".", "..") and index == len(parts) - 1:
            kept.append("")
    return "/" + "/".join(kept)
