"""Ways to tell: mail to a real SMTP server, digests, budgets, silences, Slack; and why somebody was told, or not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from aiosmtpd.controller import Controller
from tower_scene import Clock, tower_under

from watchtower.bootstrap import Tower
from watchtower.contract import Event
from watchtower.errors import InputError, Missing
from watchtower.flow.delivery import Courier
from watchtower.flow.slack import pressed
from watchtower.rulebook.telling import Receiver
from watchtower.store import outbox, queries
from watchtower.store.rows import AlertFilter

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BOOK = """
timezone: Europe/Rome
objects:
  lead:
    fields:
      stage: {type: enum, values: [raw, mql, sql, lost]}
queues:
  sales: {ladder: [{after: 2 hours, to: director}]}
rules:
  - {id: waiting, object: lead, when: stage = 'mql', severity: high, queue: sales, owner: rep,
     because: It <waits> *here*.}
  - {id: losing, object: lead, when: stage = 'lost', severity: critical, queue: sales, owner: rep, because: Gone.}
receivers:
RECEIVERS
"""
MAIL = "{kind: email, url: 'mailto:anna@example.com', secret: MAIL_SERVER, person: anna, MORE}"


class Box:
    """A mail server's box: what came, or the answer that it gives instead."""

    def __init__(self) -> None:
        self.mails: list[Message] = []
        self.answer = "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.answer.startswith("250"):
            self.mails.append(message_from_bytes(envelope.content))
        return self.answer


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch, free_port: int) -> Iterator[Box]:
    """A real SMTP server on a free port."""
    found = Box()
    running = Controller(found, hostname="127.0.0.1", port=free_port)
    running.start()
    monkeypatch.setenv("MAIL_SERVER", f"smtp+plain://127.0.0.1:{free_port}?from=tower@example.com")
    yield found
    running.stop()


@pytest.fixture
def clock() -> Clock:
    return Clock(START)


class Scene:
    def __init__(self, tower: Tower, clock: Clock, posts: list[tuple[str, Mapping[str, str], Any]]) -> None:
        self.tower, self.clock, self.posts = tower, clock, posts

    def deliver(self) -> Any:
        def post(url: str, headers: Mapping[str, str], body: str) -> bytes:
            self.posts.append((url, headers, json.loads(body)))
            return b'{"ok": true}'

        def secret(name: str) -> str | None:
            import os

            return os.environ.get(name)

        book = self.tower.rulebook
        courier = Courier(
            self.tower.database, lambda: book.receivers, secret, self.clock, post, zone=lambda: book.zone,
            pages="https://tower.example",
        )  # fmt: skip
        try:
            return courier.deliver()
        finally:
            courier.close()

    def stage(self, lead: str, value: str) -> str:
        now = self.clock.now
        event = Event(
            id=f"{lead}.{value}.{now.isoformat()}", source="crm", type="record.updated", subject=f"lead/{lead}",
            time=now, data={"fields": {"stage": value}},
        )  # fmt: skip
        self.tower.take_events([event])
        with self.tower.database.read() as conn:
            rows = queries.alerts(conn, AlertFilter(object="lead", record=lead), after=None, limit=9)
        return max(rows, key=lambda row: row.opened_at).id if rows else ""

    def at(self, hours: float) -> None:
        self.clock.now = START + hours * HOUR
        self.tower.tick()

    def why(self, alert: str, person: str = "") -> tuple[str, str]:
        (told,) = self.tower.told(alert, person=person)
        return told.state, told.because


@pytest.fixture
def scene(request: pytest.FixtureRequest, database_url: str, tmp_path: Path, clock: Clock) -> Iterator[Scene]:
    receivers = "\n".join(f"  {name}: {text}" for name, text in request.param.items())
    with tower_under(BOOK.replace("RECEIVERS", receivers), database_url, tmp_path, clock) as tower:
        yield Scene(tower, clock, [])


def mail(more: str) -> dict[str, str]:
    return {"anna": MAIL.replace(", MORE", f", {more}" if more else "")}


@pytest.mark.parametrize("scene", [mail("")], indirect=True)
def test_a_mail_says_what_why_and_where(scene: Scene, box: Box) -> None:
    alert = scene.stage("L1", "mql")
    assert scene.why(alert) == ("due", "it is about to leave")
    assert scene.deliver().delivered == 1
    (got,) = box.mails
    assert got["subject"] == "[watchtower] high: lead/L1: It <waits> *here*."
    assert (got["from"], got["to"]) == ("tower@example.com", "anna@example.com")
    text = got.get_payload(decode=True).decode()  # type: ignore[union-attr]
    assert f"https://tower.example/review/alerts/{alert}" in text and "rule waiting" in text
    assert scene.why(alert, "anna") == ("told", "alert.opened was delivered")
    with pytest.raises(Missing, match="no receiver of the rulebook is of this person"):
        scene.tower.told(alert, person="bruno")


