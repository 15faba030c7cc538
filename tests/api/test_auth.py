"""Every route under every role, keys and sessions, and whose name stands under what is done."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from api_scene import Scene
from fastapi import APIRouter
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from sqlalchemy import text

from watchtower.api.app import ROUTES, create_app
from watchtower.api.auth import COOKIE, roles_for
from watchtower.api.server import serve
from watchtower.errors import InputError, Missing
from watchtower.flow.door import ROLES, SESSION

READERS = {"viewer", "operator", "admin"}
ACTORS = {"operator", "admin"}
EXPECTED: dict[tuple[str, str], set[str] | None] = {
    ("POST", "/events"): {"source", "admin"},
    ("GET", "/alerts"): READERS,
    ("GET", "/alerts/{alert_id}"): READERS,
    ("POST", "/alerts/{alert_id}/acknowledge"): ACTORS,
    ("POST", "/alerts/{alert_id}/snooze"): ACTORS,
    ("POST", "/alerts/{alert_id}/resolve"): ACTORS,
    ("POST", "/alerts/{alert_id}/reopen"): ACTORS,
    ("POST", "/alerts/{alert_id}/assign"): ACTORS,
    ("POST", "/alerts/{alert_id}/comment"): ACTORS,
    ("POST", "/handoffs"): ACTORS,
    ("GET", "/records/{object_name}/{record_id:path}"): READERS,
    ("GET", "/proposals"): READERS,
    ("POST", "/proposals/{proposal_id}/accept"): ACTORS,
    ("POST", "/proposals/{proposal_id}/reject"): ACTORS,
    ("POST", "/proposals/{proposal_id}/withdraw"): ACTORS,
    ("GET", "/pairs"): READERS,
    ("POST", "/pairs/{pair_id}/accept"): ACTORS,
    ("POST", "/pairs/{pair_id}/reject"): ACTORS,
    ("GET", "/merges"): READERS,
    ("POST", "/merges/{merge_id}/undo"): ACTORS,
    ("GET", "/explain"): READERS,
    ("GET", "/rulebook"): READERS,
    ("GET", "/changes"): READERS,
    ("GET", "/silences"): READERS,
    ("POST", "/silences"): ACTORS,
    ("POST", "/silences/{silence_id}/end"): ACTORS,
    ("GET", "/alerts/{alert_id}/told"): READERS,
    ("GET", "/subscriptions"): READERS,
    ("POST", "/subscriptions"): ACTORS,
    ("DELETE", "/subscriptions/{subscription_id}"): ACTORS,
    ("POST", "/slack/interactions"): None,
    ("POST", "/hooks/{name}"): None,
    ("GET", "/metrics"): READERS,
    ("GET", "/openapi.json"): READERS,
    ("HEAD", "/openapi.json"): READERS,
    ("GET", "/"): READERS,
    ("GET", "/review/alerts/{alert_id}"): READERS,
    ("GET", "/review/proposals"): READERS,
    ("GET", "/review/pairs"): READERS,
    ("POST", "/review/pairs/{pair_id}/{verdict}"): ACTORS,
    ("POST", "/review/merges/{merge_id}/undo"): ACTORS,
    ("GET", "/review/rules"): READERS,
    ("GET", "/review/why"): READERS,
    ("GET", "/review/silences"): READERS,
    ("POST", "/review/silences"): ACTORS,
    ("POST", "/review/silences/{silence_id}/end"): ACTORS,
    ("POST", "/review/advance"): READERS,
    ("GET", "/review/health"): READERS,
    ("GET", "/review/handoffs"): READERS,
    ("GET", "/review/metrics"): READERS,
    ("POST", "/review/bulk"): ACTORS,
    ("POST", "/review/confirm"): ACTORS,
    ("GET", "/review/{object_name}/{record_id:path}"): READERS,
    ("POST", "/review/reviewer"): {"admin"},
    ("POST", "/review/alerts/{alert_id}/{verb}"): ACTORS,
    ("POST", "/review/proposals/{proposal_id}/{verdict}"): ACTORS,
    ("GET", "/healthz"): None,
    ("GET", "/readyz"): None,
    ("GET", "/login"): None,
    ("POST", "/login"): None,
    ("POST", "/logout"): None,
    ("GET", "/static"): None,
}
"""Who may, route by route. None: no key is asked for."""


def every_route(scene: Scene) -> list[tuple[str, str]]:
    """(method, path) of each route of the application: the routers', and what the application has by itself."""
    found = []
    for build in ROUTES:
        router: APIRouter = build(scene)
        for route in router.routes:
            assert isinstance(route, APIRoute)
            found += [(method, route.path) for method in route.methods]
    for own in create_app(scene).routes:
        path = getattr(own, "path", None)
        if path is not None:
            found += [(method, path) for method in getattr(own, "methods", None) or {"GET"}]
    return found


