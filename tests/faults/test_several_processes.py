"""Three `serve`, two `tick --stay --workers`, two `worker` and one `deliver` on one PostgreSQL, one of each killed.

Events are posted to whichever API process comes first, both tickers ask the workers for what starves, and a language
model is called over HTTP by both. At the end the promises of the kill campaign hold (campaign_check.py): each event
applied once, each alert opened once, where and when another engine finds it; and no paid call was made twice.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from campaign_check import book, check
from campaign_load import SECRET, VARIABLE, Receiver, Source, now
from job_scene import name_of
from kill_campaign import deliver_all, free_port
from llm_stub import Stub, model, text_of
from nursery import Nursery
from pydantic import SecretStr
from sqlalchemy import text

from watchtower.bootstrap import Tower, build
from watchtower.contract import format_time
from watchtower.settings import Settings
from watchtower.store import ledger
from watchtower.workers.models import at_once

COMPANIES = 60
SLOTS = 4
SILENT = 12.0
"""Seconds without a heartbeat after which this test counts a worker as dead: they beat every 10."""
PATIENCE = 120.0


def rulebook(port: int) -> str:
    """The campaign's, with an object whose one field only a language model can fill."""
    parts = {
        "objects:\n": "  company:\n    fields:\n      chief: {type: text, fill: enrichment}\n",
        "rules:\n": "  - {id: led_by_nobody, object: company, when: chief = 'Nobody'}\n",
        "acceptance:\n": "  company.chief: {accept_at: 0.5, review_at: 0.1}\n",
    }
    whole = book(port, VARIABLE)
    for head, more in parts.items():
        assert whole.count(head) == 1
        whole = whole.replace(head, head + more)
    return whole


def company(number: int) -> list[dict[str, Any]]:
    """A company whose chief stands in a document, and nowhere else."""
    common = {"specversion": "1.0", "source": "hr", "subject": f"company/C{number}", "time": format_time(now())}
    said = {"document": "d1", "text": text_of(name_of(number))}
    return [
        common | {"id": f"r{number}", "type": "record.updated", "data": {"fields": {}}},
        common | {"id": f"d{number}", "type": "document.added", "data": said},
    ]


