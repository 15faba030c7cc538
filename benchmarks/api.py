"""What the API and the queue page cost with a full database, beside a bare Starlette that answers the same bytes.

python -m benchmarks.api                       1,000,000 records and 50,000 open alerts
python -m benchmarks.api --records 50000 --alerts 2500 --seconds 5

The queue page and GET /alerts are asked for at a fixed rate (an open loop: a request that is late makes no other wait),
and the time of each answer counts from when it was due. The ratios are of requests a second, one after another on one
connection, against a Starlette application on the same server (granian), in the same run: a route that answers the
bytes of the list, one that encodes it (JSONResponse), and one that decodes a batch of 100 events and answers their
verdicts. POST /events is measured up to storage: its tower takes what it is given and keeps nothing.

Nobody writes meanwhile, and an answer is remembered until somebody does. --writes N lets one write N times a second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import msgspec
from granian.constants import Interfaces
from granian.server.embed import Server
from pydantic import SecretStr
from sqlalchemy import text
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from benchmarks.figures import arguments, figure
from watchtower.api.app import create_app
from watchtower.bootstrap import Tower, build
from watchtower.flow.door import Door
from watchtower.settings import Settings
from watchtower.store import embedded

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)

_RECORDS = """
insert into record (object, id, state, provenance, created_at, changed_at)
select 'lead', 'L-' || n,
  jsonb_build_object('company', 'Company ' || n, 'stage', 'mql', 'mql_at', '2026-03-02T09:00:00Z'), '{}', now(), now()
from generate_series(1, :count) n
"""
_ALERTS = """
insert into alert (id, rule, rulebook, object, record, since, opened_at, status, severity, queue, owner, because,
  ai_informed, causes, reads)
select 'al_' || n, 'mql_uncontacted', 'x', 'lead', 'L-' || (n * 7 % :records + 1), :now - make_interval(mins => n),
  :now - make_interval(mins => n), case when n <= :open then 'open' else 'resolved' end,
  (array['critical', 'high', 'medium', 'low'])[n % 4 + 1],
  (array['attention-needed', 'stuck-deals', 'deal-desk'])[n % 3 + 1],
  'sales_manager', 'An MQL has waited 48 hours for a first contact.', n % 10 = 0, '[]', '{}'
from generate_series(1, :count) n
"""
_ACTIONS = "insert into action (alert, at, actor, verb) select id, opened_at, 'watchtower', 'opened' from alert"


@contextmanager
def served(app: Any) -> Iterator[str]:
    """The application, served by granian from a thread of this process."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    stop = threading.Event()

    async def run() -> None:
        server = Server(app, address="127.0.0.1", port=port, interface=Interfaces.ASGI, log_enabled=False)
        serving = asyncio.create_task(server.serve())
        while not stop.is_set():
            await asyncio.sleep(0.05)
        server.stop()
        await serving

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    url = f"http://127.0.0.1:{port}"
    for _ in range(200):
        try:
            httpx2.get(f"{url}/healthz")
            break
        except httpx2.TransportError:
            time.sleep(0.05)
    try:
        yield url
    finally:
        stop.set()
        thread.join(20)


def furnish(tower: Tower, records: int, alerts: int) -> None:
    """Records, open alerts, and as many resolved ones."""
    with tower.database.begin() as conn:
        conn.execute(text(_RECORDS), {"count": records})
        values = {"count": 2 * alerts, "open": alerts, "records": records, "now": NOW}
        conn.execute(text(_ALERTS), values)
        conn.execute(text(_ACTIONS))
    with tower.database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as conn:
        conn.execute(text("vacuum analyze"))


@contextmanager
def writing(tower: Tower, rate: float) -> Iterator[None]:
    """Somebody comments on alerts, so many a second."""
    stop = threading.Event()

    def work() -> None:
        number = 1
        while rate and not stop.wait(1 / rate):
            tower.act(f"al_{number}", "comment", actor="anna", note="seen")
            number += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


async def open_loop(url: str, rate: float, seconds: float) -> list[float]:
    """Milliseconds from when each request was due until its answer was read."""
    took: list[float] = []
    async with httpx2.AsyncClient(timeout=30, limits=httpx2.Limits(max_connections=100)) as client:
        await client.get(url)
        begun = time.perf_counter()

        async def one(due: float) -> None:
            answer = await client.get(url)
            assert answer.status_code == 200, answer.text[:200]
            took.append((time.perf_counter() - due) * 1000)

        tasks = []
        for number in range(int(rate * seconds)):
            due = begun + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(one(due)))
        await asyncio.gather(*tasks)
    return sorted(took)


def one_after_another(ask: Callable[[], httpx2.Response], seconds: float) -> float:
    """Requests a second."""
    assert ask().status_code == 200
    count, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        ask()
        count += 1
    return count / (time.perf_counter() - begun)