def filled(path: str) -> str:
    for name, value in {
        "{alert_id}": "a0001", "{proposal_id}": "p2", "{pair_id}": "mp_1",
        "{merge_id}": "mg_1", "{object_name}": "lead", "{record_id:path}": "L-1",
        "{verb}": "acknowledge", "{verdict}": "accept",
    }.items():  # fmt: skip
        path = path.replace(name, value)
    return "/static/review.css" if path == "/static" else path


@pytest.fixture
def keys(scene: Scene) -> dict[str, str]:
    """A key of each role; of a source, crm's."""
    return {role: scene.door.add(role, "crm" if role == "source" else f"Ann {role}", by="test")[1] for role in ROLES}


@pytest.fixture
def browser(scene: Scene) -> Iterator[TestClient]:
    """A browser: it says where a request comes from, takes pages, and follows nothing by itself."""
    headers = {"accept": "text/html", "sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:8000"}
    app = create_app(scene)
    with TestClient(app, base_url="http://127.0.0.1:8000", headers=headers, follow_redirects=False) as opened:
        yield opened


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def test_every_route_of_the_application_stands_in_the_table(scene: Scene) -> None:
    assert set(every_route(scene)) == set(EXPECTED)


def test_every_route_lets_in_the_roles_of_the_table_and_no_other(
    scene: Scene, client: TestClient, keys: dict[str, str]
) -> None:
    for (method, path), allowed in EXPECTED.items():
        for role, key in keys.items():
            answer = client.request(method, filled(path), headers=bearer(key), follow_redirects=False)
            if path == "/hooks/{name}":
                assert answer.status_code == 401 and answer.json()["detail"] == "refused", "its signature is its key"
            elif path == "/slack/interactions":
                assert answer.status_code == 403 and "signed" in answer.text, "its signature is its key"
            elif allowed is None or role in allowed:
                assert answer.status_code not in (401, 403, 405), (method, path, role, answer.text)
                assert "there is nothing here" not in answer.text, (method, path)
            else:
                assert answer.status_code == 403, (method, path, role, answer.status_code)
        for headers in ({}, bearer("wt_" + "x" * 43), bearer("nonsense"), {"authorization": "Basic eDp5"}):
            answer = client.request(method, filled(path), headers=headers, follow_redirects=False)
            if allowed is not None:
                assert answer.status_code == 401, (method, path, headers, answer.status_code)
                assert answer.headers["www-authenticate"].startswith("Bearer")


def test_what_no_table_names_is_shut(scene: Scene) -> None:
    assert roles_for("POST", "/anything/new") == {"admin"}
    assert roles_for("DELETE", "/alerts/a1") == {"operator", "admin"}
    assert roles_for("PUT", "/events/more") == {"admin"}
    assert roles_for("GET", "/anything/new") == READERS
    assert roles_for("POST", "/static") == {"admin"}


def test_as_long_as_no_key_was_made_the_door_is_open_and_then_it_is_not(scene: Scene, client: TestClient) -> None:
    assert client.get("/alerts").status_code == 200
    row, key = scene.door.add("viewer", "Ann", by="test")
    assert client.get("/alerts").status_code == 401
    assert client.get("/alerts", headers=bearer(key)).status_code == 200
    scene.door.revoke(row.id, by="test")
    assert client.get("/alerts", headers=bearer(key)).status_code == 401
    assert client.get("/alerts").status_code == 401, "a door does not open because the last key is gone"


