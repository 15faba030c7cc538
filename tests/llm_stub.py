"""A language model that answers one question, slowly, over HTTP, and counts who asked what."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def text_of(name: str) -> str:
    """A document that says who leads a company."""
    return f"{name} Works is led by Ann {name}."


class Stub(ThreadingHTTPServer):
    """`calls` counts the calls by the document they were about."""

    daemon_threads = True

    def __init__(self, seconds: float) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seconds = seconds
        self.calls: Counter[str] = Counter()
        self.lock = threading.Lock()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A worker that was killed hangs up in the middle: nothing to tell."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Stub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        said = re.findall(r"(\w+) Works is led by (Ann \1)\.", json.dumps(body["messages"][-1]))
        name, chief = said[-1]
        with self.server.lock:
            self.server.calls[name] += 1
        time.sleep(self.server.seconds)
        content = json.dumps({"business": "works", "chief_quote": f"is led by {chief}", "chief": chief})
        choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        answer = json.dumps(
            {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
        ).encode()
        try:
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True


@contextmanager
def model(seconds: float = 0.1) -> Iterator[Stub]:
    """The model, for the length of the block."""
    stub = Stub(seconds)
    threading.Thread(target=stub.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield stub
    finally:
        stub.shutdown()
        stub.server_close()
