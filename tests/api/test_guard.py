"""Who may ask, and what every answer bears."""

from __future__ import annotations

import pytest
from api_scene import Scene
from fastapi.testclient import TestClient

from watchtower.api.app import create_app
from watchtower.api.review.environment import safe_url

FORM = {"content-type": "application/x-www-form-urlencoded"}


def status_of(scene: Scene, alert_id: str) -> str:
    client = TestClient(create_app(scene), base_url="http://127.0.0.1:8000")
    return str(client.get(f"/alerts/{alert_id}").json()["status"])


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "http://["},
        {"sec-fetch-site": "same-origin", "origin": "http://evil.example"},
    ],
)
@pytest.mark.parametrize("path", ["/review/alerts/a0001/acknowledge", "/alerts/a0001/acknowledge"])
def test_a_post_from_another_site_is_refused(
    client: TestClient, scene: Scene, path: str, headers: dict[str, str]
) -> None:
    response = client.post(path, headers={**FORM, **headers}, follow_redirects=False)
    assert response.status_code == 403
    assert status_of(scene, "a0001") == "open"


@pytest.mark.parametrize(
    "headers",
    [{}, {"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:8000"}, {"sec-fetch-site": "none"}],
)
def test_a_post_from_our_own_page_or_a_program_is_let_in(
    client: TestClient, scene: Scene, headers: dict[str, str]
) -> None:
    response = client.post("/review/alerts/a0001/acknowledge", headers={**FORM, **headers}, follow_redirects=False)
    assert (response.status_code, response.headers["location"]) == (303, "/review/alerts/a0001")
    assert status_of(scene, "a0001") == "acknowledged"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200), ("localhost:8000", 200), ("[::1]:8000", 200), ("watchtower", 200),
        ("evil.example", 421), ("127.0.0.1.evil.example", 421), ("localhost.evil.example:8000", 421),
        ("", 421), ("[", 421), ("a.localhost", 200),
        ("tower.example", 200), ("tower.example.:443", 200),
    ],
)  # fmt: skip
def test_a_name_that_somebody_could_point_at_us_is_not_served(scene: Scene, host: str, status: int) -> None:
    client = TestClient(create_app(scene, hosts={"tower.example"}), base_url="http://127.0.0.1:8000")
    assert client.get("/healthz", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    "path", ["/", "/alerts", "/review/nope", "/nowhere", "/static/review.css", "/review/account/A-1"]
)
def test_every_answer_bears_the_headers_of_safety(client: TestClient, path: str) -> None:
    answer = client.get(path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_nonce_is_of_this_answer_only(client: TestClient) -> None:
    first, second = client.get("/"), client.get("/")
    nonce = first.headers["content-security-policy"].split("script-src 'nonce-")[1].split("'")[0]
    assert f'nonce="{nonce}"' in first.text
    assert nonce not in second.text
    assert " style=" not in first.text and " onclick=" not in first.text


@pytest.mark.parametrize(
    "target",
    ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/\n/evil", ""],
)
def test_a_form_leads_back_to_our_own_pages_only(client: TestClient, target: str) -> None:
    response = client.post("/review/alerts/a0001/comment", data={"next": target, "note": "x"}, follow_redirects=False)
    assert response.headers["location"] == "/review/alerts/a0001"


def test_the_reviewers_name_is_kept_and_written_down(client: TestClient) -> None:
    client.post("/review/reviewer", data={"name": "Zoë Müller", "next": "/"})
    client.post("/review/alerts/a0001/acknowledge", data={"next": "/"})
    assert client.get("/alerts/a0001").json()["actions"][-1]["actor"] == "Zoë Müller"
    assert client.post("/review/reviewer", data={"name": "watchtower"}).status_code == 400


@pytest.mark.parametrize(
    ("url", "ok"),
    [
        ("https://a.example/x", True), ("http://a.example", True), ("mailto:a@b.example", True),
        ("javascript:alert(1)", False), ("JaVaScRiPt:alert(1)", False), (" javascript:alert(1)", False),
        ("java\nscript:alert(1)", False), ("\x01javascript:alert(1)", False),
        ("data:text/html,<script>", False), ("vbscript:x", False), ("//evil.example", False),
        ("/relative", False), ("file:///etc/passwd", False), ("http://[", False), (None, False), (7, False),
    ],
)  # fmt: skip
def test_only_known_schemes_become_links(url: object, ok: bool) -> None:
    assert (safe_url(url) is not None) is ok
