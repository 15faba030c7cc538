"""Which addresses are never connected to, whatever form they come in, and what a site may do to who reads it."""

from __future__ import annotations

import gzip
import socket
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from enrichment.fetch import Fetcher, Forbidden, Page, permitted, plain_host
from enrichment.fetch.guard import PinnedBackend

INSIDE = [
    # IPv4: this machine, private, shared, link local, documentation, benchmark, relay, multicast, reserved, platform
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "100.127.255.255", "127.0.0.1",
    "127.255.255.254", "169.254.169.254", "169.254.0.1", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.192",
    "192.0.2.1", "192.88.99.1", "192.168.0.1", "192.168.255.255", "198.18.0.1", "198.19.255.255", "198.51.100.1",
    "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "168.63.129.16",
    # IPv6: unspecified, loopback, mapped, compatible, translated, NAT64, local, site, link, unique, multicast
    "::", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b::8.8.8.8", "64:ff9b:1::a00:1", "fe80::1", "fe80::1%1", "febf::1", "fec0::1", "feff::1",
    "fc00::1", "fd00:ec2::254", "ff02::1", "ff0e::1", "100::1", "2001::1", "2001:0:7f00:1::", "2001:db8::1",
    "2001:10::1", "2001:20::1", "2002:7f00:1::", "2002:a00:1::1", "2002:808:808::1", "3fff::1", "3ffe::1", "5f00::1",
    "2620:4f:8000::1", "2a00:1450::5efe:7f00:1", "2a00:1450::200:5efe:a00:1", "4000::1",
]  # fmt: skip
NOT_NAMES = [
    "127.0.0.1", "127.1", "127.0.1", "2130706433", "017700000001", "0177.0.0.1", "0x7f000001", "0x7f.0.0.1", "0x7f.1",
    "127.0.0.0x1", "[::1]", "::1", "[::ffff:127.0.0.1]", "localhost", "localhost.", "LOCALHOST", "a.localhost",
    "localhost.localdomain", "printer.local", "metadata.google.internal", "db.corp", "router.lan",
    "1.0.0.127.in-addr.arpa",
    "acme.com:22", "user@acme.com", "acme.com/path", "acme.com#x", "acme.com?x", "a cme.com", "acme", "", ".", "..",
    "acme..com", "-acme.com", "acme-.com", "acme.c", "acme.com\\@x", "http://acme.com", "acme.com\r\nX: y",
    "acme.com\x00",
    "１２７.０.０.１", "⑫7.0.0.1", "127。0。0。1", "ｌocalhost", "a" * 64 + ".com", "acme.123", "acme.0x7f", "x.onion",
]  # fmt: skip


@pytest.fixture
def connects(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every address that a socket of this thread's tests is connected to, as the interpreter itself reports it."""
    seen: list[Any] = []
    _HOOK.append(seen)
    return seen


_HOOK: list[list[Any]] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and _HOOK and arguments[0].family in (socket.AF_INET, socket.AF_INET6):
        _HOOK[-1].append(arguments[1])


sys.addaudithook(_audit)


def test_sixty_address_forms_and_more_lead_to_no_connection(connects: list[Any]) -> None:
    assert len(INSIDE) >= 60 and len(set(INSIDE)) == len(INSIDE)
    for address in INSIDE:
        assert not permitted(address), address
        fetcher = Fetcher(resolve=lambda host, port, address=address: [address], seconds=2)
        pages, unread = fetcher.read("acme.com", ["/"])
        assert pages == [] and len(unread) == 1
    assert connects == []


def test_no_form_of_an_address_and_no_private_name_passes_for_a_host(connects: list[Any]) -> None:
    for name in NOT_NAMES:
        with pytest.raises(Forbidden):
            plain_host(name)
        assert Fetcher(seconds=2).read(name, ["/"])[0] == []
    assert connects == []


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2a00:1450:4001:81b::200e", "2606:4700::1111"]
)
def test_public_addresses_are_permitted(address: str) -> None:
    assert permitted(address)


def test_names_are_permitted_in_whatever_script() -> None:
    assert plain_host(" Acme.COM. ") == "acme.com"
    assert plain_host("münchen.de") == "xn--mnchen-3ya.de"
    assert plain_host("a.b.co.uk") == "a.b.co.uk"


def test_a_host_with_one_forbidden_address_among_public_ones_is_not_connected_to(connects: list[Any]) -> None:
    backend = PinnedBackend(resolve=lambda host, port: ["93.184.216.34", "10.0.0.1"])
    with pytest.raises(Forbidden, match="10.0.0.1"):
        backend.connect_tcp("acme.com", 80, timeout=1)
    assert connects == []


ABOUT = b"<html><body><main><h1>About</h1><p>Acme was founded in 1950 in Milan. We make cheese.</p></main>"