@pytest.mark.parametrize("scene", [mail("digest: ['08:00', '17:30']")], indirect=True)
def test_a_digest_is_one_mail_at_its_time_and_the_critical_does_not_wait(scene: Scene, box: Box) -> None:
    alerts = [scene.stage(f"L{n}", "mql") for n in range(5)]
    assert scene.deliver().delivered == 0
    assert scene.why(alerts[0]) == ("due", "with the digest of 08:00, 17:30")
    scene.stage("L9", "lost")
    assert scene.deliver().delivered == 1
    assert box.mails[0]["subject"] == "[watchtower] critical: lead/L9: Gone."
    # 17:30 in Rome is 16:30 UTC; by then the five have climbed a rung, of which the owner is told as well.
    scene.at(7.49)
    assert scene.deliver().delivered == 1, "the critical one has climbed as well"
    scene.at(7.5)
    assert scene.deliver().delivered == 1 and len(box.mails) == 3
    assert box.mails[2]["subject"] == "[watchtower] 10 notices, 10 of them critical or high"
    assert scene.deliver().delivered == 0


@pytest.mark.parametrize("scene", [mail("")], indirect=True)
def test_a_server_that_refuses_is_tried_again_with_the_same_message_id(scene: Scene, box: Box) -> None:
    alert = scene.stage("L1", "mql")
    box.answer = "451 greylisted"
    assert scene.deliver().failed == 1
    state, because = scene.why(alert)
    assert state == "failing" and "451" in because
    box.answer = "250 OK"
    scene.clock.now += timedelta(minutes=1)
    assert scene.deliver().delivered == 1
    assert box.mails[0]["message-id"].endswith("@watchtower>")


@pytest.mark.parametrize("scene", [mail("per_day: 2")], indirect=True)
def test_what_is_over_the_days_budget_waits_for_the_next_and_says_so(scene: Scene, box: Box) -> None:
    alerts = [scene.stage(f"L{n}", "mql") for n in range(5)]
    assert scene.deliver().delivered == 2
    assert scene.why(alerts[4]) == ("deferred", "over the budget of 2 a day")
    [told] = scene.tower.told(alerts[4])
    assert told.at == datetime(2026, 3, 2, 23, tzinfo=UTC), "midnight in Rome"
    critical = scene.stage("L9", "lost")
    assert scene.deliver().delivered == 1 and scene.why(critical)[0] == "told", "what is critical never waits"
    with scene.tower.database.read() as conn:
        held = [row for row in outbox.listed(conn, state="pending", receiver=None, limit=99) if row.held]
    assert len(held) == 3, "it is there for all to see"
    for day in (1, 2, 3, 4, 5):
        scene.clock.now = START + day * DAY
        scene.deliver()
    assert len(box.mails) == 6, "and nothing is lost"


@pytest.mark.parametrize("scene", [mail("")], indirect=True)
def test_a_silence_holds_word_back_until_it_ends_and_no_alert(scene: Scene, box: Box) -> None:
    made = scene.tower.silence({"rule": "waiting"}, until=START + HOUR, because="the fair", actor="bruno")
    first, second = scene.stage("L1", "mql"), scene.stage("L2", "mql")
    critical = scene.stage("L3", "lost")
    assert scene.deliver().delivered == 1 and scene.why(critical)[0] == "told"
    assert scene.why(first) == ("waiting", f"silence {made.id}: the fair; until 2026-03-02T10:00:00.000000Z")
    scene.clock.now += HOUR / 2
    scene.stage("L2", "sql")
    scene.at(1)
    assert scene.deliver().delivered == 1
    assert scene.why(first)[0] == "told"
    assert scene.why(second) == ("not told", "the alert ended while word of it waited")


@pytest.mark.parametrize("scene", [mail("")], indirect=True)
def test_a_silence_that_is_lifted_lets_word_go_at_once(scene: Scene, box: Box) -> None:
    made = scene.tower.silence({"owner": "rep"}, until=START + HOUR, because="a move", actor="bruno")
    scene.stage("L1", "mql")
    assert scene.deliver().delivered == 0
    scene.tower.end_silence(made.id, actor="bruno")
    assert scene.deliver().delivered == 1
    with pytest.raises(Missing):
        scene.tower.end_silence(made.id, actor="bruno")


