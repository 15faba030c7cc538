"""Every address of the interface, over HTTP, on a real database."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from api_scene import NOW, Scene, add_alert, add_proposal, add_record
from fastapi.testclient import TestClient
from sqlalchemy import text
from structlog.testing import capture_logs

from watchtower.contract import format_time
from watchtower.errors import Busy, StoreError

EVENT = {
    "specversion": "1.0",
    "id": "e9",
    "source": "crm",
    "type": "record.updated",
    "subject": "lead/L-9",
    "time": "2026-03-02T09:00:00Z",
    "data": {"fields": {"stage": "mql"}},
}
JSON = {"content-type": "application/cloudevents+json"}


def problem(response: Any, status: int) -> dict[str, Any]:
    """The body of a problem, checked for its form."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status and body["title"] and body["detail"]
    return dict(body)


def test_an_event_is_taken_once_and_again_is_a_duplicate(client: TestClient, scene: Scene) -> None:
    first = client.post("/events", content=json.dumps(EVENT), headers=JSON)
    assert (first.status_code, first.json()) == (
        200,
        {"verdicts": [{"id": "e9", "status": "accepted", "reason": ""}]},
    )
    assert (
        client.post("/events", content=json.dumps(EVENT), headers=JSON).json()["verdicts"][0]["status"] == "duplicate"
    )
    assert scene.taken == [EVENT]


def test_another_body_under_the_same_key_is_a_conflict(client: TestClient) -> None:
    client.post("/events", content=json.dumps(EVENT), headers=JSON)
    other = {**EVENT, "data": {"fields": {"stage": "raw"}}}
    answer = problem(client.post("/events", content=json.dumps(other), headers=JSON), 409)
    assert answer["verdicts"][0]["status"] == "conflict"


def test_a_batch_answers_with_one_verdict_for_each_event(client: TestClient) -> None:
    batch = [EVENT, {**EVENT, "id": "e10", "time": "2026-03-02T09:00:00"}, EVENT]
    answer = client.post("/events", json=batch)
    assert answer.status_code == 200
    assert [(v["id"], v["status"]) for v in answer.json()["verdicts"]] == [
        ("e9", "accepted"),
        ("e10", "refused"),
        ("e9", "duplicate"),
    ]
    assert "no offset" in answer.json()["verdicts"][1]["reason"]


def test_a_binary_event_is_taken(client: TestClient, scene: Scene) -> None:
    headers = {f"ce-{name}": str(value) for name, value in EVENT.items() if name != "data"}
    headers["ce-subject"] = "lead/L-%C3%A8"
    answer = client.post("/events", json=EVENT["data"], headers=headers)
    assert answer.status_code == 200
    assert scene.taken[0]["subject"] == "lead/L-è"
    assert scene.taken[0]["data"] == EVENT["data"]


def test_an_event_without_a_subject_is_refused_by_name(client: TestClient) -> None:
    bad = {name: value for name, value in EVENT.items() if name != "subject"}
    assert "subject" in problem(client.post("/events", json=bad), 400)["detail"]


def test_another_media_type_or_coding_is_a_415(client: TestClient) -> None:
    for headers in ({"content-type": "text/plain"}, {"content-type": "application/json", "content-encoding": "br"}):
        assert "Content-" in problem(client.post("/events", content=b"{}", headers=headers), 415)["detail"]


def test_a_head_is_the_answer_without_its_body(client: TestClient) -> None:
    for path, status in (("/healthz", 200), ("/alerts", 200), ("/alerts/nope", 404), ("/events", 405)):
        head, whole = client.head(path), client.get(path)
        assert (head.status_code, whole.status_code, head.content) == (status, status, b"")
        assert head.headers["content-length"] == whole.headers["content-length"]


def test_a_body_over_a_megabyte_is_refused(client: TestClient, scene: Scene) -> None:
    body = json.dumps({**EVENT, "data": {"text": "x" * 1_000_001}})
    problem(client.post("/events", content=body, headers=JSON), 413)

    def drip() -> Any:
        for _ in range(200):
            yield b"x" * 10_000

    problem(client.post("/events", content=drip(), headers=JSON), 413)
    assert scene.taken == []


@pytest.mark.parametrize(
    ("fault", "status"), [(StoreError("the database is away", remedy="start it"), 503), (Busy("busy"), 503)]
)
def test_a_fault_of_the_store_is_a_503_with_its_words(
    client: TestClient, scene: Scene, fault: Exception, status: int
) -> None:
    scene.fault = fault
    assert problem(client.post("/events", json=EVENT), status)["detail"] == fault.message  # type: ignore[attr-defined]


