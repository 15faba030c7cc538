"""Two people on one alert, filters by what is due and by words, and how often one may ask."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from api_scene import NOW, RULEBOOK, Scene
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from watchtower.api.app import create_app
from watchtower.api.rate import Rate
from watchtower.rulebook.model import Rulebook

LADDER = [{"after": "72 hours", "to": "director"}, {"after": "4 days", "to": "cro"}]


def with_ladder(scene: Scene) -> TestClient:
    content = RULEBOOK.content() | {"queues": {"attention-needed": {"ladder": LADDER}}}
    scene.rulebook = Rulebook.model_validate(content)
    return TestClient(create_app(scene), base_url="http://127.0.0.1:8000")


def test_of_two_people_on_one_alert_the_second_is_told_and_nothing_is_overwritten(client: TestClient) -> None:
    tag = client.get("/alerts/a0001").headers["etag"]
    seen = {"if-match": tag}
    first = client.post("/alerts/a0001/assign", json={"actor": "Anna", "assignee": "Bruno"}, headers=seen)
    assert first.status_code == 200 and first.headers["etag"] != tag
    second = client.post("/alerts/a0001/resolve", json={"actor": "Cleo"}, headers=seen)
    assert (second.status_code, second.headers["content-type"]) == (412, "application/problem+json")
    assert "nothing of yours was written" in second.json()["detail"]
    now = client.get("/alerts/a0001").json()
    assert (now["status"], now["assignee"], now["actions"][-1]["actor"]) == ("open", "Bruno", "Anna")
    again = {"if-match": first.headers["etag"]}
    assert client.post("/alerts/a0001/resolve", json={"actor": "Cleo"}, headers=again).status_code == 200


def test_a_comment_changes_what_was_seen(client: TestClient) -> None:
    tag = client.get("/alerts/a0001").headers["etag"]
    client.post("/alerts/a0001/comment", json={"actor": "Anna", "note": "I am on it"})
    assert client.post("/alerts/a0001/resolve", json={}, headers={"if-match": tag}).status_code == 412
    assert client.post("/alerts/a0001/resolve", json={}, headers={"if-match": "*"}).status_code == 200


@pytest.mark.parametrize("tag", ['W/"1.1"', '"nonsense"'])
def test_a_tag_that_names_no_present_state_matches_nothing(client: TestClient, tag: str) -> None:
    assert client.post("/alerts/a0001/acknowledge", json={}, headers={"if-match": tag}).status_code == 412


def test_alerts_are_found_by_when_they_climb_the_ladder(scene: Scene) -> None:
    client = with_ladder(scene)
    found = {one["id"]: one for one in client.get("/alerts?status=open").json()["items"]}
    # a0001 opened 3 days and 1 hour ago: its first rung was an hour ago.
    assert found["a0001"]["due_at"] == "2026-03-10T11:00:00.000000Z"
    assert found["a0003"]["due_at"] is None, "its queue has no ladder"

    def due(before: Any) -> list[str]:
        answer = client.get("/alerts", params={"due_before": before.isoformat()})
        return [one["id"] for one in answer.json()["items"]]

    assert due(NOW - timedelta(hours=2)) == []
    assert due(NOW - timedelta(minutes=119)) == ["a0002"]
    assert due(NOW) == ["a0001", "a0002"]
    client.post("/alerts/a0001/acknowledge", json={})
    assert due(NOW) == ["a0002"]


@pytest.mark.parametrize(
    ("words", "ids"),
    [("rossi", 4), ("NEXT STEP", 1), ("uncontacted", 3), ("l-1", 3), ("%", 0), ("_", 4), ("no such", 0)],
)
def test_alerts_are_found_by_words(client: TestClient, words: str, ids: int) -> None:
    assert len(client.get("/alerts", params={"q": words}).json()["items"]) == ids


def test_who_asks_too_often_is_told_when_to_come_again(scene: Scene) -> None:
    with TestClient(create_app(scene, per_minute=60), base_url="http://127.0.0.1:8000") as client:
        answers = [client.get("/alerts") for _ in range(30)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert answers[0].status_code == 200 and refused
        assert refused[0].headers["content-type"] == "application/problem+json"
        assert 1 <= int(refused[0].headers["retry-after"]) <= 2
        assert client.get("/healthz").status_code == 200, "a probe is never kept out"


@given(st.lists(st.floats(0, 5), min_size=1, max_size=200), st.integers(1, 600))
def test_no_caller_ever_gets_more_than_its_rate_and_its_burst(gaps: list[float], per_minute: int) -> None:
    rate, now, taken = Rate(per_minute), 0.0, []
    for gap in gaps:
        now += gap
        if not rate.wait("one", now):
            taken.append(now)
    burst = max(10.0, 60 / per_minute)
    for first, start in enumerate(taken):
        for count, end in enumerate(taken[first:], start=1):
            assert count <= (end - start + burst) * per_minute / 60 + 1 + 1e-6


def test_what_is_refused_may_come_after_the_time_that_was_told() -> None:
    rate = Rate(60, burst_seconds=1)
    assert rate.wait("one", 0) == 0
    assert rate.wait("one", 0) == pytest.approx(1)
    assert rate.wait("one", 0.5) == pytest.approx(0.5)
    assert rate.wait("one", 1.0) == 0
