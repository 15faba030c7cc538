"""Subscriptions over HTTP: told like a webhook of the rulebook, to named hosts only, until they end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import standardwebhooks
from fastapi.testclient import TestClient
from listening import Listener, listening
from pydantic import SecretStr
from tower_scene import Clock

from watchtower.api.app import create_app
from watchtower.bootstrap import Tower, build
from watchtower.contract import Event
from watchtower.errors import InputError, Missing
from watchtower.flow.subscribing import allowed
from watchtower.settings import Settings

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
BOOK = """
name: subscribed
objects:
  lead:
    fields:
      stage: {type: enum, values: [raw, mql, lost]}
rules:
  - {id: waiting, object: lead, when: stage = 'mql', severity: high, queue: sales, owner: rep, because: It waits.}
  - {id: losing, object: lead, when: stage = 'lost', severity: low, queue: other, owner: rep, because: Gone.}
"""


@pytest.fixture
def tower(database_url: str, tmp_path: Path) -> Iterator[Tower]:
    (tmp_path / "book.yaml").write_text(BOOK)
    settings = Settings(data=tmp_path, database_url=SecretStr(database_url), subscriber_hosts="127.0.0.1, .example.com")
    with build(settings, rulebook=tmp_path / "book.yaml", clock=Clock(START)) as built:
        yield built


def say(tower: Tower, lead: str, stage: str, number: int) -> None:
    event = Event(
        id=f"e{number}", source="crm", type="record.updated", subject=f"lead/{lead}",
        time=START - timedelta(hours=1) + timedelta(seconds=number), data={"fields": {"stage": stage}},
    )  # fmt: skip
    assert [verdict.status for verdict in tower.take_events([event])] == ["accepted"]


def posted(listener: Listener) -> list[dict[str, Any]]:
    return [json.loads(body) for _, _, body in listener.posts]


def test_who_subscribed_is_told_signed_and_narrowed_and_after_the_end_of_nothing(tower: Tower) -> None:
    client = TestClient(create_app(tower), base_url="http://127.0.0.1:8000")
    with listening() as listener, tower.courier() as courier:
        made = client.post("/subscriptions", json={"url": f"{listener.url}/hook", "queues": ["sales"]}).json()
        assert made["secret"].startswith("whsec_") and made["made_by"] == "operator"
        assert [(one["id"], "secret" in one) for one in client.get("/subscriptions").json()] == [(made["id"], False)]
        say(tower, "L-1", "mql", 1)
        say(tower, "L-2", "lost", 2)
        say(tower, "L-1", "raw", 3)
        courier.deliver()
        assert [(one["type"], one["data"]["record"]) for one in posted(listener)] == [
            ("alert.opened", "lead/L-1"), ("alert.resolved", "lead/L-1"),
        ]  # fmt: skip
        path, headers, body = listener.posts[0]
        stamp = headers["webhook-timestamp"]
        at = datetime.fromtimestamp(int(stamp), UTC)
        signed = standardwebhooks.Webhook(made["secret"]).sign(headers["webhook-id"], at, body.decode())
        assert (path, headers["webhook-signature"]) == ("/hook", signed)
        [alert] = client.get("/alerts?rule=waiting").json()["items"]
        assert [(one["receiver"], one["state"]) for one in client.get(f"/alerts/{alert['id']}/told").json()] == [
            (made["id"], "told")
        ]
        say(tower, "L-3", "mql", 4)
        assert client.delete(f"/subscriptions/{made['id']}").status_code == 204
        assert client.delete(f"/subscriptions/{made['id']}").status_code == 404
        say(tower, "L-4", "mql", 5)
        courier.deliver()
        assert len(listener.posts) == 2, "what was still to be told is given up with it"
        assert client.get("/subscriptions").json() == []


def test_an_answer_of_410_ends_a_subscription_and_any_other_failure_does_not(tower: Tower) -> None:
    with listening() as listener, tower.courier() as courier:
        made = tower.subscribe(f"{listener.url}/hook", {}, actor="anna")
        listener.answers = [500, 410]
        say(tower, "L-1", "mql", 1)
        courier.deliver()
        assert len(tower._receivers()) == 1
        tower.clock.now += timedelta(minutes=1)  # type: ignore[attr-defined]
        courier.deliver()
        assert len(listener.posts) == 2 and tower._receivers() == {}
    with pytest.raises(Missing, match="does not exist, or is over"):
        tower.unsubscribe(made.id, actor="anna")


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("https://hooks.zapier.com/hooks/1", True),
        ("https://n8n.example.com/webhook/1", True),
        ("http://localhost:5678/webhook/1", True),
        ("http://n8n.example.com/webhook/1", False),
        ("https://example.com.evil.test/", False),
        ("https://evilexample.com/", False),
        ("https://169.254.169.254/latest", False),
        ("https://hooks.zapier.com@evil.test/", False),
        ("https://[::1/", False),
        ("ftp://localhost/", False),
        ("https://n8n.example.com:99999/", False),
        ("", False),
    ],
)
def test_only_named_hosts_are_subscribed_and_only_this_machine_without_tls(url: str, may: bool) -> None:
    assert allowed(url, {"hooks.zapier.com", ".example.com", "localhost"}) is may


def test_an_address_at_no_named_host_is_refused_by_name(tower: Tower) -> None:
    with pytest.raises(InputError, match=r"https://evil.test/x.*none of the hosts.*\.example\.com, 127\.0\.0\.1"):
        tower.subscribe("https://evil.test/x", {}, actor="anna")
    with pytest.raises(InputError, match="without user or password"):
        tower.subscribe("https://anna:pw@n8n.example.com/x", {}, actor="anna")