def test_a_fault_that_nobody_foresaw_says_nothing_of_the_inside(client: TestClient, scene: Scene) -> None:
    scene.fault = RuntimeError("password=hunter2")
    with capture_logs() as logs:
        response = client.post("/events", json=EVENT)
    assert [(line["event"], line["path"], line["exc_info"]) for line in logs] == [
        ("request failed", "/events", scene.fault)
    ]
    assert "hunter2" not in json.dumps(problem(response, 500))
    assert "default-src 'none'" in response.headers["content-security-policy"]


def test_alerts_come_in_the_order_of_rank(client: TestClient) -> None:
    items = client.get("/alerts").json()["items"]
    assert [(item["id"], item["ai_informed"]) for item in items] == [
        ("a0004", False),
        ("a0001", False),
        ("a0002", False),
        ("a0003", True),
    ]
    first = items[1]
    assert first["record"] == "lead/L-1" and first["title"] == "Rossi Arredi"
    assert first["since"] == format_time(NOW - timedelta(days=3, hours=1))


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("status=open", ["a0001", "a0002", "a0003"]),
        ("status=open&status=resolved", ["a0004", "a0001", "a0002", "a0003"]),
        ("queue=customer-success", ["a0003"]),
        ("severity=low", ["a0002"]),
        ("owner=csm", ["a0003"]),
        ("rule=big_account_quiet", ["a0003"]),
        ("record=account/A-1", ["a0003"]),
        ("ai_informed=false&status=open", ["a0001", "a0002"]),
        ("record=lead/nobody", []),
        ("status=open&severity=critical", ["a0003"]),
    ],
)
def test_each_filter_lets_its_own_through(client: TestClient, query: str, ids: list[str]) -> None:
    assert [item["id"] for item in client.get(f"/alerts?{query}").json()["items"]] == ids


def test_a_status_or_severity_that_there_is_not_is_refused_by_name(client: TestClient) -> None:
    for asked in ("status=closed", "status=open,snoozed", "severity=urgent"):
        answer = client.get(f"/alerts?{asked}")
        assert answer.status_code == 422
        name, _, value = asked.partition("=")
        assert f"query.{name}" in answer.text and ("critical" if name == "severity" else "acknowledged") in answer.text
    assert client.get("/alerts?status=open&status=snoozed&severity=high").status_code == 200


@pytest.mark.parametrize("asked", ["2026", "1830000000", "2026-03-12T09:00:00", "2026-03-12"])
def test_a_time_that_is_asked_for_bears_an_offset(client: TestClient, asked: str) -> None:
    for path in ("/alerts?due_before=", "/explain?rule=r&record=lead/L&at="):
        answer = client.get(path + asked)
        assert answer.status_code == 422 and asked in answer.json()["detail"]


def test_a_list_that_the_caller_has_in_any_form_is_not_sent_again(client: TestClient) -> None:
    assert client.get("/alerts", headers={"if-none-match": "*"}).status_code == 304


