"""Domains: `https://www.Acme.co.uk/about` and `info@acme.co.uk` are `acme.co.uk`.

The registrable domain by the Public Suffix List (its private part included: `acme.github.io` is a site of its own),
in ASCII (IDNA 2008 with the UTS 46 mapping). The list is the one that publicsuffixlist ships; nothing is fetched.
Source of the algorithm: publicsuffix.org, "Formal Algorithm".
"""

from __future__ import annotations

import re
from functools import lru_cache

import idna
from publicsuffixlist import PublicSuffixList

from enrichment.normalise.outcome import Normalised, accepted, readable, refused

SCHEME = re.compile(r"^(?:[a-z][a-z0-9+.-]*:(?://+)?(?!\d)|//+)", re.I)
ASCII_HOST = re.compile(r"(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
DOCUMENTATION = frozenset({"example", "test"})
"""Top-level domains that RFC 2606 keeps for examples: in no list, and in every demonstration."""
FREE_MAIL = frozenset(
    {
        "126.com", "163.com", "aol.com", "fastmail.com", "free.fr", "gmail.com", "gmx.at", "gmx.de", "gmx.net",
        "googlemail.com", "hey.com", "hotmail.com", "hotmail.co.uk", "hotmail.fr", "hotmail.it", "icloud.com",
        "laposte.net", "libero.it", "live.com", "mac.com", "mail.com", "mail.ru", "me.com", "msn.com", "naver.com",
        "orange.fr", "outlook.com", "outlook.de", "proton.me", "protonmail.com", "qq.com", "rediffmail.com",
        "t-online.de", "virgilio.it", "wanadoo.fr", "web.de", "yahoo.co.in", "yahoo.co.jp", "yahoo.co.uk",
        "yahoo.com", "yahoo.de", "yahoo.fr", "yahoo.it", "yandex.ru", "ymail.com", "zoho.com",
    }
)  # fmt: skip
"""Domains of mailboxes that anyone can have: they name no company."""


@lru_cache(maxsize=1)
def suffixes() -> PublicSuffixList:
    """The list, read once (about 0.1 s)."""
    return PublicSuffixList()


def registrable(host: str) -> str | None:
    """The public suffix of a host and one label before it, in lower case; None where the host is a suffix itself.

    A top-level domain that the list does not have counts as a suffix, as the algorithm says (its rule `*`).
    """
    found: str | None = suffixes().privatesuffix(host)
    return found.lower() if found else None


def listed(host: str) -> bool:
    """Whether a host ends in a top-level domain that the list has, or that is kept for examples."""
    last = host.rpartition(".")[2]
    return last in DOCUMENTATION or suffixes().publicsuffix(last, accept_unknown=False) is not None


def ascii_host(text: str) -> str | None:
    """A host name in lower-case ASCII (`bücher.de` is `xn--bcher-kva.de`); None where it is none, or an address."""
    host = text.removesuffix(".").lower()
    if not host.isascii() or "xn--" in host:
        try:
            host = idna.encode(host, uts46=True).decode()
        except (idna.IDNAError, UnicodeError, ValueError, IndexError):
            return None
    return host if ASCII_HOST.fullmatch(host) and not host.rpartition(".")[2].isdigit() else None


def host_of(text: str) -> str:
    """What stands where a URL or an address has its host: no scheme, user, port, path or query."""
    rest = SCHEME.sub("", text, count=1)
    rest = re.split(r"[/?#\\\s,;]", rest, maxsplit=1)[0]
    rest = rest.rpartition("@")[2]
    return re.sub(r":\d*$", "", rest).strip("<>()[]\"'")


def normalise(raw: str, region: str = "") -> Normalised | None:
    """A company's domain, of a domain, URL or e-mail address. Parts: host, suffix, free (`yes` of public mail)."""
    text = readable(raw)
    if not isinstance(text, str):
        return text
    if sum("." in part for part in re.split(r"[\s,;]+", text)) > 1:
        return refused(raw, "more than one domain")
    host = ascii_host(host_of(text))
    if host is None:
        return refused(raw, "no host name such as acme.com is in it")
    if not listed(host):
        return refused(raw, f"the top-level domain .{host.rpartition('.')[2]} is in no list")
    domain = registrable(host)
    if domain is None:
        return refused(raw, f"{host} is a public suffix: others register names below it")
    suffix = domain.partition(".")[2]
    return accepted(raw, domain, host=host, suffix=suffix, free="yes" if domain in FREE_MAIL else "")