def test_answers_to_those_who_may_not_are_problems_with_a_remedy(client: TestClient, keys: dict[str, str]) -> None:
    unknown = client.get("/alerts")
    assert unknown.headers["content-type"] == "application/problem+json"
    assert "watchtower keys add" in unknown.json()["remedy"]
    denied = client.post("/alerts/a0001/resolve", headers=bearer(keys["viewer"]), json={})
    assert denied.headers["content-type"] == "application/problem+json"
    assert denied.json()["detail"] == "POST /alerts/a0001/resolve: not for the role viewer (admin, operator may)"


def test_a_key_is_kept_as_a_hash_alone_and_read_from_the_header_alone(
    scene: Scene, client: TestClient, keys: dict[str, str]
) -> None:
    with scene.database.read() as conn:
        rows = [tuple(row) for row in conn.execute(text("select * from api_key"))]
    for key in keys.values():
        assert len(key) == 46 and key.startswith("wt_")
        assert key not in repr(rows) and key.removeprefix("wt_").encode() not in repr(rows).encode()
        assert client.get(f"/alerts?key={key}").status_code == 401
    assert all(len(row[1]) == 32 for row in rows)


EVENT = {
    "specversion": "1.0", "id": "e77", "source": "crm", "type": "record.updated", "subject": "lead/L-9",
    "time": "2026-03-02T09:00:00Z", "data": {},
}  # fmt: skip


def test_a_source_speaks_under_its_own_name(scene: Scene, client: TestClient, keys: dict[str, str]) -> None:
    """The scene only notes what the door is asked; the tower's own door is asked below."""
    said: list[Any] = []
    take = scene.take
    scene.take = lambda raw, *, source=None: (said.append(source), take(raw, source=source))[1]  # type: ignore[method-assign]
    assert client.post("/events", json=EVENT, headers=bearer(keys["source"])).status_code == 200
    assert client.post("/events", json=EVENT | {"id": "e78"}, headers=bearer(keys["admin"])).status_code == 200
    assert said == ["crm", None]


def test_what_is_done_stands_under_the_name_of_the_key(scene: Scene, client: TestClient, keys: dict[str, str]) -> None:
    operator = bearer(keys["operator"])
    done = client.post("/alerts/a0001/comment", headers=operator, json={"note": "called"}).json()
    assert done["actions"][-1]["actor"] == "Ann operator"
    for name in ("Bea", "Ann admin", "watchtower"):
        refused = client.post("/alerts/a0001/comment", headers=operator, json={"note": "x", "actor": name})
        assert refused.status_code == 403, refused.text
        assert "whose key this is" in refused.json()["detail"]
    same = client.post("/alerts/a0001/comment", headers=operator, json={"note": "x", "actor": "Ann operator"})
    assert same.status_code == 200
    assert client.post("/proposals/p2/accept", headers=operator, json={}).status_code == 200
    with scene.database.read() as conn:
        assert conn.execute(text("select decided_by from proposal where id = 'p2'")).scalar() == "person:Ann operator"


def sign_in(browser: TestClient, key: str, next_: str = "/") -> Any:
    return browser.post("/login", data={"key": key, "next": next_})


def test_a_browser_is_sent_to_the_login_page_and_back(browser: TestClient, keys: dict[str, str]) -> None:
    sent = browser.get("/review/proposals?status=review")
    assert (sent.status_code, sent.headers["location"]) == (
        303, "/login?next=%2Freview%2Fproposals%3Fstatus%3Dreview",
    )  # fmt: skip
    assert 'value="/review/proposals?status=review"' in browser.get(sent.headers["location"]).text
    done = sign_in(browser, keys["operator"], "/review/proposals?status=review")
    assert (done.status_code, done.headers["location"]) == (303, "/review/proposals?status=review")
    cookie = done.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and keys["operator"] not in cookie
    shown = browser.get("/")
    assert shown.status_code == 200 and "Ann operator" in shown.text and "Sign out" in shown.text
    assert sign_in(browser, keys["operator"], "//evil.example/x").headers["location"] == "/"


def test_a_key_that_opens_no_page_signs_nobody_in(browser: TestClient, keys: dict[str, str]) -> None:
    for key in ("", "wt_wrong", keys["source"], keys["worker"], "é" * 10):
        answer = sign_in(browser, key)
        assert answer.status_code == 401 and "set-cookie" not in answer.headers
        assert "it opens no page" in answer.text