def test_pages_meet_without_a_gap_or_a_double_while_alerts_come_and_go(client: TestClient, scene: Scene) -> None:
    with scene.database.begin() as conn:
        for number in range(100, 150):
            add_alert(
                conn, number, severity=("high", "medium", "odd")[number % 3], ai_informed=number % 4 == 0,
                opened_at=NOW - timedelta(hours=number // 5),
            )  # fmt: skip
    whole = [item["id"] for item in client.get("/alerts?limit=200&status=open").json()["items"]]
    assert len(whole) == 53
    seen: list[str] = []
    cursor = ""
    while True:
        page = client.get(f"/alerts?status=open&limit=7&cursor={cursor}").json()
        seen += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = page["next"]
        client.post(f"/alerts/{seen[0]}/resolve")
    assert seen == whole


@pytest.mark.parametrize(
    "cursor", ["x", "é", "W10", "WzEsMiwzLDRd", "W2ZhbHNlLCAxLCAiMjAyNi0wMy0wMVQwMDowMDowMCIsICJhIl0"]
)
def test_a_cursor_of_somebody_else_is_refused(client: TestClient, cursor: str) -> None:
    assert "cursor" in problem(client.get("/alerts", params={"cursor": cursor}), 400)["detail"]


def test_limits_outside_the_bounds_are_refused(client: TestClient) -> None:
    for limit in ("0", "201", "x"):
        assert "limit" in problem(client.get(f"/alerts?limit={limit}"), 422)["detail"]


def test_an_alert_shows_its_history_causes_and_reads(client: TestClient) -> None:
    alert = client.get("/alerts/a0001").json()
    assert alert["causes"] == [{"source": "crm", "id": "e1", "at": "2026-03-02T09:00:00.000000Z", "by": "crm"}]
    assert alert["ai_read"] is False
    assert alert["reads"] == {"stage": "mql"}
    assert [(a["actor"], a["verb"]) for a in alert["actions"]] == [("watchtower", "opened")]


@pytest.mark.parametrize(
    ("verb", "ask", "expected"),
    [
        ("acknowledge", {"actor": "Anna", "note": "mine"}, {"status": "acknowledged"}),
        ("acknowledge", None, {"status": "acknowledged"}),
        ("snooze", {"until": "2026-03-12T09:00:00+01:00"}, {"snoozed_until": "2026-03-12T08:00:00.000000Z"}),
        ("resolve", {"note": "called"}, {"status": "resolved", "resolution": "called"}),
        ("assign", {"assignee": "bruno"}, {"assignee": "bruno", "owner": "sales_manager"}),
        ("comment", {"note": "they are on holiday"}, {"status": "open"}),
    ],
)
def test_a_persons_action_is_written_under_their_name(
    client: TestClient, verb: str, ask: dict[str, str] | None, expected: dict[str, str]
) -> None:
    alert = client.post(f"/alerts/a0001/{verb}", json=ask).json()
    assert {name: alert[name] for name in expected} == expected
    assert alert["actions"][-1]["verb"] == verb
    assert alert["actions"][-1]["actor"] == (ask or {}).get("actor", "operator")


@pytest.mark.parametrize(
    ("path", "ask", "status", "words"),
    [
        ("/alerts/nope/acknowledge", {}, 404, "nope"),
        ("/alerts/a0004/acknowledge", {}, 400, "resolved already"),
        ("/alerts/a0001/acknowledge", {"actor": "watchtower"}, 400, "stands for someone else"),
        ("/alerts/a0001/acknowledge", {"actor": "AI"}, 400, "stands for someone else"),
        ("/alerts/a0001/acknowledge", {"oops": 1}, 422, "oops"),
        ("/alerts/a0001/snooze", {}, 422, "until"),
        ("/alerts/a0001/snooze", {"until": "2026-03-12T09:00:00"}, 422, "offset"),
        ("/alerts/a0001/snooze", {"until": 1830000000}, 422, "1830000000 is not an ISO 8601 time"),
        ("/alerts/a0001/comment", {"note": " "}, 422, "note"),
        ("/alerts/a0001/comment", {"note": "a\x00b"}, 400, "U+0000"),
        ("/alerts/a0001/assign", {}, 422, "assignee"),
        ("/alerts/a0001/explode", {}, 404, "explode"),
        ("/proposals/nope/accept", {}, 404, "nope"),
    ],
)
def test_what_cannot_be_done_says_why(client: TestClient, path: str, ask: Any, status: int, words: str) -> None:
    assert words in problem(client.post(path, json=ask), status)["detail"]


def test_a_record_shows_its_fields_with_who_set_them(client: TestClient) -> None:
    record = client.get("/records/account/A-1").json()
    assert record["title"] == "Rossi Arredi"
    assert record["fields"]["employees"]["value"] == 240
    assert record["fields"]["employees"]["provenance"]["by"] == "ai"
    assert record["fields"]["city"] == {"value": None, "type": "text", "unit": "", "provenance": None}
    assert [d["id"] for d in record["documents"]] == ["d1"]
    assert [p["status"] for p in record["proposals"]] == ["accepted", "review"]
    assert [e["type"] for e in record["timeline"]["items"]] == [
        "field.proposed",
        "document.added",
        "record.updated",
    ]


def test_a_record_says_what_holds_what_is_unknown_and_what_is_due(client: TestClient) -> None:
    record = client.get("/records/lead/L-1").json()
    assert [s["rule"] for s in record["holds"]] == ["mql_uncontacted"]
    assert [(s["rule"], s["missing"]) for s in record["unknown"]] == [("big_account_quiet", ["employees"])]
    assert [s["since"] for s in record["due"]] == [format_time(NOW + timedelta(days=3))]
    assert [s["name"] for s in record["signals"]] == ["stuck"]


def test_the_timeline_goes_on_where_it_ended(client: TestClient) -> None:
    seen, before = [], ""
    while True:
        timeline = client.get(f"/records/account/A-1?limit=1{before}").json()["timeline"]
        seen += [event["type"] for event in timeline["items"]]
        if timeline["next"] is None:
            break
        before = f"&before={timeline['next']}"
    assert seen == ["field.proposed", "document.added", "record.updated"]


def test_a_record_whose_id_has_slashes_is_found(client: TestClient, scene: Scene) -> None:
    with scene.database.begin() as conn:
        add_record(conn, "account", "it/2026/7", {"name": "Seven"}, {})
    assert client.get("/records/account/it/2026/7").json()["title"] == "Seven"
    assert "Seven" in client.get("/review/account/it/2026/7").text


def test_proposals_are_listed_and_decided(client: TestClient) -> None:
    waiting = client.get("/proposals?status=review").json()["items"]
    assert [(p["id"], p["record"], p["value"]) for p in waiting] == [("p2", "account/A-1", "Brescia")]
    accepted = client.post("/proposals/p2/accept", json={"actor": "Anna"}).json()
    assert (accepted["status"], accepted["decided_by"]) == ("accepted", "person:Anna")
    assert client.get("/proposals?status=review").json() == {"items": [], "next": None}
    problem(client.post("/proposals/p2/reject", json={}), 404)


def test_pages_of_proposals_meet(client: TestClient, scene: Scene) -> None:
    with scene.database.begin() as conn:
        for number in range(3, 12):
            add_proposal(conn, number, proposed_at=NOW - timedelta(hours=number // 3))
    whole = [p["id"] for p in client.get("/proposals").json()["items"]]
    seen, cursor = [], ""
    while cursor is not None:
        page = client.get(f"/proposals?limit=2&cursor={cursor}").json()
        seen += [p["id"] for p in page["items"]]
        cursor = page["next"]
    assert seen == whole and len(whole) == 11


def test_the_rulebook_is_given_with_its_version(client: TestClient, scene: Scene) -> None:
    book = client.get("/rulebook").json()
    assert book["version"] == scene.rulebook.version
    assert book["rules"][0]["id"] == "mql_uncontacted"


def test_the_metrics_count_what_stands(client: TestClient) -> None:
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    labels = 'ai_informed="false",queue="attention-needed",severity="high",status="open"'
    assert f"watchtower_alerts_standing{{{labels}}} 1.0" in lines
    assert 'watchtower_database_up{database="core"} 1.0' in lines
    assert "watchtower_dead_letters_open 0.0" in lines


def test_it_is_ready_only_while_the_database_answers(client: TestClient, scene: Scene) -> None:
    assert client.get("/readyz").json() == {"status": "ok"}
    try:
        with scene.database.begin() as conn:
            conn.execute(text("alter table record rename to elsewhere"))
        with capture_logs():
            assert client.get("/readyz").status_code >= 500
        assert client.get("/healthz").status_code == 200
    finally:
        with scene.database.begin() as conn:
            conn.execute(text("alter table elsewhere rename to record"))


def test_what_is_not_there_is_a_problem(client: TestClient) -> None:
    for path in (
        "/nowhere",
        "/alerts/zzz",
        "/records/lead/zzz",
        "/records/nothing/x",
        "/alerts/a%00b",
        "/records/lead/a%00b",
    ):
        problem(client.get(path), 404)
    problem(client.delete("/alerts"), 405)


def test_the_description_of_the_interface_names_every_address(client: TestClient) -> None:
    description = client.get("/openapi.json").json()
    assert set(description["paths"]) == {
        "/events", "/alerts", "/alerts/{alert_id}", "/alerts/{alert_id}/acknowledge",
        "/alerts/{alert_id}/snooze", "/alerts/{alert_id}/resolve", "/alerts/{alert_id}/assign",
        "/alerts/{alert_id}/comment", "/alerts/{alert_id}/reopen", "/records/{object_name}/{record_id}", "/proposals",
        "/proposals/{proposal_id}/accept", "/proposals/{proposal_id}/reject", "/proposals/{proposal_id}/withdraw",
        "/rulebook", "/handoffs", "/explain",
        "/healthz", "/readyz", "/metrics", "/changes",
        "/silences", "/silences/{silence_id}/end", "/alerts/{alert_id}/told", "/slack/interactions",
        "/subscriptions", "/subscriptions/{subscription_id}", "/hooks/{name}",
        "/pairs", "/pairs/{pair_id}/accept", "/pairs/{pair_id}/reject", "/merges", "/merges/{merge_id}/undo",
    }  # fmt: skip
    assert "application/cloudevents+json" in description["paths"]["/events"]["post"]["requestBody"]["content"]