def until(done: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline, f"not within {PATIENCE:.0f} s: {what}"
        time.sleep(0.05)


def listens(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=30).status_code == 200
    except httpx.TransportError:
        return False


def count(tower: Tower, sql: str) -> int:
    """One number of the core."""
    with tower.database.read() as conn:
        return int(conn.execute(text(sql)).scalar_one())


def asked(tower: Tower) -> int:
    """Requests that were handed down and not taken up again."""
    with tower.desk.database.begin() as conn:
        return int(conn.execute(text("select count(*) from asked")).scalar_one())


def at_work(tower: Tower) -> int:
    """Workers that have a job, the dead one among them."""
    with tower.desk.database.begin() as conn:
        said = conn.execute(text("select count(distinct worker_id) from procrastinate_jobs where status = 'doing'"))
        return int(said.scalar_one())


@pytest.fixture
def surroundings(database_url: str) -> dict[str, str]:
    """What every process is told; a worker is told more."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WATCHTOWER_")}
    return kept | {
        "DATABASE_URL": database_url, VARIABLE: SECRET, "WATCHTOWER_LLM_SLOTS": str(SLOTS),
        "WATCHTOWER_LLM_MODEL": "stub", "WATCHTOWER_LLM_API_KEY": "none",
    }  # fmt: skip


def test_several_of_each_process_share_a_database_and_one_of_each_may_fall(
    database_url: str, own_folder: Path, surroundings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, SECRET)
    ports = [free_port() for _ in range(3)]
    sources = [Source(name, ports, 3, pause=0.1) for name in ("crm", "billing", "product")]
    with Receiver(3).listening() as receiver, model(0.3) as stub:
        (own_folder / "book.yaml").write_text(rulebook(receiver.port))
        settings = Settings(data=own_folder / "tower", database_url=SecretStr(database_url), llm_model="stub")
        with build(settings, rulebook=own_folder / "book.yaml") as tower:
            asked(tower)  # the jobs database is made by whoever needs it first; one that is named must be there
            env = surroundings | {"WATCHTOWER_LLM_BASE_URL": stub.url, "WATCHTOWER_JOBS_URL": tower.jobs_url}
            nursery = Nursery(env)
            try:
                hr = _under_fire(tower, nursery, own_folder, stub, ports, sources)
            finally:
                nursery.close()
            at = now()
            tower.tick(at)
            deliver_all(tower)
            faults, figures = check(tower, database_url, at, [*sources, hr], receiver, {"each lane": 0})
            assert faults == []
            assert figures["lost"] == figures["doubled alerts"] == figures["notifications lost"] == 0
            assert min(figures["alerts"], figures["notifications"]) > 0, "and there was something to do"
            _paid_once(tower, stub)


def _under_fire(
    tower: Tower, nursery: Nursery, folder: Path, stub: Stub, ports: list[int], sources: list[Source]
) -> Any:
    """Everything at once, one of each killed; the source of the companies."""

    def start(name: str, *arguments: str) -> Any:
        return nursery.start([*arguments], log=folder / f"{name}.log")

    def opened() -> int:
        return count(tower, "select count(*) from alert")

    serving = [
        start(f"serve-{port}", "serve", "--data", str(folder / f"serve-{port}"), "--port", str(port)) for port in ports
    ]
    for port in ports:
        until(lambda port=port: listens(port), f"the API on {port}")
    hr: Any = SimpleNamespace(source="hr", flaws=[], sent={}, acknowledged={})
    for number in range(COMPANIES):
        events = company(number)
        answer = httpx.post(
            f"http://127.0.0.1:{ports[number % 3]}/events", json=events, timeout=60,
            headers={"content-type": "application/cloudevents-batch+json"},
        )  # fmt: skip
        assert [verdict["status"] for verdict in answer.json()["verdicts"]] == ["accepted", "accepted"]
        hr.sent |= {event["id"]: event for event in events}
    hr.acknowledged = hr.sent
    workers = [start(f"worker-{n}", "worker") for n in range(2)]
    tickers = [start(f"tick-{n}", "tick", "--stay", "--workers", "--data", str(folder / f"tick-{n}")) for n in range(2)]
    start("deliver", "deliver", "--data", str(folder / "deliver"))
    for source in sources:
        source.start()

    until(lambda: stub.calls.total() >= SLOTS and opened(), "a call to the model, and an alert")
    workers[0].kill()
    fell = time.monotonic()
    tickers[0].kill()
    serving[0].kill()
    before = opened()
    until(lambda: opened() > before + 5, "alerts by the ticker that is left")
    for source in sources:
        source.stop()
    # The tower would find out after 30 seconds. The worker that lives has by then no job, and cannot be taken for dead.
    until(lambda: (time.monotonic() - fell > SILENT and at_work(tower) <= 1) or not asked(tower), "a silence")
    tower.desk.tend(silent=SILENT)
    until(lambda: not asked(tower), "answers, taken up")
    assert [child.alive() for child in (workers[1], tickers[1], *serving[1:])] == [True] * 4
    return hr


def _paid_once(tower: Tower, stub: Stub) -> None:
    """No call was made twice, each answer was decided on once, and only what died with its worker is empty."""
    assert sum(times - 1 for times in stub.calls.values()) == 0
    with tower.desk.database.begin() as conn:
        unknown = ledger.calls(conn).get("unknown", 0)
    assert unknown <= at_once(SLOTS), "no more than one worker had under way"
    filled = count(tower, "select count(*) from record where object = 'company' and state ? 'chief'")
    accepted = count(tower, "select count(*) from journal where type = 'field.accepted' and object = 'company'")
    assert filled == accepted >= COMPANIES - unknown