@pytest.mark.parametrize("scene", [mail("")], indirect=True)
@pytest.mark.parametrize(
    ("matched", "until", "because"),
    [({}, HOUR, "why"), ({"rule": "x"}, -HOUR, "why"), ({"rule": "x"}, HOUR, " "), ({"rule": "x"}, 400 * DAY, "why"),
     ({"record": "L1"}, HOUR, "why"), ({"status": "open"}, HOUR, "why")],
)  # fmt: skip
def test_a_silence_of_everything_of_ever_or_for_nothing_is_refused(
    scene: Scene, matched: dict[str, str | None], until: timedelta, because: str
) -> None:
    with pytest.raises(InputError):
        scene.tower.silence(matched, until=START + until, because=because, actor="bruno")


DIRECTOR = mail("owners: [director]")


@pytest.mark.parametrize("scene", [DIRECTOR], indirect=True)
def test_to_whom_it_is_escalated_is_told_then_and_of_its_end(scene: Scene, box: Box) -> None:
    alert = scene.stage("L1", "mql")
    assert scene.why(alert) == ("not told", "'rep' is not among its owners (director)")
    scene.at(2)
    scene.deliver()
    scene.stage("L1", "sql")
    scene.deliver()
    assert [got["subject"] for got in box.mails] == [
        "[watchtower] escalated: high: lead/L1: It <waits> *here*.",
        "[watchtower] resolved: high: lead/L1: It <waits> *here*.",
    ]


SLACK = {
    "ops": "{kind: slack, url: 'https://slack.com/api/chat.postMessage', secret: SLACK_TOKEN, channel: C1, "
    "signing: SLACK_SIGNING, people: {U1: anna}}"
}


@pytest.mark.parametrize("scene", [SLACK], indirect=True)
def test_slack_gets_buttons_and_no_markup_of_others(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_TOKEN", "xoxb-1")
    alert = scene.stage("L1", "mql")
    assert scene.deliver().delivered == 1
    ((url, headers, said),) = scene.posts
    assert (url, headers["authorization"], said["channel"]) == (
        "https://slack.com/api/chat.postMessage", "Bearer xoxb-1", "C1",
    )  # fmt: skip
    section, actions = said["blocks"]
    assert "&lt;waits&gt; \u200b*here\u200b*" in section["text"]["text"]
    assert [(b["action_id"], b["value"]) for b in actions["elements"]] == [
        ("alert.acknowledge", alert), ("alert.resolve", alert), ("alert.snooze", alert),
    ]  # fmt: skip


@pytest.mark.parametrize("payload", ["", "[]", "{}", '{"actions": []}', '{"actions": [{"action_id": "eat"}]}', "x"])
def test_what_is_no_button_of_ours_is_refused(payload: str) -> None:
    with pytest.raises((InputError, Missing)):
        pressed(urlencode({"payload": payload}).encode())


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"kind": "email", "url": "anna@example.com"}, "is not of the form mailto"),
        ({"kind": "email", "url": "mailto:anna@example.com\nBcc: x@y"}, "is not of the form mailto"),
        ({"kind": "email"}, "url: is missing"),
        ({"kind": "webhook", "url": "https://x/y", "digest": ["08:00"]}, "digest"),
        ({"kind": "email", "url": "mailto:a@b", "digest": ["08:00"], "per_day": 3}, "per_day"),
        ({"kind": "email", "url": "mailto:a@b", "digest": ["25:00"]}, "digest"),
        ({"kind": "email", "url": "mailto:a@b", "people": {"U1": "anna"}}, "belong to Slack"),
        ({"kind": "slack", "url": "mailto:a@b"}, "url"),
        ({"kind": "apprise", "url": "https://x/y"}, "holds apprise's address"),
    ],
)
def test_a_receiver_that_cannot_work_is_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Receiver.model_validate(given | {"secret": "SOME_SECRET"})


def test_a_digest_leaves_at_its_time_of_day_in_summer_and_in_winter() -> None:
    from zoneinfo import ZoneInfo

    rome = ZoneInfo("Europe/Rome")
    receiver = Receiver.model_validate({"kind": "email", "url": "mailto:a@b.c", "secret": "X_Y", "digest": ["08:00"]})
    assert receiver.due("high", datetime(2026, 3, 28, 8, tzinfo=UTC), rome) == datetime(2026, 3, 29, 6, tzinfo=UTC)
    assert receiver.due("high", datetime(2026, 3, 28, 6, tzinfo=UTC), rome) == datetime(2026, 3, 28, 7, tzinfo=UTC)
    assert receiver.due("critical", START, rome) == START
