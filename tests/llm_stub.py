"""A language model that answers one question, slowly, over HTTP, and counts who asked what.

It speaks the OpenAI protocol. What it says, and how it misbehaves on the wire, can be put in from outside.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def text_of(name: str) -> str:
    """A document that says who leads a company."""
    return f"{name} Works is led by Ann {name}."


def chief_of(body: Mapping[str, Any]) -> tuple[str, str]:
    """(who is asked about, who leads it), read off the document of a request."""
    said = re.findall(r"(\w+) Works is led by (Ann \1)\.", json.dumps(body["messages"][-1]))
    name, chief = said[-1]
    return name, chief


def honest(body: Mapping[str, Any]) -> str:
    """The content of a right answer."""
    _, chief = chief_of(body)
    return json.dumps({"business": "works", "chief_quote": f"is led by {chief}", "chief": chief})


def completion(content: str | None, finish: str = "stop") -> bytes:
    """A chat completion as the protocol has it."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish}
    usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
    body = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    return json.dumps(body).encode()


Behave = Callable[["Handler", Mapping[str, Any]], None]
"""Answers one request on the wire, well or badly."""


class Stub(ThreadingHTTPServer):
    """`calls` counts the calls by the document they were about."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, seconds: float, behave: Behave | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seconds, self.behave = seconds, behave
        self.calls: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.sent = 0
        """Bytes of bodies that the other side's machine took, the most in one answer."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A worker that was killed hangs up in the middle: nothing to tell."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Stub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        try:
            if self.server.behave is not None:
                self.server.behave(self, body)
            else:
                self._answer(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _answer(self, body: Mapping[str, Any]) -> None:
        self.count(chief_of(body)[0])
        time.sleep(self.server.seconds)
        self.send(200, completion(honest(body)))

    def count(self, name: str) -> None:
        with self.server.lock:
            self.server.calls[name] += 1

    def send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """A whole answer."""
        self.head(status, {"content-length": str(len(body)), **(headers or {})})
        self.body(body)

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"content-type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def body(self, body: bytes, *, times: int = 1) -> None:
        """The body so many times over, counting what the other side takes."""
        sent = 0
        try:
            for _ in range(times):
                self.wfile.write(body)
                sent += len(body)
        finally:
            with self.server.lock:
                self.server.sent = max(self.server.sent, sent)

    def drip(self, data: bytes, *, every: float = 0.05) -> None:
        """One byte at a time."""
        for byte in data:
            if self.server.over.wait(every):
                return
            self.wfile.write(bytes([byte]))
            self.wfile.flush()


@contextmanager
def model(seconds: float = 0.1, behave: Behave | None = None) -> Iterator[Stub]:
    """The model, for the length of the block."""
    stub = Stub(seconds, behave)
    threading.Thread(target=stub.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield stub
    finally:
        stub.over.set()
        stub.shutdown()
        stub.server_close()
