"""A language model's endpoint that does nothing but wait: a process of its own, as light as one can be in Python.

It answers each call, after a fixed latency, with who leads the company that the document is about, and counts who asked
about which: `GET /asked` tells, by the first part of the path (`http://.../w1/v1` counts as w1).
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAM = "import sys; from benchmarks.llm_endpoint import serve; serve(float(sys.argv[1]))"
LENGTH = re.compile(rb"content-length: *(\d+)", re.I)
NUMBER = re.compile(rb"Company (\d+) is led by Ann")


def text_of(number: int) -> str:
    """The document about a company."""
    return f"Company {number} is led by Ann Number{number}."


@dataclass(frozen=True)
class Running:
    """The endpoint, from outside. `address`: without the path."""

    address: str

    def asked(self) -> Asked:
        with urllib.request.urlopen(f"{self.address}/asked", timeout=30) as answer:
            return Asked(**json.load(answer))


@dataclass(frozen=True)
class Asked:
    """`by`: calls by the first part of the path; `companies` and `repeats`: about how many, and calls beyond the first
    about each."""

    by: dict[str, int]
    companies: int
    repeats: int


@contextmanager
def endpoint(latency: float) -> Iterator[Running]:
    """The endpoint in a process of its own, for the length of the block. `latency` in seconds."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(latency)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield Running(f"http://127.0.0.1:{int(process.stdout.readline())}")
    finally:
        process.kill()
        process.wait()


# ---- the process


class _Answers(asyncio.Protocol):
    """One connection. One call at a time, as HTTP/1.1 clients without pipelining make them."""

    by: Counter[str] = Counter()
    companies: Counter[int] = Counter()

    def __init__(self, latency: float) -> None:
        self._latency, self._read = latency, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, found, body = self._read.partition(b"\r\n\r\n")
        if not found:
            return
        length = LENGTH.search(head)
        if len(body) < (int(length[1]) if length else 0):
            return
        self._read = b""
        if head.startswith(b"GET"):
            companies = self.companies
            told = Asked(dict(self.by), len(companies), companies.total() - len(companies))
            self._say(json.dumps(told.__dict__))
            return
        self.by[head.split(b"/", 2)[1].decode()] += 1
        number = int(NUMBER.findall(body)[-1])
        self.companies[number] += 1
        asyncio.get_running_loop().call_later(self._latency, self._answer, number)

    def _answer(self, number: int) -> None:
        chief = f"Ann Number{number}"
        said = json.dumps({"business": "works", "chief_quote": f"led by {chief}", "chief": chief})
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 300, "completion_tokens": 30, "total_tokens": 330}
        whole = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
        self._say(json.dumps(whole | {"choices": [choice], "usage": usage}))

    def _say(self, body: str) -> None:
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        self._transport.write((head + body).encode())


async def _serve(latency: float) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Answers(latency), "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def serve(latency: float) -> None:
    """Serve for good; the port is told on standard output."""
    asyncio.run(_serve(latency))
