"""Silences over HTTP, who was told, and Slack's buttons: only its own, and only for those whom the rulebook names."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from api_scene import NOW, RULEBOOK, Scene
from fastapi.testclient import TestClient

from watchtower.api.app import create_app
from watchtower.rulebook.model import Rulebook

RECORDED = Path(__file__).parent.parent / "fixtures" / "slack"
RECEIVERS = {
    "ops": {"kind": "slack", "url": "https://slack.com/api/chat.postMessage", "secret": "SLACK_TOKEN",
            "signing": "SLACK_SIGNING", "people": {"U2CERLKJA": "anna"}, "proposals": True},
    "hook": {"url": "https://hooks.example.com/x", "secret": "HOOK", "queues": ["customer-success"]},
}  # fmt: skip
UNTIL = "2026-03-11T09:00:00Z"


@pytest.fixture
def slack(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setenv("SLACK_SIGNING", "8f742231b10e8888abcd99yyyzzz85a5")
    scene.rulebook = Rulebook.model_validate(RULEBOOK.content() | {"receivers": RECEIVERS})
    return TestClient(create_app(scene), base_url="http://127.0.0.1:8000")


def press(client: TestClient, name: str, *, secret: str = "8f742231b10e8888abcd99yyyzzz85a5", **change: Any) -> Any:
    """A recorded press of a button, signed as Slack signs."""
    payload = json.loads((RECORDED / f"{name}.json").read_text())
    payload["user"] |= change
    body = urlencode({"payload": json.dumps(payload)}).encode()
    stamp = str(int(NOW.timestamp()))
    made = "v0=" + hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
    headers = {
        "content-type": "application/x-www-form-urlencoded", "x-slack-request-timestamp": stamp,
        "x-slack-signature": made,
    }  # fmt: skip
    return client.post("/slack/interactions", content=body, headers=headers)


def test_a_pressed_button_acts_under_the_name_that_the_rulebook_gives(slack: TestClient) -> None:
    answer = press(slack, "acknowledge")
    assert (answer.status_code, answer.json()["text"]) == (200, "acknowledge: done by anna")
    alert = slack.get("/alerts/a0001").json()
    assert (alert["status"], alert["actions"][-1]["actor"]) == ("acknowledged", "anna")


@pytest.mark.parametrize(("name", "status"), [("accept", "accepted"), ("reject", "rejected")])
def test_a_proposal_is_decided_in_slack(slack: TestClient, name: str, status: str) -> None:
    assert press(slack, name).json()["text"] == f"{name}: done by anna"
    assert [one["status"] for one in slack.get("/proposals?field=city").json()["items"]] == [status]
    assert press(slack, name).json()["text"].startswith("Not done:"), "the second press says why it does nothing"


def test_nobody_else_acts_in_slack(slack: TestClient) -> None:
    assert press(slack, "acknowledge", secret="another").status_code == 403
    assert "nothing was done" in press(slack, "acknowledge", id="U999").json()["text"]
    assert slack.get("/alerts/a0001").json()["status"] == "open"


def test_a_silence_is_made_shown_and_ended(client: TestClient) -> None:
    made = client.post("/silences", json={"record": "lead/L-1", "until": UNTIL, "because": "the fair", "actor": "Anna"})
    assert made.status_code == 201
    shown = client.get("/silences").json()
    assert [(one["record"], one["because"], one["made_by"]) for one in shown] == [("lead/L-1", "the fair", "Anna")]
    assert "the fair" in client.get("/review/silences").text
    assert client.post(f"/silences/{shown[0]['id']}/end").status_code == 200
    assert client.get("/silences").json() == []
    assert len(client.get("/silences?every=true").json()) == 1
    assert client.post(f"/silences/{shown[0]['id']}/end").status_code == 404


def test_a_silence_of_all_is_refused(client: TestClient) -> None:
    answer = client.post("/silences", json={"until": UNTIL, "because": "peace"})
    assert answer.status_code == 400 and "all alerts at once" in answer.json()["detail"]


def test_why_somebody_was_not_told(slack: TestClient) -> None:
    told = {one["receiver"]: one for one in slack.get("/alerts/a0001/told").json()}
    assert told["hook"]["state"] == "not told"
    assert told["hook"]["because"] == "'attention-needed' is not among its queues (customer-success)"
    assert "did not name this receiver" in told["ops"]["because"]
    assert slack.get("/alerts/a0001/told?person=bruno").status_code == 404
    assert "Who was told" in slack.get("/review/alerts/a0001").text
