"""Calls to connected systems: what is tried again and for how long, what is not, and what is never read."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from watchtower.connectors.http import Http
from watchtower.connectors.plain import plain_text
from watchtower.errors import SystemFault


class Answers:
    """What a server says, one after another; the last one again and again."""

    def __init__(self, *said: tuple[int, dict[str, str], bytes]) -> None:
        self.said, self.asked = list(said), 0

    def next(self) -> tuple[int, dict[str, str], bytes]:
        self.asked += 1
        return self.said.pop(0) if len(self.said) > 1 else self.said[0]


@pytest.fixture
def serve() -> Iterator[Any]:
    running: list[ThreadingHTTPServer] = []

    def start(*said: tuple[int, dict[str, str], bytes], drip: float = 0) -> tuple[Answers, str]:
        answers = Answers(*said)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, headers, body = answers.next()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                try:
                    for byte in range(len(body)) if drip else ():
                        self.wfile.write(body[byte : byte + 1])
                        time.sleep(drip)
                    if not drip:
                        self.wfile.write(body)
                except OSError:
                    pass

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        running.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return answers, f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now, self.slept = 0.0, list[float]()

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(seconds)


def of(url: str, pauses: Time, **more: Any) -> Http:
    return Http(url, {"authorization": "Bearer secret"}, sleep=pauses.sleep, clock=pauses.clock, **more)


OK = (200, {}, b'{"a": 1}')


def test_retry_after_is_kept_to_in_seconds_and_as_a_date(serve: Any) -> None:
    later = format_datetime(datetime.fromtimestamp(time.time(), UTC) + timedelta(seconds=30), usegmt=True)
    answers, url = serve((429, {"retry-after": "7"}, b""), (503, {"retry-after": later}, b""), OK)
    pauses = Time()
    assert of(url, pauses).get("/x") == {"a": 1}
    assert answers.asked == 3 and pauses.slept[0] == 7 and 25 <= pauses.slept[1] <= 30


def test_without_a_word_each_pause_is_twice_the_one_before(serve: Any) -> None:
    _, url = serve((500, {}, b""), (502, {}, b""), (504, {}, b""), OK)
    pauses = Time()
    of(url, pauses).get("/x")
    assert pauses.slept == [0.5, 1.0, 2.0]


def test_a_system_that_says_to_come_back_at_once_is_not_asked_without_a_pause(serve: Any) -> None:
    _, url = serve(*[(429, {"retry-after": "0"}, b"")] * 3, OK)
    pauses = Time()
    assert of(url, pauses).get("/x") == {"a": 1}
    assert pauses.slept == [0.05, 0.1, 0.2]


def test_a_call_ends_at_its_deadline_though_the_system_asks_for_more_time(serve: Any) -> None:
    _, url = serve((429, {"retry-after": "600"}, b""))
    pauses = Time()
    with pytest.raises(SystemFault, match="answered 429, after 1 attempts; it asks for 600 s more") as caught:
        of(url, pauses, in_all=60).get("/x")
    assert not caught.value.refused and pauses.slept == []
    _, url = serve((500, {}, b"broken"))
    with pytest.raises(SystemFault, match="answered 500: broken, after"):
        of(url, pauses, in_all=60).get("/x")
    assert pauses.now <= 60


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_what_does_not_pass_by_itself_is_refused_at_once_without_the_credentials(serve: Any, status: int) -> None:
    answers, url = serve((status, {}, b'{"message": "no"}'))
    with pytest.raises(SystemFault, match=f"answered {status}") as caught:
        of(url, Time()).get("/x", {"token": "secret"})
    assert answers.asked == 1 and caught.value.refused and caught.value.remedy
    assert "secret" not in str(caught.value)


def test_what_is_longer_than_the_cap_or_drips_past_the_deadline_is_not_read(serve: Any) -> None:
    _, url = serve((200, {}, b'"' + b"x" * 5000 + b'"'))
    with pytest.raises(SystemFault, match="longer than 1,000 bytes"):
        of(url, Time(), read_limit=1000).get("/x")
    _, url = serve((200, {}, b'{"a": 1}' + b" " * 100), drip=0.05)
    began = time.monotonic()
    with pytest.raises(SystemFault, match="no whole answer within 0.3 s"):
        Http(url, seconds=0.3, in_all=0.5).get("/x")
    assert time.monotonic() - began < 15


def test_what_is_no_json_compressed_or_redirected_is_a_fault(serve: Any) -> None:
    for said, because in (
        ((200, {}, b"<html>"), "is no JSON"),
        ((200, {"content-encoding": "gzip"}, b"x"), "is compressed"),
        ((302, {"location": "http://elsewhere/"}, b""), "answered 302"),
    ):
        _, url = serve(said)
        with pytest.raises(SystemFault, match=because):
            of(url, Time()).get("/x")


@pytest.mark.parametrize("url", ["ftp://x", "https://", "https://user:secret@x", "https://x?token=secret", "x"])
def test_an_address_is_checked_before_anything_is_sent_there(url: str) -> None:
    with pytest.raises(SystemFault, match="is not of the form") as caught:
        Http(url)
    assert "secret" not in caught.value.message


def test_html_is_read_as_its_text() -> None:
    html = "<p>They <b>agreed</b> &amp; wrote.</p><script>alert(1)</script><ul><li>one</li><li>two</li></ul>"
    assert plain_text(html) == "They agreed & wrote.\none\ntwo"
    assert plain_text(" a < b ") == "a < b" and plain_text("plain") == "plain"
