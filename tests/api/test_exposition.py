"""GET /metrics: what happened is counted, and nobody who sends events makes a series."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from job_scene import BOOK, prepared
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from watchtower import metered
from watchtower.api import exposition
from watchtower.api.app import create_app
from watchtower.api.exposition import Exposition
from watchtower.bootstrap import Tower, build
from watchtower.contract import Evidence, FieldRequest, ModelStatus, Proposal, format_time
from watchtower.settings import Settings

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
RECEIVER = """
enrichment: {prices: {small: {input: 0.5, output: 2}, large: {input: 5, output: 20}}}
receivers:
  ops: {kind: webhook, url: "http://127.0.0.1:9/", secret: OPS_WEBHOOK_SECRET}
"""


@pytest.fixture
def tower(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tower]:
    monkeypatch.setattr(exposition, "FRESH", 0.0)
    (tmp_path / "book.yaml").write_text(BOOK + RECEIVER)
    settings = Settings(data=tmp_path, database_url=SecretStr(database_url), llm_model="stub")
    with build(settings, rulebook=tmp_path / "book.yaml", clock=lambda: NOW) as built:
        yield built


@pytest.fixture
def client(tower: Tower) -> TestClient:
    return TestClient(create_app(tower), base_url="http://127.0.0.1:8000", raise_server_exceptions=False)


def series(client: TestClient) -> dict[str, float]:
    """Every series of our own and its value, as a scraper reads them."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    return {
        f"{sample.name}{json.dumps(sample.labels, sort_keys=True)}": sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name.startswith("watchtower")
    }


def event(number: int, **more: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": f"m{number}", "source": "crm", "type": "record.updated",
        "subject": "account/A1", "time": format_time(NOW - timedelta(minutes=2)), "data": {"fields": {"chief": "Q"}},
    } | more  # fmt: skip


def test_what_comes_to_the_door_is_counted_by_verdict(tower: Tower, client: TestClient) -> None:
    before = series(client)
    client.post("/events", json=event(1))
    client.post("/events", json=event(1))
    client.post("/events", json=event(1, data={"fields": {"chief": "Nobody"}}))
    client.post("/events", json=event(2, subject="nothing/X"))
    client.post("/events", json=event(3, time=format_time(NOW + timedelta(hours=1))))
    after = series(client)

    def rose(name: str) -> float:
        return after.get(name, 0.0) - before.get(name, 0.0)

    for verdict in metered.VERDICTS:
        assert rose(f'watchtower_events_taken_total{{"source": "other", "verdict": "{verdict}"}}') == 1, verdict
    assert rose('watchtower_ingest_lag_seconds_sum{"source": "other"}') == 120
    assert rose('watchtower_http_request_seconds_count{"method": "POST", "route": "/events", "status": "2xx"}') >= 3
    assert after["watchtower_quarantined{}"] == 1 and after["watchtower_dead_letters_open{}"] == 2


def test_the_price_of_each_model_is_that_of_the_rulebook(client: TestClient) -> None:
    prices = {name: value for name, value in series(client).items() if name.startswith("watchtower_llm_price")}
    assert prices == {
        'watchtower_llm_price{"direction": "in", "model": "small"}': 0.5,
        'watchtower_llm_price{"direction": "out", "model": "small"}': 2.0,
        'watchtower_llm_price{"direction": "in", "model": "large"}': 5.0,
        'watchtower_llm_price{"direction": "out", "model": "large"}': 20.0,
    }


def test_ticks_and_the_alerts_they_leave_are_counted(tower: Tower, client: TestClient) -> None:
    before = series(client)
    tower.take([event(1, data={"fields": {"chief": "Nobody"}})])
    tower.tick()
    after = series(client)
    assert after["watchtower_tick_seconds_count{}"] == before["watchtower_tick_seconds_count{}"] + 1
    opened = 'watchtower_alert_decisions_total{"what": "opened"}'
    assert after[opened] == before.get(opened, 0) + 1
    [standing] = [value for name, value in after.items() if name.startswith("watchtower_alerts_standing")]
    assert standing == 1
    [waiting] = [name for name in after if name.startswith("watchtower_notifications{")]
    assert '"receiver": "ops"' in waiting and '"ai_informed": "true"' in waiting
    assert after["watchtower_tick_lag_seconds{}"] == 0


def test_a_delivery_that_failed_is_counted(tower: Tower, client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    tower.take([event(1, data={"fields": {"chief": "Nobody"}})])
    with tower.courier() as courier:
        courier.deliver()
    name = 'watchtower_deliveries_total{"ai_informed": "true", "outcome": "failed", "receiver": "ops"}'
    assert series(client)[name] >= 1


class Hostile:
    """A worker that says whatever might become a label, and a new one each time."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def status(self) -> ModelStatus:
        return ModelStatus(ready=True, name=self.word(), detail=self.word())

    def word(self) -> str:
        return f"{self.random.getrandbits(64):x}" + self.random.choice(['"', "\n", "}", "\\", "\u202e", "é"])

    def propose(self, requests: list[FieldRequest]) -> Iterator[Proposal]:
        for request in requests:
            for _ in range(4):
                evidence = Evidence(document=self.word(), quote=self.word(), start=0, end=3)
                yield Proposal(
                    request=request.id, field=self.random.choice(["chief", self.word()]), value=self.word(),
                    confidence=self.random.random(), evidence=(evidence,), method=self.word(), model=self.word(),
                    prompt=self.word(),
                )  # fmt: skip


def test_a_flood_of_hostile_events_and_proposals_makes_no_series(tower: Tower, client: TestClient) -> None:
    def flood(seed: int) -> None:
        drawn = Hostile(seed)
        prepared(tower, 8)
        tower.take([event(seed * 1000 + n, source=drawn.word(), subject=f"account/{drawn.word()}") for n in range(200)])
        tower.take([event(seed * 1000 + n, type=drawn.word()) for n in range(200, 300)])
        tower.enrich(drawn, limit=8, again=timedelta(0))
        for _ in range(30):
            client.request(drawn.word()[:16].encode("ascii", "ignore").decode().strip('"\\}\n') or "X", "/")
            client.get(f"/alerts/{drawn.word().encode('ascii', 'ignore').hex()}")
            client.get(f"/{drawn.word().encode('ascii', 'ignore').hex()}/x")

    flood(1)
    before = set(series(client))
    for seed in range(2, 7):
        flood(seed)
    after = set(series(client))
    assert after == before, sorted(after - before)
    assert series(client)['watchtower_events_taken_total{"source": "other", "verdict": "accepted"}'] >= 1000


def test_while_the_database_is_away_the_rest_is_said(tower: Tower, monkeypatch: pytest.MonkeyPatch) -> None:
    said = Exposition(tower)
    tower.database.engine.dispose()
    monkeypatch.setattr(tower.database.engine.dialect, "connect", _refused)
    text = said.text().decode()
    assert 'watchtower_database_up{database="core"} 0.0' in text
    assert "watchtower_tick_seconds_count" in text and "watchtower_journal_seq" not in text


def _refused(*_: Any, **__: Any) -> None:
    import psycopg

    raise psycopg.OperationalError("Connection refused")


def test_a_request_has_an_id_that_the_answer_bears(client: TestClient) -> None:
    asked = client.get("/healthz", headers={"x-request-id": "from-the-proxy.1"})
    assert asked.headers["x-request-id"] == "from-the-proxy.1"
    drawn = client.get("/healthz", headers={"x-request-id": 'bad" id'}).headers["x-request-id"]
    assert drawn != 'bad" id' and len(drawn) == 16