class Handler(BaseHTTPRequestHandler):
    server: Site

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.server.asked.append((self.headers["host"], self.path))
        if self.path == "/drip":
            self.send_response(200)
            self.end_headers()
            try:
                while not self.server.over.wait(0.1):
                    self.wfile.write(b" ")
            except OSError:
                return
        status, headers, body = self.server.pages.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, value in {"content-type": "text/html", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            self.close_connection = True


class Site(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages: dict[str, tuple[int, dict[str, str], bytes]] = {"/about": (200, {}, ABOUT)}
        self.asked: list[tuple[str, str]] = []
        self.over = threading.Event()

    def fetcher(self, **more: Any) -> Fetcher:
        """It takes this machine for the public internet."""
        given = {"resolve": lambda host, port: ["127.0.0.1"], "permit": lambda address: address == "127.0.0.1"} | more
        return Fetcher(ports={"http": self.server_port}, schemes=("http",), **given)

    def read(self, *paths: str, seconds: float = 5) -> tuple[dict[str, str], dict[str, str]]:
        pages, unread = self.fetcher(seconds=seconds).read("acme.com", paths)
        return {page.path: page.text for page in pages}, {one.path: one.because for one in unread}


@pytest.fixture
def site() -> Iterator[Site]:
    running = Site()
    threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield running
    running.over.set()
    running.shutdown()
    running.server_close()


def test_a_page_is_read_as_text_under_the_sites_own_name(site: Site) -> None:
    pages, unread = site.fetcher().read("acme.com", ["/about"])
    assert pages == [
        Page("/about", "http://acme.com/about", "About\nAcme was founded in 1950 in Milan. We make cheese.")
    ]
    assert unread == []
    assert site.asked == [("acme.com", "/robots.txt"), ("acme.com", "/about")]


def test_a_name_that_is_bound_anew_between_two_look_ups_leads_nowhere_else(site: Site, connects: list[Any]) -> None:
    """The first look-up names the public server, each later one this machine's metadata service."""
    answers = iter(["127.0.0.1"])
    fetcher = site.fetcher(resolve=lambda host, port: [next(answers, "169.254.169.254")])
    pages, unread = fetcher.read("acme.com", ["/about", "/"])
    assert pages == [] and all("169.254.169.254" in one.because for one in unread)
    assert {address[0] for address in connects} == {"127.0.0.1"}


def test_robots_txt_is_kept_to(site: Site) -> None:
    site.pages["/robots.txt"] = (200, {}, b"User-agent: *\nDisallow: /about\n")
    site.pages["/"] = (200, {}, ABOUT)
    pages, unread = site.read("/about", "/")
    assert list(pages) == ["/"] and unread == {"/about": "robots.txt forbids it"}
    assert "/about" not in [path for _, path in site.asked]


def test_a_site_whose_robots_txt_fails_is_not_read(site: Site) -> None:
    site.pages["/robots.txt"] = (503, {}, b"")
    assert site.read("/about") == ({}, {"/about": "the site does not answer"})


@pytest.mark.parametrize(
    "location",
    [
        "http://attacker.test/", "//attacker.test/", "http://acme.com@attacker.test/", "http://169.254.169.254/latest",
        "http://127.0.0.1/", "http://[::1]/", "https://acme.com/", "http://acme.com:22/", "file:///etc/passwd",
        "http://acme.com.attacker.test/", "http://\x7f/", "http://[/", "gopher://acme.com/", "http://sub.acme.com/",
    ],
)  # fmt: skip
def test_a_redirect_to_anywhere_else_is_not_followed(site: Site, location: str) -> None:
    site.pages["/"] = (302, {"location": location}, b"")
    pages, unread = site.read("/")
    assert pages == {} and "redirects" in unread["/"]
    assert [path for _, path in site.asked] == ["/robots.txt", "/"]


def test_a_redirect_on_the_same_host_or_to_its_www_is_followed(site: Site) -> None:
    site.pages["/"] = (301, {"location": f"http://www.acme.com:{site.server_port}/about"}, b"")
    pages, _ = site.fetcher().read("acme.com", ["/"])
    assert [page.url for page in pages] == ["http://www.acme.com/about"]
    assert ("www.acme.com", "/robots.txt") in site.asked, "the other host's robots.txt is asked too"


def test_redirects_in_a_circle_end(site: Site) -> None:
    site.pages["/"] = (302, {"location": "/"}, b"")
    assert site.read("/")[1] == {"/": "more than 3 redirects"}


@pytest.mark.parametrize(
    ("headers", "body", "because"),
    [
        ({}, b" " * 1_100_000, "longer than 1000000 bytes"),
        ({"content-encoding": "gzip"}, gzip.compress(b" " * 50_000_000), "once unpacked"),
        ({"content-encoding": "gzip"}, b"not packed", "cannot be unpacked"),
        ({"content-encoding": "br"}, b"x", "packed as br"),
        ({"content-type": "application/pdf"}, b"%PDF", "application/pdf"),
        ({}, b"<html></html>", "no text"),
    ],
)  # fmt: skip
def test_what_is_too_long_packed_or_no_page_is_not_read(
    site: Site, headers: dict[str, str], body: bytes, because: str
) -> None:
    site.pages["/"] = (200, headers, body)
    assert because in site.read("/")[1]["/"]


def test_a_page_that_comes_packed_is_read(site: Site) -> None:
    site.pages["/about"] = (200, {"content-encoding": "gzip"}, gzip.compress(ABOUT))
    assert "founded in 1950" in site.read("/about")[0]["/about"]


def test_a_page_that_drips_costs_the_deadline_and_no_more(site: Site) -> None:
    began = time.monotonic()
    pages, unread = site.read("/about", "/drip", seconds=1.5)
    assert list(pages) == ["/about"] and "1.5 s" in unread["/drip"]
    assert time.monotonic() - began < 20