def test_a_session_acts_under_its_name_and_ends_with_the_key_the_time_or_the_word(
    scene: Scene, browser: TestClient, keys: dict[str, str]
) -> None:
    sign_in(browser, keys["operator"])
    browser.cookies.set("watchtower_reviewer", "Somebody%20else")
    assert browser.post("/review/alerts/a0001/comment", data={"note": "seen"}).status_code == 303
    with scene.database.read() as conn:
        assert conn.execute(text("select actor from action order by seq desc limit 1")).scalar() == "Ann operator"

    token = browser.cookies[COOKIE]
    assert browser.post("/logout").headers["location"] == "/login"
    browser.cookies.set(COOKIE, token)
    assert browser.get("/").status_code == 303, "the cookie that was kept opens nothing"

    browser.cookies.clear()
    sign_in(browser, keys["operator"])
    scene.now += SESSION + timedelta(seconds=1)
    scene.door._known.clear()
    assert browser.get("/").status_code == 303, "a session is over after twelve hours"

    browser.cookies.clear()
    sign_in(browser, keys["operator"])
    assert browser.get("/").status_code == 200
    [operator] = [row.id for row in scene.door.all() if row.role == "operator"]
    scene.door.revoke(operator, by="test")
    assert browser.get("/").status_code == 303, "a session does not outlive its key"


def test_a_session_of_a_viewer_changes_nothing(browser: TestClient, keys: dict[str, str]) -> None:
    sign_in(browser, keys["viewer"])
    assert browser.get("/").status_code == 200
    assert browser.post("/review/alerts/a0001/comment", data={"note": "x"}).status_code == 403
    assert browser.post("/alerts/a0001/resolve", json={}).status_code == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "same-origin"}, 303),
        ({"origin": "http://127.0.0.1:8000"}, 303),
        ({}, 403),
        ({"sec-fetch-site": "none"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:8001"}, 403),
        ({"sec-fetch-site": "same-origin", "origin": "https://evil.example"}, 403),
    ],
)
def test_a_cookie_alone_changes_nothing_unless_the_request_comes_from_our_pages(
    scene: Scene, keys: dict[str, str], headers: dict[str, str], status: int
) -> None:
    token = scene.door.sign_in(keys["operator"])
    with TestClient(create_app(scene), base_url="http://127.0.0.1:8000", follow_redirects=False) as client:
        client.cookies.set(COOKIE, token)
        sent = client.post("/review/alerts/a0001/comment", data={"note": "x"}, headers=headers)
        assert sent.status_code == status


def test_another_process_that_revokes_a_key_is_heeded_within_a_second(
    scene: Scene, client: TestClient, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = bearer(keys["viewer"])
    assert client.get("/alerts", headers=headers).status_code == 200
    with scene.database.begin() as conn:
        conn.execute(text("update api_key set revoked_at = now()"))
    monkeypatch.setattr("watchtower.flow.door.monotonic", lambda: __import__("time").monotonic() + 1.01)
    assert client.get("/alerts", headers=headers).status_code == 401


def test_a_source_or_person_takes_no_name_of_the_towers_own(scene: Scene) -> None:
    for name in ("watchtower", "enrichment", "detectors", "ai", "person", "Person", "", " crm", "a\nb", "x" * 121):
        with pytest.raises(InputError, match="--name"):
            scene.door.add("source", name, by="test")
    with pytest.raises(InputError, match="--role: 'root' is not one of viewer"):
        scene.door.add("root", "Ann", by="test")
    with pytest.raises(Missing, match="k_none"):
        scene.door.revoke("k_none", by="test")


def test_without_a_key_it_listens_to_this_machine_alone(scene: Scene) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1"):
        with pytest.raises(InputError, match="no key is asked of them"):
            serve(scene, host, 0)


def test_a_database_that_is_gone_is_said_so_at_the_door_too(scene: Scene, client: TestClient) -> None:
    from watchtower.errors import StoreError

    def gone() -> bool:
        raise StoreError("the database cannot be reached", remedy="start it")

    scene.door.locked = gone  # type: ignore[method-assign]
    answer = client.get("/alerts")
    assert (answer.status_code, answer.json()["remedy"]) == (503, "start it")
    assert client.get("/healthz").status_code == 200
