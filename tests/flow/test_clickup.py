"""Alerts as tasks of ClickUp: made once, closed when the alert is over; what people do to a task comes back, once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from fakes.clickup import SECRET, TOKEN, ClickUp, clickup
from fastapi.testclient import TestClient
from httpx import Response
from pydantic import SecretStr
from tower_scene import Clock

from watchtower.api.app import create_app
from watchtower.bootstrap import Tower, build
from watchtower.contract import Event
from watchtower.flow.clickup import done_to_tasks
from watchtower.rulebook.telling import Receiver
from watchtower.settings import Settings

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
BOOK = """
name: tasks
objects:
  lead:
    fields:
      stage: {type: enum, values: [raw, mql, lost]}
rules:
  - {id: waiting, object: lead, when: stage = 'mql', severity: high, queue: sales, owner: rep, because: It waits.}
receivers:
  ops: {kind: clickup, url: "URL", secret: CLICKUP_TOKEN, signing: CLICKUP_SIGNING, people: {"183": rep},
        CLOSING}
"""


@dataclass
class Scene:
    tower: Tower
    fake: ClickUp
    client: TestClient

    def say(self, lead: str, stage: str, number: int) -> None:
        at = START - timedelta(hours=1) + timedelta(seconds=number)
        event = Event(
            id=f"e{number}", source="crm", type="record.updated", subject=f"lead/{lead}", time=at,
            data={"fields": {"stage": stage}},
        )  # fmt: skip
        assert [one.status for one in self.tower.take_events([event])] == ["accepted"]
        self.deliver()

    def deliver(self) -> None:
        self.tower.clock.now += timedelta(hours=2)  # type: ignore[attr-defined]
        with self.tower.courier() as courier:
            courier.deliver()

    def hooks(self) -> list[int]:
        """Deliver what ClickUp has to say; the answers."""
        sent, self.fake.sent = self.fake.sent, []
        return [self.post(headers, body).status_code for headers, body in sent]

    def post(self, headers: dict[str, Any], body: bytes, name: str = "ops") -> Response:
        return self.client.post(f"/hooks/{name}", content=body, headers=headers)

    def alert(self) -> dict[str, object]:
        [item] = self.client.get("/alerts?rule=waiting").json()["items"]
        found: dict[str, object] = self.client.get(f"/alerts/{item['id']}").json()
        return found

    def history(self) -> list[tuple[str, str, str]]:
        actions = self.alert()["actions"]
        assert isinstance(actions, list)
        return [(one["actor"], one["verb"], one["note"]) for one in actions if one["verb"] != "opened"]


@pytest.fixture
def scene(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Scene]:
    monkeypatch.setenv("CLICKUP_TOKEN", TOKEN)
    monkeypatch.setenv("CLICKUP_SIGNING", SECRET)
    with clickup() as fake:
        closing = getattr(request, "param", "closing: acknowledge")
        (tmp_path / "book.yaml").write_text(BOOK.replace("URL", fake.list_url).replace("CLOSING", closing))
        settings = Settings(data=tmp_path, database_url=SecretStr(database_url))
        with build(settings, rulebook=tmp_path / "book.yaml", clock=Clock(START)) as tower:
            yield Scene(tower, fake, TestClient(create_app(tower), base_url="http://127.0.0.1:8000"))


def test_an_alert_is_a_task_for_its_owner_which_is_closed_when_it_is_over(scene: Scene) -> None:
    scene.say("L-1", "mql", 1)
    [(name, task)] = scene.fake.tasks.items()
    assert (task["name"], task["priority"], task["assignees"]) == ("lead/L-1: It waits.", 2, [{"id": 183}])
    assert task["tags"] == [{"name": f"watchtower-{scene.alert()['id']}"}]
    scene.say("L-1", "raw", 2)
    assert scene.fake.tasks[name]["status"]["type"] == "closed"
    assert scene.hooks() == [200]
    assert [verb for _, verb, _ in scene.history()] == ["resolved"], "our own closing of the task does nothing more"


def test_a_task_whose_making_we_did_not_hear_of_is_found_again_and_not_made_twice(scene: Scene) -> None:
    scene.fake.forget_answer = True
    scene.say("L-1", "mql", 1)
    assert len(scene.fake.tasks) == 1
    scene.deliver()
    scene.say("L-1", "raw", 2)
    [task] = scene.fake.tasks.values()
    assert task["status"]["type"] == "closed"


def test_closing_a_task_acknowledges_the_alert_in_that_persons_name_once(scene: Scene) -> None:
    scene.say("L-1", "mql", 1)
    [name] = scene.fake.tasks
    scene.fake.person_comments(name, "Called them.", user=183)
    scene.fake.person_sets(name, "in progress", user=183)
    scene.fake.person_sets(name, "complete", user=183)
    copies = list(scene.fake.sent)
    assert scene.hooks() == [200] * 3
    assert scene.history() == [
        ("rep", "comment", "Called them."), ("rep", "acknowledge", "closed in ClickUp (complete)"),
    ]  # fmt: skip
    assert scene.alert()["status"] == "acknowledged", "the rule still holds: a task does not close its alert"
    scene.client.post(f"/alerts/{scene.alert()['id']}/reopen", json={"actor": "anna"})
    assert [scene.post(*copy).status_code for copy in copies] == [200] * 3
    assert scene.alert()["status"] == "open", "a copy of a webhook, which bears no time, does nothing more"


def test_what_somebody_else_does_in_clickup_does_nothing_here(scene: Scene) -> None:
    scene.say("L-1", "mql", 1)
    [name] = scene.fake.tasks
    scene.fake.person_comments(name, "I am nobody here.", user=7)
    scene.fake.person_sets(name, "complete", user=7)
    assert scene.hooks() == [200, 200]
    assert (scene.alert()["status"], scene.history()) == ("open", [])


def test_a_task_that_was_deleted_is_said_on_its_alert_though_it_comes_without_history(scene: Scene) -> None:
    scene.say("L-1", "mql", 1)
    [name] = scene.fake.tasks
    scene.fake.person_deletes(name)
    copies = list(scene.fake.sent)
    assert scene.hooks() == [200]
    assert [scene.post(*copy).status_code for copy in copies] == [200]
    assert scene.history() == [("ops", "comment", "the task was deleted in ClickUp")]
    assert scene.alert()["status"] == "open"


@pytest.mark.parametrize("scene", ["closing: resolve"], indirect=True)
def test_where_the_rulebook_says_so_closing_a_task_resolves_the_alert(scene: Scene) -> None:
    scene.say("L-1", "mql", 1)
    [name] = scene.fake.tasks
    scene.fake.person_sets(name, "complete", user=183)
    assert scene.hooks() == [200]
    assert scene.alert()["status"] == "resolved"
    scene.client.post(f"/alerts/{scene.alert()['id']}/reopen", json={"actor": "anna"})
    scene.deliver()
    assert scene.fake.tasks[name]["status"]["type"] == "open", "reopened here, it is to do again there"


def test_while_clickup_refuses_us_the_message_waits(scene: Scene) -> None:
    scene.fake.broken = [429]
    scene.say("L-1", "mql", 1)
    assert scene.fake.tasks == {}
    scene.deliver()
    assert len(scene.fake.tasks) == 1


def test_a_webhook_that_is_not_clickups_is_one_plain_401(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.say("L-1", "mql", 1)
    [name] = scene.fake.tasks
    scene.fake.person_sets(name, "complete", user=183)
    [(headers, body)] = scene.fake.sent
    said = {
        (answer.status_code, answer.content)
        for answer in (
            scene.post(headers, body + b" "), scene.post({}, body), scene.post({"x-signature": b"\xc3\xa9"}, body),
            scene.post(headers, body, name="nobody"), scene.post(headers, b""), scene.post(headers, body, name="%00"),
        )
    }  # fmt: skip
    assert said == {(401, b'{"type":"about:blank","title":"Unauthorized","status":401,"detail":"refused"}')}
    monkeypatch.setenv("CLICKUP_SIGNING_OLD", SECRET)
    monkeypatch.setenv("CLICKUP_SIGNING", "the-new-secret-0123456789")
    assert scene.post(headers, body).status_code == 200, "the old secret counts while it is replaced"
    monkeypatch.delenv("CLICKUP_SIGNING_OLD")
    assert scene.post(headers, body).status_code == 401


def test_why_a_webhook_was_refused_stands_in_the_log_alone(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    with structlog.testing.capture_logs() as said:
        scene.post({}, b"{}", name="nobody")
        scene.post({}, b"{}")
        monkeypatch.delenv("CLICKUP_SIGNING")
        scene.post({}, b"{}")
    reasons = [one["because"] for one in said if one["event"] == "webhook refused"]
    assert [reason.partition(" ")[0] for reason in reasons] == ["no", "it", "CLICKUP_SIGNING"]
    assert SECRET not in str(said)


@pytest.mark.parametrize(
    "payload",
    [None, [], 7, {}, {"event": "taskStatusUpdated", "task_id": "1"}, {"task_id": 1, "history_items": []},
     {"task_id": "1", "history_items": [None, 7, {}, {"id": "1", "field": "status", "after": None},
                                        {"id": "2", "field": "status", "after": {"type": "open"}},
                                        {"id": "3", "field": "comment", "comment": {"text_content": " "}},
                                        {"id": "4\x00", "field": "comment", "comment": {"text_content": "x"}}]}],
)  # fmt: skip
def test_a_webhook_about_nothing_of_ours_says_nothing(payload: object) -> None:
    assert list(done_to_tasks(payload)) == []


@pytest.mark.parametrize(
    ("part", "named"),
    [
        ({"url": "https://api.clickup.com/api/v2/task"}, "no list of ClickUp"),
        ({"digest": ["08:00"]}, "each message by itself"),
        ({"proposals": True}, "proposals belong to Slack"),
        ({"kind": "slack", "closing": "resolve"}, "closing belongs to ClickUp"),
    ],
)
def test_a_receiver_that_cannot_be_is_refused(part: dict[str, object], named: str) -> None:
    given = {"kind": "clickup", "url": "https://api.clickup.com/api/v2/list/9/task", "secret": "CLICKUP_TOKEN"}
    assert Receiver.model_validate(given)
    with pytest.raises(ValueError, match=named):
        Receiver.model_validate(given | part)
