"""The whole way over HTTP on the real tower: an event in, an alert out, a person's action, the pages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from watchtower.api.app import create_app
from watchtower.bootstrap import Tower, build
from watchtower.contract import event_json, format_time
from watchtower.flow.company import generate
from watchtower.settings import Settings

END = datetime(2026, 6, 30, tzinfo=UTC)
START = END - timedelta(days=120)


@pytest.fixture
def tower(database_url: str, tmp_path: Path) -> Iterator[Tower]:
    settings = Settings(data=tmp_path, database_url=SecretStr(database_url))
    with build(settings, clock=lambda: END) as built:
        yield built


@pytest.fixture
def client(tower: Tower) -> TestClient:
    return TestClient(create_app(tower), base_url="http://127.0.0.1:8000")


def test_an_mql_that_nobody_contacts_becomes_an_alert_that_a_person_resolves(client: TestClient) -> None:
    at = format_time(END - timedelta(days=5))
    event = {
        "specversion": "1.0", "id": "e1", "source": "crm", "type": "record.updated", "subject": "lead/L-17", "time": at,
        "data": {"fields": {"stage": "mql", "mql_at": at}},
    }  # fmt: skip
    assert client.post("/events", json=event).json()["verdicts"][0]["status"] == "accepted"
    assert client.post("/events", json=event).json()["verdicts"][0]["status"] == "duplicate"
    assert client.post("/events", json={**event, "data": {"fields": {"stage": "sql"}}}).status_code == 409
    assert client.post("/events", json={**event, "id": "e2", "data": {"fields": {"stage": 7}}}).status_code == 400
    beside = client.post("/events", json=[7, event, None, {**event, "id": "m", "type": "record.merged", "data": {}}])
    assert [verdict["status"] for verdict in beside.json()["verdicts"]] == [
        "refused",
        "duplicate",
        "refused",
        "refused",
    ]
    [alert] = client.get("/alerts?record=lead/L-17&rule=mql_uncontacted").json()["items"]
    assert (alert["status"], alert["since"]) == ("open", format_time(END - timedelta(days=3)))
    page = client.get(f"/review/alerts/{alert['id']}")
    assert page.status_code == 200
    assert "mql_at" in page.text and "truth-true" in page.text
    assert "mql_uncontacted" in [span["rule"] for span in client.get("/records/lead/L-17").json()["holds"]]
    done = client.post(f"/alerts/{alert['id']}/resolve", json={"actor": "Anna", "note": "called them"}).json()
    assert (done["status"], done["actions"][-1]["actor"]) == ("resolved", "Anna")
    assert client.post(f"/alerts/{alert['id']}/acknowledge", json={}).status_code == 400


def test_every_page_of_a_generated_company_is_whole_and_light(client: TestClient) -> None:
    year = generate(7, accounts=12, start=START, end=END)
    raw = [event_json(event) for event in year.events]
    for begin in range(0, len(raw), 500):
        answer = client.post("/events", json=raw[begin : begin + 500])
        assert answer.status_code == 200
        assert {verdict["status"] for verdict in answer.json()["verdicts"]} <= {"accepted", "duplicate"}
    alerts = client.get("/alerts?limit=200").json()["items"]
    assert alerts
    pages = {"/", "/?status=resolved", "/review/rules", "/review/health", "/review/proposals"}
    pages |= {f"/review/alerts/{alert['id']}" for alert in alerts[:15]}
    pages |= {f"/review/{alert['record']}" for alert in alerts[:15]}
    for path in sorted(pages):
        page = client.get(path)
        assert (page.status_code, path) == (200, path)
        assert len(page.content) < 150_000, path
        assert page.text.endswith("</html>")
    for alert in alerts[:15]:
        record = client.get(f"/records/{alert['record']}").json()
        assert alert["id"] in [one["id"] for one in record["alerts"]]
        times = [event["time"] for event in record["timeline"]["items"]]
        assert times == sorted(times, reverse=True)
