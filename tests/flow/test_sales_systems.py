"""Outreach and Gong: webhooks that are lost, or only name what is to be read; transcripts that come late; warnings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes import gong as gongs
from fakes import outreach as outreaches
from fastapi.testclient import TestClient
from pydantic import SecretStr
from tower_scene import Clock
from webhook_samples import gong_secret

from watchtower.api.app import create_app
from watchtower.bootstrap import Tower, build
from watchtower.connectors.hooks import HOOKS
from watchtower.settings import Settings

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
BOOK = """
name: selling
objects:
  account:
    fields:
      name: {type: text}
      calls: {type: integer, rollup: {count: "*", of: activity.logged, where: "kind = 'call'"}}
      warnings: {type: integer, rollup: {count: "*", of: activity.logged, where: "kind = 'warning'"}}
  contact:
    fields:
      account: {type: ref, to: account}
      title: {type: text}
      stage: {type: text}
rules:
  - {id: warned, object: account, when: warnings >= 1, severity: high, owner: csm}
systems:
  outreach:
    kind: outreach
    owner: sales
    objects:
      account: {from: accounts, master: true, fields: {name: name}}
      contact: {from: prospects, fields: {account: account, title: title, stage: stage}}
    activities: [call, email]
  gong:
    kind: gong
    owner: sales
    objects: {account: {from: Account, fields: {}}}
    activities: [call, warning]
