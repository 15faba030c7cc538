"""The review pages beside the queue: silences, why, what changed, what it costs, and going on to the next alert."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from api_scene import NOW, RULEBOOK, Scene, add_alert, add_proposal, add_record
from fastapi.testclient import TestClient
from sqlalchemy import insert, text

from watchtower.api.review.environment import STAY
from watchtower.api.review.rules import last_change
from watchtower.errors import StoreError
from watchtower.rulebook.compare import differences
from watchtower.rulebook.model import Rulebook
from watchtower.store import rulebooks, schema

SAME = {"sec-fetch-site": "same-origin", "content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
def browser(client: TestClient) -> TestClient:
    client.follow_redirects = False
    client.headers["accept"] = "text/html"
    return client


def test_a_silence_is_made_on_its_page_shown_with_what_it_holds_back_and_ended(browser: TestClient) -> None:
    form = {"rule": "mql_uncontacted", "length": "3d", "because": "<b>the fair</b>", "next": "/review/silences"}
    assert browser.post("/review/silences", data=form).headers["location"] == "/review/silences"
    [made] = browser.get("/silences").json()
    assert made["ends_at"] == "2026-03-13T12:00:00.000000Z"
    page = browser.get("/review/silences").text
    assert "2 standing alerts, 0 messages waiting" in page and "&lt;b&gt;the fair" in page
    assert browser.post(f"/review/silences/{made['id']}/end", data={}, headers=SAME).status_code == 303
    page = browser.get("/review/silences").text
    assert "Nothing is silenced" in page and "<h2>Over</h2>" in page


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"because": "peace"}, 400),
        ({"rule": "mql_uncontacted", "because": " "}, 400),
        ({"rule": "mql_uncontacted", "because": "x", "length": "99y"}, 400),
        ({"record": "L-1", "because": "x"}, 400),
    ],
)
def test_a_silence_that_cannot_be_is_refused_with_the_reason(
    browser: TestClient, form: dict[str, str], status: int
) -> None:
    assert browser.post("/review/silences", data=form).status_code == status
    assert browser.get("/silences").json() == []


def test_an_alerts_page_leads_to_a_silence_of_its_rule_or_record(browser: TestClient) -> None:
    page = browser.get("/review/alerts/a0001").text
    assert "/review/silences?rule=mql_uncontacted#new" in page
    assert 'value="lead/L-1"' in browser.get("/review/silences?record=lead%2FL-1").text


def test_why_somebody_was_not_told_stands_on_the_alerts_page(scene: Scene, browser: TestClient) -> None:
    hook = {"url": "https://hooks.example.com/x", "secret": "HOOK", "queues": ["customer-success"], "person": "bea"}
    assert "names no receiver" in browser.get("/review/alerts/a0001").text
    scene.rulebook = Rulebook.model_validate(RULEBOOK.content() | {"receivers": {"hook": hook}})
    page = browser.get("/review/alerts/a0001?person=bea").text
    assert "Was bea told?" in page and "not among its queues (customer-success)" in page
    page = browser.get("/review/alerts/a0001?person=%3Ci%3E").text
    assert "no receiver of the rulebook is of this person" in page and "<i>" not in page


def test_why_there_is_no_alert_is_said_of_any_rule_on_any_record(browser: TestClient) -> None:
    page = browser.get("/review/why?rule=mql_uncontacted&record=lead/L-1").text
    assert "stage is mql and nobody has made contact for 48 hours" in page
    assert "is not in the rulebook" in browser.get("/review/why?rule=gone&record=lead/L-1").text


def test_a_rule_shows_who_changed_it_when_and_what_it_said_before(scene: Scene, browser: TestClient) -> None:
    content = json.loads(json.dumps(RULEBOOK.content()))
    content["rules"][0]["when"] = "stage = 'mql' and <b>older</b>"
    changes = [one.to_json() for one in differences(Rulebook.model_validate(content), RULEBOOK)]
    with scene.database.begin() as conn:
        for version, by, told in (("v1", "anna", []), ("v2", "bea", changes)):
            rulebooks.save(conn, version, "scene", {}, NOW)
            rulebooks.activate(conn, version, by=by, now=NOW - timedelta(days=2), note="48 hours", changes=told)
        past = rulebooks.history(conn)
    first, second = RULEBOOK.rules
    changed = last_change(past, first)
    assert changed is not None and (changed.by.by, changed.kind, [part for part, *_ in changed.parts]) == (
        "bea", "changed", ["when"],
    )  # fmt: skip
    assert last_change(past, second) is None
    page = browser.get("/review/rules?order=changed").text
    assert "changed <time" in page and "by bea" in page
    assert "<del>stage = &#39;mql&#39; and &lt;b&gt;older" in page
    assert page.index('id="mql_uncontacted"') < page.index('id="big_account_quiet"')


@pytest.mark.parametrize("said", ["a false alarm: a test", "False alarm", "Noise", "called them", "by the facts"])
def test_false_alarms_are_counted_by_rule_as_evals_count_them(scene: Scene, browser: TestClient, said: str) -> None:
    with scene.database.begin() as conn:
        conn.execute(
            text("update alert set status = 'resolved', resolution = :said where id = 'a0001'"), {"said": said}
        )
    wrong = int(said not in ("called them", "by the facts"))
    judged = 2 - (said == "by the facts")  # the scene's own a0004 was resolved by hand
    assert f"{wrong} of {judged} called false" in browser.get("/review/rules").text


def test_the_health_page_says_what_models_cost_for_each_accepted_field(scene: Scene, browser: TestClient) -> None:
    page = browser.get("/review/health").text
    assert "0.0061 EUR" in page, "10 days of calls cost .19, and 31 fields were accepted"
    assert "4 without an end" in page and "no price" in page and "no limit" in page
    book = RULEBOOK.content() | {"enrichment": {"budget": {"day": {"calls": 50}}}}
    scene.rulebook = Rulebook.model_validate(book)
    assert "80% of 50" in browser.get("/review/health").text
    scene.models = ()
    assert "No language model was called" in browser.get("/review/health").text

    def none(days: int) -> None:
        raise StoreError("the jobs database is not there")

    scene.costs = none  # type: ignore[method-assign,assignment]
    assert "the jobs database is not there" in browser.get("/review/health").text


def test_the_health_page_names_a_source_that_has_fallen_silent(scene: Scene, browser: TestClient) -> None:
    assert "watches no source" in browser.get("/review/health").text
    book = RULEBOOK.content() | {"sources": {"crm": {"silent_after": "2 hours"}}}
    scene.rulebook = Rulebook.model_validate(book)
    assert "not heard yet" in browser.get("/review/health").text
    with scene.database.begin() as conn:
        add_record(conn, "source", "crm", {"name": "crm", "last_event_at": "2026-03-10T11:00:00.000000Z"}, {})
    page = browser.get("/review/health").text
    assert '<span class="ok">heard' in page and "1 hour ago" in page
    with scene.database.begin() as conn:
        add_alert(conn, 9, rule="source.crm.silent", object="source", record="crm")
    page = browser.get("/review/health").text
    assert ">silent</a></b> since" in page and "2 hours" in page


def test_what_a_budget_puts_off_is_said_on_the_health_page(scene: Scene, browser: TestClient) -> None:
    row = {
        "id": "m1", "receiver": "anna", "alert": "a0001", "event": "e", "type": "alert.opened", "ai_informed": False,
        "rank": 1, "state": "pending", "body": "{}", "created_at": NOW, "due_at": NOW + timedelta(hours=12),
        "held": "over the budget of 20 a day",
    }  # fmt: skip
    with scene.database.begin() as conn:
        conn.execute(insert(schema.outbox).values(row))
    page = browser.get("/review/health").text
    assert "1 put off until" in page and "over the budget of 20 a day" in page


def test_after_a_decision_the_next_alert_comes_and_the_last_one_can_be_taken_back(browser: TestClient) -> None:
    page = browser.get("/review/alerts/a0001").text
    onward = "/review/alerts/a0002?done=a0001"
    assert f'<input type="hidden" name="next" value="{onward}">' in page
    done = browser.post("/review/alerts/a0001/acknowledge", data={"next": onward})
    assert done.headers["location"] == onward
    page = browser.get(onward).text
    assert "Rossi Arredi</a>: acknowledged" in page
    assert page.index('action="/review/alerts/a0001/reopen"') < page.index('action="/review/alerts/a0002')
    assert browser.get("/review/alerts/a0002?done=gone").status_code == 200


def test_whoever_comes_from_a_filtered_queue_stays_in_it(scene: Scene, browser: TestClient) -> None:
    with scene.database.begin() as conn:
        add_alert(conn, 11, queue="renewals", owner="Zoë & co")
        add_alert(conn, 12, queue="renewals", owner="Zoë & co")
    within = "?queue=renewals&amp;owner=Zo%C3%AB+%26+co"
    rows = browser.get("/?queue=renewals&owner=Zo%C3%AB+%26+co").text
    assert f'href="/review/alerts/a0012{within}"' in rows and "a0001" not in rows
    page = browser.get(f"/review/alerts/a0012{within}".replace("&amp;", "&")).text
    assert f'data-key="j" href="/review/alerts/a0011{within}"' in page and f'<a href="/{within}">Queue</a>' in page
    onward = f"/review/alerts/a0011{within}&amp;done=a0012"
    assert f'value="{onward}"' in page
    done = browser.post("/review/alerts/a0012/resolve", data={"next": onward.replace("&amp;", "&")})
    assert done.headers["location"] == onward.replace("&amp;", "&")
    last = browser.get(done.headers["location"]).text
    assert "Next alert" not in last and f'name="next" value="/review/alerts/a0012{within}"' in last
    row = browser.post(
        "/review/alerts/a0011/acknowledge",
        data={"part": "row", "next": f"/{within}".replace("&amp;", "&")},
        headers={**SAME, "hx-request": "true"},
    )
    assert f'href="/review/alerts/a0011{within}"' in row.text


def test_who_wants_to_stay_stays(browser: TestClient) -> None:
    assert browser.post("/review/advance", data={"stay": "yes", "next": "/review/alerts/a0001"}).status_code == 303
    assert browser.cookies[STAY] == "yes"
    assert "?done=a0001" not in browser.get("/review/alerts/a0001").text


def test_a_proposal_shows_undo_as_long_as_the_verdict_can_be_taken_back(scene: Scene, browser: TestClient) -> None:
    undo = 'action="/review/proposals/p2/withdraw"'
    browser.post("/review/proposals/p2/reject", data={}, headers=SAME)
    assert undo in browser.get("/review/proposals?status=rejected").text
    assert browser.get("/proposals?status=rejected").json()["items"][0]["undo_until"] == "2026-03-11T12:00:00.000000Z"
    scene.now += timedelta(hours=25)
    assert undo not in browser.get("/review/proposals?status=rejected").text
    scene.now = NOW
    assert browser.post("/review/proposals/p2/withdraw", data={}, headers=SAME).status_code == 303
    assert browser.get("/proposals?status=review").json()["items"][0]["undo_until"] is None
    with scene.database.begin() as conn:
        add_proposal(conn, 5, status="accepted", decided_by="watchtower")
    assert "proposals/p5/withdraw" not in browser.get("/review/proposals?status=accepted").text


def test_a_row_of_the_queue_says_how_much_else_is_open_on_its_record(scene: Scene, browser: TestClient) -> None:
    assert "1 more on this lead" in browser.get("/").text
    with scene.database.begin() as conn:
        add_alert(conn, 8)
    scene.now += timedelta(minutes=1)
    assert "2 more on this lead" in browser.get("/").text
