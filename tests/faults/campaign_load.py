"""What a campaign feeds and hears: sources that keep what was acknowledged, and a receiver that keeps what it got."""

from __future__ import annotations

import base64
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import standardwebhooks

SECRET = "whsec_" + base64.b64encode(b"campaign" * 4).decode()
VARIABLE = "CAMPAIGN_WEBHOOK_SECRET"
RECORDS = 150
BOOK = """\
name: campaign
timezone: Europe/Rome
objects:
  account:
    fields:
      founded_year: {type: integer, min: 1600, max: 2100, fill: enrichment}
  lead:
    fields:
      account: {type: ref, to: account}
      stage: {type: enum, values: [raw, mql, sql]}
      mql_at: {type: timestamp}
      size: {type: integer}
rules:
  - {id: waiting, object: lead, when: "stage = 'mql' and mql_at <= now() - interval '1 second'", queue: sales}
  - {id: lasting, object: lead, when: "stage = 'sql'", for: 2 seconds, severity: high, queue: sales}
  - {id: small, object: lead, when: size < 10, severity: low}
  - {id: small_and_raw, object: lead, when: "size < 10 and stage = 'raw'", inhibits: [small]}
  - {id: young, object: account, when: founded_year > 1990}
  - {id: lead_of_young, object: lead, when: "account.founded_year > 1990 and stage = 'raw'"}
acceptance:
  account.founded_year: {accept_at: 0.5, review_at: 0.2}
receivers:
  all: {url: "http://127.0.0.1:PORT/all", secret: VARIABLE, rate: 100000}
  sales: {url: "http://127.0.0.1:PORT/sales", secret: VARIABLE, queues: [sales], rate: 100000}
"""


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251


class Receiver:
    """A webhook's other end. Counts what it took, by receiver and webhook-id; verifies every signature."""

    def __init__(self, seed: int) -> None:
        self.got: Counter[tuple[str, str]] = Counter()
        self.flaws: list[str] = []
        self.cut_off = 0
        self.port = 0
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    def take(self, who: str, headers: dict[str, str], body: bytes) -> int:
        try:
            standardwebhooks.Webhook(SECRET).verify(body, headers)
        except standardwebhooks.WebhookVerificationError as fault:
            self.flaws.append(f"{headers}: {fault}")
            return 401
        with self._lock:
            if self._random.random() < 0.01:
                return 503
            self.got[who, {k.lower(): v for k, v in headers.items()}["webhook-id"]] += 1
            return 204

    @contextmanager
    def listening(self) -> Iterator[Receiver]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                body = self.rfile.read(length)
                if len(body) < length:
                    # Its sender was killed between the head and the end of the message: nothing was taken.
                    receiver.cut_off += 1
                    self.close_connection = True
                    return
                status = receiver.take(self.path.strip("/"), dict(self.headers.items()), body)
                try:
                    self.send_response(status)
                    self.send_header("content-length", "0")
                    self.end_headers()
                except OSError:
                    pass  # whoever asked is dead

            def handle(self) -> None:
                with suppress(OSError):
                    super().handle()

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            server.daemon_threads = True
            self.port = server.server_port
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()


class Source(threading.Thread):
    """A client that sends events, again and again under the same ids until they are acknowledged.

    A few batches are given up after a failure: nobody knows whether they are in. A few are sent once more after
    they were acknowledged, and a few events come late.
    """

    def __init__(self, name: str, ports: list[int], seed: int, *, pause: float = 0.02) -> None:
        super().__init__(daemon=True)
        self.source, self._ports, self._pause = name, ports, pause
        self._random = random.Random(f"{seed} {name}")
        self._over = threading.Event()
        self._number = 0
        self.acknowledged: dict[str, dict[str, Any]] = {}
        self.sent: dict[str, dict[str, Any]] = {}
        self.flaws: list[str] = []
        self.failures = 0
        self.acknowledged_at = time.monotonic()

    def stop(self) -> None:
        """Finish the batch at hand, and end."""
        self._over.set()
        self.join(timeout=120)
        assert not self.is_alive(), "a source could not bring its last batch in"

    def run(self) -> None:
        with httpx.Client(timeout=30) as client:
            while not self._over.is_set():
                batch = [self._event() for _ in range(self._random.randint(1, 5))]
                self.sent |= {event["id"]: event for event in batch}
                self._bring_in(client, batch, give_up=self._random.random() < 0.1)
                if self.acknowledged and self._random.random() < 0.05:
                    again = self._random.choice(list(self.acknowledged.values())[-50:])
                    self._bring_in(client, [again], give_up=True)
                self._over.wait(self._pause)

    def _bring_in(self, client: httpx.Client, batch: list[dict[str, Any]], *, give_up: bool) -> None:
        while True:
            port = self._random.choice(self._ports)
            try:
                answer = client.post(
                    f"http://127.0.0.1:{port}/events", content=json.dumps(batch),
                    headers={"content-type": "application/cloudevents-batch+json"},
                )  # fmt: skip
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code == 200:
                for event, verdict in zip(batch, answer.json()["verdicts"], strict=True):
                    if verdict["status"] not in ("accepted", "duplicate"):
                        self.flaws.append(f"{event['id']}: {verdict}")
                    self.acknowledged[event["id"]] = event
                self.acknowledged_at = time.monotonic()
                return
            if answer is not None and answer.status_code != 503:
                self.flaws.append(f"status {answer.status_code}: {answer.text[:300]}")
                return
            self.failures += 1
            if give_up:
                return
            time.sleep(0.03)

    def _event(self) -> dict[str, Any]:
        self._number += 1
        dice, record = self._random.random(), self._random.randrange(RECORDS)
        at = now()
        if dice < 0.03:
            at -= timedelta(seconds=self._random.uniform(0.5, 4))
        stamp = at.isoformat()
        # Each source has records of its own: the order in which two clients' events arrive is nobody's to say.
        lead, account = f"{self.source}-L{record}", f"{self.source}-A{record % 40}"
        event: dict[str, Any] = {
            "specversion": "1.0", "id": f"{self.source}-{self._number}", "source": self.source,
            "type": "record.updated", "subject": f"lead/{lead}", "time": stamp,
        }  # fmt: skip
        kind = self._random.random()
        if kind < 0.45:
            event["data"] = {"fields": {"stage": self._random.choice(["raw", "mql", "sql"]), "mql_at": stamp}}
        elif kind < 0.75:
            event["data"] = {"fields": {"size": self._random.randrange(20), "account": account}}
        elif kind < 0.85:
            event["data"] = {"fields": {"mql_at": None}}
        elif kind < 0.95:
            event |= {"subject": f"account/{account}", "data": {"fields": {}}}
        else:
            year = self._random.randrange(1950, 2020)
            event |= {"subject": f"account/{account}", "type": "document.added"}
            event["data"] = {"document": f"d{self._number}", "text": f"Acme was founded in {year} and makes bolts."}
        return event