def ratio(
    ours: Callable[[], httpx2.Response], bare: Callable[[], httpx2.Response], seconds: float
) -> tuple[float, float]:
    """Requests a second of ours and of the bare one, in turns."""
    turns = [(one_after_another(ours, seconds / 4), one_after_another(bare, seconds / 4)) for _ in range(4)]
    return sum(a for a, _ in turns) / 4, sum(b for _, b in turns) / 4


def events() -> bytes:
    """A batch of 100 events."""
    at = "2026-03-02T09:00:00Z"
    batch = [
        {
            "specversion": "1.0", "id": f"e{n}", "source": "crm", "type": "record.updated", "subject": f"lead/L-{n}",
            "time": at, "data": {"fields": {"stage": "mql", "mql_at": at, "company": f"Company {n}"}},
        }
        for n in range(100)
    ]  # fmt: skip
    return msgspec.json.encode(batch)


def bare(listed: bytes) -> Starlette:
    """What the same answers cost at least: the list's bytes; a batch decoded, its verdicts encoded."""

    async def get_list(request: Request) -> Response:
        return Response(listed, media_type="application/json")

    async def post(request: Request) -> Response:
        batch = json.loads(await request.body())
        verdicts = [{"id": event["id"], "status": "accepted", "reason": ""} for event in batch]
        return Response(json.dumps({"verdicts": verdicts}), media_type="application/json")

    decoded = json.loads(listed)

    async def get_encoded(request: Request) -> Response:
        return JSONResponse(decoded)

    return Starlette(routes=[
        Route("/list", get_list), Route("/encoded", get_encoded), Route("/events", post, methods=["POST"]),
    ])  # fmt: skip


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--alerts", type=int, default=50_000, help="open ones; as many resolved stand beside them")
    parser.add_argument("--rate", type=float, default=50, help="requests a second, of each of the two")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--writes", type=float, default=0, help="alerts acted on each second, meanwhile")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="watchtower-benchmark-") as folder, embedded.start(Path(folder)) as server:
        settings = Settings(data=Path(folder), database_url=SecretStr(server.url))
        with build(settings, clock=lambda: NOW) as tower:
            begun = time.perf_counter()
            furnish(tower, options.records, options.alerts)
            print(f"{options.records:,} records, {options.alerts:,} open alerts ({time.perf_counter() - begun:.0f} s)")
            _measure(tower, options)


def _measure(tower: Tower, options: argparse.Namespace) -> None:
    verdict = SimpleNamespace(status="accepted", reason="")
    nowhere: Any = SimpleNamespace(
        database=tower.database, door=Door(tower.database, tower.clock), rulebook=tower.rulebook, clock=tower.clock,
        take=lambda raw, source=None: [SimpleNamespace(id=e["id"], **vars(verdict)) for e in raw],
    )  # fmt: skip
    with served(create_app(tower)) as url, served(create_app(nowhere)) as unstored:
        client = httpx2.Client(timeout=30)
        listed = client.get(f"{url}/alerts?status=open").content
        page = client.get(f"{url}/")
        print(f"the queue page weighs {len(page.content) / 1000:.0f} kB; the list of 50 {len(listed) / 1000:.0f} kB")
        for name, path in (("GET /alerts", "/alerts?status=open"), ("the queue page", "/")):
            with writing(tower, options.writes):
                took = asyncio.run(open_loop(url + path, options.rate, options.seconds))
            middle, late = took[len(took) // 2], took[int(len(took) * 0.99)]
            figure(f"{name}: p99 at {options.rate:g} requests a second", late, "ms", better="lower", aim=100)
            print(f"{name} at {options.rate:g}/s: median {middle:.1f} ms, p99 {late:.1f} ms, last {took[-1]:.1f} ms")
        with served(bare(listed)) as peer:
            body, kind = events(), {"content-type": "application/cloudevents-batch+json"}
            for name, ours, theirs in (
                ("GET /alerts / bare bytes", lambda: client.get(f"{url}/alerts?status=open"),
                 lambda: client.get(f"{peer}/list")),
                ("GET /alerts / bare JSONResponse", lambda: client.get(f"{url}/alerts?status=open"),
                 lambda: client.get(f"{peer}/encoded")),
                ("POST /events of 100, before storage", lambda: client.post(
                    f"{unstored}/events", content=body, headers=kind),
                 lambda: client.post(f"{peer}/events", content=body, headers=kind)),
            ):  # fmt: skip
                a, b = ratio(ours, theirs, options.seconds / 2)
                aims = {"GET /alerts / bare JSONResponse": 0.4, "POST /events of 100, before storage": 0.3}
                figure(name, a, "requests a second", peer="a bare Starlette endpoint", of_peer=a / b, bound=True)
                if name in aims:
                    figure(f"{name}, share of the bare one", a / b, aim=aims[name])
                print(f"{name}: {a:.0f}/s against {b:.0f}/s, ratio {a / b:.2f}")


if __name__ == "__main__":
    main()