"""


@dataclass
class Scene:
    tower: Tower
    outreach: outreaches.Outreach
    gong: gongs.Gong
    client: TestClient

    @property
    def now(self) -> datetime:
        return self.tower.clock()

    def later(self, step: timedelta) -> None:
        self.tower.clock.now += step  # type: ignore[attr-defined]

    def hooks(self) -> set[int]:
        sent, self.outreach.sent = self.outreach.sent, []
        return {self.client.post("/hooks/outreach", content=body, headers=head).status_code for head, body in sent}

    def record(self, subject: str) -> dict[str, Any] | None:
        found = self.client.get(f"/records/{subject}")
        if found.status_code != 200 or found.json().get("deleted_at"):
            return None
        return {name: one["value"] for name, one in found.json()["fields"].items() if one["value"] not in (None, 0)}

    def timeline(self, subject: str, type_: str) -> list[dict[str, Any]]:
        items = self.client.get(f"/records/{subject}").json()["timeline"]["items"]
        return [one for one in reversed(items) if one["type"] == type_]


@pytest.fixture
def scene(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    (tmp_path / "book.yaml").write_text(BOOK)
    with outreaches.outreach() as outreach, gongs.gong() as gong:
        for name, value in {
            "OUTREACH_TOKEN": outreaches.TOKEN, "OUTREACH_URL": outreach.url,
            "GONG_KEY": "key", "GONG_SECRET": "secret",
            "OUTREACH_WEBHOOK_SECRET": outreaches.SECRET, "GONG_URL": gong.url, "GONG_WEBHOOK_SECRET": gong_secret(),
        }.items():  # fmt: skip
            monkeypatch.setenv(f"WATCHTOWER_{name}", value)
        settings = Settings(
            data=tmp_path, database_url=SecretStr(database_url), public_url="https://tower.example.com/w"
        )
        with build(settings, rulebook=tmp_path / "book.yaml", clock=Clock(START)) as tower:
            yield Scene(tower, outreach, gong, TestClient(create_app(tower), base_url="http://127.0.0.1:8000"))


def people(scene: Scene) -> None:
    scene.outreach.set("accounts", "account", 7, scene.now - 2 * HOUR, {}, name="Rossi")
    for number in range(1, 6):
        at = scene.now - HOUR + timedelta(seconds=number)
        scene.outreach.set("prospects", "prospect", number, at, {"account": ("account", 7)}, title=f"T{number}")


def test_outreach_is_read_in_pages_and_what_a_lost_webhook_told_is_read_later(scene: Scene) -> None:
    people(scene)
    scene.outreach.sent = []
    assert scene.tower.sync("outreach").fault == ""
    assert scene.record("contact/5") == {"account": "7", "title": "T5"}
    scene.later(HOUR)
    scene.outreach.set("prospects", "prospect", 1, scene.now, {}, title="CEO")
    scene.outreach.set("prospects", "prospect", 2, scene.now, {"stage": ("stage", 4)})
    scene.outreach.sent.pop()  # never sent again
    assert scene.hooks() == {200}
    assert scene.record("contact/1") == {"account": "7", "title": "CEO"}, "what the webhook does not say stays"
    assert scene.record("contact/2") == {"account": "7", "title": "T2"}
    assert "outreach" in scene.tower.due_systems(scene.now), "a webhook lets be read at once what may be missing"
    scene.outreach.broken = [429, 500]
    assert scene.tower.sync("outreach").fault == ""
    assert scene.record("contact/2") == {"account": "7", "title": "T2", "stage": "4"}


def test_what_outreach_destroys_is_gone_and_calls_and_mails_are_logged_once(scene: Scene) -> None:
    people(scene)
    scene.tower.sync("outreach")
    scene.later(HOUR)
    refs = {"prospect": ("prospect", 1), "associatedId": ("account", 7), "user": ("user", 3)}
    made = {"note": "He is <keen>.", "createdAt": outreaches.text(scene.now), "dialedAt": outreaches.text(scene.now)}
    scene.outreach.set("calls", "call", 2, scene.now, refs, createdAt=outreaches.text(scene.now), dialedAt=None)
    scene.outreach.set("calls", "call", 1, scene.now, refs, **made)
    scene.outreach.set("mailings", "mailing", 1, scene.now, {"prospect": ("prospect", 1)}, subject="Hello",
                       deliveredAt=None)  # fmt: skip
    scene.outreach.destroy("prospects", 5, scene.now)
    assert scene.hooks() == {200}
    assert scene.record("contact/5") is None
    for _ in range(2):
        assert scene.tower.sync("outreach").fault == ""
        scene.later(HOUR)
    assert [one["data"]["kind"] for one in scene.timeline("contact/1", "activity.logged")] == ["call"]
    scene.outreach.set("mailings", "mailing", 1, scene.now, {}, deliveredAt=outreaches.text(scene.now))
    scene.tower.sync("outreach")
    assert [one["data"]["kind"] for one in scene.timeline("contact/1", "activity.logged")] == ["call", "email"]
    assert scene.record("account/7") == {"name": "Rossi", "calls": 1}


def test_a_call_is_a_document_of_its_account_and_a_tracker_that_sounded_a_warning(scene: Scene) -> None:
    people(scene)
    scene.tower.sync("outreach")
    for number in range(3):
        scene.gong.call(f"c{number}", scene.now - (5 - number) * HOUR, "7", trackers={"Competitor": number, "Price": 0})
        scene.gong.transcribe(f"c{number}")
    assert scene.tower.sync("gong").fault == ""
    assert scene.record("account/7") == {"name": "Rossi", "calls": 3, "warnings": 2}
    [document, *_] = [one for one in scene.timeline("account/7", "document.added") if one["data"]["kind"] == "call"]
    assert document["data"]["text"] == (
        "Quarterly talk\n\nAnna: How is it going?\nSomebody: We look at a competitor. Sorry."
    )
    scene.tower.tick()
    [alert] = scene.client.get("/alerts?rule=warned").json()["items"]
    assert (alert["record"], alert["owner"]) == ("account/7", "csm")
    again = scene.tower.sync("gong")
    assert (again.took.events, again.fault) == (0, "")


def test_a_call_waits_for_its_transcript_and_a_webhook_lets_it_be_read(scene: Scene) -> None:
    people(scene)
    scene.tower.sync("outreach")
    scene.gong.call("c1", scene.now - 3 * HOUR, "7")
    scene.gong.transcribe("c1")
    scene.tower.sync("gong")
    scene.gong.call("c2", scene.now - HOUR, "7")
    scene.later(timedelta(minutes=1))
    assert "gong" not in scene.tower.due_systems(scene.now)
    url = "https://tower.example.com/w/hooks/gong"
    head, body = scene.gong.hook("c2", scene.now, url, test=True)
    assert scene.client.post("/hooks/gong", content=body, headers=head).status_code == 200
    assert "gong" not in scene.tower.due_systems(scene.now), "a test says nothing"
    head, body = scene.gong.hook("c2", scene.now, url)
    assert scene.client.post("/hooks/gong", content=body, headers=head).status_code == 200
    assert "gong" in scene.tower.due_systems(scene.now)
    scene.tower.sync("gong")
    assert scene.record("account/7") == {"name": "Rossi", "calls": 1}, "no transcript yet"
    scene.gong.transcribe("c2")
    scene.tower.sync("gong")
    assert scene.record("account/7") == {"name": "Rossi", "calls": 2}
    head, body = scene.gong.hook("c2", scene.now, "https://elsewhere.example.com/hooks/gong")
    assert scene.client.post("/hooks/gong", content=body, headers=head).status_code == 401


def test_webhooks_that_hold_ids_only_name_what_is_to_be_read_again() -> None:
    hubspot = [
        {"objectId": 1246965, "propertyName": "lifecyclestage", "subscriptionType": "contact.propertyChange",
         "occurredAt": 1462216307945, "eventId": 3816279340, "attemptNumber": 0, "changeSource": "CRM"},
        {"objectId": 1246978, "subscriptionType": "company.deletion", "occurredAt": 1462216307945, "eventId": 38},
    ]  # fmt: skip
    assert HOOKS["hubspot"].hear(hubspot).again == (("company", "1246978"), ("contact", "1246965"))
    attio = {"webhook_id": "23e42eaf", "events": [
        {"event_type": "record.updated", "id": {"workspace_id": "w", "object_id": "o", "record_id": "r"},
         "actor": {"type": "workspace-member", "id": "m"}},
        {"event_type": "note.created", "id": {"workspace_id": "w", "note_id": "n"}, "actor": {"type": "system"}},
    ]}  # fmt: skip
    assert HOOKS["attio"].hear(attio).again == (("", "n"), ("o", "r"))


def test_a_whole_reading_of_outreach_ends_what_is_gone_though_it_was_broken_off_and_no_webhook_came(
    scene: Scene,
) -> None:
    people(scene)
    assert scene.tower.sync("outreach").fault == ""
    del scene.outreach.things["prospects"]["2"], scene.outreach.things["prospects"]["5"]
    scene.later(HOUR)
    assert scene.tower.sync("outreach").gone == 0 and scene.record("contact/5"), "what is read by time tells of no end"
    scene.outreach.breaks_after = 2
    assert "answered 400" in scene.tower.sync("outreach", full=True).fault
    assert scene.tower.sync("outreach").gone == 2
    assert scene.record("contact/5") is None and scene.record("contact/1")
    assert scene.tower.sync("outreach").gone == 0


def test_a_call_list_whose_cursor_ended_is_begun_anew_and_nothing_is_passed_over(scene: Scene) -> None:
    people(scene)
    scene.tower.sync("outreach")
    for number in range(5):
        scene.gong.call(f"c{number}", scene.now - (9 - number) * HOUR, "7")
        scene.gong.transcribe(f"c{number}")
    scene.gong.forgets = True
    assert "answered 404" in scene.tower.sync("gong").fault
    scene.gong.forgets = False
    assert scene.tower.sync("gong").fault == ""
    assert scene.record("account/7") == {"name": "Rossi", "calls": 5}


def test_an_answer_that_is_not_as_documented_is_a_failure_of_that_system_and_holds_up_no_other(scene: Scene) -> None:
    people(scene)
    scene.outreach.things["accounts"]["7"]["attributes"]["updatedAt"] = "soon"
    scene.gong.call("c1", scene.now - HOUR, "7")
    scene.gong.transcribe("c1")
    faults = {name: scene.tower.sync(name).fault for name in scene.tower.due_systems(scene.now)}
    assert faults == {
        "outreach": "outreach: an answer is not as its documentation has it: ValueError: "
        "Invalid isoformat string: 'soon'",
        "gong": "",
    }
    scene.outreach.things["accounts"]["7"]["attributes"]["updatedAt"] = outreaches.text(scene.now)
    assert scene.tower.sync("outreach").fault == ""
