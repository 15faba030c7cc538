"""One webhook over a real socket: its signature, its deadline, what it reads, where it does not go."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import standardwebhooks
from fakes.serving import Answer, serving

from watchtower.flow.post import READ_LIMIT, Postman, Undelivered, key_of, signed

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
BODY = json.dumps({"type": "alert.opened", "data": {"because": "Größe – ≥ 10"}}, ensure_ascii=False)


@contextmanager
def listening(answer: Callable[[BaseHTTPRequestHandler, bytes], None]) -> Iterator[str]:
    """A receiver that reads the whole request and then answers as told."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            answer(self, self.rfile.read(int(self.headers["content-length"])))

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def dripping(first: bytes, drop: bytes) -> Iterator[str]:
    """A receiver that sends `first`, then a few bytes for ever."""
    over = threading.Event()

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(first)
            while not over.wait(0.05):
                try:
                    connection.sendall(drop)
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            over.set()
            thread.join()


def empty(handler: BaseHTTPRequestHandler, status: int, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("content-length", "0")
    handler.end_headers()


def test_another_library_verifies_the_signature_over_the_bytes_that_arrive() -> None:
    got: list[dict[str, object]] = []

    def take(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        got.append(standardwebhooks.Webhook(SECRET).verify(body, dict(handler.headers.items())))
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            standardwebhooks.Webhook(SECRET).verify(body + b" ", dict(handler.headers.items()))
        empty(handler, 204)

    now = datetime.now(UTC)  # noqa: TID251
    with listening(take) as url:
        Postman()(f"{url}/hook?x=1", signed("msg_1", BODY, SECRET, now), BODY)
    assert got == [json.loads(BODY)]


def test_the_signature_is_that_of_the_published_example() -> None:
    # https://docs.svix.com/receiving/verifying-payloads/how-manual, the format's reference.
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", '{"test": 2432232314}'
    headers = signed("msg_p5jXN8AQM9LWM0D4loKWxJek", body, secret, datetime.fromtimestamp(1614265330, UTC))
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    paths: list[str] = []

    def away(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        paths.append(handler.path)
        empty(handler, status, location="/elsewhere")

    with listening(away) as url, pytest.raises(Undelivered, match=f"{status}; redirects are not followed"):
        Postman()(f"{url}/hook", signed("msg_1", BODY, SECRET, datetime.fromtimestamp(0, UTC)), BODY)
    assert paths == ["/hook"]


@pytest.mark.parametrize(
    ("first", "drop"),
    [
        (b"", b""),
        (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n", b"a"),
    ],
    ids=["silence", "headers that drip", "a body that drips"],
)
def test_a_receiver_that_does_not_end_is_left_at_the_deadline(first: bytes, drop: bytes) -> None:
    began = time.monotonic()
    with dripping(first, drop) as url, pytest.raises(Undelivered, match=r"within 0\.6 s"):
        Postman(seconds=0.6)(url, {}, BODY)
    assert time.monotonic() - began < 10


def test_a_long_answer_is_not_read_to_its_end() -> None:
    def endless(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        handler.send_response(200)
        handler.send_header("content-length", str(10**9))
        handler.end_headers()
        sent = 0
        try:
            while sent < 50 * 1024 * 1024:
                sent += handler.wfile.write(b"x" * 65536)
        except OSError:
            pass
        sizes.append(sent)

    sizes: list[int] = []
    with listening(endless) as url:
        Postman(seconds=5)(url, {}, BODY)
        deadline = time.monotonic() + 10
        while not sizes and time.monotonic() < deadline:  # the receiver is yet to notice
            time.sleep(0.01)
    assert READ_LIMIT < sizes[0] < 20 * 1024 * 1024, "the rest stood in the sockets' buffers at most"


def test_what_a_receiver_says_in_refusing_is_kept_short() -> None:
    def refuse(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        handler.send_response(500)
        handler.send_header("content-length", "5000")
        handler.end_headers()
        handler.wfile.write(b"no room" + b"." * 4993)

    with listening(refuse) as url, pytest.raises(Undelivered, match="answered 500: no room") as caught:
        Postman()(url, {}, BODY)
    assert len(caught.value.message) < 250


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [({"Retry-After": "30"}, 30, 30), ({"X-RateLimit-Reset": "now + 100"}, 1, 100),
     ({"X-RateLimit-Reset": "12"}, 0, 0), ({"Retry-After": "86400"}, 3600, 3600), ({"Retry-After": "soon"}, 0, 0),
     ({"X-RateLimit-Reset": "9" * 400}, 0, 0), ({}, 0, 0)],
)  # fmt: skip
def test_how_long_a_receiver_asks_to_be_left_alone_is_told_up_to_an_hour(
    headers: dict[str, str], least: float, most: float
) -> None:
    said = {name: value.replace("now + 100", str(int(time.time()) + 100)) for name, value in headers.items()}
    with serving(lambda asked: Answer({"ok": False}, 429, said)) as url, pytest.raises(Undelivered) as caught:
        Postman()(url, {}, BODY)
    assert caught.value.status == 429 and least <= caught.value.wait <= most


def test_nobody_there_is_undelivered(free_port: int) -> None:
    with pytest.raises(Undelivered, match="refused"):
        Postman()(f"http://127.0.0.1:{free_port}/", {}, BODY)


@pytest.mark.parametrize("secret", ["", "plain", "whsec_", "whsec_c2hvcnQ=", "whsec_***", "whsec_" + "A" * 400])
def test_a_bad_secret_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(Undelivered) as caught:
        key_of(secret)
    assert not secret.removeprefix("whsec_") or secret.removeprefix("whsec_") not in caught.value.message
