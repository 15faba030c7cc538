"""A hundred clients that send a byte at a time, and how long an event waits beside them.

    PYTHONPATH=.:tests python tests/faults/slow_sockets.py --sockets 100 --events 400

`watchtower serve` in a process of its own takes events one after another, first alone and then while slow sockets hold
half a request each: a third never end their headers, a third drip a body, a third send nothing at all. Alone and beside
is measured in turns, so that whatever else the machine does hits both. CI looks at what was answered, not at the time.
"""

from __future__ import annotations

import argparse
import json
import re
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import httpx
from command_line import RULEBOOK, begin, ended

HEADS = (
    b"POST /events HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
    b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 90000\r\n\r\n{",
    b"",
)
TURNS = 4


@contextmanager
def slow_sockets(port: int, count: int) -> Iterator[list[socket.socket]]:
    """So many open connections, each of which says a byte every tenth of a second."""
    there = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
    ended = threading.Event()

    def drip() -> None:
        while not ended.wait(0.1):
            for number, one in enumerate(there):
                if HEADS[number % len(HEADS)]:
                    with suppress(OSError):
                        one.send(b"x")

    for number, one in enumerate(there):
        one.setblocking(False)
        one.send(HEADS[number % len(HEADS)])
    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    try:
        yield there
    finally:
        ended.set()
        thread.join()
        for one in there:
            one.close()


def send(client: httpx.Client, first: int, count: int) -> list[float]:
    """Milliseconds that each of so many events took, from the request to its verdict."""
    took = []
    for number in range(first, first + count):
        event = {
            "specversion": "1.0", "id": f"e{number}", "source": "crm", "type": "record.updated",
            "subject": f"lead/L-{number % 50}", "time": "2026-03-02T09:00:00Z", "data": {"fields": {"stage": "mql"}},
        }  # fmt: skip
        begun = time.perf_counter()
        answer = client.post("/events", content=json.dumps(event), headers={"content-type": "application/json"})
        took.append((time.perf_counter() - begun) * 1000)
        if answer.json()["verdicts"][0]["status"] != "accepted":
            raise AssertionError(answer.text)
    return took


@contextmanager
def serving(folder: Path, **surroundings: str) -> Iterator[str]:
    """The address of a `watchtower serve` with data in this folder."""
    (folder / "book.yaml").write_text(RULEBOOK)
    command = ("serve", "--data", folder / "data", "--rulebook", folder / "book.yaml", "--port", "0")
    process = begin(*command, **surroundings)
    try:
        assert process.stdout is not None
        line = next((line for line in process.stdout if "http://" in line), "")
        found = re.search(r"http://[0-9.]+:[0-9]+", line)
        assert found is not None, "the service said no address"
        yield found[0]
    finally:
        process.terminate()
        ended(process)


def campaign(folder: Path, sockets: int, events: int, **surroundings: str) -> dict[str, float]:
    """Medians and 99th percentiles in milliseconds, alone and beside the slow sockets."""
    alone: list[float] = []
    beside: list[float] = []
    with serving(folder, **surroundings) as url:
        port = int(url.rpartition(":")[2])
        with httpx.Client(base_url=url, timeout=60) as client:
            send(client, 0, 20)  # connections are opened, code is loaded
            each, first = events // TURNS, 20
            for _ in range(TURNS):
                alone += send(client, first, each)
                with slow_sockets(port, sockets):
                    beside += send(client, first + each, each)
                first += 2 * each
    p99 = {name: statistics.quantiles(took, n=100)[98] for name, took in (("alone", alone), ("beside", beside))}
    return {
        "events": len(alone) + len(beside), "sockets": sockets,
        "median_alone_ms": statistics.median(alone), "median_beside_ms": statistics.median(beside),
        "p99_alone_ms": p99["alone"], "p99_beside_ms": p99["beside"], "p99_ratio": p99["beside"] / p99["alone"],
    }  # fmt: skip


def main() -> None:
    asked = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    asked.add_argument("--sockets", type=int, default=100)
    asked.add_argument("--events", type=int, default=400)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="watchtower-slow-", ignore_cleanup_errors=True) as folder:
        found = campaign(Path(folder), given.sockets, given.events)
    print(json.dumps({name: round(value, 2) for name, value in found.items()}))


if __name__ == "__main__":
    main()
