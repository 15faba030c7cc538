"""Which hosts and addresses may be connected to: names of the public internet, and addresses that lead there only.

A list of what is allowed with a list of what is denied inside it, of our own: `ipaddress.is_global` and the libraries
built on it let some forms through that lead inside (6to4 and NAT64 carry an IPv4 address within; a cloud's own
services may sit at addresses that look public). Sources: the IANA IPv4 and IPv6 special-purpose address registries;
RFC 3056 (6to4), 4380 (Teredo), 5214 (ISATAP), 6052 and 8215 (NAT64).
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import httpcore2

DENIED_V4 = tuple(
    ipaddress.IPv4Network(net)
    for net in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
        "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16",
        "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "168.63.129.16/32",  # the platform's own services of one cloud, at an address that looks public
    )
)  # fmt: skip
ALLOWED_V6 = ipaddress.IPv6Network("2000::/3")
"""Global unicast. IPv4-mapped, NAT64, unique local, site local (fec0::/10), link local and multicast lie outside."""
DENIED_V6 = tuple(
    ipaddress.IPv6Network(net)
    for net in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "2620:4f:8000::/48", "3ffe::/16", "5f00::/16")
)
LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
TOP = re.compile(r"[a-z]{2,63}|xn--[a-z0-9-]{1,59}")
PRIVATE_TOPS = frozenset({
    "localhost", "local", "internal", "intranet", "lan", "home", "corp", "private", "arpa", "onion", "localdomain",
    "test", "invalid", "example", "alt",
})  # fmt: skip
"""Last labels that no public name server answers for."""

Resolve = Callable[[str, int], Sequence[str]]
"""(host, port) -> its addresses."""


class Forbidden(Exception):
    """A host or address that is not connected to; the text says why."""


def plain_host(domain: str) -> str:
    """The host in ASCII and lower case. Forbidden where it is no name of the public internet: addresses in any of
    their forms, names of this machine and of private networks, anything with a port, user or path."""
    try:
        host = domain.strip().rstrip(".").encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise Forbidden(f"{domain!r:.80} is not a host's name") from None
    labels = host.split(".")
    if len(host) > 253 or len(labels) < 2 or not all(LABEL.fullmatch(label) for label in labels):
        raise Forbidden(f"{domain!r:.80} is not a host's name such as acme.com")
    # 127.1, 0x7f.1 and 2130706433 are addresses to some resolvers: the last label of a name is letters.
    if not TOP.fullmatch(labels[-1]) or labels[-1] in PRIVATE_TOPS:
        raise Forbidden(f"{domain!r:.80} is not a name of the public internet")
    return host


def permitted(address: str) -> bool:
    """Whether a numeric address leads to the public internet, and nowhere else."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return not any(ip in net for net in DENIED_V4)
    if ip.scope_id is not None or ip not in ALLOWED_V6 or any(ip in net for net in DENIED_V6):
        return False
    # ISATAP: an interface identifier that carries an IPv4 address.
    return (int(ip) >> 32) & 0xFDFFFFFF != 0x00005EFE


def system_resolve(host: str, port: int) -> list[str]:
    """The addresses that this machine's resolver gives."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [str(info[4][0]) for info in found]


class PinnedBackend(httpcore2.NetworkBackend):
    """Connects to addresses that were looked at, never to a name: what a name server says later changes nothing.

    A host with one forbidden address among its addresses is not connected to at all.
    """

    def __init__(self, resolve: Resolve = system_resolve, permit: Callable[[str], bool] = permitted) -> None:
        self._resolve, self._permit = resolve, permit
        self._backend = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        addresses = list(dict.fromkeys(self._addresses(host, port)))
        if not addresses:
            raise Forbidden(f"{host}: has no address")
        for address in addresses:
            if not self._permit(address):
                raise Forbidden(f"{host}: {address} does not lead to the public internet alone")
        fault: Exception | None = None
        for address in addresses[:2]:
            try:
                return self._backend.connect_tcp(address, port, timeout=timeout, socket_options=socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                fault = error
        assert fault is not None
        raise fault

    def connect_unix_socket(self, path: str, timeout: float | None = None, socket_options: Any = None) -> Any:
        raise Forbidden("a socket of this machine")

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)

    def _addresses(self, host: str, port: int) -> Sequence[str]:
        try:
            return self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise Forbidden(f"{host}: cannot be resolved ({error})") from error
