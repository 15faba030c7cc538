"""Many reviews by keyboard alone, many at once, live changes, and two reviewers on one alert."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from api_scene import NOW, Scene, add_alert, add_event, add_proposal
from sqlalchemy import text

from watchtower.store.database import Database

pytestmark = pytest.mark.browser


def statuses(database: Database) -> dict[str, str]:
    with database.read() as conn:
        return {row[0]: row[1] for row in conn.execute(text("select id, status from alert"))}


def told(database: Database, number: int, kind: str, alert: str, who: str = "watchtower") -> None:
    """The entry of the journal that the tower writes with each decision."""
    with database.begin() as conn:
        data = {"alert": alert, "rule": "mql_uncontacted"}
        add_event(conn, number, "lead", "L-1", type=kind, layer="decision", source=who, time=NOW, data=data)


def test_fifty_alerts_are_reviewed_by_keyboard_alone(
    chromium: Any, address: str, furnished: Callable[..., Database]
) -> None:
    database = furnished()
    with database.begin() as conn:
        conn.execute(text("update alert set status = 'resolved', resolved_at = now()"))
        for number in range(1000, 1050):
            add_alert(conn, number)
    page = chromium.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda fault: faults.append(str(fault)))
    done = 0
    while done < 50:
        page.goto(address)
        here = page.locator(".row").count()
        page.keyboard.press("j")
        for place in range(here):
            page.keyboard.press("ars"[(done + place) % 3])
            page.locator(".row.done").nth(place).wait_for()
        done += here
    found = {id_: status for id_, status in statuses(database).items() if id_ >= "a1000"}
    assert len(found) == 50 and set(found.values()) == {"acknowledged", "resolved", "snoozed"}
    assert faults == []
    page.close()


def test_what_was_done_is_undone_with_u(chromium: Any, address: str, furnished: Callable[..., Database]) -> None:
    database = furnished()
    page = chromium.new_page()
    page.goto(address)
    page.keyboard.press("u")
    page.wait_for_selector("#notice:has-text('nothing to undo')")
    page.keyboard.press("j")
    page.keyboard.press("r")
    page.wait_for_selector(".row.done[data-status=resolved]")
    assert statuses(database)["a0001"] == "resolved"
    page.keyboard.press("u")
    page.wait_for_selector(".row[data-id=a0001][data-status=open]")
    assert statuses(database)["a0001"] == "open"
    page.close()


def test_many_are_picked_with_x_and_done_at_once(
    chromium: Any, address: str, furnished: Callable[..., Database]
) -> None:
    database = furnished()
    with database.begin() as conn:
        add_proposal(conn, 3)
        add_proposal(conn, 4, value="Milano")
    page = chromium.new_page()
    page.goto(address)
    assert not page.locator("#bulk").is_visible()
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.keyboard.press("j")
    page.keyboard.press("x")
    assert page.locator("#bulk").inner_text().startswith("2 picked")
    page.keyboard.press("a")
    page.wait_for_url(f"{address}/")
    page.wait_for_selector("h1 + p:has-text('1 open')")
    assert [statuses(database)[id_] for id_ in ("a0001", "a0002", "a0003")] == ["acknowledged", "acknowledged", "open"]
    page.goto(f"{address}/review/proposals")
    for _ in range(3):
        page.keyboard.press("j")
        page.keyboard.press("x")
    page.keyboard.press("r")
    page.wait_for_selector(".empty")
    with database.read() as conn:
        query = text("select count(*) from proposal where status = 'rejected'")
        assert conn.execute(query).scalar_one() == 3
    page.close()


def test_a_new_alert_stands_in_the_queue_by_itself_and_the_focus_stays(
    chromium: Any, address: str, furnished: Callable[..., Database]
) -> None:
    database = furnished()
    page = chromium.new_page()
    page.goto(address)
    page.wait_for_selector("body[data-watching]")
    time.sleep(1)
    page.keyboard.press("j")
    page.keyboard.press("x")
    with database.begin() as conn:
        add_alert(conn, 7, severity="critical", because="It has just happened.")
    told(database, 70, "alert.opened", "a0007")
    page.wait_for_selector(".row:has-text('It has just happened.')", timeout=5000)
    focused = "document.activeElement.closest('.row').dataset.id"
    assert page.evaluate(focused) == "a0001"
    assert page.locator(".row").first.get_attribute("data-id") == "a0007"
    assert page.locator(".pick:checked").count() == 1, "what was picked stays picked"
    # A row that came live works by key as any other.
    page.keyboard.press("x")
    page.keyboard.press("k")
    page.keyboard.press("r")
    page.wait_for_selector(".row.done[data-id=a0007]")
    page.close()


def test_of_two_reviewers_on_one_alert_the_second_is_told(
    chromium: Any, address: str, furnished: Callable[..., Database]
) -> None:
    database = furnished()
    page = chromium.new_page()
    page.goto(address)
    Scene(database).act("a0001", "acknowledge", actor="anna")
    page.keyboard.press("j")
    page.keyboard.press("r")
    page.wait_for_selector("#notice:has-text('nothing of yours was written')")
    assert statuses(database)["a0001"] == "acknowledged"
    # The list is as it is now: the alert is no longer open, and yet is not snatched away from under the eye.
    page.wait_for_selector(".row.gone[data-id=a0001]")
    page.goto(f"{address}/review/alerts/a0002")
    page.wait_for_selector("body[data-watching]")
    Scene(database).act("a0002", "snooze", actor="anna", until=NOW)
    told(database, 71, "alert.snoozed", "a0002", "person:anna")
    page.wait_for_selector("#notice:has-text('anna: snoozed, just now')")
    page.keyboard.press("r")
    page.wait_for_selector("h1:has-text('Precondition Failed')")
    assert statuses(database)["a0002"] == "snoozed"
    page.close()


def test_the_queue_is_searched_with_the_slash(chromium: Any, address: str, furnished: Callable[..., Database]) -> None:
    furnished()
    page = chromium.new_page()
    page.goto(address)
    page.keyboard.press("/")
    page.keyboard.type("next step")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?q=next+step")
    assert page.locator(".row").count() == 1
    page.close()
